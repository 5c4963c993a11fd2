"""The spool: a stream's records on this machine's disk, before anyone else knows of them.

Promise: what `write` and `sync` returned for is on the disk, in order, dense in n, and stays there until it is in the
archive.

    <data>/spool/<stream>/lock                        held by the one writer (design rule 1)
    <data>/spool/<stream>/archive.lock                held for a round of the archiver, or for a takeover
    <data>/spool/<stream>/00000000000000000001.spool  the first n of the file is its name
    <data>/spool/<stream>/00000000000000018204.spool  a file is closed when a younger one exists

A file is a header and records; a record is a length and an entry of `events.codec`, whose checksum it carries:

    "BAHISPL1" | length u16, stream | first n u64 | crc32 of all this u32 | (length u32 | entry)*

The length's top bit is set on the record that opens a commit. A commit is written only when the one before it is
synced, and that is what tells two kinds of damage apart:

- a torn tail: a crash leaves a part of the last commit, perhaps without its beginning. It was never synced, so nobody
  was told of it, and it is cut at the next start;
- a disk that forgot: a bad record in a closed file, or one behind which another commit opens. It had been synced, and
  perhaps no one else has it: `SpoolMismatch`.

Other failures. A full disk leaves the file as it was and raises `Unreachable`; a failed fdatasync is never tried
again, because the kernel may have dropped the pages that it could not write: the process ends, and the next start
reads what is really there.
"""

import re
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec

from events import codec, disk
from events.event import EVENT_BYTES_MAX
from runtime.errors import SpoolMismatch, Unreachable

MAGIC = b"BAHISPL1"
SUFFIX = ".spool"
ARCHIVE_LOCK = "archive.lock"
NAME_DIGITS = 20  # names sort as numbers up to 2^64
NAME_PATTERN = "[0-9]" * NAME_DIGITS
NAME = re.compile(NAME_PATTERN + re.escape(SUFFIX))
RECORD_HEAD = struct.Struct(">I")
OPENS_COMMIT = 1 << 31
ENTRY_BYTES_MAX = codec.HEAD_BYTES + 255 + EVENT_BYTES_MAX
assert ENTRY_BYTES_MAX < OPENS_COMMIT, "the length of an entry leaves the top bit free"
SEARCH_RECORDS_MAX = 256  # a bad page of 4 KB held at most about a hundred; behind it the numbers go on
_FIRST = struct.Struct(">Q")
_KEEP_ASIDE = "the disk is failing or the file was changed: keep the file aside and see docs/durability.md"


def file_name(first: int) -> str:
    """Give the name of the spool file that begins at n = first."""
    return f"{first:0{NAME_DIGITS}d}{SUFFIX}"


def header(stream: str, first: int) -> bytes:
    """Give the header of a spool file."""
    name = stream.encode()
    head = MAGIC + len(name).to_bytes(2, "big") + name + _FIRST.pack(first)
    return head + zlib.crc32(head).to_bytes(4, "big")


def record(entry: bytes, opens_commit: bool = False) -> bytes:
    """Give an entry as it stands in a file."""
    return RECORD_HEAD.pack(len(entry) | (OPENS_COMMIT if opens_commit else 0)) + entry


def joined(entries: Sequence[bytes]) -> bytes:
    """Give entries as they stand in a file, one behind the other."""
    pieces: list[bytes] = []
    for entry in entries:
        pieces += (RECORD_HEAD.pack(len(entry)), entry)
    return b"".join(pieces)


