"""The archive holds each record once, for ever, and finds it by n and by time: in a folder, and in a bucket."""

import asyncio

import pytest

from events import segment
from events.archive import CHUNKS_MAX, Archive
from runtime.errors import ArchiveConflict, ArchiveRotten, Unreachable
from tests.entries import START_NS, STREAM, entries, entry, numbers
from tests.shelves import Place

SECOND_NS = 10**9


@pytest.fixture
def archive(place: Place) -> Archive:
    return place.archive()


def name(first: int) -> str:
    return f"{STREAM}/{first:020d}.seg"


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


async def test_what_another_process_adds_is_seen(archive: Archive, place: Place) -> None:
    await archive.put(STREAM, entries(1, 10))
    reader = place.archive()
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
    assert [chunk.first async for chunk in archive.chunks_back(STREAM)] == [83, 72, 61, 53, 42, 31, 23, 12, 1]


async def test_the_same_segment_again_is_fine(archive: Archive, place: Place) -> None:
    first = await archive.put(STREAM, entries(1, 10))
    content = place.content(name(1))
    assert await place.archive().put(STREAM, entries(1, 10)) == first
    assert place.content(name(1)) == content
    assert place.names() == [name(1)]


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


async def test_two_archivers_cannot_both_give_a_name(archive: Archive, place: Place) -> None:
    both = [archive.put(STREAM, entries(1, 500)), place.archive().put(STREAM, entries(1, 600))]
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["ArchiveConflict", "Index"]
    assert len(await read_all(archive, STREAM, 4096)) in {500, 600}


async def test_two_archivers_of_the_same_log_are_both_content(archive: Archive, place: Place) -> None:
    both = [each.put(STREAM, entries(1, 500)) for each in (archive, place.archive())]
    first, second = await asyncio.gather(*both)
    assert first == second
    assert place.names() == [name(1)]


async def test_threads_and_streams_do_not_mix_records(archive: Archive) -> None:
    streams = [f"ticks-sandbox-{number}" for number in range(1, CHUNKS_MAX + 4)]
    for stream in streams:
        await archive.put(stream, [entry(n, f"{stream} {n}", START_NS + n * SECOND_NS) for n in range(1, 61)])

    async def check(stream: str) -> None:
        for n in (*range(1, 61), *range(60, 0, -7)):
            (found,) = await archive.read(stream, n - 1, 1)
            assert (found.n, found.payload) == (n, f"{stream} {n}".encode())

    await asyncio.gather(*(check(stream) for stream in streams))


