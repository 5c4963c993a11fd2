"""The losses that the log declares, folded anew and compared with `feed_gaps`."""

import msgspec

from events.messages import Gap, Lost
from ops.verify.entries import Entry
from ops.verify.report import Findings
from ops.verify.tables import StreamRows

Folded = dict[int, tuple[int | None, str]]  # beginning in microseconds -> (end, reason)


class GapAccount:
    """The gaps of one stream, fed with its events in order."""

    def __init__(self, stream: str, held: StreamRows, findings: Findings) -> None:
        """held: what the table says, as of the checkpoint of `gaps`."""
        self.all: Folded = {}
        self._stream, self._held, self._findings = stream, held, findings
        self._checkpoint = held.checkpoint("gaps")
        self._committed: Folded = {}

    def take(self, entry: Entry) -> None:
        """Take the next event."""
        if entry.kind == b"feed.lost.v1":
            lost = msgspec.json.decode(entry.payload, type=Lost)
            for gaps in self._told(entry.n):
                gaps.setdefault(lost.from_ns // 1000, (None, lost.reason))
        elif entry.kind == b"feed.gap.v1":
            gap = msgspec.json.decode(entry.payload, type=Gap)
            for gaps in self._told(entry.n):
                _, reason = gaps.get(gap.from_ns // 1000, (None, gap.reason))
                gaps[gap.from_ns // 1000] = (gap.to_ns // 1000, reason)

    def _told(self, n: int) -> list[Folded]:
        return [self.all, self._committed] if n <= self._checkpoint else [self.all]

    def close(self) -> None:
        """Compare with the table."""
        for from_us in sorted(self._committed.keys() | self._held.gaps.keys()):
            wanted, found = self._committed.get(from_us), self._held.gaps.get(from_us)
            if wanted != found:
                said = f"the gap from {from_us} us is {_shown(found)} in feed_gaps and {_shown(wanted)} in the log"
                self._findings.problem("gap", self._stream, said, "rebuild gaps")


def _shown(gap: tuple[int | None, str] | None) -> str:
    return "not there" if gap is None else f"until {gap[0]} ({gap[1]})"
