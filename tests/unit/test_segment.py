"""A segment gives back what was put into it, by n and by time, or says that it is rotten."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import codec, segment
from events.segment import CHUNK_BYTES, Chunk, Index, RangeReader
from runtime.errors import ArchiveRotten
from tests.entries import START_NS, STREAM, entries, entry

SECOND_NS = 10**9


def ranges(content: bytes) -> RangeReader:
    """Give the reader of a segment that lies in memory; like a file's it ends at the end."""

    def read(offset: int, length: int) -> bytes:
        start = offset if offset >= 0 else max(0, len(content) + offset)
        return content[start : start + length]

    return read


def everything(content: bytes) -> list[bytes]:
    return [each for chunk in segment.read_all(ranges(content), "it") for each in chunk]


def test_all_entries_come_back() -> None:
    kept = entries(101, 400, size=50)
    content = segment.build(STREAM, kept)
    assert everything(content) == kept
    index = segment.read_index(ranges(content), "it")
    assert (index.stream, index.first, index.last) == (STREAM, 101, 400)
    assert index.raw == sum(len(each) + 4 for each in kept)
    assert index.packed < index.raw / 4


def test_a_chunk_holds_ten_seconds_at_most() -> None:
    content = segment.build(STREAM, entries(1, 100, step_ns=SECOND_NS))
    chunks = segment.read_index(ranges(content), "it").chunks
    assert [(chunk.first, chunk.last) for chunk in chunks[:3]] == [(1, 11), (12, 22), (23, 33)]
    assert [chunk.first_at_ns for chunk in chunks[:2]] == [START_NS + SECOND_NS, START_NS + 12 * SECOND_NS]
    assert all(chunk.last_at_ns - chunk.first_at_ns <= 10 * SECOND_NS for chunk in chunks)


def test_a_chunk_holds_four_megabytes_at_most() -> None:
    kept = entries(1, 20, size=600_000)
    chunks = segment.read_index(ranges(segment.build(STREAM, kept)), "it").chunks
    assert [chunk.last - chunk.first + 1 for chunk in chunks] == [6, 6, 6, 2]
    assert all(chunk.raw <= CHUNK_BYTES for chunk in chunks)


def test_a_clock_that_goes_back_is_in_the_index() -> None:
    times = [5, 6, 3, 4, 7]
    kept = [entry(n, "", START_NS + at * SECOND_NS) for n, at in enumerate(times, 1)]
    (chunk,) = segment.read_index(ranges(segment.build(STREAM, kept)), "it").chunks
    assert (chunk.first_at_ns, chunk.last_at_ns) == (START_NS + 3 * SECOND_NS, START_NS + 7 * SECOND_NS)


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=30),
    steps=st.lists(st.integers(-20, 20), min_size=30, max_size=30),
    first=st.integers(1, 2**40),
)
def test_any_entries_come_back(sizes: list[int], steps: list[int], first: int) -> None:
    times = itertools.accumulate(steps, initial=START_NS // SECOND_NS)
    kept = [entry(n, "x" * size, at * SECOND_NS) for n, (size, at) in enumerate(zip(sizes, times, strict=False), first)]
    content = segment.build(STREAM, kept)
    assert everything(content) == kept
    chunks = segment.read_index(ranges(content), "it").chunks
    assert [n for chunk in chunks for n in range(chunk.first, chunk.last + 1)] == [codec.entry_n(each) for each in kept]


def test_every_byte_that_changes_is_found() -> None:
    content = segment.build(STREAM, entries(1, 30, step_ns=SECOND_NS))
    for place in range(len(content)):
        for bit in (1, 0x80):
            rotten = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
            with pytest.raises(ArchiveRotten, match="restore it from another copy"):
                everything(rotten)


def test_every_cut_is_found() -> None:
    content = segment.build(STREAM, entries(1, 5))
    for cut in range(len(content)):
        with pytest.raises(ArchiveRotten):
            everything(content[:cut])


def test_what_is_no_segment_is_rotten() -> None:
    noise = random.Random(1).randbytes(500)
    for content in (b"", b"BAHISEG1", noise, noise + segment.END):
        with pytest.raises(ArchiveRotten):
            segment.read_index(ranges(content), "it")


def test_a_right_checksum_over_other_records_is_found() -> None:
    content = segment.build(STREAM, entries(1, 5))
    (chunk,) = segment.read_index(ranges(content), "it").chunks
    for first, last in ((1, 6), (1, 4), (2, 6)):
        told = Chunk(chunk.offset, chunk.size, chunk.raw, first, last, 0, 0, chunk.crc)
        with pytest.raises(ArchiveRotten, match="5 records"):
            segment.read_chunk(ranges(content), "it", told)


def test_the_index_is_readable_by_others() -> None:
    index = segment.read_index(ranges(segment.build(STREAM, entries(1, 5))), "it")
    assert Index(STREAM, 1, 5, index.chunks) == index