async def test_chunks_that_lie_side_by_side_are_fetched_together_and_read_in_any_order(
    archive: Archive, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [entry(n, f"{n} {n * 7919 % 1000}" * 40, START_NS + n * SECOND_NS) for n in range(1, 400)]
    await archive.put(STREAM, many)
    for block_bytes in (1, 700, 1500, 10**9):
        monkeypatch.setattr("events.archive.BLOCK_BYTES", block_bytes)
        assert await read_all(place.archive(), STREAM, 50) == many
        other = place.archive()
        for n in range(390, 0, -13):
            assert await other.entries(STREAM, n, 1) == many[n - 1 : n]


@pytest.mark.parametrize("index_bytes", [32, 64, 100, 1000])
async def test_an_index_that_is_longer_than_the_first_read_is_read_again(
    archive: Archive, place: Place, index_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.put(STREAM, entries(1, 60, step_ns=SECOND_NS))
    monkeypatch.setattr("events.archive.INDEX_BYTES", index_bytes)
    assert await place.archive().last(STREAM) == 60


async def test_it_says_where_it_holds_an_n(archive: Archive) -> None:
    await archive.put(STREAM, entries(1, 30, step_ns=SECOND_NS))
    assert await archive.where(STREAM, 12) == f"{archive.place}/{name(1)}, chunk 2 of 3 (n = 12..22)"
    assert await archive.where(STREAM, 31) == ""


async def test_what_is_no_segment_is_not_looked_at(archive: Archive, place: Place) -> None:
    await archive.put(STREAM, entries(1, 10))
    for other in ("readme.txt", f"{STREAM}/notes.txt", f"{STREAM}/{11:019d}.seg", "photos/goa.jpg"):
        place.replace(other, b"of somebody else")
    assert await archive.streams() == [STREAM]
    assert await place.archive().streams() == [STREAM]
    await archive.put(STREAM, entries(11, 20))
    assert await place.archive().last(STREAM) == 20


async def test_a_rotten_segment_is_told(archive: Archive, place: Place) -> None:
    await archive.put(STREAM, entries(1, 10))
    whole = place.content(name(1))
    for broken in (b"", b"?", whole[:20], whole[: len(segment.MAGIC) + 5] + b"?" + whole[len(segment.MAGIC) + 6 :]):
        place.replace(name(1), broken)
        with pytest.raises(ArchiveRotten, match=name(1)):
            await place.archive().entries(STREAM, 1)


async def test_who_met_a_rotten_segment_reads_it_when_it_was_brought_back(archive: Archive, place: Place) -> None:
    await archive.put(STREAM, entries(1, 10))
    whole, reading = place.content(name(1)), place.archive()
    assert await reading.last(STREAM) == 10
    for broken in (whole[:20], whole[: len(segment.MAGIC) + 5] + b"?" + whole[len(segment.MAGIC) + 6 :]):
        place.replace(name(1), broken)
        with pytest.raises(ArchiveRotten):
            await reading.entries(STREAM, 1)
    place.replace(name(1), whole)
    assert await reading.entries(STREAM, 1) == entries(1, 10)


async def test_no_bit_can_turn_in_a_segment_unseen(archive: Archive, place: Place) -> None:
    await archive.put(STREAM, entries(1, 3))
    whole = place.content(name(1))
    for at in range(0, len(whole), 9):
        place.replace(name(1), whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises((ArchiveRotten, ArchiveConflict)):
            await place.archive().put(STREAM, entries(1, 3))


async def test_a_segment_in_the_wrong_place_is_told(archive: Archive, place: Place) -> None:
    await archive.put(STREAM, entries(1, 10))
    place.replace(name(3), place.content(name(1)))
    place.remove(name(1))
    with pytest.raises(ArchiveConflict, match="it was moved there"):
        await place.archive().last(STREAM)


async def test_a_segment_that_is_missing_in_the_middle_is_told(archive: Archive, place: Place) -> None:
    for first in (1, 11, 21, 31):
        await archive.put(STREAM, entries(first, first + 9))
    whole = place.content(name(11))
    place.remove(name(11))
    other = place.archive()
    assert await other.last(STREAM) == 40
    assert numbers(await other.entries(STREAM, 5)) == [5, 6, 7, 8, 9, 10]
    assert await other.entries(STREAM, 11) == []
    assert numbers(await other.entries(STREAM, 21, 3)) == [21, 22, 23]
    with pytest.raises(ArchiveRotten, match=r"n = 11\.\.20 of .* nothing between them"):
        assert [chunk.first async for chunk in other.chunks_back(STREAM)] == []
    place.replace(name(11), whole)
    assert numbers(await other.entries(STREAM, 11)) == list(range(11, 21))
    assert [chunk.first async for chunk in other.chunks_back(STREAM)] == [31, 21, 11, 1]


async def test_a_segment_that_goes_while_it_is_read_is_told_and_comes_back(archive: Archive, place: Place) -> None:
    for first in (1, 11):
        await archive.put(STREAM, entries(first, first + 9))
    other = place.archive()
    assert await other.last(STREAM) == 20
    whole = place.content(name(1))
    place.remove(name(1))
    with pytest.raises(Unreachable, match="archive in"):
        await other.entries(STREAM, 1)
    place.replace(name(1), whole)
    assert numbers(await other.entries(STREAM, 1)) == list(range(1, 11))


async def test_an_archive_that_was_emptied_is_seen_as_empty(archive: Archive, place: Place) -> None:
    for first in (1, 11):
        await archive.put(STREAM, entries(first, first + 9))
    place.remove(name(11))
    assert await archive.last(STREAM) == 10
    place.remove(name(1))
    assert await archive.last(STREAM) == 0
