"""A segment: a closed spool file, compressed, with an index by n and by time. The archive is made of these.

    "BAHISEG1" | chunk* | index, JSON | offset of the index u64 | its length u32 | its crc32 u32 | "BAHIEND1"

A chunk is one zstd frame over whole spool records (`length u32 | entry`) of at most CHUNK_SECONDS and CHUNK_BYTES;
chunks of seconds compress two to three times better than single frames. The index names each chunk's place, first
and last n, first and last receive time and checksum, so that any n or time is found by one range read. Chunks lie
side by side, so that every byte of the file is under a checksum or has one right value.
"""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator

import msgspec
import zstandard

from events import codec, spool
from runtime.errors import ArchiveRotten

MAGIC = b"BAHISEG1"
END = b"BAHIEND1"
SUFFIX = ".seg"
CHUNK_SECONDS = 10  # by receive time; longer gains little and costs a seek more
CHUNK_NS = CHUNK_SECONDS * 10**9
CHUNK_BYTES = 4 * 1024 * 1024  # what one read of the archive holds in memory at most, and one record more
# On frames of every mode a little smaller than plain level 3 and a third quicker: matches shorter than 7 bytes are not
# worth their search where prices and quantities stand in words of four.
ZSTD = zstandard.ZstdCompressionParameters.from_level(2, min_match=7, hash_log=17)
_FOOTER = struct.Struct(">QII8s")
FOOTER_BYTES = _FOOTER.size

RangeReader = Callable[[int, int], bytes]  # (offset, length) -> bytes; a negative offset counts from the end


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """Where a chunk lies and what it holds. offset, size: compressed bytes; raw: bytes of its records."""

    offset: int
    size: int
    raw: int
    first: int
    last: int
    first_at_ns: int
    last_at_ns: int
    crc: int


class Index(msgspec.Struct, frozen=True):
    """What a segment holds: records first..last of `stream`, in chunks."""

    stream: str
    first: int
    last: int
    chunks: list[Chunk]

    @property
    def raw(self) -> int:
        """Bytes of all its records before compression."""
        return sum(chunk.raw for chunk in self.chunks)

    @property
    def packed(self) -> int:
        """Bytes of all its chunks as stored."""
        return sum(chunk.size for chunk in self.chunks)


def build(stream: str, entries: Iterable[bytes]) -> bytes:
    """Give the segment of these entries, which must be dense and at least one."""
    pieces, chunks, offset = [MAGIC], [], len(MAGIC)
    compress = zstandard.ZstdCompressor(compression_params=ZSTD).compress
    for group, times in _grouped(entries):
        raw = spool.joined(group)
        packed = compress(raw)
        numbers = (codec.entry_n(group[0]), codec.entry_n(group[-1]))
        chunks.append(Chunk(offset, len(packed), len(raw), *numbers, min(times), max(times), zlib.crc32(packed)))
        pieces.append(packed)
        offset += len(packed)
    assert chunks, "an empty spool file is never closed"
    index = msgspec.json.encode(Index(stream, chunks[0].first, chunks[-1].last, chunks))
    pieces += [index, _FOOTER.pack(offset, len(index), zlib.crc32(index), END)]
    return b"".join(pieces)


def read_index(read: RangeReader, name: str) -> Index:
    """Give the index of a segment. Raises ArchiveRotten where the segment is cut short or rotten."""
    return _read_index(read, name)[0]


def _read_index(read: RangeReader, name: str) -> tuple[Index, int]:
    """Give the index and its offset."""
    footer = read(-FOOTER_BYTES, FOOTER_BYTES)
    offset, size, _ = _place(footer, name)
    return _index(read(offset, size), footer, name), offset


def tail_bytes(tail: bytes, name: str) -> int:
    """Give how many bytes at a segment's end hold its index, by its last FOOTER_BYTES or more. Raises ArchiveRotten."""
    return _place(tail[-FOOTER_BYTES:], name)[1] + FOOTER_BYTES


def index_of(tail: bytes, name: str) -> Index:
    """Give the index out of the bytes at a segment's end, at least `tail_bytes` of them. Raises ArchiveRotten."""
    footer = tail[-FOOTER_BYTES:]
    offset, size, _ = _place(footer, name)
    index = _index(tail[-FOOTER_BYTES - size : -FOOTER_BYTES], footer, name)
    if index.chunks[-1].offset + index.chunks[-1].size != offset:
        raise _rotten(name, "an index that is not where its end mark says")
    return index


def _place(footer: bytes, name: str) -> tuple[int, int, int]:
    """Give offset, length and checksum of the index."""
    if len(footer) != FOOTER_BYTES or footer[-len(END) :] != END:
        raise _rotten(name, "no end mark")
    offset, size, crc, _ = _FOOTER.unpack(footer)
    return offset, size, crc


def _index(packed: bytes, footer: bytes, name: str) -> Index:
    _, size, crc = _place(footer, name)
    if not size or len(packed) != size or zlib.crc32(packed) != crc:
        raise _rotten(name, "an index with a wrong checksum")
    return msgspec.json.decode(packed, type=Index)


def read_chunk(read: RangeReader, name: str, chunk: Chunk) -> list[bytes]:
    """Give the entries of a chunk. Raises ArchiveRotten where they are not those that were put there."""
    packed = read(chunk.offset, chunk.size)
    if zlib.crc32(packed) != chunk.crc:
        raise _rotten(name, f"a wrong checksum of n = {chunk.first}..{chunk.last}")
    raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=chunk.raw)
    entries = [entry for _, entry in spool.records(raw)]
    if [codec.entry_n(entry) for entry in entries] != list(range(chunk.first, chunk.last + 1)):
        raise _rotten(name, f"{len(entries)} records for n = {chunk.first}..{chunk.last}")
    return entries


def read_all(read: RangeReader, name: str) -> Iterator[list[bytes]]:
    """Give all entries, chunk by chunk, and look at every byte. Raises ArchiveRotten where one is not as written."""
    if read(0, len(MAGIC)) != MAGIC:
        raise _rotten(name, "no mark at its beginning")
    index, index_offset = _read_index(read, name)
    offset, n = len(MAGIC), index.first
    for chunk in index.chunks:
        if (chunk.offset, chunk.first) != (offset, n):
            raise _rotten(name, f"n = {chunk.first} at byte {chunk.offset} where n = {n} belongs at byte {offset}")
        yield read_chunk(read, name, chunk)
        offset, n = chunk.offset + chunk.size, chunk.last + 1
    if (offset, n) != (index_offset, index.last + 1):
        raise _rotten(name, f"an end at n = {n - 1}, byte {offset}; its index says {index.last}, {index_offset}")


def _grouped(entries: Iterable[bytes]) -> Iterator[tuple[list[bytes], list[int]]]:
    """Give entries with their times, as many as one chunk holds."""
    group: list[bytes] = []
    times: list[int] = []
    size = 0
    for entry in entries:
        at_ns = codec.entry_at_ns(entry)
        if group and (at_ns - times[0] > CHUNK_NS or size + len(entry) > CHUNK_BYTES):
            yield group, times
            group, times, size = [], [], 0
        group.append(entry)
        times.append(at_ns)
        size += len(entry)
    if group:
        yield group, times


def _rotten(name: str, found: str) -> ArchiveRotten:
    return ArchiveRotten(
        f"the segment {name} as it was written", found, "restore it from another copy of the archive; run bahi verify"
    )
