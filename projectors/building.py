"""The streams of a rebuild or a replay on their way to tables: read ahead, projected side by side, gone on with."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from events.archive import Archive
from events.event import Recorded
from events.log import Log
from projectors.ahead import Ahead, Notice
from projectors.loop import Loop
from projectors.projector import Projection
from runtime.clock import Clock
from runtime.errors import LeaseLost, Unreachable
from runtime.lifecycle import Stop
from sql.beside import Beside
from sql.store import Lease, Store

READ_EVENTS_MAX = 4096  # one transaction: about 40,000 ticks; more gains nothing and holds more memory
# A live projector's transactions are small where a commit has to end well before its lease does. Nobody else wants a
# site's: with so many times as many events in one, what follows from them (books, charges) is derived less often.
BATCH_FACTOR = 16
TELL_SECONDS = 0.5
TOMBSTONE = "log.tombstone.v1"

TIDY_SECONDS = 5.0

Moved = Callable[[int, int], None]  # events done, of how many
Tidy = Callable[[], Awaitable[None]]
MakeReader = Callable[[Log, Archive, int, Stop, Stop, Notice], Ahead]


class Building:
    """What of the log is in a site's tables, and more of it."""

    def __init__(
        self,
        site: Beside,
        projection: Projection,
        near: Log,
        make_archive: Callable[[], Archive],
        clock: Clock,
        stop: Stop,
        make_reader: MakeReader = Ahead,
    ) -> None:
        """make_archive: each stream has its own, with what it read last in memory. make_reader: for each stream."""
        # It never rests: what a live projector leaves to others while it rests is what this one is here for.
        few = projection.read_events
        batch = few and few * BATCH_FACTOR
        self._projection = msgspec.structs.replace(projection, rest_seconds=0.0, read_events=batch)
        self._site, self._near, self._make_archive, self._make_reader = site, near, make_archive, make_reader
        self._clock, self._stop = clock, stop
        self._leases: dict[str, Lease] = {}
        self.firsts: dict[str, int] = {}  # the n at which each stream was begun

    @property
    def positions(self) -> dict[str, int]:
        """Give how far each stream is in the tables."""
        return {stream: lease.n for stream, lease in self._leases.items()}

    @property
    def events(self) -> int:
        """Give how many events are in the tables."""
        return sum(lease.n - self.firsts[stream] + 1 for stream, lease in self._leases.items())

    async def begin(self, stream: str, first: int) -> None:
        """Go on with a stream, or begin it at `first`. Raises LeaseLost where somebody raised its epoch."""
        taken = await self._site.own_lease(stream, first)
        if taken is None:
            raise LeaseLost(f"to go on with {stream}", "somebody raised its epoch", "the rebuild begins again")
        self._leases[stream], self.firsts[stream] = taken

    async def bring(self, ends: Mapping[str, int], moved: Moved, tidy: Tidy | None = None) -> None:
        """Project every stream up to its end. Raises LeaseLost where an epoch was raised, and what projecting raises.

        tidy: is called now and then, and at the end. Returns early when the process is to stop.
        """
        beside = [asyncio.ensure_future(self._tell(ends, moved))]
        if tidy is not None:
            beside.append(asyncio.ensure_future(_repeat(tidy)))
        try:
            await together(self._project(stream, end) for stream, end in ends.items())
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            self._tell_now(ends, moved)
        if tidy is not None:
            await tidy()

    async def _project(self, stream: str, end: int) -> None:
        lease = self._leases[stream]
        if lease.n >= end:
            return
        stop = Stop()
        reader = self._make_reader(self._near, self._make_archive(), end, self._stop, stop, self._notice)
        store = Store(self._site.database_url, self._site.schema)
        loop = Loop(self._projection, stream, store, reader, self._clock, NoMarks(), stop, READ_EVENTS_MAX)
        loop.is_live = False
        try:
            await loop.hold(lease)
        finally:
            await reader.close()
            await store.close()

    async def _notice(self, batch: Sequence[Recorded]) -> None:
        """Remember tombstones, before what stands beside them is committed."""
        numbers = [event.n for event in batch if event.type == TOMBSTONE]
        if numbers:
            async with self._site.looking() as ask:
                await ask("keep_tombstones", {"stream": batch[0].stream, "numbers": numbers})

    async def _tell(self, ends: Mapping[str, int], moved: Moved) -> None:
        while True:
            self._tell_now(ends, moved)
            await asyncio.sleep(TELL_SECONDS)

    def _tell_now(self, ends: Mapping[str, int], moved: Moved) -> None:
        total = sum(max(end, self._leases[stream].n) - self.firsts[stream] + 1 for stream, end in ends.items())
        moved(sum(self._leases[stream].n - self.firsts[stream] + 1 for stream in ends), total)


class NoMarks:
    """A rebuild's positions are shown nowhere: the consumer groups are those of the live projectors."""

    async def mark(self, stream: str, projector: str, n: int) -> None:
        """Show nothing."""

    async def marked(self, stream: str) -> dict[str, int]:  # noqa: ARG002  # the port's name
        """Give nothing."""
        return {}


async def _repeat(tidy: Tidy) -> None:
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        with suppress(Unreachable):  # somebody is writing there: the next time
            await tidy()


async def together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all at once; the first error ends the others and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
