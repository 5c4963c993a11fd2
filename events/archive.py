"""The archive: every segment of every stream, for ever. The listing alone is the manifest.

    <archive>/<stream>/00000000000000000001.seg

A segment's name is its first n and is given once: putting is create-only, so two archivers cannot both give it. The
last n stands in the segment's own index. Segments of a stream follow each other without a hole: each begins at
archived + 1. A new segment is read back and compared before it counts, because what calls `put` then removes the only
other copy.

A folder that cannot be read or written (a network mount that is away, no rights, a full disk) is Unreachable: it is
tried again and said, and costs no more than time. A segment that is not what was put there is ArchiveRotten.
"""

import os
import socket
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from events import codec, disk, segment
from events.event import Recorded
from events.spool import NAME_DIGITS, NAME_PATTERN
from runtime.errors import ArchiveConflict, SettingError, Unreachable
from runtime.waiting import in_thread

READ_ENTRIES_MAX = 4096  # one read from the archive; a reader that is far behind takes large steps
INDEXES_MAX = 1024  # kept in memory, some 10 KB each; a day at full speed makes about as many segments
CHUNKS_MAX = 4  # kept in memory, some 5 MB each: one for each stream that a projector reads side by side

T = TypeVar("T")


class Archive:
    """The archive in a folder of this machine (ARCHIVE_URL=file:///...). Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made at the first segment."""
        self.folder = folder
        self._listed: dict[str, list[Path]] = {}  # as last seen; more may have come since
        # Segments never change, so neither does what was read of them.
        self._index = lru_cache(INDEXES_MAX)(_read_index)
        self._chunk = lru_cache(CHUNKS_MAX)(_read_chunk)

    @classmethod
    def at(cls, url: str) -> "Archive":
        """Give the archive at ARCHIVE_URL. Raises SettingError for a scheme that is not there."""
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
            raise SettingError("ARCHIVE_URL as file:///absolute/path", url, "set ARCHIVE_URL, or leave it out")
        return cls(Path(unquote(parts.path)))

    async def streams(self) -> list[str]:
        """Give the names of all streams that it holds something of. Raises Unreachable."""
        return await self._reaching(self._streams)

    async def last(self, stream: str) -> int:
        """Give the last archived n of a stream, 0 where there is none; always from a fresh listing.

        Raises Unreachable, ArchiveRotten.
        """
        return await self._reaching(lambda: self._last(stream))

    async def indexes(self, stream: str) -> list[segment.Index]:
        """Give the indexes of all segments of a stream, oldest first. Raises Unreachable, ArchiveRotten."""
        return await self._reaching(lambda: [self._index(path) for path in self._list(stream)])

    async def newest_first(self, stream: str, choose: Callable[[Iterator[segment.Chunk]], T]) -> T:
        """Give what `choose` makes of the stream's chunks, newest first, of which only those it asks for are looked at.

        Raises Unreachable, ArchiveRotten.
        """
        return await self._reaching(lambda: choose(self._chunks_back(stream)))

    async def read(self, stream: str, after: int, limit: int = READ_ENTRIES_MAX) -> list[Recorded]:
        """Give up to `limit` events from n = after + 1 on; nothing where the archive does not hold that n."""
        return [codec.decode(stream, entry) for entry in await self.entries(stream, after + 1, limit)]

    async def entries(self, stream: str, n: int, limit: int = READ_ENTRIES_MAX) -> list[bytes]:
        """Give up to `limit` entries from n on, as bytes; nothing where the archive does not hold n.

        Raises Unreachable, ArchiveRotten.
        """
        return await self._reaching(lambda: self._entries(stream, n, limit))

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
        hole, ArchiveRotten where it cannot be read back as it is, Unreachable.
        """
        return await self._reaching(lambda: self._put(stream, entries))

    async def sweep(self, stream: str) -> None:
        """Remove what a crash on this host left half written; call it where nobody else on this host puts segments."""
        await self._reaching(lambda: self._sweep(stream))

    async def _reaching(self, work: Callable[[], T]) -> T:
        try:
            return await in_thread(work)
        except OSError as error:
            self._listed.clear()
            raise Unreachable(
                f"the archive in {self.folder}", f"{type(error).__name__}: {error}", "is that disk there, with rights?"
            ) from error

    def _streams(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(each.name for each in self.folder.iterdir() if self._list(each.name))

    def _sweep(self, stream: str) -> None:
        for left in (self.folder / stream).glob(f"*.{socket.gethostname()}.*{disk.BESIDE_SUFFIX}"):
            left.unlink()

    def _list(self, stream: str) -> list[Path]:
        """Give the stream's segments, oldest first, from a fresh listing."""
        paths = sorted((self.folder / stream).glob(NAME_PATTERN + segment.SUFFIX))
        self._listed[stream] = paths
        return paths

    def _last(self, stream: str) -> int:
        paths = self._list(stream)
        return self._index(paths[-1]).last if paths else 0

    def _chunks_back(self, stream: str) -> Iterator[segment.Chunk]:
        for path in reversed(self._list(stream)):
            yield from reversed(self._index(path).chunks)

    def _holding(self, stream: str, n: int) -> Path | None:
        """Give the segment that holds n; the directory is only listed for an n behind what was seen last."""
        paths = self._listed.get(stream)
        if not paths or self._index(paths[-1]).last < n:
            paths = self._list(stream)
        place = bisect_right(paths, n, key=_first) - 1
        return paths[place] if place >= 0 and self._index(paths[place]).last >= n else None

    def _entries(self, stream: str, n: int, limit: int) -> list[bytes]:
        path = self._holding(stream, n)
        found: list[bytes] = []
        for chunk in self._index(path).chunks if path else []:
            if chunk.last >= n and len(found) < limit:
                found += self._chunk(path, chunk)[max(0, n - chunk.first) :]
        return found[:limit]

    def _put(self, stream: str, entries: list[bytes]) -> segment.Index:
        first = codec.entry_n(entries[0])
        folder = self.folder / stream
        disk.make_folder(folder)
        path = folder / f"{first:0{NAME_DIGITS}d}{segment.SUFFIX}"
        archived = self._last(stream)
        if first != archived + 1 and not path.exists():
            raise _conflict(f"the segment {path} to begin at {archived + 1}", f"it begins at {first}")
        beside = folder / f"{path.name}.{socket.gethostname()}.{uuid.uuid4().hex}{disk.BESIDE_SUFFIX}"
        disk.create_only(path, segment.build(stream, entries), beside)
        _compare(path, entries)
        return self._index(path)


