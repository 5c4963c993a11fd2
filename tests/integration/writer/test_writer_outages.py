"""Redis may be away, empty, cut short, full or another one: the log stays whole."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from events.archive import Archive
from events.reader import Reader
from events.redis_log import RedisLog
from events.spool import closed_files
from ops.embedded import redis as embedded_redis
from ops.embedded.server import Server, start
from runtime.errors import Unreachable
from tests import servers
from tests.cutting_proxy import cutting_proxy
from tests.desk import Desk, empty, refused, said, say, taken_by_redis
from tests.entries import STREAM, entry, event, numbers


async def test_an_emptied_redis_is_filled_again(desk: Desk, log: RedisLog, redis_url: str) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 50)
        await taken_by_redis(writer)
        empty(redis_url)
        await say(writer, 51, 60)
        while len(await desk.in_redis()) < 61:
            await say(writer, 0, 0)
        await taken_by_redis(writer)
        assert await desk.in_redis() == desk.in_spool()


async def test_a_quiet_writer_finds_that_redis_was_emptied(desk: Desk, redis_url: str) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 9)
        await taken_by_redis(writer)
        empty(redis_url)
        while not await desk.log.read(STREAM, 0, block_ms=2000):
            pass
        await taken_by_redis(writer)
        assert await desk.texts() == said(1, 9)


async def test_what_is_in_the_archive_only_is_jumped(desk: Desk, redis_url: str) -> None:
    desk.roll_bytes = 400
    async with desk.writing() as (writer, _):
        await say(writer, 1, 60)
        await taken_by_redis(writer)
        await desk.archive_closed()
        archived = await desk.archive.last(STREAM)
        assert 10 < archived < writer.last
        empty(redis_url)
        await say(writer, 61, 70)
        while (await desk.log.last(STREAM))[0] < writer.last:
            await taken_by_redis(writer)
            await say(writer, 0, 0)
        assert numbers(await desk.in_redis())[0] == archived + 1
    texts = await desk.texts()
    assert [text for text in texts if text != "0"] == said(1, 70)


def newest_segment(desk: Desk) -> Path:
    """Give the file of the archive's last segment."""
    return max(Path(desk.archive.place, STREAM).glob("*.seg"))


async def test_a_rotten_last_segment_holds_no_feed_up(desk: Desk, redis_url: str) -> None:
    desk.roll_bytes = 400
    async with desk.writing() as (writer, _):
        await say(writer, 1, 30)
        await taken_by_redis(writer)
        await desk.archive_closed()
    last = newest_segment(desk)
    whole = last.read_bytes()
    last.write_bytes(whole[:-9])
    desk.archive = Archive(Path(desk.archive.place))
    desk.reader = Reader(desk.log, desk.archive)
    async with desk.writing() as (writer, _):  # started anew beside the rotten segment
        await say(writer, 31, 35)
        await taken_by_redis(writer)
        empty(redis_url)
        await say(writer, 36, 40)  # on the disk: Redis waits for what only the archive tells
        assert await desk.in_redis() == []
        last.write_bytes(whole)
        while (await desk.log.last(STREAM))[0] < writer.last:
            await taken_by_redis(writer)
            await say(writer, 0, 0)
    assert [text for text in await desk.texts() if text != "0"] == said(1, 40)


async def test_a_stream_that_lost_entries_by_hand_is_filled_again(desk: Desk, redis_url: str) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 20)
        await taken_by_redis(writer)
        with servers.redis_client(redis_url) as client:
            client.xtrim(STREAM, maxlen=0, approximate=False)
        await say(writer, 21, 22)
        while len(await desk.in_redis()) < 23:
            await taken_by_redis(writer)
            await say(writer, 0, 0)
    assert [text for text in await desk.texts() if text != "0"] == said(1, 22)