def records(content: bytes | memoryview, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Give (offset behind it, entry) for each whole record from `start` on, up to the first that is not."""
    end = len(content)
    while start + RECORD_HEAD.size <= end:
        size = RECORD_HEAD.unpack_from(content, start)[0] & ~OPENS_COMMIT
        stop = start + RECORD_HEAD.size + size
        if size > ENTRY_BYTES_MAX or stop > end:
            return
        entry = bytes(content[start + RECORD_HEAD.size : stop])
        if not codec.intact(entry):
            return
        yield stop, entry
        start = stop


def opens_later(rest: bytes, n: int) -> bool:
    """Say whether in `rest`, which begins with a record n that is not whole, a whole record opens a later commit."""
    head = RECORD_HEAD.size + codec.N_OFFSET
    for later in range(n + 1, n + 1 + SEARCH_RECORDS_MAX):
        at = rest.find(_FIRST.pack(later))
        while at >= 0:
            if at >= head and _opens_commit(rest, at - head):
                return True
            at = rest.find(_FIRST.pack(later), at + 1)
    return False


def _opens_commit(rest: bytes, start: int) -> bool:
    (size,) = RECORD_HEAD.unpack_from(rest, start)
    return bool(size & OPENS_COMMIT) and next(records(rest, start), None) is not None


class Scan(msgspec.Struct, frozen=True):
    """What a file holds: its whole entries, the offset behind the last of them, the bytes that follow."""

    entries: list[bytes]
    good: int
    rest: bytes


class SpoolFile:
    """One file of a spool, as it is on the disk now."""

    def __init__(self, path: Path) -> None:
        """Name a file; nothing is read."""
        self.path = path
        self.first = int(path.name.removesuffix(SUFFIX))

    def scan(self, stream: str) -> Scan:
        """Read the file. Raises SpoolMismatch for a wrong header or an n out of order."""
        content = disk.read(self.path)
        head = header(stream, self.first)
        if content[: len(head)] != head:
            raise self._mismatch(f"a spool file of {stream} from {self.first}", "another header")
        entries: list[bytes] = []
        good = len(head)
        for stop, entry in records(content, good):
            n = self.first + len(entries)
            if codec.entry_n(entry) != n:
                raise self._mismatch(f"n = {n}", f"n = {codec.entry_n(entry)}")
            entries.append(entry)
            good = stop
        return Scan(entries, good, content[good:])

    def entries(self, stream: str) -> list[bytes]:
        """Read all whole entries. Raises as `scan` does."""
        return self.scan(stream).entries

    def closed_entries(self, stream: str, last: int) -> list[bytes]:
        """Read a closed file, which must hold all up to n = last and nothing more. Raises SpoolMismatch."""
        scan = self.scan(stream)
        end = self.first + len(scan.entries) - 1
        if scan.rest or end != last:
            raise self._mismatch(f"whole records up to n = {last}", f"{len(scan.rest)} bytes behind n = {end}")
        return scan.entries

    def _mismatch(self, wanted: str, found: str) -> SpoolMismatch:
        return SpoolMismatch(f"{wanted} in {self.path}", found, _KEEP_ASIDE)


def closed_files(folder: Path) -> list[tuple[SpoolFile, int]]:
    """Give the closed files of a spool folder, oldest first, each with its last n: all but the youngest."""
    return [(file, younger.first - 1) for file, younger in pairwise(spool_files(folder))]


def spool_files(folder: Path) -> list[SpoolFile]:
    """Give the files of a spool folder, oldest first."""
    return [SpoolFile(folder / name) for name in disk.names(folder) if NAME.fullmatch(name)]


def take_archive_lock(folder: Path) -> int:
    """Take the lock that archivers hold for each round, and takeovers; to be let go by `disk.close`.

    Raises Unreachable while another one has it, OSError where there is no such folder.
    """
    lock = disk.lock(folder / ARCHIVE_LOCK)
    if lock is None:
        raise Unreachable(
            f"to be alone with the closed files of {folder}",
            "another archiver, or a writer that takes the stream over",
            "it is tried again; if it stays so, two archivers are at work: stop one",
        )
    return lock


class Spool:
    """The one writer's hand on a stream's spool folder."""

    def __init__(self, folder: Path, stream: str) -> None:
        """Take the folder's lock. Raises SpoolMismatch where another process has it. Nothing is read yet."""
        self.folder = folder
        self.stream = stream
        disk.make_folder(folder)
        lock = disk.lock(folder / "lock")
        if lock is None:
            raise SpoolMismatch(
                f"to be the one writer of {stream}",
                f"another process that holds {folder / 'lock'}",
                "stop that one first; a stream has one writer",
            )
        self._lock = lock
        self.first = 0  # of the youngest file
        self.last = 0  # n of the last record written; 0 while there is none
        self.size = 0  # bytes of the youngest file
        self._path = folder / file_name(0)
        self._handle = -1
        # Held while a thread writes: a cancelled caller lets go of the spool only when its write has ended.
        self._busy = threading.Lock()

    def load(self) -> bool:
        """Read what is on the disk, cutting a torn tail of the youngest file; say whether it holds any record.

        Raises SpoolMismatch for a bad record in any other place.
        """
        for file, last in closed_files(self.folder):
            try:
                file.closed_entries(self.stream, last)
            except FileNotFoundError:
                continue  # archived and removed since the listing
        files = spool_files(self.folder)
        if not files:
            return False
        youngest, scan = files[-1], files[-1].scan(self.stream)
        last = youngest.first + len(scan.entries) - 1
        if opens_later(scan.rest, last + 1):
            raise SpoolMismatch(
                f"a whole record {last + 1} in {youngest.path}", "a bad one, with later commits behind it", _KEEP_ASIDE
            )
        self._open(youngest.path, youngest.first, last, scan.good)
        if scan.rest:
            disk.cut(self._handle, scan.good)
        # Before anything is sent from it (rule 7a); the file's name too: its maker may have died before he synced it.
        disk.sync_folder(self.folder)
        disk.sync(self._handle)
        return last > 0

    def begin(self, first: int) -> None:
        """Close the youngest file by the existence of a new, empty one that begins at n = first.

        Raises Unreachable on a full disk; then nothing has changed.
        """
        assert first == self.last + 1 or self.last == 0, "files follow each other without a hole"
        path = self.folder / file_name(first)
        with self._busy:
            disk.create(path, header(self.stream, first))
            self._open(path, first, first - 1, len(header(self.stream, first)))

    def _open(self, path: Path, first: int, last: int, size: int) -> None:
        if self._handle >= 0:
            disk.close(self._handle)
        self._handle = disk.open_end(path)
        self._path, self.first, self.last, self.size = path, first, last, size

    def write(self, entries: list[bytes]) -> None:
        """Write one commit behind the last one; it counts after `sync`. Raises Unreachable on a full disk."""
        assert codec.entry_n(entries[0]) == self.last + 1, "n is dense"
        content = record(entries[0], opens_commit=True) + joined(entries[1:])
        with self._busy:
            disk.append(self._handle, content, self._path)
            self.last += len(entries)
            self.size += len(content)
        assert codec.entry_n(entries[-1]) == self.last

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        with self._busy:
            disk.sync(self._handle)

    def read(self, n: int) -> list[bytes]:
        """Give the entries from n to the end of the file that holds it, synced or not; none where no file does.

        Where no file holds an n of the past the archive does. Raises SpoolMismatch where the file should hold it.
        """
        written = self.last  # asked first: what is written by now is in the file that is read next
        holding = [file for file in spool_files(self.folder) if file.first <= n]
        if not holding:
            return []
        try:
            entries = holding[-1].entries(self.stream)
        except FileNotFoundError:  # archived and removed between the listing and the reading
            return []
        found = entries[n - holding[-1].first :]
        if not found and n <= written:
            raise SpoolMismatch(f"a whole record {n} in {holding[-1].path}", "a bad one at or before it", _KEEP_ASIDE)
        return found

    def oldest(self) -> int:
        """Give the first n that the spool still holds, or would hold next; last + 1 where it has no file."""
        files = spool_files(self.folder)
        return files[0].first if files else self.last + 1

    def held_bytes(self) -> int:
        """Give the size of all its files."""
        size = 0
        for file in spool_files(self.folder):
            with suppress(FileNotFoundError):  # archived and removed since the listing
                size += disk.size(file.path)
        return size

    def close(self) -> None:
        """Let go of file and lock, once no write is under way."""
        with self._busy:
            if self._handle >= 0:
                disk.close(self._handle)
                self._handle = -1
            disk.close(self._lock)
