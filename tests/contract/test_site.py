"""The seam `sql.rebuilds.Site`: what the one on PostgreSQL and the simulated one both promise to a rebuild."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import pytest

from projectors.gaps import GAPS
from runtime.errors import LeaseLost, Unreachable
from sql import checkpoints
from sql.rebuilds import Site
from sql.store import Store
from tests.loops import ask
from tests.simulation.faults import Plan
from tests.simulation.ledger import Ledger
from tests.simulation.site import SimulatedSite
from tests.simulation.tables import SimulatedStore, Tables
from tests.simulation.world import World

STREAM = "ticks-sandbox-1"
T = TypeVar("T")


class Stand(Protocol):
    """A database: sites in it, the live projector's store, and what others may do to it."""

    def site(self) -> Any: ...

    def store(self, schema: str | None = None) -> Store: ...

    async def fence(self) -> object: ...

    async def standing(self) -> int:
        """Give the live position."""
        ...


class OnPostgres:
    def __init__(self, url: str) -> None:
        self._url = url

    def site(self) -> Any:
        return Site(self._url, GAPS.name, GAPS.tables, 1)

    def store(self, schema: str | None = None) -> Store:
        return Store(self._url, schema)

    async def fence(self) -> object:
        return await checkpoints.fence(self._url, STREAM)

    async def standing(self) -> int:
        (row,) = await ask(self._url, "select n from projection_checkpoints where projector = %s", GAPS.name)
        return int(row["n"])


class Simulated:
    def __init__(self) -> None:
        world = World(Plan(0))
        world.faults.over, world.slowness = True, 0.0
        self._tables = Tables(world, Ledger(world.violated))

    def site(self) -> Any:
        return SimulatedSite(self._tables, GAPS.name, ("counts",), 1)

    def store(self, schema: str | None = None) -> Store:
        return SimulatedStore(self._tables, schema)

    async def fence(self) -> object:
        return await self._tables.fence(STREAM)

    async def standing(self) -> int:
        return self._tables.checkpoints[GAPS.name, STREAM].n


@pytest.fixture(params=["simulated", "postgres"])
def stand(request: pytest.FixtureRequest) -> Stand:
    return OnPostgres(request.getfixturevalue("database_url")) if request.param == "postgres" else Simulated()


@pytest.fixture
async def site(stand: Stand) -> AsyncIterator[Any]:
    site = stand.site()
    await site.enter()
    yield site
    await site.close()


async def commit(store: Store, lease: Any, target: int) -> None:
    row = {"projector": GAPS.name, "stream": STREAM, "n": target, "part": 0, "packets": 0, "at": "2026-04-12T00:00Z"}
    async with store.begin(lease, target) as rows:
        await rows.run("park_event", {**row, "error": "test", "payload": b""})
    lease.n = target


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer: a server may need a moment to see a session end."""
    while True:
        try:
            return await ask()
        except Unreachable:
            continue


async def test_one_at_a_time_holds_the_site(stand: Stand, site: Any) -> None:
    other = stand.site()
    with pytest.raises(Unreachable, match="lock"):
        await other.enter()
    await site.close()
    await insist(other.enter)
    await other.close()


async def test_what_was_begun_is_gone_on_with(site: Any) -> None:
    await site.make()
    (left,) = await site.left()
    assert (left.name, left.kind, left.projector) == (site.schema, "rebuild", GAPS.name)
    first, again = await site.own_lease(STREAM, 1), await site.own_lease(STREAM, 1)
    assert [(lease.epoch, lease.n, begun) for lease, begun in (first, again)] == [(1, 0, 1), (2, 0, 1)]
    assert await site.can_go_on()


async def test_what_is_half_dropped_is_not(stand: Stand, site: Any) -> None:
    await site.make()
    await site.own_lease(STREAM, 1)
    (left,) = await site.left()
    assert await site.drop_one(left)
    assert not await site.can_go_on()
    await stand.fence()
    while await site.drop_one(left):
        pass
    assert await site.left() == []


async def test_a_takeover_of_the_log_ends_what_was_begun(stand: Stand, site: Any) -> None:
    await site.make()
    await site.own_lease(STREAM, 1)
    await stand.fence()
    assert not await site.is_whole()
    assert await site.own_lease(STREAM, 1) is None


async def test_a_swap_brings_positions_and_a_generation(stand: Stand, site: Any) -> None:
    live = stand.store()
    lease = await live.acquire(GAPS.name, STREAM)
    assert lease is not None
    await commit(live, lease, 1)
    await site.make()
    own, _ = await site.own_lease(STREAM, 1)
    building = stand.store(site.schema)
    await commit(building, own, 1)
    held = await site.seize(STREAM)
    assert (held.epoch, held.n) == (lease.epoch + 1, 1)
    with pytest.raises(LeaseLost):
        await commit(live, lease, 2)
    before = await site.live_generation()
    assert not await site.swapped()
    await site.swap([held], {STREAM: 1})
    assert await site.swapped()
    assert await site.live_generation() == before + 1
    assert await stand.standing() == 1
    await site.release(held)
    again = await live.acquire(GAPS.name, STREAM)
    assert again is not None
    await commit(live, again, 2)
    assert await stand.standing() == 2
    await live.close()
    await building.close()


async def test_nobody_swaps_what_he_does_not_hold_any_more(stand: Stand, site: Any) -> None:
    live = stand.store()
    lease = await live.acquire(GAPS.name, STREAM)
    assert lease is not None
    await commit(live, lease, 1)
    await site.make()
    await site.own_lease(STREAM, 1)
    held = await site.seize(STREAM)
    await stand.fence()
    with pytest.raises(LeaseLost):
        await site.swap([held], {STREAM: 1})
    assert not await site.swapped()
    await live.close()
