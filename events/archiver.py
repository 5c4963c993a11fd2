"""The archiver of a stream: copies closed spool files to the archive, takes them off the spool, and trims Redis.

Promise: every record is in the spool or in the archive, and what Redis drops is in the archive (rules 15 and 16).

A round takes the oldest closed file, once Redis has taken its last record:

    read    all of it; a bad record stops this stream here and now, while Redis may still have the good one; and so
            does a last record that is not the one which Redis has: a second writer was quicker, and this was refused
    compare what the archive has of it already, byte for byte: a crash between `put` and `remove` left it there
    put     the rest as a segment that begins at archived + 1, durable and read back
    remove  the spool's copy
    trim    Redis to what is archived without a hole and off the spool, less a window for readers a little behind

Its position is the archive's listing: it keeps no state of its own, and a kill at any place is mended by the next
round. Projectors play no part: one that is behind reads the archive.

Failures. Redis, the archive or a disk does not answer: `Unreachable`, the round is tried again and nothing has moved.
The archive holds other content under an n: `ArchiveConflict`. It is damaged, or lacks a segment between two others:
`ArchiveRotten`. It cannot put create-only: `ArchiveUnsafe`. The spool lacks records, or holds bad ones:
`SpoolMismatch`. Then this stream is left as it is, files and Redis both, until somebody has looked.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from events import codec, disk
from events.archive import Archive
from events.log import Log
from events.segment import Chunk, Index
from events.spool import SpoolFile, closed_files, spool_files, take_archive_lock
from runtime.errors import ArchiveConflict, ArchiveRotten, SpoolMismatch, Unreachable
from runtime.waiting import in_thread

NS_PER_SECOND = 1_000_000_000

T = TypeVar("T")


class Window(msgspec.Struct, frozen=True):
    """What Redis keeps of the archived part, counted back from its end: as little as one of the two asks for."""

    size_bytes: int
    seconds: int


class Round(msgspec.Struct, frozen=True):
    """What a round did: the last archived n now, the first n that Redis keeps, the new segment, whether more is due."""

    archived: int
    kept_from: int
    segment: Index | None
    more: bool


def kept_from(newest_first: Iterable[Chunk], window: Window) -> int:
    """Give the first n that Redis keeps of an archive with these chunks, of which it drops whole ones; 1 for none."""
    keep, raw, end_ns = 1, 0, None
    for chunk in newest_first:
        if end_ns is None:
            keep, end_ns = chunk.last + 1, chunk.last_at_ns
        raw += chunk.raw
        if raw > window.size_bytes or chunk.first_at_ns < end_ns - window.seconds * NS_PER_SECOND:
            break
        keep = chunk.first
    return keep


class Archiver:
    """The one archiver of a spool folder on this host. Its verb: round."""

    def __init__(
        self, folder: Path, log: Log, archive: Archive, window: Window, turn: asyncio.Semaphore | None = None
    ) -> None:
        """Nothing is read before `round`.

        `turn` is held while a file is in memory: streams that share one hold one file at a time.
        """
        self.stream = folder.name
        self._folder, self._log, self._archive, self._window = folder, log, archive, window
        self._turn = turn or asyncio.Semaphore(1)
        self._swept = False
        self._archived = -1  # as last seen
        self._windowed = -1  # the archived n for which `_window_from` was found
        self._window_from = 1

    async def round(self) -> Round:
        """Archive the oldest closed file if it is due, and trim, while holding the folder's archive lock.

        Raises Unreachable, also where another archiver or a takeover is at work; ArchiveConflict, SpoolMismatch.
        """
        with _locked(self._folder):
            if not self._swept:
                await self._archive.sweep(self.stream)
                self._swept = True
            due = await self._due()
            segment = None
            if due:
                self._archived = -1  # not known, until it is asked behind the copy, should that take several rounds
                async with self._turn:
                    segment = await self._copy(*due[0])
            if self._archived < 0:  # nobody else puts segments of this stream, and a bucket's listings cost
                self._archived = await self._archive.last(self.stream)
            return Round(self._archived, await self._trim(), segment, more=len(due) > 1)

    async def _due(self) -> list[tuple[SpoolFile, int]]:
        """Give the closed files that Redis has all of, oldest first."""
        closed = await self._on_disk(lambda: closed_files(self._folder))
        if not closed:
            return []
        taken, _ = await self._log.last(self.stream)
        return [(file, last) for file, last in closed if last <= taken]

    async def _copy(self, file: SpoolFile, last: int) -> Index | None:
        """Bring a closed file into the archive and remove it; give the new segment, if it made one."""
        entries = await self._on_disk(lambda: file.closed_entries(self.stream, last))
        archived = await self._archive.last(self.stream)
        if file.first > archived + 1:
            raise SpoolMismatch(
                f"n = {archived + 1} of {self.stream}, which the archive lacks, in {self._folder}",
                f"{file.path.name} is the oldest file there",
                "bring back the older files, or the archive, whichever is not as it was; see docs/durability.md",
            )
        if archived < last:
            await self._see_taken(entries[-1])
        there = min(max(0, archived - file.first + 1), len(entries))
        await self._compare(entries[:there])
        segment = await self._archive.put(self.stream, entries[there:]) if there < len(entries) else None
        await self._on_disk(lambda: disk.remove(file.path))
        return segment

    async def _see_taken(self, entry: bytes) -> None:
        """See that Redis took this very entry, the last of a file, and so all before it. Raises SpoolMismatch.

        Where a second writer was quicker, Redis has that n as well, but with what the other one wrote.
        """
        n = codec.entry_n(entry)
        found = await self._log.read(self.stream, n - 1, 1)
        if not found or codec.entry_n(found[0]) != n:
            raise Unreachable(f"n = {n} of {self.stream} in Redis", "it was there a moment ago", "it is tried again")
        if found[0] != entry:
            raise SpoolMismatch(
                f"n = {n} of {self.stream} to be in Redis as it is in {self._folder}",
                "other content there",
                "the stream's writer takes it over at its next start; see docs/durability.md",
            )

    async def _compare(self, entries: list[bytes]) -> None:
        """See that the archive has these entries. Raises ArchiveConflict where it has others."""
        place = 0
        while place < len(entries):
            n = codec.entry_n(entries[place])
            found = await self._archive.entries(self.stream, n, len(entries) - place)
            if not found or found != entries[place : place + len(found)]:
                raise ArchiveConflict(
                    f"{self.stream} from n = {n} to be in the archive as it is in {self._folder}",
                    "other content there",
                    "two writers were at work, or a disk forgot: keep both aside and see docs/durability.md",
                )
            place += len(found)

    async def _trim(self) -> int:
        """Drop from Redis what is archived and outside the window; give the first n that it keeps."""
        if self._windowed != self._archived:
            self._window_from = await self._window_start()
            self._windowed = self._archived
        # What the spool still has may be archived too, but it is not compared yet.
        files = await self._on_disk(lambda: spool_files(self._folder))
        keep = min(self._window_from, files[0].first) if files else self._window_from
        keep = min(keep, self._archived + 1)  # the window is of a later listing: another one may have archived since
        assert keep - 1 <= self._archived, "trimmed <= archived"
        if keep > 1:
            await self._log.trim(self.stream, keep - 1)
        return keep

    async def _window_start(self) -> int:
        """Give the first n of the window, once all that Redis has before it is seen to be in the archive.

        The listing is walked back as far as Redis goes. If somebody removed a segment there, Redis has its last copy.
        """
        oldest = await self._log.read(self.stream, 0, 1)
        if not oldest:
            return 1
        found: list[Chunk] = []
        async with aclosing(self._archive.chunks_back(self.stream)) as chunks:
            async for chunk in chunks:
                found.append(chunk)
                if chunk.first <= codec.entry_n(oldest[0]):
                    return kept_from(found, self._window)
        if found:
            raise ArchiveRotten(
                f"{self.stream} from n = {codec.entry_n(oldest[0])} on, where Redis begins, in {self._archive.place}",
                f"it begins at {found[-1].first}",
                "bring the missing segments back from another copy of the archive; run bahi verify",
            )
        return 1

    async def _on_disk(self, work: Callable[[], T]) -> T:
        try:
            return await in_thread(work)
        except OSError as error:
            raise _away(self._folder, error) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        lock = take_archive_lock(folder)
    except OSError as error:
        raise _away(folder, error) from error
    try:
        yield
    finally:
        disk.close(lock)


def _away(folder: Path, error: OSError) -> Unreachable:
    return Unreachable(f"the spool in {folder}", f"{type(error).__name__}: {error}", "is that disk there, with rights?")
