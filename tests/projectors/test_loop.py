"""The loop of a projector on real PostgreSQL: exactly once, whatever is lost, killed, refused or taken over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from events.event import Recorded
from events.messages import Gap, Takeover, pack
from ops.embedded import postgres
from projectors.candles import CANDLES
from projectors.gaps import GAPS
from projectors.loop import State
from projectors.lost import lost_rows
from projectors.projector import Projection
from projectors.ticks import TICKS, TickProjector
from runtime.errors import BadEvent
from sql import checkpoints, migrate
from sql.store import Lease, Rows, Store
from tests.entries import START_NS
from tests.frames import INFY, SECOND_NS, STREAM, Packet, frame, recorded
from tests.loops import Desk, Running, answered, ask
from tests.patience import PATIENCE_SECONDS
from tests.proxy import Fault, proxy

BAD_PRICE = 1_313


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


def frames(first: int, last: int, stream: str = STREAM, bad: frozenset[int] = frozenset()) -> list[Recorded]:
    """Give events first..last, each a frame of two packets that carry its n; `bad` ones have a refused price."""
    return [
        recorded(
            n,
            frame(
                Packet("full", INFY, BAD_PRICE if n in bad else 10_000, volume=n),
                Packet("quote", INFY, 10_000, volume=n),
            ),
            START_NS + n * SECOND_NS,
            stream,
        )
        for n in range(first, last + 1)
    ]


async def stored(url: str, stream: str = STREAM) -> list[int]:
    """Give the n of every tick row, in order, with its multiplicity."""
    rows = await ask(url, "select n from ticks join streams using (stream_id) where stream = %s order by n", stream)
    return [row["n"] for row in rows]


def twice(numbers: Sequence[int]) -> list[int]:
    return [n for n in numbers for _ in range(2)]


async def epoch(url: str) -> int:
    (row,) = await ask(url, "select epoch from projection_checkpoints where projector = 'ticks'")
    number: int = row["epoch"]
    return number


async def refuse_bad_prices(url: str) -> None:
    await ask(url, f"alter table ticks add constraint no_bad check (last_price <> {BAD_PRICE / 100})")


async def test_every_event_is_stored_once_and_the_checkpoint_says_so(desk: Desk) -> None:
    await desk.project(TICKS, frames(1, 2_500))
    assert await stored(desk.database_url) == twice(range(1, 2_501))
    (checkpoint,) = await ask(desk.database_url, "select n, owner from projection_checkpoints")
    assert checkpoint == {"n": 2_500, "owner": None}


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_a_commit_lost_on_the_way_is_neither_lost_nor_doubled(desk: Desk, fault: Fault) -> None:
    async with proxy(desk.database_url) as way, desk.running(TICKS, STREAM, url=way.url) as running:
        await desk.write(frames(1, 3))
        await running.reached(3)
        way.arm(fault)
        await desk.write(frames(4, 9))
        await way.struck()
        await desk.write(frames(10, 12))
        await running.reached(12)
    assert await stored(desk.database_url) == twice(range(1, 13))
    assert await epoch(desk.database_url) == 1, "it kept its lease all the while"


async def test_a_commit_that_is_carried_out_while_it_is_tried_again_is_recognised(desk: Desk) -> None:
    async with proxy(desk.database_url) as way, desk.running(TICKS, STREAM, url=way.url) as running:
        await desk.write(frames(1, 3))
        await running.reached(3)
        way.arm("held")
        await desk.write(frames(4, 9))
        await way.struck()
        await waits_for_a_lock(desk.database_url)  # the second try, for the first one's row
        way.release()
        await running.reached(9)
        await desk.write(frames(10, 12))
        await running.reached(12)
    assert await stored(desk.database_url) == twice(range(1, 13))
    assert await epoch(desk.database_url) == 1, "it kept its lease all the while"


WAITING = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


async def waits_for_a_lock(url: str) -> None:
    await answered(url, WAITING, bool)


async def test_a_backend_terminated_in_the_middle_of_a_batch_costs_nothing(desk: Desk) -> None:
    async with desk.running(TICKS, STREAM) as running:
        await desk.write(frames(1, 3))
        await running.reached(3)
        async with ticks_locked(desk.database_url):
            await desk.write(frames(4, 300))
            await waits_for_a_lock(desk.database_url)
            assert await ask(desk.database_url, f"select pg_terminate_backend(pid) from ({WAITING}) waiting")
        await running.reached(300)
    assert await stored(desk.database_url) == twice(range(1, 301))


@contextlib.asynccontextmanager
async def ticks_locked(url: str) -> AsyncIterator[None]:
    """Hold the table `ticks` against everybody."""
    store = Store(url)
    async with store.reading("blocker") as rows:
        await rows._connection.execute("set local idle_in_transaction_session_timeout = 0")
        await rows._connection.execute("lock table ticks in access exclusive mode")
        yield
    await store.close()


async def test_a_restarted_server_is_waited_for(data_dir: Path) -> None:
    server = postgres.start(data_dir)
    try:
        await migrate.run(server.url)
        desk = Desk(server.url, data_dir)
        running, others = desk.start(TICKS, STREAM), desk.start(CANDLES, STREAM)
        await desk.write(frames(1, 5))
        await asyncio.gather(running.reached(5), others.reached(5))
        server.stop()
        await desk.write(frames(6, 40))
        server = postgres.start(data_dir)
        await asyncio.gather(running.reached(40), others.reached(40))
        await asyncio.gather(running.ended(), others.ended())
        assert await stored(server.url) == twice(range(1, 41))
        (count,) = await ask(server.url, "select sum(tick_count) from candles_1m")
        assert count["sum"] == 80
    finally:
        server.stop()


async def test_two_processes_share_the_work_without_doubling(desk: Desk) -> None:
    one, two = desk.start(TICKS, STREAM), desk.start(TICKS, STREAM)
    await desk.write(frames(1, 5))
    ready = [asyncio.ensure_future(each.reached(5)) for each in (one, two)]
    await asyncio.wait(ready, return_when=asyncio.FIRST_COMPLETED)
    holder, heir = (one, two) if one.loop.progress.n == 5 else (two, one)
    assert heir.loop.state is State.FREE
    await holder.ended()
    await desk.write(frames(6, 9))
    await heir.reached(9)
    await heir.ended()
    await asyncio.gather(*ready)
    assert await stored(desk.database_url) == twice(range(1, 10))


async def stolen(thief: Store, url: str) -> Lease:
    """Let the lease's time be over and take the pair, before its owner renews it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await ask(url, "update projection_checkpoints set lease_until = '-infinity'")
            if lease := await thief.acquire("ticks", STREAM):
                return lease


