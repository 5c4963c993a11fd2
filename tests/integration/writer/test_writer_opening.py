"""A writer begins where the log stands; what makes it take the stream over is in test_takeover."""

import asyncio
from pathlib import Path

import pytest

from events import codec
from events.messages import Takeover, unpack
from events.redis_log import RedisLog
from events.spool import Spool, spool_files
from runtime.errors import SpoolMismatch
from tests.desk import Desk, empty, refused, said, say, taken_by_redis
from tests.entries import STREAM, entry, event
from tests.patience import PATIENCE_SECONDS


async def test_a_new_stream_opens_with_a_takeover_that_names_nothing(desk: Desk) -> None:
    async with desk.writing() as (writer, _):
        assert await writer.append([event("1"), event("2")]) == 2
        assert await writer.append([event("3")]) == 4
        await taken_by_redis(writer)
        assert await desk.in_redis() == desk.in_spool()
    (first, *_) = await desk.reader.read(STREAM, 0)
    opening = unpack(first, Takeover)
    assert (first.n, opening.tombstones, opening.checkpoints) == (1, [], {})
    assert await desk.texts() == said(1, 3)


async def test_a_start_goes_on_where_the_last_one_ended(desk: Desk) -> None:
    for turn in range(4):
        async with desk.writing() as (writer, _):
            assert await writer.append([event(str(turn + 1))]) == turn + 2
    async with desk.writing() as (writer, _):
        await taken_by_redis(writer)
    assert await desk.texts() == said(1, 4)


async def test_a_start_that_was_cut_before_its_first_record_begins_again(desk: Desk) -> None:
    for left in (b"", b"\0\0\1"):
        spool = Spool(desk.folder, STREAM)
        spool.begin(1)
        spool.close()
        with spool_files(desk.folder)[0].path.open("ab") as file:
            file.write(left)
        async with desk.writing() as (writer, _):
            assert writer.last == 1
        assert codec.decode(STREAM, desk.in_spool()[0]).type == "log.takeover.v1"
        spool_files(desk.folder)[0].path.unlink()


async def test_a_redis_that_holds_another_content_is_refused(desk: Desk, log: RedisLog, redis_url: str) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 3)
    empty(redis_url)
    await log.append(STREAM, [entry(1), entry(2, "of another writer")], archived=0)
    async with desk.writing() as (writer, running):
        error = await refused(running)
    assert "another content under n = 2" in error.found
    assert await desk.in_redis() == [entry(1), entry(2, "of another writer")]


async def test_a_second_writer_on_the_same_disk_is_refused(desk: Desk) -> None:
    async with desk.writing():
        with pytest.raises(SpoolMismatch, match="a stream has one writer"):
            await desk.open()


async def test_of_two_writers_that_began_together_one_stops(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "elsewhere" / STREAM, desk.log, desk.archive)
    other.clock.advance(1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        writers = [await desk.open(), await other.open()]
        running = [asyncio.create_task(writer.run()) for writer in writers]
        (stopped,), (goes_on,) = await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        await refused(stopped)
        survivor = writers[running.index(goes_on)]
        await say(survivor, 1, 5)
        await taken_by_redis(survivor)
        goes_on.cancel()
        await asyncio.wait([goes_on])
        for writer in writers:
            await writer.close()
    assert await desk.texts() == said(1, 5)
