"""Every packet of the log against the rows of `ticks` and `parked_events`, by n."""

from collections.abc import Sequence

import numpy as np

from ops.verify.entries import Entry
from ops.verify.frames import Frame, count_since
from ops.verify.report import Findings, Range, StreamReport
from ops.verify.tables import StreamRows

_REBUILD = "the rows are not the log's: rebuild ticks"


class RowAccount:
    """The account of one stream, fed with its events in order."""

    def __init__(self, report: StreamReport, held: StreamRows, from_ns: int, findings: Findings) -> None:
        """from_ns: packets of an earlier time are past retention and stand in no account."""
        self._report, self._held, self._from_ns, self._findings = report, held, from_ns, findings
        self._checkpoint = report.checked = held.checkpoint("ticks")
        self._parked = dict(held.parked)  # what no event was found for yet

    def take(self, entries: Sequence[Entry], frames: Sequence[Frame | None]) -> None:
        """Compare a dense piece of the stream; frames: of each event that is one."""
        wanted = [self._wanted(entry, frame) for entry, frame in zip(entries, frames, strict=True)]
        first, stop = entries[0].n, min(entries[-1].n, self._checkpoint) + 1
        if first >= stop:
            return
        rows = self._held.rows[first:stop]
        expected = np.array(wanted[: stop - first], np.int64)
        self._report.stored += int(rows.sum())
        self._report.received += int(expected.sum())
        for place in np.flatnonzero(rows != expected).tolist():
            self._differ(first + place, int(expected[place]), int(rows[place]))

    def _wanted(self, entry: Entry, frame: Frame | None) -> int:
        """Give how many rows an event should have; what was parked of it is compared on the way."""
        if frame is None:
            return 0
        if entry.n > self._checkpoint:
            self._report.waiting += frame.declared
            return 0
        parked = self._parked.pop(entry.n, None)
        if parked and parked.set_aside:
            self._report.set_aside += parked.packets
        if parked and parked.payload_bytes == len(entry.payload) > 0:  # it was refused whole
            self._park(frame.declared)
            return 0
        self._compare_parked(entry.n, frame.unread, parked.packets if parked else 0)
        current = count_since(entry.payload, frame, entry.at_ns, self._from_ns)
        self._report.expired += len(frame.packets) - current
        return current

    def _park(self, packets: int) -> None:
        self._report.parked += packets
        self._report.received += packets

    def _compare_parked(self, n: int, wanted: int, found: int) -> None:
        self._report.received += wanted
        self._report.parked += found
        if wanted > found:
            self._lose(n, wanted - found, "unreadable packets that are not in parked_events")
        elif wanted < found:
            self._double(n, found - wanted, "parked packets that the log does not have")

    def _differ(self, n: int, wanted: int, found: int) -> None:
        if wanted > found:
            self._lose(n, wanted - found, "no row in ticks")
        else:
            self._double(n, found - wanted, "more rows in ticks than packets in the log")

    def _lose(self, n: int, packets: int, why: str) -> None:
        self._report.lost += packets
        self._findings.lose(Range(self._report.stream, n, n, packets, why))

    def _double(self, n: int, packets: int, why: str) -> None:
        self._report.doubled += packets
        self._findings.double(Range(self._report.stream, n, n, packets, why))

    def close(self) -> None:
        """Look at what lies behind the checkpoint, and behind the end of the log."""
        stream = self._report.stream
        for n, rows in sorted(self._held.above.items()):
            found = f"{rows} rows in ticks for n = {n}, the checkpoint is {self._checkpoint}"
            self._findings.problem("above", stream, found, _REBUILD)
        for n, parked in sorted(self._parked.items()):
            found = f"{parked.packets} packets of n = {n} in parked_events, where no such frame was committed"
            self._findings.problem("parked", stream, found, _REBUILD)
        for projector, n in sorted(self._held.checkpoints.items()):
            if n > self._report.last:
                found = f"the checkpoint of {projector} is {n}, the log ends at {self._report.last}"
                self._findings.problem("checkpoint", stream, found, "a disk forgot: see docs/durability.md")
