"""What a writer was told is in the log: in order, dense, once, and nothing else."""

import asyncio
from pathlib import Path

import pytest

from events.archive import Archive
from events.event import EVENT_BYTES_MAX, Event
from events.redis_log import RedisLog
from events.spool import closed_files, spool_files
from runtime.errors import BadInput, Unreachable
from tests.desk import Desk, said, say, taken_by_redis
from tests.entries import START_NS, STREAM, event
from tests.small_disk import filled, small_disk


async def test_appends_of_many_are_dense_and_keep_each_ones_order(desk: Desk) -> None:
    async with desk.writing() as (writer, _):

        async def speak(name: int) -> None:
            for number in range(40):
                n = await writer.append([event(f"{name} {number} {part}") for part in range(3)])
                assert n <= writer.last

        await asyncio.gather(*(speak(name) for name in range(10)))
        await taken_by_redis(writer)
        assert await desk.in_redis() == desk.in_spool()
    texts = await desk.texts()
    assert len(texts) == 1200
    for name in range(10):
        mine = [text for text in texts if text.startswith(f"{name} ")]
        assert mine == [f"{name} {number} {part}" for number in range(40) for part in range(3)]


async def test_an_event_that_cannot_be_in_the_log_stops_nobody(desk: Desk) -> None:
    async with desk.writing() as (writer, _):
        for wrong in (Event("kite.text.v1", START_NS, bytes(EVENT_BYTES_MAX + 1)), Event("kite.text.v9", 0, b"")):
            with pytest.raises(BadInput):
                await writer.append([event("kept by nobody"), wrong])
        await say(writer, 1, 2)
        await taken_by_redis(writer)
    assert await desk.texts() == said(1, 2)


async def test_large_events_go_in_appends_of_a_megabyte(desk: Desk) -> None:
    large = "x" * (EVENT_BYTES_MAX - 10)
    async with desk.writing() as (writer, _):
        await writer.append([event(f"{number} {large}") for number in range(5)])
        await taken_by_redis(writer)
    assert [text[:1] for text in await desk.texts()] == list("01234")


async def test_who_gives_up_waiting_disturbs_nobody(desk: Desk) -> None:
    async with desk.writing() as (writer, _):
        impatient = [asyncio.create_task(writer.append([event(f"impatient {number}")])) for number in range(20)]
        patient = asyncio.create_task(say(writer, 1, 20))
        await asyncio.wait(impatient, return_when=asyncio.FIRST_COMPLETED)
        for task in impatient:
            task.cancel()
        await patient
        await taken_by_redis(writer)
    assert [text for text in await desk.texts() if "impatient" not in text] == said(1, 20)


async def test_a_writer_that_ends_says_so_to_who_waits(desk: Desk) -> None:
    async with desk.writing() as (writer, running):
        await say(writer, 1, 1)
        waiting = [asyncio.create_task(writer.append([event(str(number))])) for number in range(2, 30)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        more = [asyncio.create_task(writer.append([event(str(number))])) for number in range(30, 33)]
        running.cancel()
        await asyncio.wait([running, *waiting, *more])
        with pytest.raises(Unreachable, match="it has ended"):
            await writer.append([event("too late")])
        kept = [task for task in (*waiting, *more) if task.exception() is None]
        assert all(isinstance(task.exception(), Unreachable) for task in more if task not in kept)
    async with desk.writing() as (writer, _):
        await taken_by_redis(writer)
    texts = await desk.texts()
    assert len(texts) > len(kept)
    assert texts == said(1, len(texts)), "what nobody was told of is a beginning of what waited"


async def test_a_cut_off_commit_ends_before_the_file_is_closed(desk: Desk) -> None:
    """Closing does not take the file from under a thread that still writes to it."""
    for turn in range(30):
        async with desk.writing() as (writer, running):
            appending = asyncio.create_task(writer.append([event(f"{turn} " + "x" * 300_000)] * 3))
            for _ in range(turn % 5):
                await writer.drained()
                await asyncio.to_thread(int)
            running.cancel()
        await asyncio.wait([appending])
        appending.exception()
    async with desk.writing() as (writer, _):
        await taken_by_redis(writer)
    texts = [text.split()[0] for text in await desk.texts()]
    assert texts == sorted(texts, key=int)
    assert all(texts.count(text) == 3 for text in texts)


async def test_a_full_disk_is_waited_for(tmp_path: Path, log: RedisLog, archive: Archive) -> None:
    with small_disk(tmp_path) as small:
        desk = Desk(small / STREAM, log, archive)
        async with desk.writing() as (writer, _):
            await say(writer, 1, 3)
            with filled(small) as ballast:
                waiting = [asyncio.create_task(writer.append([event(f"{n} " + "x" * 9000)])) for n in range(4, 8)]
                await taken_by_redis(writer)
                assert not any(task.done() for task in waiting)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await writer.append([event("who gives up is not kept when there is room")])
                ballast.unlink()
                await asyncio.gather(*waiting)
            await taken_by_redis(writer)
        assert [text.split()[0] for text in await desk.texts()] == said(1, 7)


async def test_a_file_is_closed_by_size_and_by_time(desk: Desk) -> None:
    desk.roll_bytes = 500
    async with desk.writing() as (writer, _):
        await say(writer, 1, 40)
        assert len(closed_files(desk.folder)) >= 3
        desk.clock.advance(3601)
        await say(writer, 41, 41)
        await say(writer, 42, 42)
        assert spool_files(desk.folder)[-1].first in {writer.last, writer.last + 1}
        await taken_by_redis(writer)
    assert await desk.texts() == said(1, 42)
