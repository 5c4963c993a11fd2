"""The three stores of a stream, read side by side from n = 1 to its end.

    archive   segment by segment, every byte under a checksum
    spool     file by file, every record under a checksum
    Redis     all that it holds

Promise: what `walk` gives is dense but for the holes that it reports; where two stores hold the same n they were
compared byte by byte. It may run while writers, archiver and trim are at work: they only add at the end, copy a file
before they remove it, and trim what is archived. So what is missing is looked for once more before it counts.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

from events import codec, segment, spool
from events.redis_log import RedisLog
from ops.verify.report import Findings
from ops.verify.segments import Segments
from runtime.errors import ArchiveConflict, ArchiveRotten, SpoolMismatch

READ_ENTRIES = 512  # at a time from Redis: about 1 MB
_MEND = "see docs/durability.md before anything is started again"
_REFILL = "stop the stream's writer, delete its key in Redis, start the writer: it fills Redis again"


class Store(Protocol):
    """One store of one stream, read from its beginning to its end."""

    name: str

    async def more(self) -> list[bytes]:
        """Give the next entries, dense in n; none where there are no more for now."""
        ...


class ArchiveStore:
    """The segments of a stream."""

    name = "the archive"

    def __init__(self, held: Segments, stream: str, findings: Findings) -> None:
        """held: the segments of all streams."""
        self.segments = 0
        self.last = 0
        self._held, self._stream, self._findings = held, stream, findings
        self._done: set[str] = set()
        self._waiting: list[str] = []
        self._reading: Iterator[list[bytes]] = iter(())

    async def more(self) -> list[bytes]:
        """Give the next chunk; a rotten segment is reported and left out."""
        return await asyncio.to_thread(self._more)

    def _more(self) -> list[bytes]:
        while True:
            try:
                chunk = next(self._reading, None)
            except (ArchiveRotten, ArchiveConflict) as error:
                self._findings.problem("archive", self._stream, f"{error.wanted}: {error.found}", error.remedy)
                self._reading = iter(())
                continue
            if chunk:
                self.last = codec.entry_n(chunk[-1])
                return chunk
            if not self._waiting:  # what came since the last listing
                names = self._held.names(self._stream)
                self._waiting = [name for name in names if name not in self._done]
            if not self._waiting:
                return []
            name = self._waiting.pop(0)
            self._done.add(name)
            self.segments += 1
            self._reading = self._read(name)

    def _read(self, name: str) -> Iterator[list[bytes]]:
        part, path = self._held.whole(self._stream, name), self._held.path(self._stream, name)
        index = segment.read_index(part, path)
        if (index.stream, index.first) != (self._stream, int(name.removesuffix(segment.SUFFIX))):
            raise ArchiveConflict(
                f"{path} to hold {self._stream} from its own n on", f"{index.stream} from {index.first}", _MEND
            )
        if index.first != self.last + 1:
            found = f"{path} begins at {index.first}, the segment before it ends at {self.last}"
            self._findings.problem("archive", self._stream, found, _MEND)
        yield from segment.read_all(part, path)

    async def archived(self) -> int:
        """Give the last n that any segment holds, from a fresh listing."""
        return await asyncio.to_thread(self._archived)

    def _archived(self) -> int:
        for name in reversed(self._held.names(self._stream)):
            try:
                part = self._held.ends(self._stream, name)
                return segment.read_index(part, self._held.path(self._stream, name)).last
            except (ArchiveRotten, ArchiveConflict):
                continue
        return 0


class SpoolStore:
    """The files of a stream's spool on this machine."""

    name = "the spool"

    def __init__(self, folder: Path, stream: str, findings: Findings) -> None:
        """folder: of all spools."""
        self._folder, self._stream, self._findings = folder / stream, stream, findings
        self._next = 0

    async def more(self) -> list[bytes]:
        """Give the next file's records; a bad record is reported, and what is behind it left out."""
        return await asyncio.to_thread(self._more)

    def _more(self) -> list[bytes]:
        while True:
            files = [file for file in spool.spool_files(self._folder) if file.first >= self._next]
            if not files:
                return []
            found = self._scan(files[0], files[1].first - 1 if len(files) > 1 else None)
            self._next = files[0].first + 1
            if found:
                return found

    def _scan(self, file: spool.SpoolFile, last: int | None) -> list[bytes]:
        try:
            scan = file.scan(self._stream)
        except FileNotFoundError:
            return []  # archived and removed since the listing
        except SpoolMismatch as error:
            self._findings.problem("spool", self._stream, f"{error.wanted}: {error.found}", error.remedy)
            return []
        end = file.first + len(scan.entries) - 1
        # Behind the youngest file's last whole record may stand a part of one that is being written.
        cut = end != last or scan.rest if last is not None else spool.opens_later(scan.rest, end + 1)
        if cut:
            found = f"{file.path} has a bad record behind n = {end}"
            self._findings.problem("spool", self._stream, found, _MEND)
        return scan.entries

    async def last(self) -> int:
        """Give the last n of the youngest file; 0 where there is none."""
        return await asyncio.to_thread(self._last)

    def _last(self) -> int:
        for file in reversed(spool.spool_files(self._folder)):
            try:
                return file.first + len(file.scan(self._stream).entries) - 1
            except (FileNotFoundError, SpoolMismatch):
                continue
        return 0


