"""A span of a stream: from one n to another. It is asked for by n or by receive time; the log's order is that of n.

A time is found by halving: receive times rise with n, because one clock made them. Where that clock was set back, a
time has several places, and one of them is found. What a takeover wrote in the place of lost events has the
takeover's time and is passed over.
"""

import msgspec

from events.event import Recorded
from events.reader import Reader
from runtime.errors import HoleInLog

UNTIMED = frozenset({"log.tombstone.v1"})  # received at no time: it says when the loss was noticed
LOOK_EVENTS = 16  # read at each step of halving; a longer row of tombstones is taken for later ones


class Wanted(msgspec.Struct, frozen=True):
    """What is asked for; None is as far as the log goes.

    from_ns, to_ns: receive times (UTC epoch), the second one not included. first, last: n, both included.
    """

    from_ns: int | None = None
    to_ns: int | None = None
    first: int | None = None
    last: int | None = None


class Span(msgspec.Struct, frozen=True):
    """Events first..last of a stream; `first` is at most `last`."""

    stream: str
    first: int
    last: int

    @property
    def events(self) -> int:
        """Give how many there are."""
        return self.last - self.first + 1


async def find(reader: Reader, stream: str, wanted: Wanted) -> Span | None:
    """Give the span that is wanted as far as the log has it now; None where it has nothing of it.

    Raises Unreachable, HoleInLog.
    """
    end = await reader.last(stream)
    first, last = max(1, wanted.first or 1), min(end, end if wanted.last is None else wanted.last)
    if wanted.from_ns is not None:
        first = max(first, await first_at(reader, stream, end, wanted.from_ns))
    if wanted.to_ns is not None:
        last = min(last, await first_at(reader, stream, end, wanted.to_ns) - 1)
    return Span(stream, first, last) if first <= last else None


async def first_at(reader: Reader, stream: str, end: int, at_ns: int) -> int:
    """Give the n of the first event received at or after a time; end + 1 where none was, of the events 1..end.

    Raises Unreachable, HoleInLog.
    """
    low, high = 1, end + 1
    while low < high:
        middle = (low + high) // 2
        found = next((each for each in await _read(reader, stream, middle) if each.type not in UNTIMED), None)
        if found is None or found.n >= high or found.at_ns >= at_ns:
            high = middle
        else:
            low = found.n + 1
    return low


async def received(reader: Reader, stream: str, n: int) -> int:
    """Give when event n was received, or the one after it where it was lost (UTC epoch ns). Raises as `find` does."""
    events = await _read(reader, stream, n)
    return next((each for each in events if each.type not in UNTIMED), events[0]).at_ns


async def _read(reader: Reader, stream: str, n: int) -> list[Recorded]:
    events = await reader.read(stream, n - 1, LOOK_EVENTS)
    if not events:
        raise HoleInLog(
            f"n = {n} of {stream}", "neither Redis nor the archive has it now", "start the stream's writer: it fills"
        )
    return events