async def test_an_owner_taken_over_writes_nothing_more_and_waits_for_its_turn(desk: Desk) -> None:
    thief = Store(desk.database_url)
    async with desk.running(TICKS, STREAM) as running:
        await desk.write(frames(1, 3))
        await running.reached(3)
        lease = await stolen(thief, desk.database_url)
        await desk.write(frames(4, 6))
        await running.turned(State.FREE)
        assert await stored(desk.database_url) == twice(range(1, 4))
        await thief.release(lease)
        await running.reached(6)
    await thief.close()
    assert await stored(desk.database_url) == twice(range(1, 7))


async def test_an_event_that_the_database_refuses_is_parked_whole_and_the_rest_goes_on(desk: Desk) -> None:
    await refuse_bad_prices(desk.database_url)
    log = frames(1, 60, bad=frozenset({1, 7, 8, 60}))
    await desk.project(TICKS, log)
    good = [n for n in range(1, 61) if n not in (1, 7, 8, 60)]
    assert await stored(desk.database_url) == twice(good)
    parked = await ask(desk.database_url, "select * from parked_events order by n")
    assert [(row["n"], row["part"], row["packets"]) for row in parked] == [(n, 0, 2) for n in (1, 7, 8, 60)]
    assert [bytes(row["payload"]) for row in parked] == [log[n - 1].payload for n in (1, 7, 8, 60)]
    assert all("no_bad" in row["error"] for row in parked)


async def test_a_bad_event_is_parked_once_over_crashes_and_lost_answers(desk: Desk) -> None:
    await refuse_bad_prices(desk.database_url)
    async with proxy(desk.database_url) as way:
        await desk.write(frames(1, 20, bad=frozenset({5})))
        running = desk.start(TICKS, STREAM, url=way.url)
        await running.turned(State.ISOLATING)
        way.arm("after")
        await running.reached(20)
        await running.ended()
    assert await stored(desk.database_url) == twice([n for n in range(1, 21) if n != 5])
    assert [row["n"] for row in await ask(desk.database_url, "select n from parked_events")] == [5]


async def test_an_event_that_cannot_be_read_is_parked_in_its_projection_alone(desk: Desk) -> None:
    broken = Recorded(STREAM, 2, START_NS, "feed.gap.v1", b'{"type": "feed.gap.v1", "from_ns": "yesterday"}')
    good = recorded(3, Gap(from_ns=START_NS, to_ns=START_NS + SECOND_NS, reason="test"))
    last = await desk.write([*frames(1, 1), broken, good])
    for projection in (TICKS, GAPS, CANDLES):
        async with desk.running(projection, STREAM) as running:
            await running.reached(last)
    parked = await ask(desk.database_url, "select projector, n, payload from parked_events order by 1")
    assert [(row["projector"], row["n"]) for row in parked] == [("candles", 2), ("gaps", 2)]
    assert {bytes(row["payload"]) for row in parked} == {broken.payload}
    assert len(await ask(desk.database_url, "select * from feed_gaps")) == 1


class Strict(TickProjector):
    """Stands for orders, trades and money: n = 3 cannot be applied."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        if any(event.n == 3 for event in batch):
            raise BadEvent("an order", "nonsense", "ask the broker")
        super().absorb(batch)


class Broken(TickProjector):
    """A projector with a defect."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        raise ZeroDivisionError


