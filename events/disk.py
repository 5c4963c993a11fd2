"""The few things that spool and archive ask of a disk, and what is durable after each.

Everything that must survive a power cut goes through here: a file appears whole or not at all (written beside,
fdatasynced, renamed, folder fsynced), a new folder is known to the one above it, and appended bytes count only after
`sync`. All of it is asked of the kernel by the names `os` and `fcntl` of this module, and the spool asks nobody else:
a simulated kernel put under these two names sees every step, and may crash between any two of them.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.errors import Unreachable

BESIDE_SUFFIX = ".new"  # of a file that is being written; one that a crash left behind is written over or removed
READ_BYTES = 1 << 20  # of one more look whether a file has grown while it was read
_FULL = {errno.ENOSPC, errno.EDQUOT}  # a full disk is waited for; any other failure of a disk is not
_FOREIGN = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.EROFS}  # of a folder that nobody like us can have made


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durable when this returns. Raises Unreachable on a full disk.

    Those that are there already are synced as well: who made them may have been killed before he came to it.
    """
    if folder == folder.parent:
        return
    make_folder(folder.parent)
    made = not _is_folder(folder)
    if made:
        with _room_for(0, folder.parent), suppress(FileExistsError):
            os.mkdir(folder)
    try:
        sync_folder(folder.parent)
    except OSError as error:
        if made or error.errno not in _FOREIGN:
            raise


def lock(path: Path) -> int | None:
    """Take the lock that a file stands for, until its handle is closed; None where another process has it.

    Raises Unreachable where a full disk has no room for the file.
    """
    with _room_for(0, path.parent):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def names(folder: Path) -> list[str]:
    """Give the names in a folder, in order; none where there is no such folder."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def size(path: Path) -> int:
    """Give the bytes of a file."""
    return os.stat(path).st_size


def read(path: Path) -> bytes:
    """Give the content of a file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        pieces = [os.read(handle, os.fstat(handle).st_size + 1)]
        while pieces[-1]:  # a large file comes in several pieces
            pieces.append(os.read(handle, READ_BYTES))
    finally:
        os.close(handle)
    return b"".join(pieces)


def read_part(path: Path, offset: int, length: int) -> bytes:
    """Give up to `length` bytes of a file from `offset` on; a negative one counts from the end.

    An offset from before the beginning means the beginning, one behind the end gives nothing.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        end = os.fstat(handle).st_size
        start = offset if offset >= 0 else max(0, end + offset)
        pieces, rest = [], min(length, end - start)  # what is rotten may point anywhere, and ask for any length
        while rest > 0 and (piece := os.pread(handle, rest, start)):
            pieces.append(piece)
            start, rest = start + len(piece), rest - len(piece)
    finally:
        os.close(handle)
    return b"".join(pieces)


def create(path: Path, content: bytes) -> None:
    """Make a file with this content, durable when this returns. An existing one of that name is replaced.

    Raises Unreachable on a full disk; the name is then as it was.
    """
    beside = path.with_name(path.name + BESIDE_SUFFIX)
    _write_beside(beside, content)
    with _room_for(len(content), path.parent):
        os.replace(beside, path)
        sync_folder(path.parent)


def create_only(path: Path, content: bytes, beside: Path) -> bool:
    """Make a file under a name that is free; say whether it was free. The name is durable when this returns.

    `beside` is a name in the same folder that nobody else writes. Raises Unreachable on a full disk.
    """
    _write_beside(beside, content)
    free = True
    try:
        with _room_for(len(content), path.parent):
            os.link(beside, path)
    except FileExistsError:
        free = False
    finally:
        os.unlink(beside)
    sync_folder(path.parent)  # also of a name that another one gave: he may have been killed before he came to this
    return free


class Beside:
    """A file that is being written beside its place, piece by piece; made by `beside`."""

    def __init__(self, path: Path) -> None:
        """Begin an empty one, over what a crash may have left. Raises Unreachable on a full disk."""
        self.path = path
        self._beside = path.with_name(path.name + BESIDE_SUFFIX)
        with _room_for(0, path.parent):
            self._handle = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def append(self, content: bytes) -> None:
        """Write at its end. Raises Unreachable on a full disk."""
        append(self._handle, content, self._beside)

    def publish(self) -> None:
        """Bring it to its place, whole and durable when this returns."""
        os.fdatasync(self._handle)
        move(self._beside, self.path)

    def close(self) -> None:
        """Give back the room of one that was not published."""
        os.close(self._handle)
        with suppress(FileNotFoundError):
            os.unlink(self._beside)


@contextmanager
def beside(path: Path) -> Iterator[Beside]:
    """Give a file to write beside `path`; nothing is left of it where `publish` is not reached."""
    file = Beside(path)
    try:
        yield file
    finally:
        file.close()


def move(path: Path, to: Path) -> None:
    """Give a file another name on the same disk, durably. Raises Unreachable on a full disk."""
    with _room_for(0, to.parent):
        os.replace(path, to)
        sync_folder(to.parent)
        if to.parent != path.parent:
            sync_folder(path.parent)


def open_end(path: Path) -> int:
    """Give a handle that appends to a file and can cut it."""
    return os.open(path, os.O_RDWR | os.O_APPEND)


def close(handle: int) -> None:
    """Let go of a file; of a lock, too."""
    os.close(handle)


def append(handle: int, content: bytes, path: Path) -> None:
    """Write at the end of an open file. On a full disk the file is as it was before, and Unreachable is raised."""
    start = os.fstat(handle).st_size
    with _room_for(len(content), path.parent):
        try:
            _write_all(handle, content)
        except OSError:
            os.ftruncate(handle, start)
            raise


def cut(handle: int, length: int) -> None:
    """Cut a file to `length` bytes; it counts after `sync`."""
    os.ftruncate(handle, length)


def sync(handle: int) -> None:
    """Wait until all that was appended is on the disk."""
    os.fdatasync(handle)


def remove(path: Path) -> None:
    """Remove a file, durably."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _write_beside(beside: Path, content: bytes) -> None:
    with _room_for(len(content), beside.parent):
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(handle, content)
            os.fdatasync(handle)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(beside)  # what cannot be finished gives its room back
            raise
        finally:
            os.close(handle)


def _write_all(handle: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(handle, rest) :]


@contextmanager
def _room_for(size: int, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Unreachable(f"room for {size} bytes in {folder}", str(error), "free some space on that disk") from error
