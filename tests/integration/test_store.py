"""Positions and rows in PostgreSQL: together or not at all, and never by an owner that was taken over."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from runtime.errors import BadEvent, Halt, LeaseLost, Unreachable
from sql.store import Lease, Rows, Store
from tests.loops import ask
from tests.owners import Torn, insist
from tests.patience import PATIENCE_SECONDS
from tests.proxy import proxy

ROOT = Path(__file__).resolve().parents[2]
STREAM = "ticks-sandbox-1"
PROJECTOR = "ticks"
T = TypeVar("T")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    made = Store(database_url)
    yield made
    await made.close()


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Store]:
    made = Store(database_url)
    yield made
    await made.close()


async def held(store: Store) -> Lease:
    lease = await store.acquire(PROJECTOR, STREAM)
    assert lease is not None
    return lease


async def ended(store: Store) -> None:
    """See that the session of an owner that was taken over has been ended; its next call opens another."""
    with pytest.raises(Unreachable, match="AdminShutdown"):
        await store.acquire("another", STREAM)


async def park(rows: Rows, n: int) -> None:
    """Write some row."""
    row = {"projector": PROJECTOR, "stream": STREAM, "n": n, "part": 0, "packets": 0, "at": "2026-04-12T00:00Z"}
    await rows.run("park_event", {**row, "error": "test", "payload": b""})


Inside = Callable[[Rows], Awaitable[None]]


async def nothing(rows: Rows) -> None:
    """Do no more in a transaction."""


async def commit(store: Store, lease: Lease, target: int, then: Inside = nothing) -> None:
    """Write a row and the position, and `then` inside the same transaction."""
    async with store.begin(lease, target) as rows:
        await park(rows, target)
        await then(rows)
    lease.n = target


async def parked(url: str) -> list[int]:
    return [row["n"] for row in await ask(url, "select n from parked_events order by n")]


async def checkpoint(url: str) -> tuple[int, int]:
    (row,) = await ask(url, "select n, epoch from projection_checkpoints")
    return row["n"], row["epoch"]


async def run_out(url: str) -> None:
    """Let the lease's time be over."""
    await ask(url, "update projection_checkpoints set lease_until = now() - interval '1 second'")


async def test_rows_and_position_become_visible_together(store: Store, database_url: str) -> None:
    lease = await held(store)
    async with store.begin(lease, 7) as rows:
        await park(rows, 7)
        assert (await parked(database_url), await checkpoint(database_url)) == ([], (0, 1))
    assert (await parked(database_url), await checkpoint(database_url)) == ([7], (7, 1))


async def test_an_error_inside_takes_back_rows_and_position(store: Store, database_url: str) -> None:
    lease = await held(store)

    async def tear(_: Rows) -> None:
        raise Torn

    with pytest.raises(Torn):
        await commit(store, lease, 7, tear)
    assert (await parked(database_url), await checkpoint(database_url)) == ([], (0, 1))
    await commit(store, lease, 7)
    assert await checkpoint(database_url) == (7, 1)


async def test_a_refused_row_is_a_bad_event_and_nothing_is_kept(store: Store, database_url: str) -> None:
    lease = await held(store)
    with pytest.raises(BadEvent):
        await commit(store, lease, 2, lambda rows: park(rows, 2))
    assert (await parked(database_url), await checkpoint(database_url)) == ([], (0, 1))


async def test_a_live_owner_keeps_its_pair_until_the_lease_runs_out(
    store: Store, other: Store, database_url: str
) -> None:
    await held(store)
    assert await other.acquire(PROJECTOR, STREAM) is None
    await run_out(database_url)
    lease = await held(other)
    await ended(store)
    assert (lease.epoch, await store.acquire(PROJECTOR, STREAM)) == (2, None)


async def test_renewing_holds_the_pair_and_tells_who_lost_it(store: Store, other: Store, database_url: str) -> None:
    lease = await held(store)
    await run_out(database_url)
    await store.renew(lease)
    assert await other.acquire(PROJECTOR, STREAM) is None
    await run_out(database_url)
    await held(other)
    await ended(store)
    with pytest.raises(LeaseLost):
        await store.renew(lease)


async def test_a_released_pair_is_free_at_once(store: Store, other: Store) -> None:
    lease = await held(store)
    await commit(store, lease, 3)
    await store.release(lease)
    assert (await held(other)).n == 3


async def test_an_owner_takes_its_own_pair_again_at_once(store: Store) -> None:
    first = await held(store)
    second = await held(store)
    assert second.epoch == first.epoch + 1
    with pytest.raises(LeaseLost):
        await commit(store, first, 1)
    await commit(store, second, 1)


async def test_a_late_release_does_not_take_the_pair_from_its_new_owner(
    store: Store, other: Store, database_url: str
) -> None:
    lease = await held(store)
    await run_out(database_url)
    await commit(other, await held(other), 1)
    await ended(store)
    await insist(lambda: store.release(lease))
    assert await store.acquire(PROJECTOR, STREAM) is None


async def test_an_owner_that_was_taken_over_writes_nothing(store: Store, other: Store, database_url: str) -> None:
    zombie = await held(store)
    await commit(store, zombie, 3)
    await run_out(database_url)
    lease = await held(other)
    await ended(store)
    with pytest.raises(LeaseLost):
        await commit(store, zombie, 5)
    with pytest.raises(LeaseLost):
        await store.standing(zombie)
    await commit(other, lease, 4)
    assert (await parked(database_url), await checkpoint(database_url)) == ([3, 4], (4, 2))