async def test_another_server_in_the_place_of_redis_is_found_out(desk: Desk, redis_url: str) -> None:
    async with desk.writing() as (writer, running):
        await say(writer, 1, 5)
        await taken_by_redis(writer)
        with servers.redis_client(redis_url) as client, client.pipeline() as together:
            together.delete(STREAM)
            together.xadd(STREAM, {"e": entry(6, "of the other server")}, "6-0")
            together.execute()
        await writer.append([event("6")])
        await refused(running)
    assert await desk.in_redis() == [entry(6, "of the other server")]


@pytest.mark.parametrize("cut_bytes", [1, 100, 3000, 1 << 20])
async def test_a_redis_that_lost_the_tail_of_its_file_is_filled_again(
    folder: Path, archive: Archive, data_dir: Path, cut_bytes: int
) -> None:
    server = embedded_redis.start(data_dir, servers.TOOLS)
    log = RedisLog.connect(server.url)
    desk = Desk(folder, log, archive)
    try:
        async with desk.writing() as (writer, _):
            for first in range(1, 101, 10):
                await writer.append([event(str(number)) for number in range(first, first + 10)])
                await taken_by_redis(writer)
            server.process.kill()
            server.process.wait()
            saying = asyncio.create_task(say(writer, 101, 150))
            servers.cut_redis_file(data_dir, cut_bytes)
            await saying
            assert writer.unsent >= 50
            server = start(server.launch)
            while (await ended(log))[0] < writer.last:
                await taken_by_redis(writer)
        assert await desk.texts() == said(1, 150)
        assert await desk.in_redis() == desk.in_spool()
    finally:
        await log.close()
        server.stop()


async def ended(log: RedisLog) -> tuple[int, bytes | None]:
    """Give the last entry of a Redis that may be starting yet."""
    try:
        return await log.last(STREAM)
    except Unreachable:
        return 0, None


async def test_a_redis_that_is_full_is_waited_for(desk: Desk, redis_url: str) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 3)
        await taken_by_redis(writer)
        with servers.redis_client(redis_url) as client:
            client.config_set("maxmemory", 1)
            await say(writer, 4, 9)
            while writer.reaches_log:
                await writer.drained()
            assert len(await desk.in_redis()) == 4
            client.config_set("maxmemory", 0)
        await taken_by_redis(writer)
    assert await desk.texts() == said(1, 9)


@pytest.mark.usefixtures("one_server")
async def test_what_is_no_longer_in_memory_is_sent_from_the_disk(
    desk: Desk, redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.writer.RECENT_BYTES_MAX", 2000)
    desk.roll_bytes = 5000
    async with desk.writing() as (writer, _):
        await say(writer, 1, 1)
        await taken_by_redis(writer)
        os.kill(redis_server.pid, signal.SIGSTOP)
        try:
            await say(writer, 2, 500)
        finally:
            os.kill(redis_server.pid, signal.SIGCONT)
        await taken_by_redis(writer)
        assert len(closed_files(desk.folder)) > 3
        assert await desk.in_redis() == desk.in_spool()
    assert await desk.texts() == said(1, 500)


@pytest.mark.usefixtures("one_server")
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_lost_answers_and_late_requests_lose_and_double_nothing(
    desk: Desk, redis_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.waiting.FIRST_SECONDS", 0.002)
    monkeypatch.setattr("runtime.waiting.GROWTH", 1.0)
    direct = desk.log
    async with cutting_proxy(redis_url, share=0.3, seed=seed) as (url, proxy):
        desk.log, desk.roll_bytes = RedisLog.connect(url), 3000
        async with desk.writing() as (writer, _):
            for first in range(1, 301, 3):
                await writer.append([event(str(number)) for number in range(first, first + 3)])
                await writer.drained()
            proxy.share = 0.0
            await taken_by_redis(writer)
        await desk.log.close()
        assert min(proxy.cuts.values()) > 0
    desk.log, desk.reader = direct, Reader(direct, desk.archive)
    assert await desk.in_redis() == desk.in_spool()
    assert await desk.texts() == said(1, 300)
