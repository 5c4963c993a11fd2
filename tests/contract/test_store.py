"""The port `sql.store.Store`: what the one on PostgreSQL and the simulated one both promise."""

import time
from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

import pytest

from runtime.errors import LeaseLost, Unreachable
from sql.store import Lease, Rows, Store
from tests.loops import ask
from tests.owners import Torn, insist
from tests.simulation.faults import Plan
from tests.simulation.ledger import Ledger
from tests.simulation.tables import SimulatedStore, Tables
from tests.simulation.world import World

STREAM = "ticks-sandbox-1"
PROJECTOR = "eager"
T = TypeVar("T")


class Stand(Protocol):
    """A database with two owners, and a look at it from outside."""

    @property
    def one(self) -> Store: ...

    @property
    def two(self) -> Store: ...

    async def parked(self) -> list[int]:
        """Give the n of all rows that are visible."""
        ...

    async def run_out(self) -> None:
        """Let the time of all leases be over."""
        ...


class OnPostgres:
    def __init__(self, url: str) -> None:
        self.one, self.two, self._url = Store(url), Store(url), url

    async def parked(self) -> list[int]:
        return [row["n"] for row in await ask(self._url, "select n from parked_events order by n")]

    async def run_out(self) -> None:
        await ask(self._url, "update projection_checkpoints set lease_until = now() - interval '1 second'")


class Simulated:
    def __init__(self) -> None:
        world = World(Plan(0))
        world.faults.over = True
        world.slowness = 0.0
        self._tables = Tables(world, Ledger(world.violated))
        self.one, self.two = SimulatedStore(self._tables), SimulatedStore(self._tables)

    async def parked(self) -> list[int]:
        return [row.n for rows in self._tables.rows.values() for row in rows]

    async def run_out(self) -> None:
        for checkpoint in self._tables.checkpoints.values():
            checkpoint.lease_until = -1.0


@pytest.fixture(params=["simulated", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Give where the database is; None for the simulated one."""
    return str(request.getfixturevalue("database_url")) if request.param == "postgres" else None


@pytest.fixture
async def stand(url: str | None) -> AsyncIterator[Stand]:
    made: Stand = Simulated() if url is None else OnPostgres(url)
    yield made
    await made.one.close()
    await made.two.close()


async def held(store: Store) -> Lease:
    lease = await insist(lambda: store.acquire(PROJECTOR, STREAM))
    assert lease is not None
    return lease


async def park(rows: Rows, n: int) -> None:
    row = {"projector": PROJECTOR, "stream": STREAM, "n": n, "part": 0, "packets": 0, "at": "2026-04-12T00:00Z"}
    await rows.run("park_event", {**row, "error": "test", "payload": b""})


async def commit(store: Store, lease: Lease, target: int) -> None:
    async with store.begin(lease, target) as rows:
        await park(rows, target)
    lease.n = target


async def test_a_new_pair_begins_at_0(stand: Stand) -> None:
    lease = await held(stand.one)
    assert (lease.epoch, lease.n) == (1, 0)
    assert await stand.one.standing(lease) == 0


async def test_rows_and_position_become_visible_together(stand: Stand) -> None:
    lease = await held(stand.one)
    async with stand.one.begin(lease, 1) as rows:
        await park(rows, 1)
        assert await stand.parked() == []
    assert await stand.parked() == [1]
    assert await stand.one.standing(lease) == 1


async def test_an_error_inside_takes_back_rows_and_position(stand: Stand) -> None:
    lease = await held(stand.one)

    async def tear() -> None:
        async with stand.one.begin(lease, 1) as rows:
            await park(rows, 1)
            raise Torn

    with pytest.raises(Torn):
        await tear()
    assert await stand.parked() == []
    await commit(stand.one, lease, 1)
    assert await stand.parked() == [1]


async def test_a_position_that_was_moved_already_is_not_moved_again(stand: Stand) -> None:
    lease = await held(stand.one)
    await commit(stand.one, lease, 1)
    lease.n = 0
    with pytest.raises(LeaseLost):
        await commit(stand.one, lease, 1)
    assert await stand.parked() == [1]


async def test_a_held_pair_is_not_given_to_another(stand: Stand) -> None:
    lease = await held(stand.one)
    assert await stand.two.acquire(PROJECTOR, STREAM) is None
    await commit(stand.one, lease, 1)


async def test_an_owner_may_take_its_own_pair_again_in_a_new_epoch(stand: Stand) -> None:
    old = await held(stand.one)
    await commit(stand.one, old, 1)
    new = await held(stand.one)
    assert (new.epoch, new.n) == (old.epoch + 1, 1)
    with pytest.raises(LeaseLost):
        await commit(stand.one, old, 2)


async def test_a_released_pair_is_free_at_once(stand: Stand) -> None:
    old = await held(stand.one)
    await commit(stand.one, old, 1)
    await stand.one.release(old)
    new = await held(stand.two)
    assert (new.epoch, new.n) == (old.epoch + 1, 1)


async def test_an_owner_that_was_taken_over_writes_nothing_more(stand: Stand) -> None:
    old = await held(stand.one)
    await stand.run_out()
    new = await held(stand.two)
    assert new.epoch == old.epoch + 1
    for late in (
        lambda: commit(stand.one, old, 1),
        lambda: stand.one.renew(old),
        lambda: stand.one.standing(old),
    ):
        with pytest.raises(LeaseLost):
            await insist(late)
    await commit(stand.two, new, 1)
    assert await stand.parked() == [1]


async def test_what_a_taken_over_owner_has_open_is_rolled_back(stand: Stand) -> None:
    old = await held(stand.one)
    taken: list[Lease] = []

    async def be_taken_over() -> None:
        async with stand.one.begin(old, 1) as rows:
            await park(rows, 1)
            await stand.run_out()
            taken.append(await held(stand.two))

    with pytest.raises(Unreachable):
        await be_taken_over()
    assert await stand.parked() == []
    await commit(stand.two, taken[0], 1)
    assert await stand.parked() == [1]


async def test_a_release_of_a_pair_that_was_taken_over_changes_nothing(stand: Stand) -> None:
    old = await held(stand.one)
    await stand.run_out()
    new = await held(stand.two)
    await insist(lambda: stand.one.release(old))
    await commit(stand.two, new, 1)
    assert await stand.one.acquire(PROJECTOR, STREAM) is None


async def test_an_epoch_is_raised_past_any_that_was_handed_out(stand: Stand) -> None:
    lease = await held(stand.one)
    old = Lease(lease.projector, lease.stream, lease.epoch, lease.n)
    await stand.one.raise_far(lease, time.time_ns())
    assert lease.epoch > 10**15
    with pytest.raises(LeaseLost):
        await stand.one.raise_far(old, time.time_ns())
    with pytest.raises(LeaseLost):
        await commit(stand.one, old, 1)
    await commit(stand.one, lease, 1)
    assert await stand.parked() == [1]
