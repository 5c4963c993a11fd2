"""The archiver moves what Redis has taken, loses nothing wherever it is cut off, and leaves alone what is in doubt."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.archive import Archive
from events.archiver import Archiver, Window, kept_from
from events.folder import Folder
from events.memory_log import MemoryLog
from events.reader import Reader
from events.segment import Chunk
from events.spool import Spool, spool_files, take_archive_lock
from runtime.errors import ArchiveConflict, ArchiveRotten, SpoolMismatch, Unreachable
from tests.cut_off import cut_off
from tests.entries import STREAM, entries, entry, numbers
from tests.shelves import Place
from tests.small_disk import filled, small_disk

NOTHING = Window(0, 0)  # is kept in Redis of what is archived
NS = 10**9


@pytest.fixture
def near() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def far(place: Place) -> Archive:
    return place.archive()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Give a spool with files of ten records, 1..10 to 41..50; the last is not closed."""
    spool = Spool(tmp_path / "spool" / STREAM, STREAM)
    for first in range(1, 51, 10):
        spool.begin(first)
        spool.write(entries(first, first + 9, step_ns=NS))
        spool.sync()
    yield spool
    spool.close()


@pytest.fixture
def archiver(spool: Spool, near: MemoryLog, far: Archive) -> Archiver:
    return Archiver(spool.folder, near, far, NOTHING)


def firsts(spool: Spool) -> list[int]:
    return [file.first for file in spool_files(spool.folder)]


