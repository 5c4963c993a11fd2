"""A shelf in a folder of this machine (ARCHIVE_URL=file:///...).

A segment is written beside its name, fdatasynced, and linked to it, which only one process can do; then the folder is
fsynced. What a crash leaves beside stays out of sight, and goes at the archiver's next start.
"""

import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from events import disk
from events.shelf import Name, first_of
from runtime.errors import Unreachable
from runtime.waiting import in_thread

T = TypeVar("T")


class Folder:
    """A shelf in a folder; it is made at the first segment."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is looked at yet."""
        self._path = path

    @property
    def place(self) -> str:
        """Give the folder's path."""
        return str(self._path)

    async def streams(self) -> list[str]:
        """Give the streams of which a segment stands here, sorted. Raises Unreachable."""
        return await self._reaching(lambda: [name for name in disk.names(self._path) if self._firsts(name)])

    async def firsts(self, stream: str, at_least: int) -> list[int]:
        """Give the first n of a stream's segments from `at_least` on, sorted. Raises Unreachable."""
        return await self._reaching(lambda: [first for first in self._firsts(stream) if first >= at_least])

    async def read(self, name: Name, offset: int, length: int) -> bytes:
        """Give up to `length` bytes from `offset` on, a negative one counted from the end. Raises Unreachable."""
        return await self._reaching(lambda: disk.read_part(self._path / str(name), offset, length))

    async def create(self, name: Name, content: bytes) -> bool:
        """Put a segment, say whether the name was free. Raises Unreachable, also on a full disk."""
        return await self._reaching(lambda: self._create(name, content))

    async def sweep(self, stream: str) -> None:
        """Remove what this host left half written, and make durable what is whole. Raises Unreachable."""
        await self._reaching(lambda: self._sweep(stream))

    def _firsts(self, stream: str) -> list[int]:
        try:
            found = map(first_of, disk.names(self._path / stream))
        except NotADirectoryError:
            return []  # a file beside the streams is none of ours
        return [first for first in found if first is not None]

    def _create(self, name: Name, content: bytes) -> bool:
        folder = self._path / name.stream
        disk.make_folder(folder)
        beside = folder / f"{name.file}{_mine()}{uuid.uuid4().hex}{disk.BESIDE_SUFFIX}"
        return disk.create_only(folder / name.file, content, beside)

    def _sweep(self, stream: str) -> None:
        folder = self._path / stream
        for left in disk.names(folder):
            if _mine() in left and left.endswith(disk.BESIDE_SUFFIX):
                disk.remove(folder / left)
        if disk.names(folder):
            disk.sync_folder(folder)  # a segment may be there that was linked, and not yet made durable, at the crash

    async def _reaching(self, work: Callable[[], T]) -> T:
        try:
            return await in_thread(work)
        except OSError as error:
            raise Unreachable(
                f"the archive in {self._path}", f"{type(error).__name__}: {error}", "is that disk there, with rights?"
            ) from error


def _mine() -> str:
    return f".{socket.gethostname()}."