def _compare(path: Path, entries: list[bytes]) -> None:
    """Read a segment back. Raises ArchiveConflict where it holds anything but these entries."""
    place = 0
    for found in segment.read_all(_ranges(path), str(path)):
        if found != entries[place : place + len(found)]:
            place = -1
            break
        place += len(found)
    if place != len(entries):
        raise _conflict(f"{path} to be free or to hold the same {len(entries)} records", "a segment of other content")


def _conflict(wanted: str, found: str) -> ArchiveConflict:
    return ArchiveConflict(wanted, found, "two archivers or two writers are at work: stop one, and run bahi verify")


def _read_index(path: Path) -> segment.Index:
    index = segment.read_index(_ranges(path), str(path))
    if (index.stream, index.first) != (path.parent.name, _first(path)):
        raise ArchiveConflict(
            f"{path} to hold its stream from its own n on",
            f"{index.stream} from {index.first}",
            "it was moved there: put it back in its place",
        )
    return index


def _read_chunk(path: Path, chunk: segment.Chunk) -> list[bytes]:
    return segment.read_chunk(_ranges(path), str(path), chunk)


def _first(path: Path) -> int:
    return int(path.name.removesuffix(segment.SUFFIX))


def _ranges(path: Path) -> segment.RangeReader:
    def read(offset: int, length: int) -> bytes:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            start = offset if offset >= 0 else max(0, end + offset)
            if start > end:
                return b""  # a rotten footer points anywhere
            file.seek(start)
            return file.read(length)

    return read
