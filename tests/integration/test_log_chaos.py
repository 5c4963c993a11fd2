"""The whole log under everything at once: writers and archivers cut off, Redis cut, emptied, killed, its answers lost.

What was said is read once, in order, whatever the seed; the seed is in the test's name.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from events.archive import Archive
from events.archiver import Archiver, Window
from events.reader import Reader
from events.redis_log import RedisLog
from events.writer import Writer
from ops.embedded import redis as embedded_redis
from ops.embedded.server import start
from runtime.errors import Unreachable
from tests import servers
from tests.cutting_proxy import CuttingProxy, cutting_proxy
from tests.desk import Desk
from tests.entries import event
from tests.patience import PATIENCE_SECONDS

LIVES_MAX, TURNS_MAX, EVENTS_MAX = 4, 30, 6  # of a writer, appends in a life, events in an append


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


class Chaos:
    """One seeded run."""

    def __init__(self, seed: int, folder: Path, data_dir: Path) -> None:
        self.random = random.Random(seed)
        self.stream = f"ticks-chaos-{seed}"
        self.spool, self.far, self.data_dir = folder / "spool" / self.stream, folder / "archive", data_dir
        self.server = embedded_redis.start(data_dir, servers.TOOLS)
        self.window = Window(self.random.choice([0, 500, 5000]), self.random.choice([0, 100]))
        self.said = 0
        self.read: list[bytes] = []

    async def run(self) -> None:
        """Let writers live and die beside an archiver and a reader; then let everything come to rest."""
        share = self.random.choice([0.0, 0.05, 0.2])
        async with cutting_proxy(self.server.url, share, self.random.random()) as (url, proxy):
            desk = Desk(self.spool, RedisLog.connect(url), Archive(self.far), self.random.choice([300, 1000, 5000]))
            logs = [RedisLog.connect(url), RedisLog.connect(url)]
            others = [asyncio.create_task(self._archive(logs[0])), asyncio.create_task(self._read(logs[1]))]
            try:
                for _ in range(self.random.randint(2, LIVES_MAX)):
                    await self._live(desk)
                await self._rest(desk, proxy, others)
            finally:
                for other in others:
                    other.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                for log in (desk.log, *logs):
                    await log.close()

    async def _live(self, desk: Desk) -> None:
        async with working(desk) as (writer, running):
            for _ in range(self.random.randint(5, TURNS_MAX)):
                count = self.random.randint(1, EVENTS_MAX)
                await writer.append([event(str(number)) for number in range(self.said, self.said + count)])
                self.said += count
                assert not running.done(), running.exception()
                self._harm()
                await steps(self.random.choice([0, 0, 1, 20]))

    def _harm(self) -> None:
        dice = self.random.random()
        if dice < 0.02:
            self.server.process.kill()
            self.server.process.wait()
            servers.cut_redis_file(self.data_dir, self.random.choice([0, 1, 50, 500, 5000]))
            self.server = start(self.server.launch)
        elif dice < 0.1:
            with redis.Redis.from_url(self.server.url) as client:
                client.flushall() if dice < 0.06 else client.xtrim(self.stream, maxlen=0, approximate=False)

    async def _archive(self, log: RedisLog) -> None:
        while True:
            await steps(1)
            with contextlib.suppress(Unreachable):
                archiver = Archiver(self.spool, log, Archive(self.far), self.window)
                for _ in range(self.random.randint(1, 30)):
                    await self._round(archiver)

    async def _round(self, archiver: Archiver) -> None:
        doing = asyncio.create_task(archiver.round())
        try:
            if self.random.random() < 0.1:
                await steps(self.random.randint(0, 6))
                doing.cancel()
            await asyncio.wait([doing])
        finally:
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        if not doing.cancelled():
            doing.result()

    async def _read(self, log: RedisLog) -> None:
        reader = Reader(log, Archive(self.far))
        while True:
            await steps(1)
            with contextlib.suppress(Unreachable):
                found = await reader.read(self.stream, len(self.read), self.random.randint(1, 50), block_ms=5)
                assert [each.n for each in found] == [len(self.read) + 1 + place for place in range(len(found))]
                self.read += [each.payload for each in found]

    async def _rest(self, desk: Desk, proxy: CuttingProxy, others: list[asyncio.Task[None]]) -> None:
        proxy.share = 0.0
        async with working(desk) as (writer, running):
            while writer.unsent or len(self.read) < writer.last:
                await steps(1)
                for task in (running, *others):
                    assert not task.done(), task.exception()
        assert [payload.decode() for payload in self.read[1:]] == [str(number) for number in range(self.said)]


@contextlib.asynccontextmanager
async def working(desk: Desk) -> AsyncIterator[tuple[Writer, asyncio.Task[None]]]:
    """Run a writer; at the end it is cut off where it stands."""
    writer = await desk.open()
    running = asyncio.create_task(writer.run())
    try:
        yield writer, running
    finally:
        running.cancel()
        await asyncio.wait([running])
        await writer.close()


async def steps(count: int) -> None:
    """Let the others go on for a moment."""
    for _ in range(count):
        await asyncio.to_thread(int)


@pytest.mark.parametrize("seed", range(1, 6))
async def test_what_was_said_is_read_once_and_in_order(
    seed: int, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pick = random.Random(seed).choice
    monkeypatch.setattr("events.writer.RECENT_BYTES_MAX", pick([500, 3000, 1 << 25]))
    monkeypatch.setattr("events.writer.IDLE_CHECK_SECONDS", pick([0.01, 0.05]))
    monkeypatch.setattr("events.segment.CHUNK_BYTES", pick([100, 1000, 1 << 22]))
    monkeypatch.setattr("runtime.waiting.FIRST_SECONDS", 0.002)
    monkeypatch.setattr("runtime.waiting.GROWTH", 1.05)
    chaos = Chaos(seed, tmp_path, data_dir)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await chaos.run()
    finally:
        chaos.server.stop()
