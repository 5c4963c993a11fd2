"""The spool: a stream's records on this machine's disk, before anyone else knows of them.

Promise: what `commit` returned for is on the disk, in order, dense in n, and stays there until it is in the archive.

    <data>/spool/<stream>/lock                        held by the one writer (design rule 1)
    <data>/spool/<stream>/00000000000000000001.spool  the first n of the file is its name
    <data>/spool/<stream>/00000000000000018204.spool  a file is closed when a younger one exists

A file is a header and records; a record is a length and an entry of `events.codec`, whose checksum it carries:

    "BAHISPL1" | length u16, stream | first n u64 | crc32 of all this u32 | (length u32 | entry)*

Failures. A crash leaves a torn tail in the youngest file: it was never synced, so nobody was told of it, and it is
cut at the next start. A bad record anywhere else is a disk that forgot: `SpoolMismatch`. A full disk leaves the file
as it was and raises `Unreachable`; a failed fdatasync is never tried again, because the kernel may have dropped the
pages that it could not write: the process ends, and the next start reads what is really there.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from events import codec, disk
from runtime.errors import SpoolMismatch

MAGIC = b"BAHISPL1"
SUFFIX = ".spool"
NAME_DIGITS = 20  # names sort as numbers up to 2^64
RECORD_HEAD = struct.Struct(">I")
_FIRST = struct.Struct(">Q")
ENTRY_BYTES_MAX = codec.HEAD_BYTES + 255 + codec.EVENT_BYTES_MAX


def file_name(first: int) -> str:
    """Give the name of the spool file that begins at n = first."""
    return f"{first:0{NAME_DIGITS}d}{SUFFIX}"


def header(stream: str, first: int) -> bytes:
    """Give the header of a spool file."""
    name = stream.encode()
    head = MAGIC + len(name).to_bytes(2, "big") + name + _FIRST.pack(first)
    return head + zlib.crc32(head).to_bytes(4, "big")


def record(entry: bytes) -> bytes:
    """Give an entry as it stands in a file."""
    return RECORD_HEAD.pack(len(entry)) + entry


def records(content: bytes | memoryview, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Give (offset behind it, entry) for each whole record from `start` on, up to the first that is not."""
    end = len(content)
    while start + RECORD_HEAD.size <= end:
        (size,) = RECORD_HEAD.unpack_from(content, start)
        stop = start + RECORD_HEAD.size + size
        if size > ENTRY_BYTES_MAX or stop > end:
            return
        entry = bytes(content[start + RECORD_HEAD.size : stop])
        if not codec.intact(entry):
            return
        yield stop, entry
        start = stop


class SpoolFile:
    """One file of a spool, as it is on the disk now."""

    def __init__(self, path: Path) -> None:
        """Name a file; nothing is read."""
        self.path = path
        self.first = int(path.name.removesuffix(SUFFIX))

    def entries(self, stream: str) -> list[bytes]:
        """Read all whole entries. Raises SpoolMismatch for a wrong header or an n out of order."""
        return self.scan(stream)[0]

    def scan(self, stream: str) -> tuple[list[bytes], int, int]:
        """Read the file: its whole entries, the offset behind the last of them, the size of the file."""
        content = self.path.read_bytes()
        head = header(stream, self.first)
        if content[: len(head)] != head:
            raise SpoolMismatch(
                f"a spool file of {stream} from {self.first}",
                f"another header in {self.path}",
                "the disk is failing or the file was changed: keep it aside and see docs/durability.md",
            )
        entries, good = [], len(head)
        for good, entry in records(content, len(head)):
            if codec.entry_n(entry) != self.first + len(entries):
                raise SpoolMismatch(
                    f"n = {self.first + len(entries)} in {self.path}",
                    f"n = {codec.entry_n(entry)}",
                    "the file was changed: keep it aside and see docs/durability.md",
                )
            entries.append(entry)
        return entries, good, len(content)


def closed_files(folder: Path) -> list[SpoolFile]:
    """Give the closed files of a spool folder, oldest first: all but the youngest."""
    return spool_files(folder)[:-1]


def spool_files(folder: Path) -> list[SpoolFile]:
    """Give the files of a spool folder, oldest first."""
    return [SpoolFile(path) for path in sorted(folder.glob("*" + SUFFIX))]


class Spool:
    """The one writer's hand on a stream's spool folder."""

    def __init__(self, folder: Path, stream: str) -> None:
        """Take the folder's lock. Raises SpoolMismatch where another process has it. Nothing is read yet."""
        self.folder = folder
        self.stream = stream
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SpoolMismatch(
                f"to be the one writer of {stream}",
                f"another process that holds {folder / 'lock'}",
                "stop that one first; a stream has one writer",
            ) from None
        self.first = 0  # of the youngest file
        self.last = 0  # n of the last record on disk; 0 while there is no file
        self.size = 0  # bytes of the youngest file
        self._handle = -1

    def load(self) -> bool:
        """Read what is on the disk, cutting a torn tail of the youngest file; say whether there is anything.

        Raises SpoolMismatch for a bad record in any other place.
        """
        files = spool_files(self.folder)
        for file, younger in zip(files, files[1:], strict=False):
            entries, good, size = file.scan(self.stream)
            if good != size or file.first + len(entries) != younger.first:
                raise SpoolMismatch(
                    f"whole records up to {younger.first - 1} in {file.path}",
                    f"a bad one behind {file.first + len(entries) - 1}",
                    "the disk is failing: keep the file aside and see docs/durability.md",
                )
        if not files:
            return False
        entries, good, size = files[-1].scan(self.stream)
        self._open(files[-1].path, files[-1].first, files[-1].first + len(entries) - 1, good)
        if good != size:
            os.ftruncate(self._handle, good)
        disk.sync(self._handle)  # before anything is sent from it (rule 7a)
        return True

    def begin(self, first: int) -> None:
        """Close the youngest file by the existence of a new, empty one that begins at n = first."""
        assert first == self.last + 1 or self.last == 0, "files follow each other without a hole"
        path = self.folder / file_name(first)
        disk.create(path, header(self.stream, first))
        self._open(path, first, first - 1, len(header(self.stream, first)))

    def _open(self, path: Path, first: int, last: int, size: int) -> None:
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND)
        self._path, self.first, self.last, self.size = path, first, last, size

    def write(self, entries: list[bytes]) -> None:
        """Write entries behind the last one; they count after `sync`. Raises Unreachable on a full disk."""
        assert codec.entry_n(entries[0]) == self.last + 1, "n is dense"
        content = b"".join([record(entry) for entry in entries])
        disk.append(self._handle, content, self._path)
        self.last += len(entries)
        self.size += len(content)
        assert codec.entry_n(entries[-1]) == self.last

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        disk.sync(self._handle)

    def read(self, n: int) -> list[bytes]:
        """Give the entries from n to the end of the file that holds it; nothing where no file does (see archive)."""
        holding = [file for file in spool_files(self.folder) if file.first <= n]
        if not holding:
            return []
        try:
            entries = holding[-1].entries(self.stream)
        except FileNotFoundError:  # archived and deleted between the listing and the reading
            return []
        return entries[n - holding[-1].first :]

    def oldest(self) -> int:
        """Give the first n that the spool still holds; last + 1 where it holds none."""
        files = spool_files(self.folder)
        return files[0].first if files else self.last + 1

    def close(self) -> None:
        """Let go of file and lock."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        os.close(self._lock)
