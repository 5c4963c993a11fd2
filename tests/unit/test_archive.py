"""The archive holds each record once, for ever, and finds it by n and by time."""

import asyncio
import socket
from pathlib import Path

import pytest

from events import segment
from events.archive import CHUNKS_MAX, Archive
from runtime.errors import ArchiveConflict, ArchiveRotten, SettingError, Unreachable
from tests.entries import START_NS, STREAM, entries, entry, numbers
from tests.small_disk import filled, small_disk

SECOND_NS = 10**9


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def segment_path(archive: Archive, first: int) -> Path:
    return archive.folder / STREAM / f"{first:020d}.seg"


async def read_all(archive: Archive, stream: str, limit: int) -> list[bytes]:
    found: list[bytes] = []
    while more := await archive.entries(stream, len(found) + 1, limit):
        found += more
    return found


async def test_an_archive_that_is_not_there_is_empty(archive: Archive) -> None:
    assert await archive.streams() == []
    assert await archive.last(STREAM) == 0
    assert await archive.entries(STREAM, 1) == []
    assert await archive.indexes(STREAM) == []
    assert await archive.first_at(STREAM, START_NS) == 1


async def test_segments_are_one_sequence(archive: Archive) -> None:
    for first in (1, 101, 201):
        await archive.put(STREAM, entries(first, first + 99))
    assert await archive.last(STREAM) == 300
    assert await archive.streams() == [STREAM]
    assert await read_all(archive, STREAM, 7) == entries(1, 300)
    assert await read_all(archive, STREAM, 4096) == entries(1, 300)
    assert await archive.entries(STREAM, 301) == []
    assert await archive.entries(STREAM, 0) == []


async def test_any_n_is_found(archive: Archive) -> None:
    for first in (1, 41, 81):
        await archive.put(STREAM, entries(first, first + 39, step_ns=SECOND_NS))
    for n in range(1, 121):
        assert numbers(await archive.entries(STREAM, n, 1)) == [n]


async def test_what_another_process_adds_is_seen(archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 10))
    reader = Archive(archive.folder)
    assert len(await reader.entries(STREAM, 1)) == 10
    await archive.put(STREAM, entries(11, 20))
    assert await reader.entries(STREAM, 11) == entries(11, 20)
    assert await reader.last(STREAM) == 20


async def test_any_time_is_found(archive: Archive) -> None:
    for first in (1, 51):
        await archive.put(STREAM, entries(first, first + 49, step_ns=SECOND_NS))
    for n in range(1, 101):
        at_ns = START_NS + n * SECOND_NS
        begin = await archive.first_at(STREAM, at_ns)
        assert n - 10 <= begin <= n
    assert await archive.first_at(STREAM, 0) == 1
    assert await archive.first_at(STREAM, START_NS + 101 * SECOND_NS) == 101


async def test_the_newest_chunks_come_first(archive: Archive) -> None:
    for first in (1, 31, 61):
        await archive.put(STREAM, entries(first, first + 29, step_ns=SECOND_NS))
    firsts = await archive.newest_first(STREAM, lambda chunks: [chunk.first for chunk in chunks])
    assert firsts == [83, 72, 61, 53, 42, 31, 23, 12, 1]


async def test_the_same_segment_again_is_fine(archive: Archive) -> None:
    first = await archive.put(STREAM, entries(1, 10))
    content = segment_path(archive, 1).read_bytes()
    assert await Archive(archive.folder).put(STREAM, entries(1, 10)) == first
    assert segment_path(archive, 1).read_bytes() == content


@pytest.mark.parametrize(
    "other",
    [entries(1, 9), entries(1, 11), [*entries(1, 9), entry(10, "another")]],
    ids=["shorter", "longer", "different"],
)
async def test_another_content_under_a_taken_name_is_a_conflict(archive: Archive, other: list[bytes]) -> None:
    await archive.put(STREAM, entries(1, 10))
    with pytest.raises(ArchiveConflict, match="two archivers or two writers"):
        await archive.put(STREAM, other)
    assert await read_all(archive, STREAM, 100) == entries(1, 10)


