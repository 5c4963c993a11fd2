"""Several spans of the log as one row of events: by receive time, each stream in its own order.

An event is due when it was received; where a stream's clock was set back, when the latest before it was. So a stream
never gives its n in another order, and nothing is waited for twice. Of each stream some hundreds of events are in
memory, whatever the spans hold.
"""

from collections import deque
from collections.abc import Callable, Sequence

from events.archive import Archive
from events.event import Recorded
from events.log import Log
from events.span import UNTIMED, Span
from projectors.ahead import Ahead
from runtime.errors import Unreachable
from runtime.lifecycle import Stop
from runtime.waiting import Backoff

READ_EVENTS_MAX = 512  # of each stream; as many are on their way meanwhile
BLOCK_MS = 500  # of a read where Redis is behind for a moment; a stop is heeded within this

Waits = Callable[[Unreachable], None]


class Merged:
    """Events of spans, in the order in which they are due. Raises HoleInLog where the log cannot give one."""

    def __init__(
        self, spans: Sequence[Span], near: Log, make_archive: Callable[[], Archive], stop: Stop, waits: Waits
    ) -> None:
        """waits: hears of each store that does not answer; it is asked until it does, or the stop is set."""
        self.given = 0  # events, of `total`
        self.total = sum(span.events for span in spans)
        self._lanes = [_Lane(span, near, make_archive(), stop, waits) for span in spans]

    async def due_ns(self) -> int | None:
        """Give when the next event is due (UTC epoch ns); None behind the last."""
        lane = await self._next()
        return None if lane is None else lane.due_ns

    async def take(self, upto_ns: int | None, limit: int) -> list[Recorded]:
        """Give the next events that are due by `upto_ns`, or at any time for None; at most `limit`."""
        found: list[Recorded] = []
        while len(found) < limit:
            lane = await self._next()
            if lane is None or (upto_ns is not None and lane.due_ns > upto_ns):
                break
            found.append(lane.pop())
        self.given += len(found)
        return found

    async def _next(self) -> "_Lane | None":
        for lane in self._lanes:
            if not lane.waiting:
                await lane.fill()
        full = [lane for lane in self._lanes if lane.waiting]
        return min(full, key=lambda lane: lane.due_ns) if full else None

    async def close(self) -> None:
        """Forget what was read ahead."""
        for lane in self._lanes:
            await lane.reader.close()


class _Lane:
    """One stream on its way."""

    def __init__(self, span: Span, near: Log, far: Archive, stop: Stop, waits: Waits) -> None:
        self.reader = Ahead(near, far, span.last, stop, Stop(), _unnoticed)
        self.waiting: deque[tuple[int, Recorded]] = deque()
        self._span, self._stop, self._waits = span, stop, waits
        self._after = span.first - 1
        self._reached_ns = 0

    @property
    def due_ns(self) -> int:
        """Give when the next one is due."""
        return self.waiting[0][0]

    def pop(self) -> Recorded:
        """Give the next one."""
        return self.waiting.popleft()[1]

    async def fill(self) -> None:
        """Read on where there is more and nobody wants an end."""
        backoff = Backoff()
        while not self.waiting and self._after < self._span.last and not self._stop.is_set():
            try:
                batch = await self.reader.read(self._span.stream, self._after, READ_EVENTS_MAX, BLOCK_MS)
            except Unreachable as error:
                self._waits(error)
                await self._stop.pause(backoff.next_seconds())
                continue
            if not self._reached_ns:  # what was lost before the first event that is left is due with it
                self._reached_ns = next((each.at_ns for each in batch if each.type not in UNTIMED), 0)
            for event in batch:
                self._after = event.n
                self._reached_ns = max(self._reached_ns, 0 if event.type in UNTIMED else event.at_ns)
                self.waiting.append((self._reached_ns, event))


async def _unnoticed(_batch: Sequence[Recorded]) -> None:
    """Nobody keeps tombstones here."""
