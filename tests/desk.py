"""A desk: a place where a stream's writer is started, cut off and started again, and how to look at what it left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.archive import Archive
from events.event import Recorded
from events.log import Log
from events.reader import Reader
from events.redis_log import RedisLog
from events.spool import Spool, closed_files, spool_files
from events.takeover import Fence
from events.writer import Writer
from runtime.clock import Clock, ManualClock
from runtime.errors import TakeoverDue
from runtime.settings import Settings
from tests import servers
from tests.entries import START_NS, event
from tests.patience import PATIENCE_SECONDS

WIDE = 1 << 40


async def nobody(stream: str) -> dict[str, int]:
    """Answer as checkpoints do that do not know the stream."""
    return {}


class Desk:
    """A place where a writer is started and killed again and again."""

    def __init__(self, folder: Path, log: RedisLog, archive: Archive, roll_bytes: int = WIDE) -> None:
        self.stream = folder.name
        self.folder, self.log, self.archive, self.roll_bytes = folder, log, archive, roll_bytes
        self.clock = ManualClock(START_NS)
        self.reader = Reader(log, archive)

    async def open(self, fence: Fence = nobody) -> Writer:
        """Open the stream; the spool's lock is free again where that is refused."""
        spool = Spool(self.folder, self.stream)
        try:
            return await Writer.open(
                spool, self.log, self.archive, self.clock, fence, roll_bytes=self.roll_bytes, roll_seconds=3600
            )
        except BaseException:
            spool.close()
            raise

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[tuple[Writer, asyncio.Task[None]]]:
        """Run a writer; at the end it is cut off where it stands."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            writer = await self.open()
            running = asyncio.create_task(writer.run())
            try:
                yield writer, running
            finally:
                running.cancel()
                await asyncio.wait([running])
                await writer.close()

    async def in_redis(self) -> list[bytes]:
        """Give all entries that Redis holds."""
        return await self.log.read(self.stream, 0, limit=1_000_000)

    def in_spool(self) -> list[bytes]:
        """Give all entries that the spool holds."""
        return [each for file in spool_files(self.folder) for each in file.entries(self.stream)]

    async def texts(self) -> list[str]:
        """Read the whole log as a projector does; give what the events say, in the order of n."""
        found: list[Recorded] = []
        while more := await self.reader.read(self.stream, len(found)):
            found += more
        assert [each.n for each in found] == list(range(1, len(found) + 1))
        assert found[0].type == "log.takeover.v1"
        return [each.payload.decode() for each in found[1:]]

    async def archive_closed(self) -> None:
        """Copy closed files to the archive and remove them."""
        for file, last in closed_files(self.folder):
            await self.archive.put(self.stream, file.closed_entries(self.stream, last))
            file.path.unlink()


@contextlib.asynccontextmanager
async def writing(settings: Settings, log: Log, stream: str, clock: Clock) -> AsyncIterator[Writer]:
    """Run the writer of a stream in the settings' places; at the end it is cut off where it stands."""
    spool = Spool(settings.bahi_data_dir / "spool" / stream, stream)
    limits = {"roll_bytes": settings.spool_file_bytes, "roll_seconds": settings.spool_file_seconds}
    writer = await Writer.open(spool, log, Archive.at(settings), clock, nobody, **limits)
    running = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await writer.close()


async def taken_by_redis(writer: Writer) -> None:
    """Wait until Redis has everything."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await writer.drained():
            pass


async def refused(running: asyncio.Task[None]) -> TakeoverDue:
    """Wait until the log refuses the writer; give what it says."""
    with pytest.raises(ExceptionGroup) as caught:
        await running
    (error,) = caught.value.exceptions
    assert isinstance(error, TakeoverDue)
    return error


def empty(redis_url: str) -> None:
    """Drop everything that Redis holds; its clients notice nothing."""
    with servers.redis_client(redis_url) as client:
        client.flushall()


def said(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


async def say(writer: Writer, first: int, last: int) -> None:
    """Append events, one after the other, that say first..last."""
    for number in range(first, last + 1):
        await writer.append([event(str(number))])