class Stuck(TickProjector):
    """A projector whose memory cannot be read."""

    async def recall(self, rows: Rows) -> None:
        raise BadEvent("a memory", "nonsense", "rebuild it")


@pytest.fixture
async def beside(desk: Desk) -> AsyncIterator[Running]:
    """Give a good projector that works beside the bad one."""
    async with desk.running(CANDLES, STREAM) as running:
        yield running


async def test_where_nothing_may_be_parked_the_projector_stops_and_says_so(
    desk: Desk, beside: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = Projection("strict", TICKS.wants, Strict, parks=False)
    async with desk.running(strict, STREAM) as running:
        await desk.write(frames(1, 5))
        await running.turned(State.HALTED)
        await beside.reached(5)
    assert await stored(desk.database_url) == twice([1, 2])
    assert not await ask(desk.database_url, "select n from parked_events")
    assert "projector.halted" in (said := capsys.readouterr().out)
    assert "n = 3 of ticks-sandbox-1" in said


@pytest.mark.parametrize("defect", [Broken, Stuck])
async def test_a_defect_of_one_projector_stops_no_other(
    desk: Desk, beside: Running, defect: type[TickProjector], capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk.running(Projection("broken", TICKS.wants, defect), STREAM) as running:
        await desk.write(frames(1, 5))
        await running.turned(State.HALTED)
        await beside.reached(5)
    assert "projector.failed" in capsys.readouterr().out


async def test_a_hole_in_the_log_stops_the_pair_and_says_which_n_is_missing(
    desk: Desk, beside: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk.running(TICKS, "ticks-sandbox-2") as running:
        await desk.write(frames(1, 5))
        log = frames(1, 5, "ticks-sandbox-2")
        await desk.write(log)
        await running.reached(5)
        await desk.log.trim("ticks-sandbox-2", 5)
        del desk.log._entries["ticks-sandbox-2"][5]
        await desk.log.append("ticks-sandbox-2", [b"\0\0\0\0" + (8).to_bytes(8, "big")], archived=7)
        await running.turned(State.HALTED)
        await beside.reached(5)
    assert "n = 6 of ticks-sandbox-2" in capsys.readouterr().out


async def test_an_outage_while_events_are_taken_alone_parks_no_good_one(desk: Desk) -> None:
    await refuse_bad_prices(desk.database_url)
    async with proxy(desk.database_url) as way, desk.running(TICKS, STREAM, url=way.url) as running:
        way.arm("none")
        await desk.write(frames(1, 4, bad=frozenset({4})))
        await running.turned(State.ISOLATING)
        for _ in range(2):
            way.arm("before")
            await way.struck()
        await running.reached(4)
    assert await stored(desk.database_url) == twice([1, 2, 3])
    assert [row["n"] for row in await ask(desk.database_url, "select n from parked_events")] == [4]


# ---- takeovers of the log -----------------------------------------------------------------------------------------


async def test_rows_of_events_that_a_takeover_gave_up_are_noted_with_the_commit(desk: Desk) -> None:
    told = Takeover(host="h", tombstones=[(3, 4), (7, 9)], checkpoints={"ticks": 8, "gaps": 2}, lost=5)
    opening = pack(told, START_NS)
    await desk.project(TICKS, [*frames(1, 9), Recorded(STREAM, 10, opening.at_ns, opening.type, opening.payload)])
    found = await ask(desk.database_url, "select projector, stream, n, lost from lost_rows")
    assert found == [{"projector": "ticks", "stream": STREAM, "n": 10, "lost": 4}]
    assert lost_rows([Recorded(STREAM, 10, opening.at_ns, opening.type, opening.payload)], "gaps") == []


async def test_a_fence_ends_what_owners_hold_in_memory_and_tells_where_they_stand(desk: Desk) -> None:
    async with desk.running(TICKS, STREAM) as running:
        await desk.write(frames(1, 5))
        await running.reached(5)
        before = await epoch(desk.database_url)
        assert await checkpoints.fence(desk.database_url, STREAM) == {"ticks": 5}
        await desk.write(frames(6, 9))
        await running.reached(9)
        assert await epoch(desk.database_url) >= before + 2, "one by the fence, one by the new lease"
    assert await stored(desk.database_url) == twice(range(1, 10))
    assert await checkpoints.fence(desk.database_url, "requests") == {}


async def test_a_fence_reaches_rebuilds_too(desk: Desk) -> None:
    await desk.project(TICKS, frames(1, 5))
    for statement in (
        "create schema rebuild_ticks_2",
        "create table rebuild_ticks_2.projection_checkpoints (like projection_checkpoints including all)",
        f"insert into rebuild_ticks_2.projection_checkpoints (projector, stream, n) values ('ticks', '{STREAM}', 3)",
    ):
        await ask(desk.database_url, statement)
    assert await checkpoints.fence(desk.database_url, STREAM) == {"ticks": 5, "rebuild_ticks_2": 3}
    (row,) = await ask(desk.database_url, "select epoch from rebuild_ticks_2.projection_checkpoints")
    assert row["epoch"] == 1