async def test_a_takeover_ends_the_transaction_that_is_under_way(store: Store, other: Store, database_url: str) -> None:
    zombie = await held(store)
    await run_out(database_url)

    async def be_taken_over(_: Rows) -> None:
        await commit(other, await held(other), 4)

    with pytest.raises(Unreachable):
        await commit(store, zombie, 5, be_taken_over)
    assert (await parked(database_url), await checkpoint(database_url)) == ([4], (4, 2))


END_OPEN_TRANSACTION = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where state = 'idle in transaction' and datname = current_database()"
)


async def test_a_zombie_whose_session_was_ended_inside_its_transaction_writes_nothing(
    store: Store, other: Store, database_url: str
) -> None:
    zombie = await held(store)
    await run_out(database_url)

    async def end_session(_: Rows) -> None:
        await ask(database_url, END_OPEN_TRANSACTION)
        await commit(other, await held(other), 4)

    with pytest.raises(Unreachable):
        await commit(store, zombie, 5, end_session)
    with pytest.raises(LeaseLost):
        await store.standing(zombie)
    assert (await parked(database_url), await checkpoint(database_url)) == ([4], (4, 2))


async def test_a_frozen_owners_transaction_lets_go_and_its_thaw_is_no_defect(
    store: Store, other: Store, database_url: str
) -> None:
    zombie = await held(store)
    await run_out(database_url)

    async def freeze(rows: Rows) -> None:
        await rows._connection.execute("set local idle_in_transaction_session_timeout = '50ms'")
        await commit(other, await held(other), 4)
        await rows.run("read_checkpoints")

    with pytest.raises(Unreachable):
        await commit(store, zombie, 5, freeze)
    assert (await parked(database_url), await checkpoint(database_url)) == ([4], (4, 2))


async def test_a_commit_whose_answer_is_lost_is_found(database_url: str) -> None:
    async with proxy(database_url) as way:
        store = Store(way.url)
        lease = await held(store)
        way.arm("after")
        with pytest.raises(Unreachable):
            await commit(store, lease, 9)
        await way.struck()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await store.standing(lease) != 9:
                pass
        await store.close()
    assert await parked(database_url) == [9]


async def test_a_commit_that_never_arrived_is_known_not_to_be_made(database_url: str) -> None:
    async with proxy(database_url) as way:
        store = Store(way.url)
        lease = await held(store)
        way.arm("before")
        with pytest.raises(Unreachable):
            await commit(store, lease, 9)
        assert await store.standing(lease) == 0
        await commit(store, lease, 9)
        await store.close()
    assert await parked(database_url) == [9]


@contextlib.contextmanager
def owner_process(url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that holds the pair."""
    program = (
        "import asyncio, sys; from sql.store import Store\n"
        f"lease = asyncio.run(Store(sys.argv[1]).acquire({PROJECTOR!r}, {STREAM!r}))\n"
        "print(lease.epoch, flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        try:
            yield process
        finally:
            process.kill()


async def test_a_dead_process_loses_its_lease_at_once_and_a_live_one_does_not(store: Store, database_url: str) -> None:
    with owner_process(database_url) as process:
        assert await store.acquire(PROJECTOR, STREAM) is None
        process.kill()
        process.wait()
        assert (await held(store)).epoch == 2


async def test_of_another_machines_owner_nothing_is_known(store: Store, database_url: str) -> None:
    await held(store)
    await ask(database_url, "update projection_checkpoints set owner = 'elsewhere:1:1'")
    assert await store.acquire(PROJECTOR, STREAM) is None


async def test_a_streams_number_is_given_once(database_url: str) -> None:
    for _ in range(3):
        stores = [Store(database_url) for _ in range(6)]
        for each in stores:
            async with each.reading(STREAM) as rows:
                assert rows.stream_id == 1
            await each.close()
    async with (made := Store(database_url)).reading("another") as rows:
        assert rows.stream_id == 2, "asking for a number must not use numbers up: there are 32,767"
    await made.close()


async def test_numbers_of_streams_that_are_made_at_once(database_url: str) -> None:
    async def number(store: Store, stream: str) -> int:
        while True:
            try:
                async with store.reading(stream) as rows:
                    return rows.stream_id
            except Unreachable:
                continue

    stores = [Store(database_url) for _ in range(8)]
    found = await asyncio.gather(*(number(store, f"s-{i % 2}") for i, store in enumerate(stores)))
    assert sorted(set(found[::2])) != sorted(set(found[1::2]))
    assert len(set(found)) == 2
    for store in stores:
        await store.close()


async def test_a_database_that_is_away_or_not_migrated_can_be_waited_for(database_url: str) -> None:
    nobody = Store("postgresql://nobody:x@127.0.0.1:1/none")
    with pytest.raises(Unreachable):
        await nobody.acquire(PROJECTOR, STREAM)
    bare = Store(database_url)
    await ask(database_url, "drop function candle_coverage cascade")
    with pytest.raises(Unreachable, match="bahi migrate"):
        async with bare.reading(STREAM) as rows:
            await rows.run("cover_input", {"stream_id": 1})
    await ask(database_url, "drop table projection_checkpoints")
    with pytest.raises(Unreachable, match="bahi migrate"):
        await bare.acquire(PROJECTOR, STREAM)
    await bare.close()


async def test_a_server_that_only_reads_is_waited_for(store: Store, database_url: str) -> None:
    lease = await held(store)

    async def only_read(rows: Rows) -> None:
        await rows._connection.execute("set transaction read only")
        await park(rows, 2)

    with pytest.raises(Unreachable):
        await commit(store, lease, 1, only_read)
    await commit(store, lease, 1)


async def test_a_statement_that_cannot_be_is_a_halt(store: Store) -> None:
    lease = await held(store)
    with pytest.raises(Halt):
        async with store.begin(lease, 1) as rows:
            await rows._connection.execute("selekt")
