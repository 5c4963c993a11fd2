"""Tables made again from the log beside the live ones, and put in their place (design rule 18).

Promise: readers see the old tables or the new ones, whole, and no request fails; what the live projector committed up
to the swap is in the new tables, from the log; nothing is written twice or left out around it.

    BUILDING   the projector's own code fills tables in a schema of their own, from n = 1 of every stream, up to
               where the live one stands, or to the log's end where that has not begun; live work goes on beside it
    COMPARING  the live projector's leases are taken (it waits) and the new tables brought to exactly its positions;
               of that moment a snapshot is taken and the leases are free again; in it both are compared
    SWAPPING   held once more and brought to the same positions; tables, positions, parked events: one transaction
    DROPPING   the replaced tables, one at a time, giving way to whoever still reads them

Everything that counts is in the database, so a rebuild that is killed goes on from its own checkpoints, and a swap that
was carried out, whether its answer was heard or not, is known by the live generation. Failures: PostgreSQL, Redis or
the archive away: wait, then the same again. An epoch of ours raised (a takeover of the log: what we read may not be in
it any more): begin again. A live pair lost while it is held: hold it again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from events.archive import Archive
from events.log import Log
from events.reader import Reader
from projectors.building import Building
from projectors.difference import Comparison, compare
from projectors.projector import Projection
from projectors.retained import first_ns
from runtime.clock import Clock
from runtime.errors import Halt, LeaseLost, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.waiting import Backoff
from sql.rebuilds import Left, Site
from sql.snapshot import Snapshot, take
from sql.store import LEASE_SECONDS, Lease

NEAR_EVENTS = 5_000  # so close behind the live projector it is held: less than a second's work
RENEW_SECONDS = LEASE_SECONDS / 4

_log = get("rebuild")

T = TypeVar("T")


class Plan(msgspec.Struct, frozen=True):
    """What is wanted. kept_days: of ticks. swap: put the new tables in place. restart: throw away what was begun."""

    projection: Projection
    database_url: str
    kept_days: int
    swap: bool = True
    restart: bool = False


class Outcome(msgspec.Struct):
    """What became of a rebuild. comparison: None where there was nothing to compare with."""

    projection: str
    version: int
    generation: int
    swapped: bool = False
    resumed: bool = False
    events: int = 0
    rows: int = 0
    seconds: float = 0.0
    comparison: Comparison | None = None
    notes: list[str] = []


class Watcher(Protocol):
    """Who is told how far it is, and asked what to do about a difference."""

    def phase(self, name: str) -> None:
        """Hear what is done now."""
        ...

    def moved(self, done: int, total: int) -> None:
        """Hear how many events of how many are in the new tables."""
        ...

    async def accepts(self, comparison: Comparison) -> bool:
        """Say whether the new tables are wanted although they differ."""
        ...


class Stopped(Exception):  # it tells what happened, like the errors of the tree
    """The process was asked to end; the next one goes on from what is committed."""


class Rebuild:
    """One projection's rebuild."""

    def __init__(
        self, plan: Plan, near: Log, make_archive: Callable[[], Archive], clock: Clock, watcher: Watcher, stop: Stop
    ) -> None:
        """make_archive: each stream has its own, with what it read last in memory."""
        self._plan, self._near, self._make_archive = plan, near, make_archive
        self._clock, self._watcher, self._stop = clock, watcher, stop
        self._reader = Reader(near, make_archive())
        self._restart = plan.restart

    async def run(self) -> Outcome:
        """Do it, waiting for whatever does not answer. Raises BadInput, Halt, Stopped."""
        backoff, began, projection = Backoff(), self._clock.monotonic(), self._plan.projection
        while True:
            site = Site(self._plan.database_url, projection.name, projection.tables, projection.version)
            try:
                await site.enter()
                outcome = await self._run(site)
            except (Unreachable, LeaseLost) as error:
                _log.warning("rebuild.waits", wanted=error.wanted, found=error.found)
                if await self._stop.pause(backoff.next_seconds()):
                    raise Stopped from error
            else:
                outcome.seconds = round(self._clock.monotonic() - began, 3)
                return outcome
            finally:
                await site.close()

    async def _run(self, site: Site) -> Outcome:
        outcome = Outcome(site.projector, site.version, site.generation)
        left = await site.left()
        if any(each.kind == "rebuild" and each.generation <= site.generation for each in left):
            await self._drop(site, left, outcome)
            outcome.swapped = True
            outcome.notes.append("the swap had been made before; what it replaced is dropped now")
            return outcome
        await self._drop(site, [each for each in left if each.kind == "replaced"], outcome)
        outcome.resumed = await self._open(site, [each for each in left if each.kind == "rebuild"], outcome)
        building = Building(site, self._plan.projection, self._near, self._make_archive, self._clock, self._stop)
        await self._build(site, building)
        outcome.comparison = await self._compare(site, building)
        outcome.events, outcome.rows = building.events, await site.rows()
        differs = outcome.comparison is not None and outcome.comparison.different
        if self._plan.swap and (not differs or await self._accepted(outcome.comparison)):
            self._watcher.phase("swapping")
            await self._swap(site, building)
            outcome.swapped, outcome.generation = True, site.generation + 1
        if outcome.swapped or not self._plan.swap:
            self._watcher.phase("dropping what is not needed any more")
            await self._drop(site, await site.left(), outcome)
        return outcome

    async def _accepted(self, comparison: Comparison | None) -> bool:
        assert comparison is not None, "what differs was compared"
        return await self._watcher.accepts(comparison)

    async def _open(self, site: Site, begun: list[Left], outcome: Outcome) -> bool:
        """Go on with what was begun, or make the site; say whether it goes on."""
        if begun and not self._restart and await site.can_go_on():
            return True
        await self._drop(site, begun, outcome)
        await site.make()
        self._restart = False
        return False

    async def _streams(self, site: Site) -> dict[str, int]:
        """Give the streams, and how far the live projector has come with each."""
        live = await site.projected()
        # Those that are begun, too: a Redis that forgot does not know them, and they are swapped with the others.
        known = {*await self._reader.streams(), *(stream for stream, n in live.items() if n), *await site.begun()}
        return {stream: live.get(stream, 0) for stream in sorted(known) if self._plan.projection.wants(stream)}

    async def _build(self, site: Site, building: Building) -> None:
        """Round after round, each a shorter one, until the live projector is near or comes no nearer."""
        self._watcher.phase("building")
        before = None
        while True:
            streams = await self._streams(site)
            rest = await self._bring(
                site, building, {stream: n or await self._reader.last(stream) for stream, n in streams.items()}
            )
            if rest <= NEAR_EVENTS or (before is not None and rest > before // 2):
                return
            before = rest

    async def _bring(self, site: Site, building: Building, ends: dict[str, int]) -> int:
        """Bring every stream to its end; give how many events that were."""
        for stream in ends:
            if stream not in building.positions:
                await building.begin(stream, await self._first(site, stream))
        before = building.events
        if self._plan.projection.by_days:
            await building.bring(ends, self._watcher.moved, lambda: site.drop_days(self._plan.kept_days))
        else:
            await building.bring(ends, self._watcher.moved)
        if self._stop.is_set():
            raise Stopped
        return building.events - before

    async def _first(self, site: Site, stream: str) -> int:
        """Give the first n that may have rows which are kept."""
        if not self._plan.projection.by_days:
            return 1
        since_ns = await first_ns(self._reader, stream, await site.newest_day(), self._plan.kept_days)
        return max(1, await self._make_archive().first_at(stream, since_ns))

    @asynccontextmanager
    async def _held(self, site: Site, building: Building) -> AsyncIterator[list[Lease]]:
        """Hold every live pair, and the new tables at their positions."""
        leases: list[Lease] = []
        renewing = asyncio.ensure_future(_renew(site, leases))
        try:
            for stream in await self._streams(site):
                leases.append(await site.seize(stream))  # noqa: PERF401  # renewed and released as far as it came
            await self._bring(site, building, {lease.stream: lease.n for lease in leases})
            yield leases
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            with suppress(Unreachable):  # they run out by themselves
                for lease in leases:
                    await site.release(lease)

    async def _compare(self, site: Site, building: Building) -> Comparison | None:
        """Compare with the live tables, at one moment in which both stand at the same positions."""
        self._watcher.phase("comparing")
        async with AsyncExitStack() as stack:
            async with self._held(site, building) as leases:
                if any(lease.n != building.positions[lease.stream] for lease in leases):
                    return None  # the live ones had not begun: there is nothing to compare with
                snapshot = await stack.enter_async_context(take(self._plan.database_url))
                await self._see_no_stranger(snapshot, building)
            days = self._plan.kept_days if self._plan.projection.by_days else None
            return await compare(snapshot, site, self._plan.projection.tables, building.firsts, days)

    async def _see_no_stranger(self, snapshot: Snapshot, building: Building) -> None:
        """See that the live tables hold no stream that has come since the others are held. Raises LeaseLost."""
        found = await snapshot.rows("projected_streams", {"projector": self._plan.projection.name})
        strangers = [row["stream"] for row in found if row["n"] and row["stream"] not in building.positions]
        if strangers:
            raise LeaseLost("to hold all streams for the comparison", f"{', '.join(strangers)} came", "it begins again")

    async def _swap(self, site: Site, building: Building) -> None:
        async with self._held(site, building) as leases:
            if not await site.is_whole():
                raise LeaseLost("our own epochs as we left them", "somebody raised one", "the rebuild begins again")

            async def swap() -> None:
                if not await site.swapped():  # an answer that was lost
                    await site.swap(leases, building.positions)

            await self._patiently(swap)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what gives way to readers, until it is done."""
        backoff = Backoff()
        while True:
            try:
                return await work()
            except Unreachable as error:
                _log.info("rebuild.gives_way", wanted=error.wanted, found=error.found)
                if await self._stop.pause(backoff.next_seconds()):
                    raise Stopped from error

    async def _drop(self, site: Site, left: list[Left], outcome: Outcome) -> None:
        """Drop schemas, the replaced ones first: as long as ours is there, the next run knows what was done."""
        for each in sorted(left, key=lambda each: each.kind == "rebuild"):
            try:
                while await self._patiently(partial(site.drop_one, each)):
                    pass
            except Halt as error:
                outcome.notes.append(f"{each.name} stays: {error.found}; drop by hand what hangs on it")


async def _renew(site: Site, leases: list[Lease]) -> None:
    """Hold live pairs for as long as it takes."""
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        for lease in list(leases):
            with suppress(Unreachable):  # the swap notices what was lost
                await site.renew(lease)
