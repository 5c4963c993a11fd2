"""The journal: one record for each tick message that the sandbox handed to a socket, written before the message.

    <data>/sandbox/journal/<first sent_ns, 20 digits>.journal = "BAHIJRN1" | record*

Promise: a record has been taken by the operating system (write(2)) no later than its message was handed to the
socket, so that no message arrives that the journal lacks, also after kill -9. The other side is not promised: the
last records before a kill or a dropped socket may be of messages that nobody received. Heartbeats and texts are
not tick messages: neither journalled nor counted by `index`.

A file is closed at FILE_BYTES_MAX and the oldest goes at TOTAL_BYTES_MAX; `summary` says since when it is whole.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

from ops.sandbox.wire import Messages
from runtime.errors import BadInput, Unreachable

MAGIC = b"BAHIJRN1"
SUFFIX = ".journal"
RECORD = np.dtype(
    [
        ("connection", "<u8"),
        ("sent_ns", "<i8"),
        ("index", "<u4"),
        ("length", "<u4"),
        ("crc", "<u4"),
        ("packets", "<u2"),
        ("port", "<u2"),
        ("oddity", "<u2"),
        ("zero", "<u2"),
    ]
)
FILE_BYTES_MAX = 64 * 1024 * 1024  # 1.8 million messages: minutes at the highest rates, most of a day at the default
TOTAL_BYTES_MAX = 4 * 1024 * 1024 * 1024  # 2,000 messages/s for half a day; a disk has room for it


Table = np.ndarray[tuple[int], np.dtype[np.void]]


class Sent(msgspec.Struct, frozen=True):
    """One message that was handed to a socket.

    connection: its number, unique for ever; port: the client's; index: from 0 in the connection; sent_ns: UTC;
    packets: whole packets in it; length, crc: of its payload; oddity: bits of `wire.Oddity`, 0 for a plain one.
    """

    connection: int
    port: int
    index: int
    sent_ns: int
    packets: int
    length: int
    crc: int
    oddity: int


class Summary(msgspec.Struct, frozen=True):
    """What a journal holds in all; `since_ns` is 0 where nothing was ever deleted from it."""

    files: int
    messages: int
    packets: int
    bytes: int
    since_ns: int


class Journal:
    """The writing side; one process only."""

    def __init__(self, folder: Path) -> None:
        """Write below `folder`, which is made."""
        self._folder = folder
        self._descriptor = -1
        self._size = 0
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, connection: int, port: int, index: int, sent_ns: int, messages: Messages) -> None:
        """Record messages that are about to be sent; `index` is the first one's. Raise `Unreachable` on a full disk."""
        records = np.zeros(len(messages.starts), RECORD)
        records["connection"], records["port"], records["sent_ns"] = connection, port, sent_ns
        records["index"] = np.arange(index, index + len(records))
        records["length"] = np.subtract(messages.ends, messages.starts)
        records["crc"] = messages.checksums()
        records["packets"], records["oddity"] = messages.packets, messages.oddities
        with _disk(self._folder):
            self._append(sent_ns, records.tobytes())

    def close(self) -> None:
        """Close the file; the next write opens another."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, sent_ns: int, data: bytes) -> None:
        if self._descriptor < 0 or self._size + len(data) > FILE_BYTES_MAX:
            self._roll(sent_ns)
        # Straight on the loop: it reaches the page cache only, which is quicker than waking a thread.
        written = os.write(self._descriptor, data)
        if written < len(data):
            os.ftruncate(self._descriptor, self._size)
            raise OSError("the disk took a part of a record only")
        self._size += written

    def _roll(self, sent_ns: int) -> None:
        self.close()
        delete_oldest(self._folder, TOTAL_BYTES_MAX - FILE_BYTES_MAX)
        name = max(sent_ns, _newest(self._folder) + 1)
        self._descriptor = os.open(
            self._folder / f"{name:020}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        )
        self._size = os.write(self._descriptor, MAGIC)


def read(folder: Path) -> Iterator[Sent]:
    """Give every whole record, oldest first; raise `BadInput` on a foreign file."""
    for records in tables(folder):
        for row in records[[name for name in RECORD.names or () if name != "zero"]].tolist():
            connection, sent_ns, index, length, crc, packets, port, oddity = row
            yield Sent(connection, port, index, sent_ns, packets, length, crc, oddity)


def tables(folder: Path) -> Iterator[Table]:
    """Give the records of each file, oldest first, as an array of RECORD; for reading millions of them."""
    for path in _files(folder):
        yield table(path)


def summary(folder: Path) -> Summary:
    """Add up what the journal holds."""
    files = _files(folder)
    messages = packets = size = 0
    for records in tables(folder):
        messages += len(records)
        packets += int(records["packets"].sum())
        size += int(records["length"].sum())
    mark = folder / "since"
    return Summary(len(files), messages, packets, size, int(mark.read_text()) if mark.exists() else 0)


def delete_oldest(folder: Path, keep_bytes: int) -> None:
    """Delete the oldest files until the rest is at most `keep_bytes`, and note since when the journal is whole."""
    files = _files(folder)
    sizes = [path.stat().st_size for path in files]
    while sum(sizes) > keep_bytes:
        sizes.pop(0)
        files.pop(0).unlink()
        since = int(files[0].stem) if files else _newest(folder)
        (folder / "since").write_text(str(since))


def table(path: Path) -> Table:
    """Give the whole records of one file as an array of RECORD; raise `BadInput` for a foreign file."""
    data = path.read_bytes()
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise BadInput(
            f"a journal of the sandbox in {path}", repr(data[: len(MAGIC)]), "move the file out of the folder"
        )
    whole = max(0, len(data) - len(MAGIC)) // RECORD.itemsize
    return np.frombuffer(data, RECORD, whole, len(MAGIC)) if whole else np.empty(0, RECORD)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _newest(folder: Path) -> int:
    files = _files(folder)
    return int(files[-1].stem) if files else 0


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unreachable(
            f"room for the sandbox's journal in {folder}", str(error), "free the disk or mend its rights"
        ) from error
