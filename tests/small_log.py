"""A small log for tests, written by the real writer and brought into the tables by the real projectors.

`SmallLog` is a ticker without a broker: what it `hears` is counted as a connection counts, told in beats, written down
in a sandbox's journal as sent, and appended. `project` brings ticks, candles and gaps up to its end.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from events.archive import Archive
from events.event import Event
from events.messages import Beat, Connected, Gap, Lost, Message, Subscribed, pack
from events.reader import Reader
from events.redis_log import RedisLog
from events.spool import spool_files
from events.writer import Writer
from ops.sandbox import wire
from ops.sandbox.journal import Journal
from projectors.candles import CANDLES
from projectors.gaps import GAPS
from projectors.loop import Loop
from projectors.ticks import TICKS
from runtime.clock import ManualClock, SystemClock
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql.store import Store
from tests.desk import taken_by_redis, writing
from tests.entries import START_NS
from tests.frames import SECOND_NS, STREAM, Packet, frame
from tests.patience import PATIENCE_SECONDS

PORT = 40_001
RUN = "first"


class Hurried(SystemClock):
    """A clock on which a second is soon over, so that what lingers for a second does not hold a test up."""

    def monotonic(self) -> float:
        return super().monotonic() * 20


class SmallLog:
    """A stream, its writer, and what was sent to it."""

    def __init__(self, settings: Settings, writer: Writer, log: RedisLog, stream: str) -> None:
        self.settings, self.stream = settings, stream
        self.clock = ManualClock(START_NS)
        self.journal = Journal(settings.bahi_data_dir / "sandbox" / "journal")
        self.writer = writer
        self._log = log
        self._connection = self._index = 0
        self._port = PORT
        self._lost_ns = 0
        self._counted = Beat(run=RUN, frames=0, packets=0, bytes=0, heartbeats=0, texts=0, last_message_ns=0)

    @property
    def spool(self) -> Path:
        return self.settings.bahi_data_dir / "spool" / self.stream

    async def tell(self, *messages: Message) -> int:
        """Append messages of our own; give the n of the last."""
        return await self.append([pack(message, self.clock.now_ns()) for message in messages])

    async def append(self, events: Sequence[Event]) -> int:
        """Append events as they are; give the n of the last."""
        n = await self.writer.append(events) + len(events) - 1
        await taken_by_redis(self.writer)
        return n

    async def connect(self, port: int = PORT, *, seen_as: int | None = None) -> int:
        """Open a socket; seen_as: the port that the sandbox sees where a proxy stands between."""
        self.clock.advance(1)
        self._connection, self._index, self._port = self.clock.now_ns(), 0, seen_as or port
        self.clock.advance(0.01)
        run = self._counted.run
        return await self.tell(
            Connected(run=run, local_port=port, server="sandbox"), Subscribed(run=run, tokens=[1], mode="full")
        )

    async def kill(self, run: str) -> None:
        """Die without a word, and start again as another run, which declares the loss."""
        self._lost_ns = self._counted.last_message_ns
        self._counted = Beat(run=run, frames=0, packets=0, bytes=0, heartbeats=0, texts=0, last_message_ns=0)
        self.clock.advance(2)
        await self.tell(Lost(from_ns=self._lost_ns, reason="the ticker ended without a word"))

    def send(self, *frames: bytes) -> list[bytes]:
        """Write down in the journal that these were sent; they may or may not be heard."""
        messages = wire.frame(list(frames), [len(wire.split(each)) for each in frames], [0] * len(frames))
        self.journal.write(self._connection, self._port, self._index, self.clock.now_ns(), messages)
        self._index += len(frames)
        return list(frames)

    async def hear(self, *frames: bytes, beat: bool = True) -> int:
        """Receive what was sent, and say so in a beat; give the n of the last frame."""
        counted = self._counted
        self.clock.advance(0.01)
        self._counted = msgspec.structs.replace(
            counted,
            frames=counted.frames + len(frames),
            packets=counted.packets + sum(int.from_bytes(each[:2], "big") for each in frames),
            bytes=counted.bytes + sum(map(len, frames)),
            last_message_ns=self.clock.now_ns(),
        )
        n = await self.append([Event("kite.frame.v1", self.clock.now_ns(), each) for each in frames])
        if beat:
            await self.tell(self._counted)
        return n

    async def receive(self, *frames: bytes) -> int:
        """Send, and hear it; give the n of the last frame."""
        return await self.hear(*self.send(*frames))

    async def lose(self, from_ns: int | None = None) -> int:
        """Lose the socket; the gap begins at the last message, or later where a test lets the ticker lie."""
        self.clock.advance(0.5)
        self._lost_ns = self._counted.last_message_ns if from_ns is None else from_ns
        return await self.tell(Lost(from_ns=self._lost_ns, reason="cut"))

    async def return_with(self, *frames: bytes) -> int:
        """Be back on another socket, with the end of the gap declared."""
        self.clock.advance(1)
        await self.connect(self._port + 1)
        self.send(*frames)
        self.clock.advance(0.01)
        await self.tell(Gap(from_ns=self._lost_ns, to_ns=self.clock.now_ns(), reason="cut"))
        return await self.hear(*frames)

    async def archive_closed(self) -> int:
        """Close the spool's file, copy it into the archive, and remove it; give the last n archived."""
        archive = Archive.at(self.settings)
        (file,) = spool_files(self.spool)
        entries = await asyncio.to_thread(file.entries, self.stream)
        await asyncio.to_thread(self.writer._spool.begin, self.writer.last + 1)
        index = await archive.put(self.stream, entries)
        file.path.unlink()
        return index.last

    async def trim(self, upto: int) -> None:
        """Trim Redis."""
        await self._log.trim(self.stream, upto)

    async def project(self, upto: int | None = None) -> None:
        """Bring the tables up to n = upto, or to the end."""
        assert self.settings.database_url
        stop = Stop()
        target = self.writer.last if upto is None else upto
        loops = [
            Loop(
                projection,
                self.stream,
                Store(self.settings.database_url),
                Reader(self._log, Archive.at(self.settings)),
                Hurried(),
                self._log,
                stop,
            )
            for projection in (TICKS, CANDLES, GAPS)
        ]
        running = [asyncio.create_task(loop.run()) for loop in loops]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(loop.progress.reached(target) for loop in loops))
            stop.set()
            await asyncio.gather(*running)


@asynccontextmanager
async def small_log(settings: Settings, stream: str = STREAM) -> AsyncIterator[SmallLog]:
    """Own a stream until the context ends."""
    assert settings.redis_url
    log = RedisLog.connect(settings.redis_url)
    try:
        async with writing(settings, log, stream, ManualClock(START_NS)) as writer:
            mine = SmallLog(settings, writer, log, stream)
            try:
                yield mine
            finally:
                mine.journal.close()
    finally:
        await log.close()


def market(first: int, count: int, tokens: Sequence[int] = (408_065, 738_561, 2_953_217)) -> list[bytes]:
    """Give `count` frames of a full packet for each token, a second apart: prices wander, volumes grow."""
    start = START_NS // SECOND_NS
    return [
        frame(
            *(
                Packet(
                    "full", token, 100_000 + (second * 37 + token) % 500, 1_000 + second * 10, second, start + second
                )
                for token in tokens
            )
        )
        for second in range(first, first + count)
    ]
