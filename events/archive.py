"""The archive: every segment of every stream, for ever. The listing alone is the manifest.

    <archive>/<stream>/00000000000000000001.seg

It stands on a shelf: a folder (`events/folder.py`) or a bucket (`events/bucket.py`). A segment's name is its first n
and is given once: putting is create-only, so two archivers cannot both give it. The last n stands in the segment's own
index. Segments of a stream follow each other without a hole: each begins at archived + 1. A new segment is read back
and compared before it counts, because what calls `put` then removes the only other copy.

A shelf that cannot be read or written (a disk or a server that is away, no rights, no room) is Unreachable: it is tried
again and said, and costs no more than time. A segment that is not what was put there is ArchiveRotten, and so is one
that is missing between two others.

Segments never change, so what was read of them is kept. Chunks that lie side by side are fetched in one read, as many
as a block holds: a quiet stream has hundreds of small chunks a segment, and each read from a bucket takes its time.
"""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import unquote, urlsplit

from events import codec, segment
from events.event import Recorded
from events.folder import Folder
from events.shelf import Name, Shelf
from runtime.errors import ArchiveConflict, ArchiveRotten, Unreachable
from runtime.settings import Settings
from runtime.waiting import in_thread

READ_ENTRIES_MAX = 4096  # one read from the archive; a reader that is far behind takes large steps
INDEXES_MAX = 1024  # kept in memory, some 10 KB each; a day at full speed makes about as many segments
INDEXES_AT_ONCE = 16  # read side by side where all are wanted: a bucket answers each in some 30 ms, however many ask
INDEX_BYTES = 64 * 1024  # read at a segment's end at first: the index of a full one takes a tenth of it
BLOCK_BYTES = 1024 * 1024  # of chunks fetched in one read; a single chunk may be larger, up to CHUNK_BYTES
BLOCKS_MAX = 4  # kept in memory, one for each stream that a projector reads side by side
CHUNKS_MAX = 4  # kept in memory, some 5 MB each: likewise
READ_BACK_BYTES = 8 * 1024 * 1024  # in one read of a new segment: a slow line brings it before it is given up

T = TypeVar("T")
K = TypeVar("K")


