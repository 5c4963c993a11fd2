"""The ends of a spool, found by hopping from record to record: bodies are not read, so it costs milliseconds."""

import mmap
from pathlib import Path

import msgspec

from events import codec, spool


class SpoolEnds(msgspec.Struct, frozen=True):
    """first: the oldest n that the spool still has; last: the newest; size: bytes of all files; entry: the newest."""

    first: int
    last: int
    size: int
    entry: bytes = b""


def ends(folder: Path, stream: str) -> SpoolEnds | None:
    """Give the ends of a stream's spool on this machine; None where there is none."""
    files = spool.spool_files(folder / stream)
    size = sum(_size(file.path) for file in files)
    for file in reversed(files):
        last, entry = _last(file, stream)
        if last:
            return SpoolEnds(files[0].first, last, size, entry)
    return None


def oldest(folder: Path, stream: str) -> int | None:
    """Give the first n of a stream's spool; None where there is none."""
    files = spool.spool_files(folder / stream)
    return files[0].first if files else None


def entry(folder: Path, stream: str, n: int) -> bytes | None:
    """Give the entry n out of the spool, None where it is not there."""
    files = [file for file in spool.spool_files(folder / stream) if file.first <= n]
    if not files:
        return None
    found = _last(files[-1], stream, n)
    return found[1] if found[0] == n else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # archived and removed since the listing


def _last(file: spool.SpoolFile, stream: str, upto: int | None = None) -> tuple[int, bytes]:
    """Give the last whole record's n, at most `upto`, and its entry; 0 where the file has none."""
    try:
        with file.path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            place, end, n = len(spool.header(stream, file.first)), len(content), file.first - 1
            found = (0, 0)
            while place + spool.RECORD_HEAD.size <= end and (upto is None or n < upto):
                size = spool.RECORD_HEAD.unpack_from(content, place)[0] & ~spool.OPENS_COMMIT
                start, stop = place + spool.RECORD_HEAD.size, place + spool.RECORD_HEAD.size + size
                if size > spool.ENTRY_BYTES_MAX or stop > end:
                    break
                found, place, n = (start, stop), stop, n + 1
            last = content[found[0] : found[1]]
    except (FileNotFoundError, ValueError):  # removed since the listing, or still without its header
        return 0, b""
    return (n, last) if codec.intact(last) and codec.entry_n(last) == n else (0, b"")
