"""The few things that spool and archive ask of a disk, and what is durable after each.

Everything that must survive a power cut goes through here: a file appears whole or not at all (written beside,
fdatasynced, renamed, folder fsynced), and appended bytes count only after `sync`. A simulator can stand in for it.
"""

import errno
import os
from pathlib import Path

from runtime.errors import Unreachable

_WAITING = {errno.ENOSPC, errno.EDQUOT}  # a full disk is waited for; any other failure of a disk is not


def create(path: Path, content: bytes) -> None:
    """Make a file with this content, durable when this returns. An existing one of that name is replaced."""
    beside = path.with_name(path.name + ".new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(handle, content, path)
        os.fdatasync(handle)
    finally:
        os.close(handle)
    os.replace(beside, path)
    sync_folder(path.parent)


def publish(beside: Path, path: Path) -> bool:
    """Give a written and synced file its name unless the name is taken; say whether it was free."""
    try:
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    sync_folder(path.parent)
    return True


def append(handle: int, content: bytes, path: Path) -> None:
    """Write at the end of an open file. On a full disk the file is as it was before, and Unreachable is raised."""
    _write_all(handle, content, path)


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


def _write_all(handle: int, content: bytes, path: Path) -> None:
    start = os.fstat(handle).st_size
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError as error:
        os.ftruncate(handle, start)
        if error.errno in _WAITING:
            raise Unreachable(
                f"room for {len(content)} bytes in {path.parent}", str(error), "free some space on that disk"
            ) from error
        raise