class _Kept(Generic[K, T]):
    """What was read last, up to a number of things."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[K, T] = OrderedDict()

    async def get(self, key: K, read: Callable[[], Awaitable[T]]) -> T:
        """Give what is held under the key, or read it."""
        if key not in self._held:
            found = await read()
            self._held[key] = found
            if len(self._held) > self._most:
                self._held.popitem(last=False)
            return found
        self._held.move_to_end(key)
        return self._held[key]

    def forget(self, key: K) -> None:
        """Read it anew the next time."""
        self._held.pop(key, None)


class Archive:
    """The archive. Tasks may share it."""

    def __init__(self, place: Path | Shelf) -> None:
        """Take the shelf, or name the folder of one; it is made at the first segment."""
        self._shelf = Folder(place) if isinstance(place, Path) else place
        self._listed: dict[str, list[int]] = {}  # each stream's first n as last seen; more may have come since
        self._indexes: _Kept[Name, segment.Index] = _Kept(INDEXES_MAX)
        self._blocks: _Kept[tuple[Name, int], bytes] = _Kept(BLOCKS_MAX)
        self._chunks: _Kept[tuple[Name, int], list[bytes]] = _Kept(CHUNKS_MAX)

    @classmethod
    def at(cls, settings: Settings) -> "Archive":
        """Give the archive at ARCHIVE_URL. Raises SettingError where its certificates cannot be read."""
        parts = urlsplit(settings.archive_url)
        if parts.scheme == "s3":
            from events.bucket import Bucket  # only who has one waits for its library to load

            return cls(Bucket.at(settings))
        return cls(Path(unquote(parts.path)))

    @property
    def place(self) -> str:
        """Give where it is, for people."""
        return self._shelf.place

    async def streams(self) -> list[str]:
        """Give the names of all streams that it holds something of. Raises Unreachable."""
        return await self._shelf.streams()

    async def last(self, stream: str) -> int:
        """Give the last archived n of a stream, 0 where there is none; always from a fresh listing.

        Raises Unreachable, ArchiveRotten.
        """
        firsts = await self._list(stream)
        return (await self._index(Name(stream, firsts[-1]))).last if firsts else 0

    async def indexes(self, stream: str) -> list[segment.Index]:
        """Give the indexes of all segments of a stream, oldest first. Raises Unreachable, ArchiveRotten."""
        names = [Name(stream, first) for first in await self._list(stream)]
        found: list[segment.Index] = []
        for start in range(0, len(names), INDEXES_AT_ONCE):
            found += await asyncio.gather(*map(self._index, names[start : start + INDEXES_AT_ONCE]))
        return found

    async def chunks_back(self, stream: str) -> AsyncGenerator[segment.Chunk, None]:
        """Give the stream's chunks, newest first; all is listed anew, and the indexes of those asked for are read.

        Raises Unreachable, and ArchiveRotten also where a segment is missing between two others.
        """
        self._listed.pop(stream, None)
        behind: segment.Index | None = None
        for first in reversed(await self._list(stream)):
            index = await self._index(Name(stream, first))
            if behind is not None and index.last + 1 != behind.first:
                raise ArchiveRotten(
                    f"n = {index.last + 1}..{behind.first - 1} of {stream} in {self.place}",
                    f"{Name(stream, behind.first)} behind {Name(stream, first)}, and nothing between them",
                    "bring the missing segment back from another copy of the archive; run bahi verify",
                )
            for chunk in reversed(index.chunks):
                yield chunk
            behind = index

    async def read(self, stream: str, after: int, limit: int = READ_ENTRIES_MAX) -> list[Recorded]:
        """Give up to `limit` events from n = after + 1 on; nothing where the archive does not hold that n."""
        return [codec.decode(stream, entry) for entry in await self.entries(stream, after + 1, limit)]

    async def entries(self, stream: str, n: int, limit: int = READ_ENTRIES_MAX) -> list[bytes]:
        """Give up to `limit` entries from n on, as bytes; nothing where the archive does not hold n.

        Raises Unreachable, ArchiveRotten.
        """
        index = await self._holding(stream, n)
        found: list[bytes] = []
        for chunk in index.chunks if index else []:
            if index and chunk.last >= n and len(found) < limit:
                found += (await self._chunk(index, chunk))[max(0, n - chunk.first) :]
        return found[:limit]

    async def where(self, stream: str, n: int) -> str:
        """Give, for people, where it holds n: the place, the segment and the chunk; nothing where it does not."""
        index = await self._holding(stream, n)
        for number, chunk in enumerate(index.chunks if index else [], start=1):
            if index and chunk.first <= n <= chunk.last:
                held = f"chunk {number} of {len(index.chunks)} (n = {chunk.first}..{chunk.last})"
                return f"{self._where(_name(index))}, {held}"
        return ""

    async def first_at(self, stream: str, at_ns: int) -> int:
        """Give an n at or before the first event received at or after at_ns, by the index; last + 1 if none is."""
        for index in await self.indexes(stream):
            for chunk in index.chunks:
                if chunk.last_at_ns >= at_ns:
                    return chunk.first
        return await self.last(stream) + 1

    async def put(self, stream: str, entries: list[bytes]) -> segment.Index:
        """Add a segment that begins at archived + 1, durable and read back when this returns.

        The same segment again is fine. Raises ArchiveConflict where its n are taken by other content or would leave a
        hole, ArchiveRotten where it cannot be read back as it is, ArchiveUnsafe, Unreachable.
        """
        name = Name(stream, codec.entry_n(entries[0]))
        archived = await self.last(stream)
        if name.first != archived + 1 and name.first not in self._listed.get(stream, []):
            raise _conflict(f"the segment {self._where(name)} to begin at {archived + 1}", f"it begins at {name.first}")
        await self._shelf.create(name, await in_thread(lambda: segment.build(stream, entries)))
        await self._compare(name, entries)
        return await self._index(name)

    async def sweep(self, stream: str) -> None:
        """Remove what a crash on this host left half written; call it where nobody else on this host puts segments."""
        await self._shelf.sweep(stream)

    def _where(self, name: Name) -> str:
        return f"{self._shelf.place}/{name}"

    async def _list(self, stream: str) -> list[int]:
        """Give the first n of all the stream's segments: a fresh listing of what came behind those known."""
        known = self._listed.get(stream, [])
        found = await self._shelf.firsts(stream, known[-1] if known else 0)
        if known and found[:1] != known[-1:]:  # what does not happen: the one that was the last has gone
            known, found = [], await self._shelf.firsts(stream, 0)
        self._listed[stream] = known[:-1] + found
        return self._listed[stream]

    async def _holding(self, stream: str, n: int) -> segment.Index | None:
        """Give the index of the segment that holds n; a listing is asked only for an n behind what was seen last."""
        firsts = self._listed.get(stream)
        if not firsts or (await self._index(Name(stream, firsts[-1]))).last < n:
            firsts = await self._list(stream)
        found = await self._among(stream, firsts, n)
        if found is None and firsts and n < firsts[-1]:  # a segment is missing there, or was until now
            self._listed.pop(stream, None)
            found = await self._among(stream, await self._list(stream), n)
        return found

    async def _among(self, stream: str, firsts: list[int], n: int) -> segment.Index | None:
        place = bisect_right(firsts, n) - 1
        index = await self._index(Name(stream, firsts[place])) if place >= 0 else None
        return index if index and index.last >= n else None

    async def _index(self, name: Name) -> segment.Index:
        return await self._indexes.get(name, lambda: self._read_index(name))

    async def _read_index(self, name: Name) -> segment.Index:
        where = self._where(name)
        tail = await self._read(name, -INDEX_BYTES, INDEX_BYTES)
        wanted = segment.tail_bytes(tail, where)
        if wanted > len(tail):
            tail = await self._read(name, -wanted, wanted)
        index = segment.index_of(tail, where)
        if (index.stream, index.first) != name:
            raise ArchiveConflict(
                f"{where} to hold its stream from its own n on",
                f"{index.stream} from {index.first}",
                "it was moved there: put it back in its place",
            )
        return index

    async def _chunk(self, index: segment.Index, chunk: segment.Chunk) -> list[bytes]:
        return await self._chunks.get((_name(index), chunk.offset), lambda: self._read_chunk(index, chunk))

    async def _read_chunk(self, index: segment.Index, chunk: segment.Chunk) -> list[bytes]:
        name, (start, length) = _name(index), _block(index, chunk)
        block = await self._blocks.get((name, start), lambda: self._read(name, start, length))

        def part(offset: int, size: int) -> bytes:
            return block[offset - start : offset - start + size]

        try:
            return await in_thread(lambda: segment.read_chunk(part, self._where(name), chunk))
        except ArchiveRotten:
            self._blocks.forget((name, start))  # who halts at it looks again, when it may have been brought back
            raise

    async def _read(self, name: Name, offset: int, length: int) -> bytes:
        try:
            return await self._shelf.read(name, offset, length)
        except Unreachable:
            self._listed.pop(name.stream, None)  # perhaps it is the segment that has gone
            raise

    async def _compare(self, name: Name, entries: list[bytes]) -> None:
        """Read a segment back. Raises ArchiveConflict where it holds anything but these entries."""
        pieces: list[bytes] = []
        while not pieces or len(pieces[-1]) == READ_BACK_BYTES:
            pieces.append(await self._read(name, sum(map(len, pieces)), READ_BACK_BYTES))
        if not await in_thread(lambda: _holds(b"".join(pieces), entries, self._where(name))):
            raise _conflict(
                f"{self._where(name)} to be free or to hold the same {len(entries)} records",
                "a segment of other content",
            )


def _holds(content: bytes, entries: list[bytes], name: str) -> bool:
    """Say whether a segment holds these entries and no others. Raises ArchiveRotten."""

    def part(offset: int, length: int) -> bytes:
        start = offset if offset >= 0 else max(0, len(content) + offset)
        return content[start : start + length]

    place = 0
    for found in segment.read_all(part, name):
        if found != entries[place : place + len(found)]:
            return False
        place += len(found)
    return place == len(entries)


def _block(index: segment.Index, chunk: segment.Chunk) -> tuple[int, int]:
    """Give offset and length of the chunks that are fetched with this one: always the same for each of them."""
    start = end = index.chunks[0].offset
    for each in index.chunks:
        if each.offset + each.size - start > BLOCK_BYTES:
            if each.offset > chunk.offset:
                break
            start = each.offset
        end = each.offset + each.size
    return start, end - start


def _conflict(wanted: str, found: str) -> ArchiveConflict:
    return ArchiveConflict(wanted, found, "two archivers or two writers are at work: stop one, and run bahi verify")


def _name(index: segment.Index) -> Name:
    return Name(index.stream, index.first)
