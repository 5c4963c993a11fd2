"""The kernel under `events.disk`: files, folders, locks, and what of them a power cut leaves.

What a process wrote lives in the cache of its host at once, and outlives its kill. On the disk is what was synced: of
a file its bytes by fdatasync, of a folder its names by fsync. A power cut leaves of the rest what it likes: any of the
unsynced sectors, any length between the two, any of the names that were made, moved or removed since.
"""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

from events import disk
from tests.simulation.timeline import OWNER, Owner

FOLDER_MODE, FILE_MODE = 0o40755, 0o100600
SECTOR_BYTES = (16, 512)  # a disk of today keeps 512 whole; the spool promises more than to rely on it


class Node:
    """A file or a folder. content: as everybody sees it. synced: as it is on the disk."""

    __slots__ = ("content", "folder", "lock", "synced")

    def __init__(self, folder: bool) -> None:
        self.folder = folder
        self.content = bytearray()
        self.synced = b""
        self.lock: int | None = None

    def lose_power(self, dice: random.Random) -> None:
        """Keep what was synced, and of the rest whatever comes."""
        old, new = self.synced, bytes(self.content)
        if old != new:
            length = dice.choice((len(old), len(new), dice.randint(*sorted((len(old), len(new))))))
            sector, share = dice.choice(SECTOR_BYTES), dice.choice((0.0, 0.5, 0.9, 1.0))
            left = bytearray()
            for start in range(0, length, sector):
                size = min(sector, length - start)
                source = new if dice.random() < share else old
                left += source[start : start + size].ljust(size, b"\0")
            self.content, self.synced = left, bytes(left)
        self.lock = None


class Opened:
    """An open file: whose, which, and how far it was read."""

    __slots__ = ("name", "node", "owner", "place")

    def __init__(self, owner: Owner | None, node: Node, name: str) -> None:
        self.owner, self.node, self.name, self.place = owner, node, name, 0


class Disk:
    """One host's disk."""

    def __init__(self) -> None:
        root = Node(folder=True)
        self.names: dict[str, Node] = {"/": root}
        self.synced: dict[str, Node] = {"/": root}
        # Changes of names not yet synced: folder, what is moved away, what stands under the name now.
        self.changes: list[tuple[str, str | None, str, Node | None]] = []
        self.handles: dict[int, Opened] = {}
        self.room: int | None = None  # bytes left, where it is nearly full
        self._next = 100

    def change(self, name: str, node: Node | None, moved_from: str | None = None) -> None:
        """Let a name stand for another file, or for none."""
        _apply(self.names, moved_from, name, node)
        self.changes.append((_above(name), moved_from, name, node))

    def sync_names(self, folder: str) -> None:
        """Bring the names of a folder to the disk."""
        for change in self.changes:
            if change[0] == folder:
                _apply(self.synced, *change[1:])
        self.changes = [change for change in self.changes if change[0] != folder]

    def open(self, owner: Owner | None, node: Node, name: str) -> int:
        self._next += 1
        self.handles[self._next] = Opened(owner, node, name)
        return self._next

    def close(self, handle: int) -> None:
        node = self.handles.pop(handle).node
        if node.lock == handle:
            node.lock = None

    def forget(self, owner: Owner) -> None:
        """Close what a dead process had open."""
        for handle in [handle for handle, opened in self.handles.items() if opened.owner is owner]:
            self.close(handle)

    def lose_power(self, dice: random.Random) -> None:
        """Forget what was not synced, as the dice say."""
        share = dice.choice((0.0, 0.5, 1.0))
        for change in self.changes:
            if dice.random() < share:
                _apply(self.synced, *change[1:])
        self.changes = []
        lost = [name for name in self.synced if any(str(up) not in self.synced for up in PurePath(name).parents)]
        for name in lost:
            del self.synced[name]
        self.names = dict(self.synced)
        for node in {id(node): node for node in self.names.values()}.values():
            node.lose_power(dice)

    def take_room(self, size: int) -> int:
        """Give how many of `size` bytes still fit. Raises OSError where none does."""
        if self.room is None:
            return size
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(size, self.room)
        self.room -= taken
        return taken


def _above(name: str) -> str:
    return name.rpartition("/")[0] or "/"


