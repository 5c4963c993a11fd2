"""One log for readers: archive and Redis look like one stream, dense from any n on.

Every read continues at n = previous + 1. Redis is asked first, unless the reader was in the archive a moment ago; on
a hole, or nothing where something should be, the archive is asked with a fresh listing. Where neither has the n, the
reader stops and says which (design rules 10 and 17).

Who waits at the end of what Redis has, with nothing new there, does not need the archive, and must not wait for it: a
server that hangs would hold up what comes next. Where Redis ends before the reader, or is empty, it has forgotten
something that the archive may have. Who does not wait takes "nothing" for the end, so that the archive
is always asked for him.
"""

import asyncio
from contextlib import suppress

from events import archive, codec, log
from events.event import Recorded
from runtime.errors import HoleInLog, Unreachable

LOOK_BACK_READS = 8  # empty reads between two looks into the archive while Redis ends before the reader
QUIET_READS = 64  # the same while it ends just where the reader waits; half a minute at a projector's pace


class Reader:
    """A hand that reads streams in order. Each projector has its own."""

    def __init__(self, near: log.Log, far: archive.Archive) -> None:
        """Take the log's near end (Redis) and its far end (the archive)."""
        self._near = near
        self._far = far
        self._far_behind: set[str] = set()
        self._empty_reads: dict[tuple[str, bool], int] = {}  # by stream, and whether Redis ended before the reader

    async def read(
        self, stream: str, after: int, limit: int = log.READ_ENTRIES_MAX, block_ms: int = 0
    ) -> list[Recorded]:
        """Give up to `limit` events, dense from n = after + 1; none where there is none yet.

        Waits up to block_ms for the first. Raises Unreachable, and HoleInLog where the next n is in no store.
        """
        return [codec.decode(stream, entry) for entry in await self._entries(stream, after, limit, block_ms)]

    async def event(self, stream: str, n: int, seconds_max: float) -> Recorded:
        """Give one event. Raises Unreachable where no store gives it within seconds_max, and as `read`."""
        why = f"no answer within {seconds_max:g} s"
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                if found := await self.read(stream, n - 1, 1):
                    return found[0]
            why = "no store has it just now"
        raise Unreachable(f"n = {n} of {stream} from the log", why, "bahi status says what is away")

    async def _entries(self, stream: str, after: int, limit: int, block_ms: int) -> list[bytes]:
        if stream in self._far_behind:
            found = []
            with suppress(Unreachable):  # Redis may have it; should it not, the archive is asked again and that said
                found = await self._archived(stream, after, limit)
            if found:
                return found
            self._far_behind.discard(stream)
        entries = await self._near.read(stream, after, limit, block_ms)
        dense = _dense(entries, after)
        if dense:
            for lost in (True, False):
                self._empty_reads.pop((stream, lost), None)
            return dense
        if not entries and not await self._time_to_look_back(stream, after, waits=block_ms > 0):
            return []
        found = await self._archived(stream, after, limit)
        if found:
            self._far_behind.add(stream)
        elif entries:
            raise HoleInLog(
                f"n = {after + 1} of {stream}",
                f"Redis goes on at {codec.entry_n(entries[0])} and the archive ends at {await self._far.last(stream)}",
                "run bahi verify; the writer's spool may still have it: start that writer",
            )
        return found

    async def _archived(self, stream: str, after: int, limit: int) -> list[bytes]:
        return _dense(await self._far.entries(stream, after + 1, limit), after)

    async def _time_to_look_back(self, stream: str, after: int, *, waits: bool) -> bool:
        """Say whether the archive is worth a look, though Redis gave nothing."""
        last, _ = await self._near.last(stream) if waits else (0, None)
        if last > after:
            return False  # it came in this moment
        lost = last < after or not last
        reads = self._empty_reads[(stream, lost)] = self._empty_reads.get((stream, lost), 0) + 1
        return reads % LOOK_BACK_READS == 1 if lost else reads % QUIET_READS == 0

    async def last(self, stream: str) -> int:
        """Give the highest n that Redis or the archive holds; 0 where neither knows the stream."""
        near, _ = await self._near.last(stream)
        return max(near, await self._far.last(stream))

    async def streams(self) -> list[str]:
        """Give the names of all streams that Redis or the archive holds."""
        return sorted({*await self._near.streams(), *await self._far.streams()})


def _dense(entries: list[bytes], after: int) -> list[bytes]:
    for place, entry in enumerate(entries):
        if codec.entry_n(entry) != after + 1 + place:
            return entries[:place]
    return entries