class RedisStore:
    """What Redis holds of a stream."""

    name = "Redis"

    def __init__(self, log: RedisLog, stream: str, findings: Findings) -> None:
        """Take a log; nothing is asked yet."""
        self.first = 0  # the first n that it holds, once it was asked
        self.hole: tuple[int, int] | None = None  # what is left out before the piece given last
        self._log, self._stream, self._findings = log, stream, findings
        self._after = 0
        self._waiting: list[bytes] = []

    async def more(self) -> list[bytes]:
        """Give the next entries, up to a hole; one with a wrong checksum is reported and left out."""
        while not self._waiting:
            read = await self._log.read(self._stream, self._after, READ_ENTRIES)
            if not read:
                return []
            self._waiting = [entry for entry in read if self._intact(entry)]
            if not self._waiting:
                self._after = codec.entry_n(read[-1])
        count = _dense(self._waiting)
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        first = codec.entry_n(found[0])
        self.hole = (self._after + 1, first - 1) if self.first and first != self._after + 1 else None
        self.first = self.first or first
        self._after = codec.entry_n(found[-1])
        return found

    def _intact(self, entry: bytes) -> bool:
        if codec.intact(entry):
            return True
        found = f"Redis holds n = {codec.entry_n(entry)} with a wrong checksum"
        self._findings.problem("redis", self._stream, found, _REFILL)
        return False


def _dense(entries: list[bytes]) -> int:
    """Give how many entries follow each other without a hole."""
    for place in range(1, len(entries)):
        if codec.entry_n(entries[place]) != codec.entry_n(entries[0]) + place:
            return place
    return len(entries)


class Walk:
    """One stream's stores, read side by side. `last` is where it ends, fixed at the beginning."""

    def __init__(self, stream: str, log: RedisLog, archive: Segments, spools: Path, findings: Findings) -> None:
        """archive, spools: those of all streams."""
        self.stream, self._findings, self._log = stream, findings, log
        self.archive = ArchiveStore(archive, stream, findings)
        self.spool = SpoolStore(spools, stream, findings)
        self.redis = RedisStore(log, stream, findings)
        self.last = 0
        self._held: dict[str, list[bytes]] = {}

    async def begin(self) -> None:
        """Fix the end: the highest n that any store holds now."""
        in_redis, _ = await self._log.last(self.stream)
        self.last = max(in_redis, await self.spool.last(), await self.archive.archived())

    async def batches(self) -> AsyncIterator[list[bytes]]:
        """Give all entries up to `last`, whole and compared, in dense pieces; what is in no store is reported."""
        n = 1
        while n <= self.last:
            holding = await self._holding(n) or await self._holding(n)  # it may have been archived in between
            if holding:
                entries = self._common(n, holding)
                yield entries
                n += len(entries)
                continue
            later = [codec.entry_n(held[0]) for held in self._held.values()]
            stop = min([*later, self.last + 1])
            self._findings.problem("hole", self.stream, f"n = {n}..{stop - 1} is in no store", _MEND)
            n = stop
        archived = await self.archive.archived()
        if self.redis.first > archived + 1:
            found = (
                f"Redis begins at {self.redis.first}, the archive ends at {archived}: trimmed before it was archived"
            )
            self._findings.problem("trim", self.stream, found, _MEND)

    async def _holding(self, n: int) -> dict[str, list[bytes]]:
        """Give the stores that hold n, each with its entries from n on."""
        for store in (self.archive, self.spool, self.redis):
            await self._bring(store, n)
        return {name: held for name, held in self._held.items() if codec.entry_n(held[0]) == n}

    async def _bring(self, store: Store, n: int) -> None:
        """Hold a piece of this store that has n, or lies behind it, where there is one."""
        held = self._held.pop(store.name, [])
        while not held or codec.entry_n(held[-1]) < n:
            held = await store.more()
            if not held:
                return
            if store is self.redis:
                await self._see_hole_in_redis()
        self._held[store.name] = held[max(0, n - codec.entry_n(held[0])) :]

    async def _see_hole_in_redis(self) -> None:
        """A jump in Redis is right where the archive has what is left out, and there only (design rule 4)."""
        if self.redis.hole is None or await self.archive.archived() >= self.redis.hole[1]:
            return
        first, last = self.redis.hole
        found = f"Redis lacks n = {first}..{last}, which the archive does not have: readers stop there"
        self._findings.problem("redis", self.stream, found, _REFILL)

    def _common(self, n: int, holding: dict[str, list[bytes]]) -> list[bytes]:
        """Give the entries from n on that all stores which hold n have, after comparing them."""
        ends = [codec.entry_n(held[-1]) for held in holding.values()]
        others = [codec.entry_n(held[0]) - 1 for name, held in self._held.items() if name not in holding]
        count = min([*ends, *others, self.last]) - n + 1
        (name, chosen), *rest = ((name, held[:count]) for name, held in holding.items())
        for other, piece in rest:
            if piece != chosen:
                self._differ(name, chosen, other, piece)
        return chosen

    def _differ(self, name: str, mine: list[bytes], other: str, theirs: list[bytes]) -> None:
        apart = [codec.entry_n(one) for one, two in zip(mine, theirs, strict=True) if one != two]
        found = f"{name} and {other} hold different content for n = {apart[0]}..{apart[-1]} ({len(apart)} events)"
        self._findings.problem("stores", self.stream, found, _MEND)