def _apply(names: dict[str, Node], moved_from: str | None, name: str, node: Node | None) -> None:
    if moved_from is not None:
        names.pop(moved_from, None)
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


class Kernel:
    """What `events.disk` asks of `os` and `fcntl`, on the disk of the host on which the caller runs."""

    O_RDONLY, O_WRONLY, O_RDWR = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
    O_CREAT, O_TRUNC, O_APPEND, O_DIRECTORY = os.O_CREAT, os.O_TRUNC, os.O_APPEND, os.O_DIRECTORY
    LOCK_EX, LOCK_NB = 2, 4

    def __init__(self, disk_here: Callable[[], Disk], step: Callable[[], None], dice: random.Random) -> None:
        self._here, self._step, self._dice = disk_here, step, dice

    def _disk(self) -> Disk:
        self._step()
        return self._here()

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        here, name = self._disk(), str(path)
        node = here.names.get(name)
        if node is None:
            if not flags & self.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            if _above(name) not in here.names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            here.take_room(1)
            node = Node(folder=False)
            here.change(name, node)
        elif flags & self.O_TRUNC:
            node.content.clear()
        return here.open(OWNER.get(), node, name)

    def close(self, handle: int) -> None:
        self._disk().close(handle)

    def read(self, handle: int, size: int) -> bytes:
        opened = self._disk().handles[handle]
        piece = bytes(opened.node.content[opened.place : opened.place + size])
        opened.place += len(piece)
        return piece

    def pread(self, handle: int, size: int, offset: int) -> bytes:
        return bytes(self._disk().handles[handle].node.content[offset : offset + size])

    def write(self, handle: int, content: Any) -> int:
        here = self._disk()
        node = here.handles[handle].node
        size = len(content)
        if size > 1 and self._dice.random() < 0.03:
            size = self._dice.randint(1, size)  # a short write is no error
        size = here.take_room(size)
        node.content += content[:size]
        return size

    def fdatasync(self, handle: int) -> None:
        here = self._disk()
        node = here.handles[handle].node
        node.synced = bytes(node.content)

    def fsync(self, handle: int) -> None:
        here = self._disk()
        opened = here.handles[handle]
        assert opened.node.folder, "files are synced by fdatasync"
        here.sync_names(opened.name)

    def ftruncate(self, handle: int, length: int) -> None:
        node = self._disk().handles[handle].node
        assert length <= len(node.content), "files are only ever cut"
        del node.content[length:]

    def fstat(self, handle: int) -> SimpleNamespace:
        return _stat(self._disk().handles[handle].node)

    def stat(self, path: Any) -> SimpleNamespace:
        return _stat(self._node(self._disk(), path))

    def mkdir(self, path: Any) -> None:
        here, name = self._disk(), str(path)
        if name in here.names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        self._node(here, _above(name))
        here.take_room(1)
        here.change(name, Node(folder=True))

    def replace(self, old: Any, new: Any) -> None:
        here = self._disk()
        here.change(str(new), self._node(here, old), moved_from=str(old))

    def link(self, old: Any, new: Any) -> None:
        here = self._disk()
        if str(new) in here.names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
        here.change(str(new), self._node(here, old))

    def unlink(self, path: Any) -> None:
        here = self._disk()
        self._node(here, path)
        here.change(str(path), None)

    def listdir(self, path: Any) -> list[str]:
        here, folder = self._disk(), str(path)
        self._node(here, path)
        return [name.rpartition("/")[2] for name in here.names if _above(name) == folder and name != "/"]

    def flock(self, handle: int, operation: int) -> None:
        node = self._disk().handles[handle].node
        if node.lock not in (None, handle):
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        node.lock = handle

    def _node(self, here: Disk, path: Any) -> Node:
        node = here.names.get(str(path))
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return node


def _stat(node: Node) -> SimpleNamespace:
    return SimpleNamespace(st_size=len(node.content), st_mode=FOLDER_MODE if node.folder else FILE_MODE)


@contextmanager
def booted(kernel: Kernel) -> Iterator[None]:
    """Put a kernel under `events.disk`."""
    real = {name: getattr(disk, name) for name in ("os", "fcntl")}
    for name in real:
        setattr(disk, name, kernel)
    try:
        yield
    finally:
        for name, module in real.items():
            setattr(disk, name, module)
