"""A reader that gives events when they are due, for a projector that is to see a span as it was received."""

import asyncio

from events import log
from events.archive import Archive
from events.event import Recorded
from events.log import Log
from events.span import UNTIMED
from ops.replay.pace import Pace
from ops.replay.play import Watcher
from projectors.ahead import Ahead, Notice
from runtime.lifecycle import Stop


class Paced(Ahead):
    """Events of one stream up to `upto`; the pace is that of all streams."""

    def __init__(
        self, pace: Pace, watcher: Watcher, near: Log, far: Archive, upto: int, outer: Stop, stop: Stop, notice: Notice
    ) -> None:
        """Take the pace, and who is told where it is not kept; the rest is as for `Ahead`."""
        super().__init__(near, far, upto, outer, stop, notice)
        self._pace, self._watcher = pace, watcher
        self._waiting: list[Recorded] = []
        self._reached_ns = 0

    async def read(
        self, stream: str, after: int, limit: int = log.READ_ENTRIES_MAX, block_ms: int = 0
    ) -> list[Recorded]:
        """Give the next events that are due; none where none is within block_ms. Raises as `Ahead` does."""
        if not self._waiting or self._waiting[0].n != after + 1 or self._outer.is_set():
            self._waiting = await super().read(stream, after, limit, block_ms)
        if not self._waiting:
            return []
        seconds = self._seconds_until(self._waiting[0])
        if seconds > 0:
            await asyncio.sleep(min(seconds, block_ms / 1000))
            return []
        self._pace.forgive(self._due_ns(self._waiting[0]), self._watcher.say)
        found = 0
        while found < min(limit, len(self._waiting)) and self._seconds_until(self._waiting[found]) <= 0:
            self._reached_ns = self._due_ns(self._waiting[found])
            found += 1
        given, self._waiting = self._waiting[:found], self._waiting[found:]
        return given

    def _seconds_until(self, event: Recorded) -> float:
        return self._pace.seconds_until(self._due_ns(event))

    def _due_ns(self, event: Recorded) -> int:
        return max(self._reached_ns, 0 if event.type in UNTIMED else event.at_ns)
