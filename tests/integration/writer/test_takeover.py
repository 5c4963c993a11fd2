"""A stream is taken over from all that is left of it: what any store holds stays, what none holds is named."""

import asyncio
import os
from pathlib import Path

import pytest

from events import codec, standing
from events.archive import Archive
from events.archiver import Archiver, Window
from events.messages import Takeover, unpack
from events.redis_log import RedisLog
from events.spool import Spool, record, spool_files, take_archive_lock
from events.takeover import ASIDE, Fence
from events.writer import Writer
from runtime.errors import SpoolMismatch, Unreachable
from tests.desk import Desk, empty, nobody, refused, said, say, taken_by_redis
from tests.entries import STREAM, entries, entry, event
from tests.patience import PATIENCE_SECONDS

NOTHING = Window(0, 0)


def checkpoints(**known: int) -> Fence:
    async def fence(stream: str) -> dict[str, int]:
        assert stream == STREAM
        return known

    return fence


async def whole(desk: Desk, writer: Writer) -> list[str]:
    """Send all, archive what is closed, and read the log from its beginning: each event's text, or its type."""
    running = asyncio.create_task(writer.run())
    await taken_by_redis(writer)
    running.cancel()
    await asyncio.wait([running])
    await writer.close()
    archiver = Archiver(desk.folder, desk.log, desk.archive, NOTHING)
    while (await archiver.round()).more:
        pass
    texts: list[str] = []
    while found := await desk.reader.read(STREAM, len(texts)):
        texts += [each.payload.decode() if each.type == "kite.text.v1" else each.type for each in found]
    return texts


async def opening(desk: Desk, n: int) -> Takeover:
    (found, *_) = await desk.reader.read(STREAM, n - 1)
    return unpack(found, Takeover)


async def test_an_empty_spool_is_filled_from_redis(desk: Desk, log: RedisLog) -> None:
    await log.append(STREAM, entries(1, 700), archived=0)
    writer = await desk.open(checkpoints(ticks=650))
    assert (writer.last, desk.in_spool()[:700]) == (701, entries(1, 700))
    assert await whole(desk, writer) == [*said(1, 700), "log.takeover.v1"]
    told = await opening(desk, 701)
    assert (told.tombstones, told.lost, told.checkpoints) == ([], 0, {"ticks": 650})


async def test_what_only_the_lost_disk_had_stands_there_as_tombstones(desk: Desk, archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 6))
    writer = await desk.open(checkpoints(ticks=9, gaps=2))
    assert await whole(desk, writer) == [*said(1, 6), *["log.tombstone.v1"] * 3, "log.takeover.v1"]
    told = await opening(desk, 10)
    assert (told.tombstones, told.lost, told.checkpoints) == ([(7, 9)], 3, {"ticks": 9, "gaps": 2})


async def test_a_hole_between_archive_and_redis_is_filled_in_place(desk: Desk, log: RedisLog, archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 6))
    await log.append(STREAM, entries(9, 12), archived=8)
    writer = await desk.open()
    assert await whole(desk, writer) == [
        *said(1, 6), *["log.tombstone.v1"] * 2, *said(9, 12), "log.takeover.v1"
    ]  # fmt: skip
    assert (await opening(desk, 13)).tombstones == [(7, 8)]


async def test_a_spool_that_lost_its_tail_gets_it_back_from_redis(desk: Desk) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 3)
        await taken_by_redis(writer)
    path = spool_files(desk.folder)[0].path
    path.write_bytes(path.read_bytes()[:-1])
    async with desk.writing() as (writer, running):
        assert "Redis ends at 4 and the spool at 3" in (await refused(running)).found
    writer = await desk.open()
    assert await whole(desk, writer) == ["log.takeover.v1", *said(1, 3), "log.takeover.v1"]


async def test_a_spool_that_ends_below_the_archive_goes_on_behind_it(desk: Desk, archive: Archive) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 3)
        await taken_by_redis(writer)
    await archive.put(STREAM, [*desk.in_spool(), *entries(5, 9)])
    writer = await desk.open()
    assert await whole(desk, writer) == ["log.takeover.v1", *said(1, 3), *said(5, 9), "log.takeover.v1"]


@pytest.mark.parametrize("redis_has_it", [True, False])
async def test_a_rotten_record_costs_at_most_itself(desk: Desk, redis_url: str, redis_has_it: bool) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 9)
        await taken_by_redis(writer)
    if not redis_has_it:
        empty(redis_url)
    path = spool_files(desk.folder)[0].path
    content = path.read_bytes()
    spoiled = content.index(entry(5, "4")) + 25
    path.write_bytes(content[:spoiled] + b"?" + content[spoiled + 1 :])
    writer = await desk.open()
    lost = [] if redis_has_it else [(5, 5)]
    fourth = "4" if redis_has_it else "log.tombstone.v1"
    assert await whole(desk, writer) == ["log.takeover.v1", *said(1, 3), fourth, *said(5, 9), "log.takeover.v1"]
    assert (await opening(desk, 11)).tombstones == lost


async def test_a_lost_file_in_the_middle_is_lost_alone(desk: Desk, redis_url: str) -> None:
    desk.roll_bytes = 1
    async with desk.writing() as (writer, _):
        await say(writer, 1, 6)
    empty(redis_url)
    in_the_middle = spool_files(desk.folder)[3]
    lost = [codec.decode(STREAM, each).payload.decode() for each in in_the_middle.entries(STREAM)]
    in_the_middle.path.unlink()
    writer = await desk.open()
    left = ["log.tombstone.v1" if text in lost else text for text in said(1, 6)]
    assert left.count("log.tombstone.v1") == 1
    assert await whole(desk, writer) == ["log.takeover.v1", *left, "log.takeover.v1"]


