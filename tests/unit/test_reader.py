"""A reader sees archive and Redis as one log: dense, in order, whatever is trimmed or lost meanwhile."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events import codec
from events.archive import Archive
from events.event import Recorded
from events.memory_log import MemoryLog
from events.reader import LOOK_BACK_READS, QUIET_READS, Reader
from events.shelf import Name
from runtime.errors import HoleInLog, LogRotten, Unreachable
from tests.entries import STREAM, entries, entry


@pytest.fixture
def near() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def far(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


@pytest.fixture
def reader(near: MemoryLog, far: Archive) -> Reader:
    return Reader(near, far)


def as_read(first: int, last: int) -> list[Recorded]:
    return [codec.decode(STREAM, each) for each in entries(first, last)]


async def read_on(reader: Reader, after: int, limit: int) -> list[Recorded]:
    """Read until there is nothing new, as a projector does."""
    found: list[Recorded] = []
    quiet = 0
    while quiet <= LOOK_BACK_READS:
        more = await reader.read(STREAM, after + len(found), limit)
        quiet = 0 if more else quiet + 1
        found += more
    return found


async def test_nothing_is_there_yet(reader: Reader) -> None:
    assert await reader.read(STREAM, 0) == []
    assert await reader.last(STREAM) == 0
    assert await reader.streams() == []


async def test_the_tail_comes_from_redis(reader: Reader, near: MemoryLog) -> None:
    await near.append(STREAM, entries(1, 30), archived=0)
    assert await read_on(reader, 0, limit=7) == as_read(1, 30)
    assert await reader.read(STREAM, 12, limit=3) == as_read(13, 15)
    assert await reader.last(STREAM) == 30


class Silent(MemoryLog):
    """A Redis that does not answer."""

    async def read(self, stream: str, after: int, limit: int = 1, block_ms: int = 0) -> list[bytes]:
        await asyncio.Event().wait()
        return await super().read(stream, after, limit, block_ms)


async def test_one_event_is_given_or_it_is_said_why_not(reader: Reader, near: MemoryLog, far: Archive) -> None:
    await near.append(STREAM, entries(1, 30), archived=0)
    assert [await reader.event(STREAM, 7, seconds_max=60)] == as_read(7, 7)
    with pytest.raises(Unreachable, match=r"n = 31 .* no store has it"):
        await reader.event(STREAM, 31, seconds_max=60)
    with pytest.raises(Unreachable, match=r"n = 7 .* no answer within 0\.01 s"):
        await Reader(Silent(), far).event(STREAM, 7, seconds_max=0.01)


@pytest.mark.parametrize("trimmed", [0, 5, 10, 17, 20])
async def test_archive_and_redis_are_one_log(reader: Reader, near: MemoryLog, far: Archive, trimmed: int) -> None:
    await near.append(STREAM, entries(1, 30), archived=0)
    await far.put(STREAM, entries(1, 10))
    await far.put(STREAM, entries(11, 20))
    await near.trim(STREAM, trimmed)
    for after in (0, 4, 9, 10, 16, 19, 20, 29, 30):
        assert await read_on(reader, after, limit=4) == as_read(after + 1, 30)


async def test_it_crosses_while_redis_is_trimmed(reader: Reader, near: MemoryLog, far: Archive) -> None:
    await near.append(STREAM, entries(1, 100), archived=0)
    found: list[Recorded] = []
    for first in range(1, 91, 10):
        found += await reader.read(STREAM, len(found), limit=3)
        await far.put(STREAM, entries(first, first + 9))
        await near.trim(STREAM, first + 9)
    assert found + await read_on(reader, len(found), limit=3) == as_read(1, 100)


async def test_it_crosses_while_the_archiver_is_ahead_of_it(reader: Reader, near: MemoryLog, far: Archive) -> None:
    """Between a reader's look at Redis and its look at the archive everything may be archived and trimmed."""
    await near.append(STREAM, entries(1, 100), archived=0)

    async def archive_all() -> None:
        for first in range(1, 91, 10):
            await far.put(STREAM, entries(first, first + 9))
            await near.trim(STREAM, first + 9)

    archiving = asyncio.create_task(archive_all())
    found: list[Recorded] = []
    while not archiving.done() or len(found) < 100:
        found += await reader.read(STREAM, len(found), limit=3)
    await archiving
    assert found == as_read(1, 100)


class Away:
    """A shelf that does not answer."""

    place = "nowhere"

    async def streams(self) -> list[str]:
        raise Unreachable("an answer", "none", "wait")

    async def firsts(self, stream: str, at_least: int) -> list[int]:
        raise Unreachable("an answer", "none", "wait")

    async def read(self, name: Name, offset: int, length: int) -> bytes:
        raise Unreachable("an answer", "none", "wait")

    async def create(self, name: Name, content: bytes) -> bool:
        raise Unreachable("an answer", "none", "wait")

    async def sweep(self, stream: str) -> None:
        raise Unreachable("an answer", "none", "wait")


async def test_who_waits_at_the_end_of_redis_is_not_held_up_by_an_archive_that_is_away(near: MemoryLog) -> None:
    reader = Reader(near, Archive(Away()))
    last = 0
    for first in range(1, 60, 3):
        await near.append(STREAM, entries(first, first + 2), archived=0)
        for _ in range(4):
            last += len(await reader.read(STREAM, last, limit=2, block_ms=1))
    assert last == 60


