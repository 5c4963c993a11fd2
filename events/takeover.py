"""Taking a stream over (design rule 7b): what a writer does whose spool is missing, rotten, short or refused.

Promise: what any store still holds keeps its n and its content. An n that no store holds any more is filled by a
tombstone, so that n stays dense and no reader ever passes a hole. At the highest n + 1 stands a `log.takeover`, always:
it names the tombstones and the checkpoints found, and means "and whatever else was only on that disk".

    ask      checkpoints (their epochs are raised: what their owners hold in memory dies), then Redis, then the archive;
             each is waited for, in this order, so that no answer is older than what a later one rests on
    compare  this disk's records with what the others hold: from the first that differs on, they were refused
    write    one new file from archived + 1 on: our record, or Redis' one, or a tombstone; the log.takeover; then what
             was refused, under new n. Once it is renamed to `<first n>.takeover` the stream is taken over
    settle   the old files move into a folder `aside-...`, nothing of them is ever deleted; the new one takes its place

A stream that no store knows is opened in the same way: its n = 1 is a log.takeover that names nothing.

Failures. A crash before the rename leaves all as it was, and the next start asks again; after it, the next start
settles. A full disk or a store that is away is waited for, and it is said for which. The archiver of this folder is
shut out by its lock meanwhile; one on another host that archives on under our hands makes us ask again.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import msgspec

from events import codec, disk
from events.archive import Archive
from events.event import Event
from events.log import READ_ENTRIES_MAX, Log
from events.messages import Takeover, Tombstone, pack
from events.salvage import salvage
from events.spool import (
    NAME_DIGITS,
    SUFFIX,
    Spool,
    header,
    joined,
    record,
    spool_files,
    take_archive_lock,
)
from events.standing import Standing, keep
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import Unreachable
from runtime.log import get
from runtime.waiting import Backoff, in_thread

# The positions of all that read a stream, by their names, their epochs raised. Raises Unreachable.
Fence = Callable[[str], Awaitable[Mapping[str, int]]]

READY_SUFFIX = ".takeover"
ASIDE = "aside-"
RANGES_MAX = 20_000  # of tombstones named one by one: half an event's bytes at most; beyond, the last names the rest

T = TypeVar("T")
_log = get("writer")


class Asked(msgspec.Struct, frozen=True):
    """What the stores answered: the last n of Redis and archive, and how far each projector has come."""

    checkpoints: Mapping[str, int]
    in_redis: int
    archived: int


class Done(msgspec.Struct, frozen=True):
    """A takeover that was made: the n of its log.takeover, and how many n were lost and how many minted again."""

    n: int
    lost: int
    again: int


async def take_over(spool: Spool, near: Log, far: Archive, fence: Fence, clock: Clock, why: str) -> Done:
    """Make the stream whole from all that is left of it; the spool then has one file, to be loaded."""

    async def attempt() -> Done | None:
        return await _try(spool, near, far, fence, clock, why)

    done: Done | None = None
    lock = await _archiver_shut_out(spool)
    try:
        while done is None:
            done = await _until_answered("a store, or room", spool.stream, attempt)
    finally:
        disk.close(lock)
    return done


async def _try(spool: Spool, near: Log, far: Archive, fence: Fence, clock: Clock, why: str) -> Done | None:
    asked = await _ask(spool.stream, near, far, fence)
    done = await _Merge(spool, near, far, asked, clock).write()
    if done is not None:
        known = done.n > 1 or done.again  # else it is new
        taken = Standing("taken over", clock.now_ns(), why, done.n, done.lost, done.again) if known else None
        await in_thread(lambda: settle(spool.folder, taken))
    return done


def settle(folder: Path, taken: Standing | None) -> None:
    """Finish a takeover that was written, if there is one: the old files move aside, the new one into their place."""
    names = disk.names(folder)
    for ready in (name for name in names if name.endswith(READY_SUFFIX)):
        if taken is not None:
            keep(folder, taken)
        old = spool_files(folder)
        if old:
            aside = folder / f"{ASIDE}{sum(name.startswith(ASIDE) for name in names) + 1}"
            disk.make_folder(aside)
            for file in old:
                disk.move(file.path, aside / file.path.name)
        disk.move(folder / ready, folder / (ready.removesuffix(READY_SUFFIX) + SUFFIX))


async def _archiver_shut_out(spool: Spool) -> int:
    async def take() -> int:  # in no thread: one that is cut off would keep the lock for ever
        return take_archive_lock(spool.folder)

    return await _until_answered("the archiver", spool.stream, take)


async def _ask(stream: str, near: Log, far: Archive, fence: Fence) -> Asked:
    checkpoints = await _until_answered("the checkpoints", stream, lambda: fence(stream))
    in_redis, _ = await _until_answered("Redis", stream, lambda: near.last(stream))
    archived = await _until_answered("the archive", stream, lambda: far.last(stream))
    return Asked(checkpoints, in_redis, archived)


async def _until_answered(who: str, stream: str, ask: Callable[[], Awaitable[T]]) -> T:
    backoff, complaints = Backoff(), Complaints(_log.bind(stream=stream, waits_for=who))
    while True:
        try:
            return await ask()
        except Unreachable as error:
            complaints.say("stream_opening_waits", wanted=error.wanted, found=error.found, remedy=error.remedy)
            await backoff.wait()


class _Own:
    """What can still be read on this disk, in the order of n, each file read when its turn comes."""

    def __init__(self, folder: Path, stream: str) -> None:
        self._files = spool_files(folder)
        self._entries = chain.from_iterable(salvage(file, stream) for file in self._files)
        self._next = next(self._entries, None)
        # A file was begun behind all that was written before it, also where that is not legible any more.
        self.begun = self._files[-1].first if self._files else 1

    def some(self, upto: int | None = None) -> list[bytes]:
        """Give the next entries, as many as one read of Redis gives, none with n > upto."""
        taken: list[bytes] = []
        while self._next is not None and len(taken) < READ_ENTRIES_MAX:
            if upto is not None and codec.entry_n(self._next) > upto:
                break
            taken.append(self._next)
            self._next = next(self._entries, None)
        return taken


class _Merge:
    """One try: what each store holds, as one new file."""

    def __init__(self, spool: Spool, near: Log, far: Archive, asked: Asked, clock: Clock) -> None:
        self._folder, self._stream = spool.folder, spool.stream
        self._near, self._far, self._asked, self._now_ns = near, far, asked, clock.now_ns()
        self._tombstone = pack(Tombstone(), self._now_ns)
        self._lost: list[tuple[int, int]] = []  # ranges, both ends included
        self._lost_count = 0

    async def write(self) -> Done | None:
        """Write the new file and rename it to be ready; None where the archive went on meanwhile: ask again."""
        first = self._asked.archived + 1
        refused, kept = await self._compare()
        highest = max(self._asked.in_redis, self._asked.archived, kept, *self._asked.checkpoints.values(), 0)
        ready = self._folder / f"{first:0{NAME_DIGITS}d}{READY_SUFFIX}"
        with disk.beside(ready) as file:
            file.append(header(self._stream, first))
            await self._keep(file, first, highest, refused)
            file.append(record(codec.encode(highest + 1, self._opening()), opens_commit=True))
            last = await self._mint_again(file, highest + 1, refused) if refused else highest + 1
            if await self._far.last(self._stream) != self._asked.archived:
                return None
            await in_thread(file.publish)
        return Done(highest + 1, self._lost_count, last - highest - 1)

    async def _compare(self) -> tuple[int | None, int]:
        """Give the first own n under which another store holds something else, and the highest own n before it."""
        own = await in_thread(lambda: _Own(self._folder, self._stream))
        kept = own.begun - 1
        while entries := await in_thread(own.some):
            others = await self._others(codec.entry_n(entries[0]), codec.entry_n(entries[-1]))
            for entry in entries:
                n = codec.entry_n(entry)
                if others.get(n, entry) != entry:
                    return n, min(kept, n - 1)
                kept = max(kept, n)
        return None, kept

    async def _others(self, first: int, last: int) -> dict[int, bytes]:
        """Give what archive and Redis hold of n = first..last."""
        found: dict[int, bytes] = {}
        n = first
        while n <= min(last, self._asked.archived):
            entries = await self._far.entries(self._stream, n, last - n + 1)
            if not entries:
                break
            found |= {codec.entry_n(entry): entry for entry in entries}
            n += len(entries)
        after = max(n, first) - 1
        while after < min(last, self._asked.in_redis):
            entries = await self._near.read(self._stream, after)
            if not entries:
                break
            found |= {codec.entry_n(entry): entry for entry in entries if codec.entry_n(entry) <= last}
            after = codec.entry_n(entries[-1])
        return found

    async def _keep(self, file: disk.Beside, first: int, highest: int, refused: int | None) -> None:
        """Write n = first..highest: our own record where it was not refused, Redis' one, or a tombstone."""
        own = await in_thread(lambda: _Own(self._folder, self._stream))
        while await in_thread(partial(own.some, first - 1)):
            pass  # archived, and the same there
        for start in range(first, highest + 1, READ_ENTRIES_MAX):
            stop = min(start + READ_ENTRIES_MAX - 1, highest)
            here = await self._others(start, stop)
            for entry in await in_thread(partial(own.some, stop)):
                if refused is None or codec.entry_n(entry) < refused:
                    here[codec.entry_n(entry)] = entry
            entries = [here.get(n) or self._bury(n) for n in range(start, stop + 1)]
            await in_thread(partial(file.append, _commit(entries)))

    def _bury(self, n: int) -> bytes:
        self._lost_count += 1
        if self._lost and (self._lost[-1][1] == n - 1 or len(self._lost) == RANGES_MAX):
            self._lost[-1] = (self._lost[-1][0], n)
        else:
            self._lost.append((n, n))
        return codec.encode(n, self._tombstone)

    def _opening(self) -> Event:
        checkpoints = dict(self._asked.checkpoints)
        return pack(
            Takeover(host=socket.gethostname(), tombstones=self._lost, checkpoints=checkpoints, lost=self._lost_count),
            self._now_ns,
        )

    async def _mint_again(self, file: disk.Beside, last: int, refused: int) -> int:
        """Write our refused records behind n = last, under new numbers, but for the log's own; give the last n."""
        own = await in_thread(lambda: _Own(self._folder, self._stream))
        while entries := await in_thread(own.some):
            others = await self._others(codec.entry_n(entries[0]), codec.entry_n(entries[-1]))
            again = []
            for entry in entries:
                n = codec.entry_n(entry)
                event = codec.decode(self._stream, entry)
                if n < refused or others.get(n) == entry or event.type.startswith("log."):
                    continue
                last += 1
                again.append(codec.encode(last, Event(event.type, event.at_ns, event.payload)))
            if again:
                await in_thread(partial(file.append, _commit(again)))
        return last


def _commit(entries: list[bytes]) -> bytes:
    return record(entries[0], opens_commit=True) + joined(entries[1:])