@pytest.mark.parametrize("first", [5, 12])
async def test_a_segment_begins_at_archived_and_one(archive: Archive, first: int) -> None:
    await archive.put(STREAM, entries(1, 10))
    with pytest.raises(ArchiveConflict, match="begin at 11"):
        await archive.put(STREAM, entries(first, 20))
    assert await archive.last(STREAM) == 10


async def test_two_archivers_cannot_both_give_a_name(archive: Archive) -> None:
    both = [archive.put(STREAM, entries(1, 500)), Archive(archive.folder).put(STREAM, entries(1, 600))]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["ArchiveConflict", "Index"]
    assert len(await read_all(archive, STREAM, 4096)) in {500, 600}


async def test_what_a_crash_left_half_written_is_not_read_and_goes(archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 10))
    left = archive.folder / STREAM / f"{11:020d}.seg.{socket.gethostname()}.4711.new"
    left.write_bytes(b"half a segm")
    assert await archive.last(STREAM) == 10
    await archive.put(STREAM, entries(11, 20))
    await archive.sweep(STREAM)
    assert sorted(path.name for path in (archive.folder / STREAM).iterdir()) == [f"{1:020d}.seg", f"{11:020d}.seg"]


async def test_threads_and_streams_do_not_mix_records(archive: Archive) -> None:
    streams = [f"ticks-sandbox-{number}" for number in range(1, CHUNKS_MAX + 4)]
    for stream in streams:
        await archive.put(stream, [entry(n, f"{stream} {n}", START_NS + n * SECOND_NS) for n in range(1, 61)])

    async def check(stream: str) -> None:
        for n in (*range(1, 61), *range(60, 0, -7)):
            (found,) = await archive.read(stream, n - 1, 1)
            assert (found.n, found.payload) == (n, f"{stream} {n}".encode())

    await asyncio.gather(*(check(stream) for stream in streams))


async def test_a_rotten_segment_is_told(archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 10))
    path = segment_path(archive, 1)
    whole = path.read_bytes()
    for broken in (b"", whole[:20], whole[: len(segment.MAGIC) + 5] + b"?" + whole[len(segment.MAGIC) + 6 :]):
        path.write_bytes(broken)
        with pytest.raises(ArchiveRotten, match=path.name):
            await Archive(archive.folder).entries(STREAM, 1)


async def test_a_rotten_segment_is_never_taken_for_the_same(archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 10))
    path = segment_path(archive, 1)
    path.write_bytes(b"BAHISEG0" + path.read_bytes()[8:])
    with pytest.raises(ArchiveRotten, match="no mark"):
        await archive.put(STREAM, entries(1, 10))


async def test_a_segment_in_the_wrong_place_is_told(archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 10))
    segment_path(archive, 1).rename(segment_path(archive, 3))
    with pytest.raises(ArchiveConflict, match="it was moved there"):
        await archive.last(STREAM)


async def test_a_folder_that_fails_is_unreachable(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(Unreachable, match="is that disk there"):
        await archive.put(STREAM, entries(1, 10))


async def test_a_full_disk_leaves_no_half_segment(tmp_path: Path) -> None:
    with small_disk(tmp_path) as folder:
        archive = Archive(folder)
        await archive.put(STREAM, entries(1, 10))
        with filled(folder):
            with pytest.raises(Unreachable, match="free some space"):
                await archive.put(STREAM, entries(11, 900))
            assert sorted(path.name for path in (folder / STREAM).iterdir()) == [f"{1:020d}.seg"]
        await archive.put(STREAM, entries(11, 900))
        assert await archive.last(STREAM) == 900


def test_only_a_folder_can_be_the_archive(tmp_path: Path) -> None:
    assert Archive.at(f"file://{tmp_path}/my%20archive").folder == tmp_path / "my archive"
    for url in ("s3://bucket", "file://host/path", "archive", "file:relative"):
        with pytest.raises(SettingError, match="ARCHIVE_URL"):
            Archive.at(url)
