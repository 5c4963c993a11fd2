"""Gaps: every loss of feed as a row of `feed_gaps`, opened when it is known and closed when data comes again."""

from collections.abc import Sequence
from typing import Any

from events.event import Recorded
from events.messages import Gap, Lost, unpack
from projectors.projector import Projection, is_tick_stream
from runtime.clock import instant
from sql.store import Rows

NAME = "gaps"
SETTLE_SECONDS = 0.5  # a stream's frames are of no interest here: its checkpoint need not follow each of them
REST_SECONDS = 0.1  # between two reads: a loss is in its table within that


class GapProjector:
    """`projectors.projector.Projector` for the table `feed_gaps`."""

    def __init__(self, stream: str) -> None:
        """Begin with nothing in memory. stream: `ticks-<broker>-<connection>`."""
        _, self._feed, connection = stream.split("-")
        self._shared = {"feed": self._feed, "connection": int(connection), "stream": stream}
        self._last = 0
        self._opened: list[dict[str, Any]] = []
        self._closed: list[dict[str, Any]] = []

    async def recall(self, rows: Rows) -> None:
        """Nothing is remembered: a gap's beginning tells which one ends."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        """Keep what opens or closes a gap."""
        self._last = batch[-1].n
        for event in batch:
            if event.type == "feed.lost.v1":
                lost = unpack(event, Lost)
                self._opened.append(self._row(event, lost.from_ns, lost.reason))
            elif event.type == "feed.gap.v1":
                gap = unpack(event, Gap)
                row = self._row(event, gap.from_ns, gap.reason)
                self._closed.append({**row, "to_time": instant(gap.to_ns)})

    def _row(self, event: Recorded, from_ns: int, reason: str) -> dict[str, Any]:
        return {**self._shared, "from_time": instant(from_ns), "reason": reason, "n": event.n}

    def due(self, waited_seconds: float) -> int | None:
        """Give the last n absorbed: at once where a gap is among it."""
        if self._opened or self._closed or waited_seconds >= SETTLE_SECONDS:
            return self._last or None
        return None

    async def write(self, rows: Rows) -> None:
        """Open, then close: a gap that does both in one batch ends closed."""
        await rows.run_many("open_gap", self._opened)
        await rows.run_many("close_gap", self._closed)

    def committed(self) -> None:
        """Forget what is in the table."""
        self._opened, self._closed = [], []


GAPS = Projection(NAME, is_tick_stream, GapProjector, ("feed_gaps",), rest_seconds=REST_SECONDS)
