"""What can still be read of a spool file that is rotten: every record that no bad byte touches.

Numbers rise by one, so a record behind bad bytes is found by its number, and believed by its checksum.
"""

import struct

from events import codec, disk
from events.spool import MAGIC, RECORD_HEAD, SpoolFile, header, records
from runtime.errors import SpoolMismatch

AHEAD = 1 << 20  # behind bad bytes the numbers go on: no file holds more records than this
_NUMBER = struct.Struct(">Q")
_COMMON = 5  # leading bytes that numbers so near to each other share, or the next ones do
_TO_NUMBER = RECORD_HEAD.size + codec.N_OFFSET


def salvage(file: SpoolFile, stream: str) -> list[bytes]:
    """Give the whole entries of a file; their n rise, but may have holes. Raises SpoolMismatch for another stream's."""
    content = disk.read(file.path)
    if (named := _named(content)) not in (None, (stream, file.first)):
        raise SpoolMismatch(
            f"{file.path} to be a spool file of {stream} from {file.first}",
            f"one of {named}",
            "put it where it belongs",
        )
    found: list[bytes] = []
    start, n = len(header(stream, file.first)), file.first
    while start < len(content):
        for stop, entry in records(content, start):
            if codec.entry_n(entry) < n:
                break
            found.append(entry)
            start, n = stop, codec.entry_n(entry) + 1
        start = _next_whole(content, start + 1, n)
    return found


def _named(content: bytes) -> tuple[str, int] | None:
    """Give the stream and the first n that a file's header names; None where it is not whole."""
    start = len(MAGIC) + 2
    stop = start + int.from_bytes(content[len(MAGIC) : start], "big")
    name, first = content[start:stop].decode("utf-8", "replace"), content[stop : stop + _NUMBER.size]
    if len(first) < _NUMBER.size or not content.startswith(header(name, int.from_bytes(first, "big"))):
        return None
    return name, int.from_bytes(first, "big")


def _next_whole(content: bytes, start: int, n: int) -> int:
    """Give the first offset, from `start` on, of a whole record with a number from n on; the end where none is."""
    near = {_NUMBER.pack(number)[:_COMMON] for number in (n, n + AHEAD)}
    return min(_first_whole(content, start, n, prefix) for prefix in near)


def _first_whole(content: bytes, start: int, n: int, prefix: bytes) -> int:
    at = content.find(prefix, start + _TO_NUMBER)
    while 0 <= at <= len(content) - _NUMBER.size:
        (number,) = _NUMBER.unpack_from(content, at)
        if n <= number < n + AHEAD and next(records(content, at - _TO_NUMBER), None) is not None:
            return at - _TO_NUMBER
        at = content.find(prefix, at + 1)
    return len(content)
