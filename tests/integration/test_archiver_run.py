"""`bahi archive` beside writers that work: every stream at its own pace, none lost, the broken one told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.archive import Archive
from events.redis_log import RedisLog
from events.spool import closed_files, spool_files
from ops import archiver
from ops.embedded import redis as embedded_redis
from ops.embedded.server import start
from runtime.errors import SettingError
from runtime.lifecycle import Stop
from runtime.metrics import REGISTRY
from runtime.settings import Settings, load
from tests import servers
from tests.desk import Desk, empty, said, say, taken_by_redis
from tests.entries import event
from tests.patience import PATIENCE_SECONDS

ROLL_BYTES = 600
WHOLE_BYTES = 1 << 40


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.archiver.ROUND_SECONDS", 0.02)
    monkeypatch.setattr("ops.archiver.HALTED_SECONDS", 0.02)


@pytest.fixture
def archiving(tmp_path: Path, redis_url: str) -> Settings:
    return with_redis(tmp_path, redis_url)


def with_redis(folder: Path, url: str) -> Settings:
    return load(
        {
            "BAHI_DATA_DIR": str(folder),
            "REDIS_URL": url,
            "TRIM_WINDOW_BYTES": "1",
            "TRIM_WINDOW_SECONDS": "1",
        }
    )


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """Run the archiver; at the end it is stopped as a process is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        stop = Stop()
        task = asyncio.create_task(archiver.run(settings, stop))
        yield task
        stop.set()
        await task


@pytest.fixture
async def desks(archiving: Settings) -> AsyncIterator[dict[str, Desk]]:
    """Give two streams on one disk and one Redis."""
    assert archiving.redis_url is not None
    log, archive = RedisLog.connect(archiving.redis_url), Archive.at(archiving)
    spools = archiving.bahi_data_dir / "spool"
    yield {name: Desk(spools / name, log, archive, ROLL_BYTES) for name in ("accounts", "ticks-sandbox-1")}
    await log.close()


async def archived(desk: Desk, last: int) -> None:
    """Wait until the archive has all up to n = last and the spool has nothing else of it."""
    while await desk.archive.last(desk.stream) < last or spool_files(desk.folder)[0].first <= last:
        pass


async def test_what_writers_close_is_archived_and_trimmed(desks: dict[str, Desk], archiving: Settings) -> None:
    async with running(archiving), contextlib.AsyncExitStack() as stack:
        writers = [(await stack.enter_async_context(desk.writing()))[0] for desk in desks.values()]
        await asyncio.gather(*(say(writer, 1, 200) for writer in writers))
        for writer, desk in zip(writers, desks.values(), strict=True):
            await taken_by_redis(writer)
            await archived(desk, spool_files(desk.folder)[-1].first - 1)
    for desk in desks.values():
        assert closed_files(desk.folder) == []
        assert len(await desk.in_redis()) < 100
        assert await desk.texts() == said(1, 200)
        last = await desk.archive.last(desk.stream)
        assert REGISTRY.get_sample_value("bahi_archive_n", {"stream": desk.stream}) == last
        assert REGISTRY.get_sample_value("bahi_archive_trimmed_n", {"stream": desk.stream}) == last + 1


async def test_one_broken_stream_is_told_and_the_other_goes_on(
    desks: dict[str, Desk], archiving: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for desk in desks.values():
        async with desk.writing() as (writer, _):
            await say(writer, 1, 60)
            await taken_by_redis(writer)
    broken, whole = desks.values()
    path = spool_files(broken.folder)[0].path
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"?" + content[101:])
    async with running(archiving):
        await archived(whole, spool_files(whole.folder)[-1].first - 1)
        told = ""
        while told.count("archive.halted") < 3:
            await asyncio.to_thread(int)
            told += capsys.readouterr().out
        assert "durability.md" in told
        assert await broken.archive.last(broken.stream) == 0
        assert len(await broken.in_redis()) == 61
        path.write_bytes(content)
        await archived(broken, spool_files(broken.folder)[-1].first - 1)
    assert await broken.texts() == said(1, 60)


async def test_a_stream_that_comes_later_is_found(desks: dict[str, Desk], archiving: Settings) -> None:
    async with running(archiving):
        for desk in desks.values():
            async with desk.writing() as (writer, _):
                await say(writer, 1, 40)
                await taken_by_redis(writer)
                await archived(desk, 10)


async def test_a_redis_that_comes_back_empty_is_filled_and_trimmed(tmp_path: Path, data_dir: Path) -> None:
    server = embedded_redis.start(data_dir, servers.TOOLS)
    settings = with_redis(tmp_path, server.url)
    log, archive = RedisLog.connect(server.url), Archive.at(settings)
    desk = Desk(tmp_path / "spool" / "requests", log, archive, ROLL_BYTES)
    try:
        async with running(settings), desk.writing() as (writer, _):
            await say(writer, 1, 50)
            server.process.kill()
            server.process.wait()
            await say(writer, 51, 150)
            servers.cut_redis_file(data_dir, WHOLE_BYTES)
            server = start(server.launch)
            while (await log.last("requests"))[0] < writer.last:
                await taken_by_redis(writer)
            await archived(desk, spool_files(desk.folder)[-1].first - 1)
        assert await desk.texts() == said(1, 150)
    finally:
        await log.close()
        server.stop()


async def test_redis_emptied_again_and_again_loses_nothing(
    desks: dict[str, Desk], archiving: Settings, redis_url: str
) -> None:
    desk = desks["ticks-sandbox-1"]
    async with running(archiving), desk.writing() as (writer, _):
        for first in range(1, 400, 4):
            await writer.append([event(str(number)) for number in range(first, first + 4)])
            if first % 36 == 1:
                empty(redis_url)
        while (await desk.log.last(desk.stream))[0] < writer.last:
            await taken_by_redis(writer)
        await archived(desk, spool_files(desk.folder)[-1].first - 1)
    assert await desk.texts() == said(1, 400)


async def test_a_second_archiver_waits_for_its_turn(
    desks: dict[str, Desk], archiving: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = desks["accounts"]
    async with running(archiving) as first, running(archiving) as second:
        async with desk.writing() as (writer, _):
            await say(writer, 1, 40)
            await taken_by_redis(writer)
            await archived(desk, 10)
        assert not first.done()
        assert not second.done()
    assert await desk.texts() == said(1, 40)
    assert "archive.waits " not in capsys.readouterr().out, "it has only just started"


async def test_without_redis_it_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="REDIS_URL"):
        await archiver.run(load({"BAHI_DATA_DIR": str(tmp_path)}), Stop())
