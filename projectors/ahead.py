"""A reader that knows where it must end, and reads the next batch while the one before is being written."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from events import archive, log
from events.event import Recorded
from events.reader import Reader
from runtime.errors import HoleInLog
from runtime.lifecycle import Stop

EMPTY_READS_MAX = 20  # a writer fills a Redis that forgot within seconds; a read waits up to half a second

Notice = Callable[[Sequence[Recorded]], Awaitable[None]]


class Ahead(Reader):
    """Events up to `upto` and none behind it; then, or when `outer` is set, it sets `stop`."""

    def __init__(self, near: log.Log, far: archive.Archive, upto: int, outer: Stop, stop: Stop, notice: Notice) -> None:
        """notice: is shown each batch before the caller is."""
        super().__init__(near, far)
        self._upto, self._outer, self._stop, self._notice = upto, outer, stop, notice
        self._coming: tuple[tuple[int, int], asyncio.Task[list[Recorded]]] | None = None
        self._empty_reads_seen = 0

    async def read(
        self, stream: str, after: int, limit: int = log.READ_ENTRIES_MAX, block_ms: int = 0
    ) -> list[Recorded]:
        """Give the next events up to the end. Raises HoleInLog where the log ends before."""
        if after >= self._upto or self._outer.is_set():
            self._stop.set()
            return []
        batch = await self._taken(stream, after, limit, block_ms)
        if not batch:
            await self._look_for_the_end(stream, after)
            return []
        self._empty_reads_seen = 0
        batch = batch[: self._upto - after]
        if batch[-1].n < self._upto:
            self._begin(stream, batch[-1].n, limit, block_ms)
        await self._notice(batch)
        return batch

    async def close(self) -> None:
        """Forget what was read ahead."""
        coming, self._coming = self._coming, None
        if coming is not None:
            coming[1].cancel()
            await asyncio.gather(coming[1], return_exceptions=True)

    async def _taken(self, stream: str, after: int, limit: int, block_ms: int) -> list[Recorded]:
        coming, self._coming = self._coming, None
        if coming is not None and coming[0] == (after, limit):
            return await coming[1]
        if coming is not None:  # events are taken one by one just now
            self._coming = coming
            await self.close()
        return await super().read(stream, after, limit, block_ms)

    def _begin(self, stream: str, after: int, limit: int, block_ms: int) -> None:
        task = asyncio.ensure_future(super().read(stream, after, limit, block_ms))
        self._coming = ((after, limit), task)

    async def _look_for_the_end(self, stream: str, after: int) -> None:
        self._empty_reads_seen += 1
        if self._empty_reads_seen < EMPTY_READS_MAX:
            return
        last = await super().last(stream)
        if last < self._upto:
            raise HoleInLog(
                f"n = {after + 1}..{self._upto} of {stream}, which the log had before",
                f"Redis and the archive end at {last}",
                "start the stream's writer: it fills Redis; or see docs/durability.md",
            )
