"""Mistakes that are planted to see that the simulator finds them. Each is a way in which such a log is really built.

They live here and nowhere else: another function in the product's place, for one run.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from api.gauges import Labels
from api.observer import Observer
from events import codec, disk, reader
from events.archiver import Archiver
from events.log import Appended
from events.memory_log import MemoryLog
from events.segment import Index
from events.spool import Spool, SpoolFile
from events.writer import Writer
from projectors.building import Building
from projectors.loop import Loop
from projectors.projector import Projector
from projectors.rebuild import Rebuild
from runtime.waiting import in_thread
from sql.store import Lease, Rows
from tests.simulation import tables
from tests.simulation.tables import Checkpoint

Patch = tuple[object, str, Any]


async def append_before_fsync(self: Writer, entries: list[bytes]) -> None:
    """Tell Redis of what is written, and sync afterwards."""
    self._spool.write(entries)
    self._recent += [(codec.entry_n(entry), entry) for entry in entries]
    self.last = self._spool.last
    self._grown.set()
    await in_thread(self._spool.sync)


async def checkpoint_in_a_second_transaction(self: Loop, lease: Lease, projector: Projector, target: int) -> None:
    """Commit the rows, and then say that they are there."""
    async with self._store.begin(lease, lease.n) as rows:
        await projector.write(rows)
    await _commit(self, lease, _Silent(projector), target)


class _Silent:
    """A projector that has written already."""

    def __init__(self, projector: Projector) -> None:
        self.recall, self.absorb, self.due = projector.recall, projector.absorb, projector.due
        self.committed = projector.committed

    async def write(self, rows: Rows) -> None:
        """Write nothing more."""


def load_without_a_sync(self: Spool) -> bool:
    """Take what is in the cache for what is on the disk."""
    before = _loading.set(True)
    try:
        return _load(self)
    finally:
        _loading.reset(before)


def sync_but_for_a_load(handle: int) -> None:
    """Leave out what `load` asks for."""
    if not _loading.get():
        _sync(handle)


def any_epoch_will_do(checkpoint: Checkpoint, lease: Lease) -> bool:
    """Compare n alone, whoever holds the pair by now."""
    return checkpoint.n == lease.n


def read_without_density(entries: list[bytes], after: int) -> list[bytes]:
    """Take what comes for what is next."""
    return entries


async def repeat_without_comparing(
    self: MemoryLog, stream: str, entries: Sequence[bytes], archived: int, previous: bytes | None = None
) -> Appended:
    """Take what has a number of the past for what is there."""
    last, _ = await self.last(stream)
    new = [entry for entry in entries if codec.entry_n(entry) > last]
    return await _append(self, stream, new, archived, previous) if new else Appended(last)


def dense_up_to_a_takeover(entries: list[bytes], after: int) -> list[bytes]:
    """Let a log.takeover stand for all that is missing before it."""
    opens = entries and b"log.takeover.v1" in entries[0]
    return _dense(entries, codec.entry_n(entries[0]) - 1 if opens else after)


async def swap_outside_the_transaction(self: Rebuild, site: Any, building: Building) -> None:
    """Place the positions while the live projector waits, and the tables when that is done."""
    site.put_in_place = site.place_positions
    await _swap(self, site, building)
    await site.swap_tables()


async def trim_by_time(self: Archiver) -> int:
    """Drop from Redis what is some seconds old."""
    held = await self._log.read(self.stream, 0, limit=1 << 30)
    young = codec.entry_at_ns(held[-1]) - YOUNG_NS if held else 0
    old = [codec.entry_n(entry) for entry in held if codec.entry_at_ns(entry) < young]
    if old:
        await self._log.trim(self.stream, old[-1])
    return 1


async def cut_before_the_archive_has_it(self: Archiver, file: SpoolFile, last: int) -> Index | None:
    """Make room first, and put what was read into the archive then."""
    entries = file.closed_entries(self.stream, last)
    disk.remove(file.path)
    archived = await self._archive.last(self.stream)
    fresh = entries[max(0, archived - file.first + 1) :]
    return await self._archive.put(self.stream, fresh) if fresh else None


def nobody_stands_still(self: Observer, pair: Labels, n: int, *, is_behind: bool) -> float:
    """Take whoever has a position for one who moves."""
    return 0.0


YOUNG_NS = 2 * 10**9
_load, _commit, _append, _dense = Spool.load, Loop._commit, MemoryLog.append, reader._dense
_swap, _sync = Rebuild._swap, disk.sync
_loading: ContextVar[bool] = ContextVar("_loading", default=False)

DEFECTS: dict[str, tuple[Patch, ...]] = {
    "append before fsync": ((Writer, "_commit", append_before_fsync),),
    "checkpoint in a second transaction": ((Loop, "_commit", checkpoint_in_a_second_transaction),),
    "a restarted writer that sends before it has synced its spool": (
        (Spool, "load", load_without_a_sync),
        (disk, "sync", sync_but_for_a_load),
    ),
    "trim by time": ((Archiver, "_trim", trim_by_time),),
    "spool cut before the archive": ((Archiver, "_copy", cut_before_the_archive_has_it),),
    "a read without the density check": ((reader, "_dense", read_without_density),),
    "a swap outside the transaction": ((Rebuild, "_swap", swap_outside_the_transaction),),
    "a repeat accepted without comparing": ((MemoryLog, "append", repeat_without_comparing),),
    "a hole passed without a tombstone": ((reader, "_dense", dense_up_to_a_takeover),),
    "no alarm for who stands still": ((Observer, "_still", nobody_stands_still),),
    "no epoch in the checkpoint": ((tables, "is_where_it_was_left", any_epoch_will_do),),
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant a defect by its name, or none."""
    with ExitStack() as stack:
        for patch in DEFECTS[name] if name else ():
            stack.enter_context(_replaced(*patch))
        yield


@contextmanager
def _replaced(where: object, name: str, what: Any) -> Iterator[None]:
    real = getattr(where, name)
    setattr(where, name, what)
    try:
        yield
    finally:
        setattr(where, name, real)