async def test_who_was_in_an_archive_that_goes_away_goes_on_in_redis(near: MemoryLog, tmp_path: Path) -> None:
    far = Archive(tmp_path / "far")
    for first in (1, 11):
        await far.put(STREAM, entries(first, first + 9))
    await near.append(STREAM, entries(1, 30), archived=0)
    await near.trim(STREAM, 5)
    reader = Reader(near, far)
    assert await reader.read(STREAM, 0, limit=8) == as_read(1, 8)
    (tmp_path / "far").rename(tmp_path / "elsewhere")
    (tmp_path / "far").write_text("a file where the folder should be")
    assert await reader.read(STREAM, 10, limit=8) == as_read(11, 18)


async def test_who_waits_where_redis_has_lost_its_end_is_given_it_from_the_archive(
    reader: Reader, near: MemoryLog, far: Archive
) -> None:
    await near.append(STREAM, entries(1, 30), archived=0)
    await far.put(STREAM, entries(1, 30))
    found = len(await reader.read(STREAM, 0, limit=20, block_ms=1))
    for lost_from in (20, 15):  # just where the reader is, and before it
        near.forget(STREAM, lost_from)
        reads = 0
        while found < 30 and (reads := reads + 1) <= QUIET_READS:
            found += len(await reader.read(STREAM, found, limit=20, block_ms=1))
        assert found == 30
        found, reader = 20, Reader(near, far)


async def test_an_emptied_redis_is_read_from_the_archive(reader: Reader, near: MemoryLog, far: Archive) -> None:
    await far.put(STREAM, entries(1, 50))
    assert await read_on(reader, 0, limit=20) == as_read(1, 50)
    assert await reader.last(STREAM) == 50
    assert await reader.streams() == [STREAM]


async def test_an_emptied_redis_that_fills_again_is_one_log(reader: Reader, near: MemoryLog, far: Archive) -> None:
    await far.put(STREAM, entries(1, 50))
    await near.append(STREAM, entries(51, 60), archived=50)
    assert await read_on(reader, 20, limit=20) == as_read(21, 60)


async def test_a_reader_in_front_of_a_redis_that_lost_its_tail_waits(reader: Reader, near: MemoryLog) -> None:
    await near.append(STREAM, entries(1, 5), archived=0)
    assert await read_on(reader, 9, limit=20) == []
    await near.append(STREAM, entries(6, 12), archived=0)
    assert await read_on(reader, 9, limit=20) == as_read(10, 12)


async def test_a_hole_stops_the_reader(reader: Reader, near: MemoryLog, far: Archive) -> None:
    await far.put(STREAM, entries(1, 10))
    await near.append(STREAM, entries(13, 20), archived=12)
    assert await reader.read(STREAM, 4) == as_read(5, 10)
    with pytest.raises(HoleInLog, match=rf"n = 11 of {STREAM}; found Redis goes on at 13 and the archive ends at 10"):
        await reader.read(STREAM, 10)


async def test_a_hole_inside_redis_is_not_read_over(reader: Reader, near: MemoryLog) -> None:
    await near.append(STREAM, entries(1, 5), archived=0)
    await near.append(STREAM, entries(8, 9), archived=7)
    assert await reader.read(STREAM, 0) == as_read(1, 5)
    with pytest.raises(HoleInLog, match="n = 6"):
        await reader.read(STREAM, 5)


async def test_a_broken_entry_is_not_read_over(reader: Reader, near: MemoryLog) -> None:
    broken = entry(2)[:-1] + b"?"
    await near.append(STREAM, [entry(1), broken, entry(3)], archived=0)
    with pytest.raises(LogRotten):
        await reader.read(STREAM, 0)


async def test_a_waiting_read_ends_with_the_first_event(reader: Reader, near: MemoryLog) -> None:
    waiting = asyncio.create_task(reader.read(STREAM, 0, block_ms=2000))
    await near.append(STREAM, entries(1, 2), archived=0)
    assert await waiting == as_read(1, 2)


async def test_streams_have_places_of_their_own(reader: Reader, near: MemoryLog, far: Archive) -> None:
    await far.put("accounts", entries(1, 10))
    await near.append(STREAM, entries(1, 5), archived=0)
    assert len(await reader.read("accounts", 3)) == 7
    assert await reader.read(STREAM, 2) == as_read(3, 5)
    assert await reader.streams() == ["accounts", STREAM]


ACTIONS = st.lists(st.sampled_from(["append", "archive", "trim", "empty", "read"]), max_size=40)


@hypothesis_settings(max_examples=60, deadline=None)
@given(actions=ACTIONS, limit=st.integers(1, 9), data=st.data())
def test_whatever_happens_the_reader_gives_every_n_once(
    actions: list[str], limit: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def play() -> None:
        near, far = MemoryLog(), Archive(tmp_path_factory.mktemp("far"))
        reader = Reader(near, far)
        found: list[Recorded] = []
        last = archived = 0
        for action in actions:
            count = data.draw(st.integers(1, 6))
            match action:
                case "append":
                    await near.append(STREAM, entries(last + 1, last + count), archived)
                    last += count
                case "archive" if archived < last:
                    upto = min(last, archived + count)
                    await far.put(STREAM, entries(archived + 1, upto))
                    archived = upto
                case "trim":
                    await near.trim(STREAM, archived)
                case "empty":  # and filled again by its writer
                    near.forget(STREAM)
                    if last > archived:
                        await near.append(STREAM, entries(archived + 1, last), archived)
                case "read":
                    found += await reader.read(STREAM, len(found), limit)
        found += await read_on(reader, len(found), limit)
        assert found == as_read(1, last)

    asyncio.run(play())
