"""What an audit found, in a form that people and scripts can read."""

from collections.abc import Iterable

import msgspec

RANGES_MAX = 1000  # of each kind in a report; what lies behind is counted, not listed
PROBLEMS_MAX = 200  # a log that is wrong everywhere needs no longer list


class Range(msgspec.Struct, frozen=True, omit_defaults=True):
    """Numbers first..last of a stream, how many packets they are about, and what is the matter with them.

    connection, messages: in the sandbox's journal, where the loss shows there.
    """

    stream: str
    first: int
    last: int
    packets: int
    why: str
    connection: int = 0
    messages: tuple[int, int] | None = None


class Problem(msgspec.Struct, frozen=True):
    """One thing that is not as it must be: what kind, where, what was found, what to do."""

    kind: str
    stream: str
    found: str
    remedy: str


class StreamReport(msgspec.Struct):
    """The account of one stream. last: its last n; checked: the n up to which `ticks` has committed it."""

    stream: str
    last: int = 0
    archived: int = 0
    segments: int = 0
    checked: int = 0
    received: int = 0
    stored: int = 0
    parked: int = 0
    set_aside: int = 0
    waiting: int = 0
    expired: int = 0
    lost: int = 0
    doubled: int = 0
    gaps: int = 0
    tombstones: int = 0


class Instruments(msgspec.Struct):
    """How many instruments the newest dump of each broker describes, and how many the table has otherwise."""

    compared: int = 0
    different: int = 0

    def add(self, compared: int, different: int) -> None:
        """Count those of one more stream."""
        self.compared += compared
        self.different += different


class Accounts(msgspec.Struct):
    """How many orders and trades the brokers told of, and how many the tables have otherwise, or not at all."""

    compared: int = 0
    different: int = 0

    def add(self, compared: int, different: int) -> None:
        """Count those of one more stream."""
        self.compared += compared
        self.different += different


class Candles(msgspec.Struct):
    """How many candles of one minute were made again, of how many instruments, and how many differed."""

    compared: int = 0
    instruments: int = 0
    different: int = 0
    all: bool = False


class Report(msgspec.Struct, omit_defaults=False):
    """The whole account, in packets (one packet is one tick).

    received = stored + parked + lost - doubled, up to where `ticks` has committed and within the days that are kept;
    set_aside: of the parked ones, what a user has decided to leave as it is;
    waiting: received, not yet committed; expired: of days that are no longer kept. sent, unreceived: by the sandbox's
    journal, null without one; unreceived lies in declared gaps, under_way had not been received when we looked.
    tombstones: events that were given up as lost with a disk, each named by a log.takeover.
    """

    ok: bool = True
    received: int = 0
    stored: int = 0
    parked: int = 0
    set_aside: int = 0
    lost: int = 0
    doubled: int = 0
    gaps: int = 0
    lost_ranges: list[Range] = []
    doubled_ranges: list[Range] = []
    problems: list[Problem] = []
    waiting: int = 0
    expired: int = 0
    sent: int | None = None
    unreceived: int | None = None
    under_way: int | None = None
    streams: list[StreamReport] = []
    tombstones: int = 0
    candles: Candles = msgspec.field(default_factory=Candles)
    instruments: Instruments = msgspec.field(default_factory=Instruments)
    accounts: Accounts = msgspec.field(default_factory=Accounts)
    seconds: float = 0.0


class Findings:
    """Where all parts of the audit write what they find."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.problems: list[Problem] = []
        self.lost: list[Range] = []
        self.doubled: list[Range] = []
        self._unlisted = 0

    def problem(self, kind: str, stream: str, found: str, remedy: str) -> None:
        """Note that something is not as it must be."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(kind, stream, found, remedy))
        else:
            self._unlisted += 1

    def lose(self, lost: Range) -> None:
        """Note packets that should be there and are not."""
        _join(self.lost, lost)

    def double(self, doubled: Range) -> None:
        """Note packets that are there once too often."""
        _join(self.doubled, doubled)

    def close(self) -> None:
        """Say what was found and is not listed."""
        if self._unlisted:
            unlisted, self._unlisted = self._unlisted, 0
            self.problems.append(Problem("more", "", f"{unlisted} more", "mend these first, then run it again"))


def packets(ranges: Iterable[Range]) -> int:
    """Add up the packets of ranges."""
    return sum(each.packets for each in ranges)


def _join(ranges: list[Range], more: Range) -> None:
    """Add a range, as a part of the last one where it is its continuation."""
    last = ranges[-1] if ranges else None
    joins = last and (last.stream, last.why, last.connection) == (more.stream, more.why, more.connection)
    if last and joins and not more.messages and last.last + 1 == more.first:
        ranges[-1] = msgspec.structs.replace(last, last=more.last, packets=last.packets + more.packets)
    else:
        ranges.append(more)
