"""The archive's segments as the audit finds them, listed and read by code of its own.

`events.archive` keeps what it has read, and lists only what is new: right for those who follow the log, and a place
where a mistake would hide. Here each listing is whole and each segment is read anew. Only how a bucket is reached is
taken from there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from events import bucket, segment, spool
from runtime.errors import Unreachable
from runtime.settings import Settings

# A segment is read in one request. The largest that SPOOL_FILE_BYTES allows takes this long over 10 megabits a second.
REQUEST_SECONDS = 900.0


class Segments(Protocol):
    """Where segments are. Each verb blocks, and raises Unreachable."""

    def streams(self) -> list[str]:
        """Give the folders at the top."""
        ...

    def names(self, stream: str) -> list[str]:
        """Give the names of a stream's segments, oldest first."""
        ...

    def path(self, stream: str, name: str) -> str:
        """Give a segment's place for people."""
        ...

    def ends(self, stream: str, name: str) -> segment.RangeReader:
        """Give a way to read a few bytes of a segment."""
        ...

    def whole(self, stream: str, name: str) -> segment.RangeReader:
        """Give a way to read all of a segment."""
        ...


class FolderSegments:
    """Segments in a folder."""

    def __init__(self, folder: Path) -> None:
        """Name the archive's folder."""
        self._folder = folder

    def streams(self) -> list[str]:
        """Give the folders at the top. Raises Unreachable."""
        with _asking(str(self._folder)):
            return [each.name for each in self._folder.iterdir() if each.is_dir()] if self._folder.is_dir() else []

    def names(self, stream: str) -> list[str]:
        """Give the names of a stream's segments, oldest first. Raises Unreachable."""
        with _asking(str(self._folder)):
            return sorted(path.name for path in (self._folder / stream).glob(spool.NAME_PATTERN + segment.SUFFIX))

    def path(self, stream: str, name: str) -> str:
        """Give a segment's place for people."""
        return str(self._folder / stream / name)

    def ends(self, stream: str, name: str) -> segment.RangeReader:
        """Give a way to read a few bytes of a segment. Raises Unreachable."""
        path = self._folder / stream / name

        def read(offset: int, length: int) -> bytes:
            with _asking(str(self._folder)), path.open("rb") as file:
                start = offset if offset >= 0 else max(0, path.stat().st_size + offset)
                file.seek(start)
                return file.read(length)

        return read

    def whole(self, stream: str, name: str) -> segment.RangeReader:
        """Give a way to read all of a segment. Raises Unreachable."""
        return self.ends(stream, name)


class BucketSegments:
    """Segments in a bucket."""

    def __init__(self, store: S3Store, place: str) -> None:
        """Take the store and how it is called."""
        self._store, self._place = store, place

    def streams(self) -> list[str]:
        """Give the folders at the top. Raises Unreachable."""
        with _asking(self._place):
            listed = obstore.list_with_delimiter(self._store)
            return [path.rpartition("/")[2] for path in listed["common_prefixes"]]

    def names(self, stream: str) -> list[str]:
        """Give the names of a stream's segments, oldest first. Raises Unreachable."""
        with _asking(self._place):
            pages = obstore.list(self._store, stream)
            found = [each["path"].rpartition("/")[2] for page in pages for each in page]
        return sorted(name for name in found if Path(name).match(spool.NAME_PATTERN + segment.SUFFIX))

    def path(self, stream: str, name: str) -> str:
        """Give a segment's place for people."""
        return f"{self._place}/{stream}/{name}"

    def ends(self, stream: str, name: str) -> segment.RangeReader:
        """Give a way to read a few bytes of a segment. Raises Unreachable."""
        path = f"{stream}/{name}"
        with _asking(self._place):
            size = obstore.head(self._store, path)["size"]

        def read(offset: int, length: int) -> bytes:
            start = offset if offset >= 0 else max(0, size + offset)
            end = min(size, start + length)
            if start >= end:
                return b""
            with _asking(self._place):
                return bytes(obstore.get_range(self._store, path, start=start, end=end))

        return read

    def whole(self, stream: str, name: str) -> segment.RangeReader:
        """Give a way to read all of a segment. Raises Unreachable."""
        with _asking(self._place):
            content = memoryview(bytes(obstore.get(self._store, f"{stream}/{name}").bytes()))

        def read(offset: int, length: int) -> bytes:
            start = offset if offset >= 0 else max(0, len(content) + offset)
            return bytes(content[start : start + length])

        return read


def at(settings: Settings) -> Segments:
    """Give the segments at ARCHIVE_URL, which `Archive.at` has looked at before."""
    parts = urlsplit(settings.archive_url)
    if parts.scheme == "s3":
        return BucketSegments(bucket.connect(settings, REQUEST_SECONDS), settings.archive_url)
    return FolderSegments(Path(unquote(parts.path)))


@contextmanager
def _asking(place: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise Unreachable(f"the archive in {place}", said, "bahi doctor says what is wrong with it") from error