def spooled(spool: Spool) -> list[bytes]:
    """Give what the spool holds, though a thread of somebody who was cut off may still remove a file."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            return [each for file in spool_files(spool.folder) for each in file.entries(STREAM)]


async def taken(near: MemoryLog, last: int, first: int = 1, archived: int = 0) -> None:
    await near.append(STREAM, entries(first, last, step_ns=NS), archived)


async def in_archive(far: Archive) -> list[bytes]:
    found: list[bytes] = []
    while more := await far.entries(STREAM, len(found) + 1):
        found += more
    return found


async def test_a_file_that_redis_has_is_moved(archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive) -> None:
    await taken(near, 50)
    done = await archiver.round()
    assert (done.archived, done.kept_from, done.more) == (10, 11, True)
    assert done.segment is not None
    assert (done.segment.first, done.segment.last) == (1, 10)
    assert firsts(spool) == [11, 21, 31, 41]
    assert await in_archive(far) == entries(1, 10, step_ns=NS)
    assert numbers(await near.read(STREAM, 0)) == list(range(11, 51))


async def test_rounds_go_on_to_the_last_closed_file(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive
) -> None:
    await taken(near, 50)
    while (await archiver.round()).more:
        pass
    assert firsts(spool) == [41]
    assert await in_archive(far) == entries(1, 40, step_ns=NS)
    idle = await archiver.round()
    assert (idle.archived, idle.segment, idle.more) == (40, None, False)


@pytest.mark.parametrize(("last", "moved"), [(0, 0), (9, 0), (10, 10), (25, 20), (39, 30)])
async def test_what_redis_has_not_taken_stays(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive, last: int, moved: int
) -> None:
    if last:
        await taken(near, last)
    while (await archiver.round()).more:
        pass
    assert await far.last(STREAM) == moved
    assert firsts(spool)[0] == moved + 1


@pytest.mark.parametrize("differs", [6, 10])
async def test_what_redis_has_from_a_second_writer_stays(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive, differs: int
) -> None:
    other = [entry(n, "another's") for n in range(differs, 51)]
    await near.append(STREAM, [*entries(1, differs - 1, step_ns=NS), *other], archived=0)
    for _ in range(2):
        with pytest.raises(SpoolMismatch, match=r"n = 10 of .* to be in Redis as it is in"):
            await archiver.round()
    assert await far.last(STREAM) == 0
    assert firsts(spool)[0] == 1
    assert len(await near.read(STREAM, 0)) == 50


async def test_a_stream_without_a_closed_file_is_left_alone(tmp_path: Path, near: MemoryLog, far: Archive) -> None:
    spool = Spool(tmp_path / STREAM, STREAM)
    spool.begin(1)
    spool.write(entries(1, 5))
    await taken(near, 5)
    done = await Archiver(spool.folder, near, far, NOTHING).round()
    assert (done.archived, done.kept_from, done.segment, done.more) == (0, 1, None, False)
    assert numbers(await near.read(STREAM, 0)) == [1, 2, 3, 4, 5]
    spool.close()


async def test_the_last_entry_stays_in_redis(archiver: Archiver, near: MemoryLog) -> None:
    await taken(near, 40)
    while (await archiver.round()).more:
        pass
    assert numbers(await near.read(STREAM, 0)) == [40]


async def test_what_a_crash_left_in_both_places_is_compared_and_removed(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive
) -> None:
    await taken(near, 50)
    await far.put(STREAM, entries(1, 10, step_ns=NS))
    done = await archiver.round()
    assert (done.archived, done.segment) == (10, None)
    assert firsts(spool) == [11, 21, 31, 41]


async def test_what_is_archived_in_part_is_compared_and_the_rest_put(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive
) -> None:
    await taken(near, 50)
    await far.put(STREAM, entries(1, 14, step_ns=NS))
    for _ in range(2):
        await archiver.round()
    assert [(each.first, each.last) for each in await far.indexes(STREAM)] == [(1, 14), (15, 20)]
    assert await in_archive(far) == entries(1, 20, step_ns=NS)


@pytest.mark.parametrize(("archived", "compared"), [(7, 0), (10, 0), (14, 10)])
async def test_a_difference_to_the_archive_stops_it_and_nothing_is_removed(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive, archived: int, compared: int
) -> None:
    await taken(near, 50)
    await far.put(STREAM, [*entries(1, archived - 2, step_ns=NS), entry(archived - 1, "another"), entry(archived)])
    if compared:
        await archiver.round()
    for _ in range(3):
        with pytest.raises(ArchiveConflict, match="other content there"):
            await archiver.round()
    assert firsts(spool)[0] == compared + 1
    assert numbers(await near.read(STREAM, 0)) == list(range(compared + 1, 51))


async def test_a_hole_before_the_oldest_file_stops_it(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive
) -> None:
    await taken(near, 50)
    spool_files(spool.folder)[0].path.unlink()
    with pytest.raises(SpoolMismatch, match=r"n = 1 of .* found .*011\.spool is the oldest"):
        await archiver.round()
    assert firsts(spool) == [11, 21, 31, 41]
    assert await far.last(STREAM) == 0
    assert len(await near.read(STREAM, 0)) == 50


async def archived(archiver: Archiver, last: int) -> None:
    while (await archiver.round()).archived < last:
        pass


@pytest.mark.parametrize("missing", [1, 11, 21])
async def test_a_segment_that_is_missing_stops_the_trimming(
    spool: Spool, near: MemoryLog, far: Archive, place: Place, missing: int
) -> None:
    await taken(near, 50)
    archiver = Archiver(spool.folder, near, far, Window(EVERYTHING, FOREVER))
    await archived(archiver, 30)
    name = f"{STREAM}/{missing:020d}.seg"
    whole = place.content(name)
    place.remove(name)
    archiver = Archiver(spool.folder, near, place.archive(), NOTHING)
    for _ in range(3):
        with pytest.raises((ArchiveRotten, SpoolMismatch)):
            await archiver.round()
        assert numbers(await near.read(STREAM, 0)) == list(range(1, 51)), "Redis has the only copy"
    place.replace(name, whole)
    assert (await archiver.round()).kept_from > 30


async def test_a_rotten_segment_stops_the_trimming(spool: Spool, near: MemoryLog, far: Archive, place: Place) -> None:
    await taken(near, 50)
    archiver = Archiver(spool.folder, near, far, Window(EVERYTHING, FOREVER))
    await archived(archiver, 30)
    name = f"{STREAM}/{11:020d}.seg"
    place.replace(name, place.content(name)[:-9])
    archiver = Archiver(spool.folder, near, place.archive(), NOTHING)
    for _ in range(2):
        with pytest.raises(ArchiveRotten, match=name):
            await archiver.round()
    assert numbers(await near.read(STREAM, 0)) == list(range(1, 51))


async def test_of_an_archive_of_another_content_under_the_name_nothing_is_removed(
    archiver: Archiver, spool: Spool, near: MemoryLog, place: Place
) -> None:
    await taken(near, 50)
    place.replace(f"{STREAM}/{1:020d}.seg", b"the holiday pictures of somebody else")
    for _ in range(2):
        with pytest.raises(ArchiveRotten):
            await archiver.round()
    assert firsts(spool)[0] == 1
    assert numbers(await near.read(STREAM, 0)) == list(range(1, 51))


async def test_a_bad_record_stops_it_and_nothing_is_removed(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive
) -> None:
    await taken(near, 50)
    path = spool_files(spool.folder)[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + b"?" + whole[201:])
    with pytest.raises(SpoolMismatch, match="whole records up to n = 10"):
        await archiver.round()
    assert await far.last(STREAM) == 0
    path.write_bytes(whole)
    assert (await archiver.round()).archived == 10


async def test_there_is_one_archiver_of_a_folder_at_a_time(
    archiver: Archiver, spool: Spool, near: MemoryLog, far: Archive
) -> None:
    await taken(near, 50)
    lock = take_archive_lock(spool.folder)
    with pytest.raises(Unreachable, match="another archiver, or a writer that takes the stream over"):
        await archiver.round()
    assert await far.last(STREAM) == 0
    os.close(lock)
    assert (await archiver.round()).archived == 10
    with pytest.raises(Unreachable, match="is that disk there"):
        await Archiver(spool.folder / "gone", near, far, NOTHING).round()


async def test_a_full_archive_is_waited_for(tmp_path: Path, spool: Spool, near: MemoryLog) -> None:
    await taken(near, 50)
    with small_disk(tmp_path) as folder:
        far = Archive(folder)
        archiver = Archiver(spool.folder, near, far, NOTHING)
        with filled(folder), pytest.raises(Unreachable, match="free some space"):
            await archiver.round()
        assert firsts(spool)[0] == 1
        assert (await archiver.round()).archived == 10


async def test_a_round_that_is_cut_off_anywhere_is_mended_by_the_next(
    spool: Spool, near: MemoryLog, far: Archive
) -> None:
    """Cut off in each of its waits: a new one finds the log whole and goes on."""
    await taken(near, 50)
    reader = Reader(near, far)
    wait, was_cut = 0, True
    while was_cut:
        wait += 1
        archiver = Archiver(spool.folder, near, far, NOTHING)
        was_cut = await cut_off(archiver.round(), wait)
        assert [each.n for each in await reader.read(STREAM, 0, limit=50)][:1] == [1]
        held = spooled(spool)
        assert (await in_archive(far))[: numbers(held)[0] - 1] + held == entries(1, 50, step_ns=NS)
    assert await far.last(STREAM) > 0


class HardOfHearing(Folder):
    """A shelf that does not answer its `deaf`-th listing."""

    def __init__(self, path: Path, deaf: int) -> None:
        super().__init__(path)
        self._deaf, self._asked = deaf, 0

    async def firsts(self, stream: str, at_least: int) -> list[int]:
        self._asked += 1
        if self._asked == self._deaf:
            raise Unreachable("the archive", "no answer", "it is tried again")
        return await super().firsts(stream, at_least)


@pytest.mark.parametrize("deaf", range(1, 20))
async def test_an_archiver_that_is_not_answered_once_goes_on(
    tmp_path: Path, spool: Spool, near: MemoryLog, deaf: int
) -> None:
    await taken(near, 50)
    far = Archive(HardOfHearing(tmp_path / "archive", deaf))
    archiver = Archiver(spool.folder, near, far, NOTHING)
    for _ in range(10):
        with contextlib.suppress(Unreachable):
            done = await archiver.round()
            assert numbers(await near.read(STREAM, 0))[0] == done.kept_from
    assert (done.archived, done.kept_from) == (40, 41)


class Shared(Folder):
    """A shelf on which another archiver puts the next segment before the `when`-th listing is answered."""

    def __init__(self, path: Path, when: int) -> None:
        super().__init__(path)
        self._place, self._when, self._asked = path, when, 0

    async def firsts(self, stream: str, at_least: int) -> list[int]:
        self._asked += 1
        if self._asked == self._when:
            other = Archive(self._place)
            last = await other.last(STREAM)
            await other.put(STREAM, entries(last + 1, last + 10, step_ns=NS))
        return await super().firsts(stream, at_least)


@pytest.mark.parametrize("when", [1, 2, 3])
async def test_what_another_one_archives_meanwhile_is_not_trimmed_before_it_is_seen(
    tmp_path: Path, spool: Spool, near: MemoryLog, when: int
) -> None:
    await taken(near, 50)
    for file in spool_files(spool.folder)[:-1]:
        file.path.unlink()
    await Archive(tmp_path / "archive").put(STREAM, entries(1, 20, step_ns=NS))
    archiver = Archiver(spool.folder, near, Archive(Shared(tmp_path / "archive", when)), NOTHING)
    for _ in range(3):
        done = await archiver.round()
        assert done.kept_from == done.archived + 1


# ---- the window ------------------------------------------------------------------------------------------------


def chunks(*sizes: int, seconds: int = 10) -> list[Chunk]:
    """Give chunks of 100 records each, `seconds` long, newest first."""
    made = [
        Chunk(0, 0, raw, place * 100 + 1, place * 100 + 100, place * seconds * NS, (place + 1) * seconds * NS - 1, 0)
        for place, raw in enumerate(sizes)
    ]
    return made[::-1]


FOREVER, EVERYTHING = 10**9, 10**15


@pytest.mark.parametrize(
    ("window", "first"),
    [
        (Window(0, 0), 501),
        (Window(EVERYTHING, FOREVER), 1),
        (Window(999, FOREVER), 501),
        (Window(1000, FOREVER), 401),
        (Window(2999, FOREVER), 301),
        (Window(3000, FOREVER), 201),
        (Window(EVERYTHING, 9), 501),
        (Window(EVERYTHING, 10), 401),
        (Window(EVERYTHING, 30), 201),
        (Window(1000, 30), 401),
        (Window(3000, 10), 401),
    ],
)
def test_redis_keeps_what_both_windows_hold(window: Window, first: int) -> None:
    assert kept_from(iter(chunks(1000, 1000, 1000, 1000, 1000)), window) == first


def test_of_no_archive_everything_is_kept() -> None:
    assert kept_from(iter([]), NOTHING) == 1


@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    window=st.builds(Window, st.integers(0, 9000), st.integers(0, 300)),
)
def test_the_window_is_never_wider_than_asked_and_never_beyond_the_archive(sizes: list[int], window: Window) -> None:
    newest_first = chunks(*sizes)
    first = kept_from(iter(newest_first), window)
    kept = [chunk for chunk in newest_first if chunk.first >= first]
    dropped = [chunk for chunk in newest_first if chunk.first < first]
    end_ns = newest_first[0].last_at_ns
    assert 1 <= first <= newest_first[0].last + 1
    assert sum(chunk.raw for chunk in kept) <= window.size_bytes
    assert all(chunk.first_at_ns >= end_ns - window.seconds * NS for chunk in kept)
    if dropped:
        too_much = sum(chunk.raw for chunk in [*kept, dropped[0]]) > window.size_bytes
        assert too_much or dropped[0].first_at_ns < end_ns - window.seconds * NS, "it is as wide as asked"


def test_only_as_much_of_the_archive_is_looked_at_as_is_needed() -> None:
    looked_at = []

    def looking() -> Iterator[Chunk]:
        for chunk in chunks(*[100] * 50):
            looked_at.append(chunk)
            yield chunk

    assert kept_from(looking(), Window(250, FOREVER)) == 4801
    assert len(looked_at) == 3


async def test_the_window_follows_the_archives_end(spool: Spool, near: MemoryLog, far: Archive) -> None:
    await taken(near, 50)
    archiver = Archiver(spool.folder, near, far, Window(EVERYTHING, 20))
    assert (await archiver.round()).kept_from == 1
    kept = [(await archiver.round()).kept_from for _ in range(3)]
    assert kept == [1, 11, 21]
    assert numbers(await near.read(STREAM, 0))[0] == 21


@hypothesis_settings(max_examples=40, deadline=None)
@given(data=st.data(), window=st.builds(Window, st.integers(0, 2000), st.integers(0, 60)))
def test_whatever_is_kept_the_reader_sees_one_log(
    data: st.DataObject, window: Window, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def play() -> None:
        folder = tmp_path_factory.mktemp("desk")
        near, far = MemoryLog(), Archive(folder / "archive")
        spool = Spool(folder / "spool" / STREAM, STREAM)
        spool.begin(1)
        archiver, reader = Archiver(spool.folder, near, far, window), Reader(near, far)
        found = 0
        for _ in range(data.draw(st.integers(1, 8))):
            count = data.draw(st.integers(1, 9))
            spool.write(entries(spool.last + 1, spool.last + count, step_ns=NS))
            spool.begin(spool.last + 1)
            if data.draw(st.booleans()):
                near.forget(STREAM, data.draw(st.integers(0, spool.last)))
            last, archived = (await near.last(STREAM))[0], await far.last(STREAM)
            begin = max(last, spool.oldest() - 1) + 1
            if begin <= spool.last and data.draw(st.booleans()):
                await near.append(STREAM, entries(begin, spool.last, step_ns=NS), archived)
            for _ in range(data.draw(st.integers(0, 3))):
                done = await archiver.round()
                assert done.kept_from - 1 <= done.archived == await far.last(STREAM)
            found += len(await reader.read(STREAM, found, limit=5))
        begin = max((await near.last(STREAM))[0], spool.oldest() - 1) + 1
        if begin <= spool.last:
            await near.append(STREAM, entries(begin, spool.last, step_ns=NS), await far.last(STREAM))
        numbers_read: list[int] = []
        while len(numbers_read) < spool.last:
            numbers_read += [each.n for each in await reader.read(STREAM, len(numbers_read), limit=7)]
        assert numbers_read == list(range(1, spool.last + 1))
        spool.close()

    asyncio.run(play())
