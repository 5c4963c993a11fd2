"""Entries of the log taken apart: as `events.codec` makes them, without its upcasting."""

import struct
from collections.abc import Iterable
from typing import NamedTuple

_HEAD = struct.Struct(">IQqB")  # crc32, n, receive time, length of the type
FRAME = b"kite.frame.v1"


class Entry(NamedTuple):
    """One event: number, receive time in UTC ns, type, payload."""

    n: int
    at_ns: int
    kind: bytes
    payload: bytes


def take_apart(entries: Iterable[bytes]) -> list[Entry]:
    """Give the events of entries whose checksums were looked at before."""
    found = []
    for entry in entries:
        _, n, at_ns, size = _HEAD.unpack_from(entry)
        stop = _HEAD.size + size
        found.append(Entry(n, at_ns, entry[_HEAD.size : stop], entry[stop:]))
    return found
