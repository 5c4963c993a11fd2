"""The archive: every segment of every stream, for ever. The listing alone is the manifest.

    <archive>/<stream>/00000000000000000001.seg

A segment's name is its first n and is given once: putting is create-only, so two archivers cannot both give it. The
last n stands in the segment's own index. Segments of a stream follow each other without a hole.
"""

import asyncio
import os
from pathlib import Path
from urllib.parse import urlsplit

from events import codec, disk, segment
from events.event import Recorded
from events.spool import NAME_DIGITS
from runtime.errors import ArchiveConflict, SettingError

READ_ENTRIES_MAX = 4096  # one read from the archive; a reader that is far behind takes large steps


class Archive:
    """The archive in a folder of this machine (ARCHIVE_URL=file:///...)."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made at the first segment."""
        self.folder = folder
        self._indexes: dict[Path, segment.Index] = {}  # segments never change, so neither do their indexes
        self._chunk: tuple[Path, int, list[bytes]] | None = None  # the chunk that was read last

    @classmethod
    def at(cls, url: str) -> "Archive":
        """Give the archive at ARCHIVE_URL. Raises SettingError for a scheme that is not there."""
        parts = urlsplit(url)
        if parts.scheme != "file" or not parts.path.startswith("/"):
            raise SettingError("ARCHIVE_URL as file:///absolute/path", url, "set ARCHIVE_URL, or leave it out")
        return cls(Path(parts.path))

    async def streams(self) -> list[str]:
        """Give the names of all streams that it holds something of."""
        return await asyncio.to_thread(self._streams)

    def _streams(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(each.name for each in self.folder.iterdir() if self._segments(each.name))

    async def last(self, stream: str) -> int:
        """Give the last archived n of a stream, 0 where there is none; always from a fresh listing."""
        return await asyncio.to_thread(self._last, stream)

    def _last(self, stream: str) -> int:
        paths = self._segments(stream)
        return self._index(paths[-1]).last if paths else 0

    async def indexes(self, stream: str) -> list[segment.Index]:
        """Give the indexes of all segments of a stream, oldest first."""
        return await asyncio.to_thread(lambda: [self._index(path) for path in self._segments(stream)])

    async def read(self, stream: str, after: int, limit: int = READ_ENTRIES_MAX) -> list[Recorded]:
        """Give up to `limit` events from n = after + 1 on; nothing where the archive does not hold that n."""
        entries = await asyncio.to_thread(self._read, stream, after + 1, limit)
        return [codec.decode(stream, entry) for entry in entries]

    async def entries(self, stream: str, n: int, limit: int = READ_ENTRIES_MAX) -> list[bytes]:
        """Give up to `limit` entries from n on, as bytes; nothing where the archive does not hold n."""
        return await asyncio.to_thread(self._read, stream, n, limit)

    def _read(self, stream: str, n: int, limit: int) -> list[bytes]:
        found: list[bytes] = []
        paths = [path for path in self._segments(stream) if _first(path) <= n]
        if not paths:
            return found
        path = paths[-1]
        for place, chunk in enumerate(self._index(path).chunks):
            if chunk.last < n:
                continue
            entries = self._read_chunk(path, place, chunk)
            found += entries[max(0, n - chunk.first) :]
            if len(found) >= limit:
                break
        return found[:limit]

    def _read_chunk(self, path: Path, place: int, chunk: segment.Chunk) -> list[bytes]:
        if self._chunk is None or self._chunk[:2] != (path, place):
            self._chunk = (path, place, segment.read_chunk(_ranges(path), str(path), chunk))
        return self._chunk[2]

    async def first_at(self, stream: str, at_ns: int) -> int:
        """Give an n at or before the first event received at or after at_ns, by the index; last + 1 if none is."""
        for index in await self.indexes(stream):
            for chunk in index.chunks:
                if chunk.last_at_ns >= at_ns:
                    return chunk.first
        return await self.last(stream) + 1

    async def put(self, stream: str, entries: list[bytes]) -> segment.Index:
        """Add a segment, durable when this returns. Raises ArchiveConflict where its name holds other content."""
        return await asyncio.to_thread(self._put, stream, entries)

    def _put(self, stream: str, entries: list[bytes]) -> segment.Index:
        folder = self.folder / stream
        if not folder.is_dir():
            folder.mkdir(parents=True)
            disk.sync_folder(folder.parent)
        path = folder / f"{codec.entry_n(entries[0]):0{NAME_DIGITS}d}{segment.SUFFIX}"
        beside = folder / f"{path.name}.{os.getpid()}.new"
        disk.create(beside, segment.build(stream, entries))
        if not disk.publish(beside, path) and self._read(stream, _first(path), len(entries) + 1) != entries:
            raise ArchiveConflict(
                f"{path} to be free or to hold the same {len(entries)} records",
                "a segment with other content",
                "two archivers or two writers are at work: stop one, and run bahi verify",
            )
        return self._index(path)

    def _segments(self, stream: str) -> list[Path]:
        return sorted((self.folder / stream).glob("*" + segment.SUFFIX))

    def _index(self, path: Path) -> segment.Index:
        if path not in self._indexes:
            self._indexes[path] = segment.read_index(_ranges(path), str(path))
        return self._indexes[path]


def _first(path: Path) -> int:
    return int(path.name.removesuffix(segment.SUFFIX))


def _ranges(path: Path) -> segment.RangeReader:
    def read(offset: int, length: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            return file.read(length)

    return read
