"""The few things that spool and archive ask of a disk, and what is durable after each.

Everything that must survive a power cut goes through here: a file appears whole or not at all (written beside,
fdatasynced, renamed, folder fsynced), a new folder is known to the one above it, and appended bytes count only after
`sync`. A simulator can stand in for it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import Unreachable

BESIDE_SUFFIX = ".new"  # of a file that is being written; one that a crash left behind is written over or removed
_FULL = {errno.ENOSPC, errno.EDQUOT}  # a full disk is waited for; any other failure of a disk is not


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durable when this returns. Raises Unreachable on a full disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with _room_for(0, folder.parent):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def create(path: Path, content: bytes) -> None:
    """Make a file with this content, durable when this returns. An existing one of that name is replaced.

    Raises Unreachable on a full disk; the name is then as it was.
    """
    beside = path.with_name(path.name + BESIDE_SUFFIX)
    _write_beside(beside, content)
    with _room_for(len(content), path.parent):
        beside.replace(path)
        sync_folder(path.parent)


def create_only(path: Path, content: bytes, beside: Path) -> bool:
    """Make a file under a name that is free, durable when this returns; say whether it was free.

    `beside` is a name in the same folder that nobody else writes. Raises Unreachable on a full disk.
    """
    _write_beside(beside, content)
    try:
        with _room_for(len(content), path.parent):
            path.hardlink_to(beside)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    sync_folder(path.parent)
    return True


def append(handle: int, content: bytes, path: Path) -> None:
    """Write at the end of an open file. On a full disk the file is as it was before, and Unreachable is raised."""
    start = os.fstat(handle).st_size
    with _room_for(len(content), path.parent):
        try:
            _write_all(handle, content)
        except OSError:
            os.ftruncate(handle, start)
            raise


def sync(handle: int) -> None:
    """Wait until all that was appended is on the disk."""
    os.fdatasync(handle)


def remove(path: Path) -> None:
    """Remove a file, durably."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_beside(beside: Path, content: bytes) -> None:
    with _room_for(len(content), beside.parent):
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(handle, content)
            os.fdatasync(handle)
        except OSError:
            beside.unlink(missing_ok=True)  # what cannot be finished gives its room back
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