async def test_what_another_writer_was_quicker_with_is_minted_again(desk: Desk, log: RedisLog, redis_url: str) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 3)
        await taken_by_redis(writer)
        first = desk.in_spool()
    empty(redis_url)
    await log.append(STREAM, [*first[:2], *(entry(n, f"other {n}") for n in (3, 4, 5))], archived=0)
    async with desk.writing() as (writer, running):
        assert "Redis ends at 5" in (await refused(running)).found
    writer = await desk.open()
    assert await whole(desk, writer) == [
        "log.takeover.v1", "1", "other 3", "other 4", "other 5", "log.takeover.v1", "2", "3"
    ]  # fmt: skip
    kept = standing.read(desk.folder)
    assert kept is not None
    assert (kept.state, kept.n, kept.lost, kept.again) == ("taken over", 6, 0, 2)


async def test_of_two_writers_the_one_that_is_refused_again_stops_for_good(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "elsewhere" / STREAM, desk.log, desk.archive)
    other.clock.advance(1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with desk.writing() as (writer, running):
            await say(writer, 1, 3)
            await taken_by_redis(writer)
            async with other.writing() as (second, _):
                await say(second, 4, 5)
                await taken_by_redis(second)
                await writer.append([event("mine")])
                await refused(running)
        async with desk.writing() as (writer, _):
            await taken_by_redis(writer)
        async with other.writing() as (second, running):  # its own start was a takeover
            await second.append([event("yours")])
            with pytest.raises(ExceptionGroup) as caught:
                await running
        assert isinstance(caught.value.exceptions[0], SpoolMismatch)
    with pytest.raises(SpoolMismatch, match="refused again after a takeover"):
        await other.open()
    texts = [text for text in await whole(desk, await desk.open()) if not text.startswith("log.")]
    assert texts == [*said(1, 5), "mine"]
    (other.folder / standing.NAME).unlink()
    texts = [text for text in await whole(other, await other.open()) if not text.startswith("log.")]
    assert texts == [*said(1, 5), "mine", "yours"]


async def test_old_files_are_kept_aside_whole(desk: Desk, archive: Archive) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 3)
    before = spool_files(desk.folder)[0].path.read_bytes()
    await archive.put(STREAM, entries(1, 9))
    await (await desk.open()).close()
    assert [path.read_bytes() for path in desk.folder.glob(f"{ASIDE}*/*")] == [before]


async def test_a_takeover_waits_for_all_stores_and_for_the_archiver(desk: Desk, log: RedisLog) -> None:
    await log.append(STREAM, entries(1, 7), archived=0)
    desk.folder.mkdir(parents=True)
    lock = take_archive_lock(desk.folder)
    asked = []

    async def at_the_third_time(stream: str) -> dict[str, int]:
        asked.append(stream)
        if len(asked) < 3:
            raise Unreachable("PostgreSQL to answer", "nothing", "it is tried again")
        return {}

    taking = asyncio.create_task(desk.open(at_the_third_time))
    while not (desk.folder / "lock").exists():
        await asyncio.to_thread(int)
    for _ in range(20):
        await asyncio.to_thread(int)
    assert (asked, desk.in_spool()) == ([], [])
    os.close(lock)
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer = await taking
    assert (writer.last, asked) == (8, [STREAM] * 3)
    await writer.close()


async def test_a_takeover_that_is_cut_off_anywhere_is_made_by_the_next_start(
    desk: Desk, log: RedisLog, archive: Archive, redis_url: str
) -> None:
    async with desk.writing() as (writer, _):
        await say(writer, 1, 4)
    mine = desk.in_spool()
    empty(redis_url)
    await archive.put(STREAM, mine[:2])
    await log.append(STREAM, [entry(3, "other"), *entries(4, 5)], archived=2)
    standing.keep(desk.folder, standing.Standing("refused", 0, "by this test"))
    for steps in range(60):
        doing = asyncio.create_task(desk.open())
        for _ in range(steps):
            await asyncio.to_thread(int)
        doing.cancel()
        await asyncio.wait([doing])
        if not doing.cancelled():
            await doing.result().close()
            break
    writer = await desk.open()
    assert await whole(desk, writer) == [
        "log.takeover.v1", "1", "other", *said(4, 5), "log.takeover.v1", *said(2, 4)
    ]  # fmt: skip


async def test_a_disk_of_another_stream_is_not_taken_over(desk: Desk) -> None:
    spool = Spool(desk.folder, "ticks-sandbox-9")
    spool.begin(1)
    spool.write([entry(1)])
    spool.sync()
    spool.close()
    content = spool_files(desk.folder)[0].path.read_bytes()
    assert content.endswith(record(entry(1), opens_commit=True))
    with pytest.raises(SpoolMismatch, match="ticks-sandbox-9"):
        await desk.open()
    assert spool_files(desk.folder)[0].path.read_bytes() == content


async def test_a_stream_that_is_new_is_opened_in_the_same_way(desk: Desk) -> None:
    writer = await desk.open(nobody)
    assert (writer.last, len(spool_files(desk.folder)), standing.read(desk.folder)) == (1, 1, None)
    assert codec.decode(STREAM, desk.in_spool()[0]).type == "log.takeover.v1"
    await writer.close()
