"""A rebuild beside all that goes on: live projectors, readers, lost answers, takeovers of the log, retention."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import psycopg
import pytest

from api.tables import Tables
from events.event import Recorded
from events.messages import Tombstone
from projectors.candles import CANDLES
from projectors.gaps import GAPS
from projectors.ticks import TICKS, TickProjector
from runtime import settings
from runtime.errors import LeaseLost
from sql import checkpoints
from sql.rebuilds import Site
from sql.retention import drop_tick_days
from sql.store import Store
from tests.entries import START_NS
from tests.frames import INFY, STREAM, entry, recorded
from tests.loops import Desk, Running, answered, ask
from tests.proxy import proxy
from tests.rebuild.log import OTHER, STEP_NS, events
from tests.rebuilding import Remembering, content, rebuild, schemas

ALWAYS = {"from": datetime(2020, 1, 1, tzinfo=UTC), "to": datetime(2030, 1, 1, tzinfo=UTC)}
READ: dict[str, dict[str, object]] = {
    "api_candles_1m": {"instrument_token": INFY, "limit": 20, **ALWAYS},
    "api_candles_5m": {"instrument_token": INFY, "limit": 20, **ALWAYS},
    "api_candles_1d": {"instrument_token": INFY, "limit": 20, **ALWAYS},
    "explain_ticks": {"stream": STREAM, "n": 5, **ALWAYS},
    "api_gap_counts": {"since": ALWAYS["from"]},
}


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


class Shifted(TickProjector):
    """A parser's bug: the last price is read where the last quantity stands."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        super().absorb(batch)
        for ticks in self._ticks:
            ticks["last_price"] = ticks["last_quantity"] / 100


SHIFTED = msgspec.structs.replace(TICKS, make=Shifted)


class Readers:
    """Clients that read all the while. A read that fails, fails the test."""

    def __init__(self, url: str) -> None:
        self._tables = Tables(settings.load({"DATABASE_URL": url}))
        self.reads = 0

    async def open(self) -> None:
        await self._tables.open()

    async def read(self, name: str) -> None:
        """Read one statement again and again."""
        while True:
            await self.once(name)

    async def once(self, name: str) -> None:
        """Read one statement."""
        assert await self._tables.rows(name, READ[name], dict[str, Any])
        self.reads += 1

    async def close(self) -> None:
        await self._tables.close()


@contextlib.asynccontextmanager
async def reading(url: str) -> AsyncIterator[Readers]:
    """Read everything, by two clients each, until the block ends."""
    readers = Readers(url)
    await readers.open()
    tasks = [asyncio.ensure_future(readers.read(name)) for name in (*READ, *READ)]
    try:
        yield readers
    finally:
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(error, asyncio.CancelledError), error
        await readers.close()


async def test_a_parsers_bug_is_repaired_while_everything_goes_on_and_no_reader_fails(desk: Desk) -> None:
    url = desk.database_url
    await desk.project(SHIFTED, events(1, 1500))
    await desk.project(SHIFTED, events(1, 1500, OTHER))
    for projection in (CANDLES, GAPS):
        async with desk.running(projection, STREAM) as running:
            await running.reached(1500)
    watcher = Remembering()
    more = iter(range(1501, 100_000, 10))

    async def write(live: Running) -> None:
        while True:
            first = next(more)
            await desk.write(events(first, first + 9))
            await desk.write(events(first, first + 9, OTHER))
            await live.reached(first)

    async with (
        reading(url) as readers,
        desk.running(TICKS, STREAM) as live,
        desk.running(TICKS, OTHER),
        desk.running(CANDLES, STREAM),
    ):
        writing = asyncio.ensure_future(write(live))
        outcome = await rebuild(desk, TICKS, watcher)
        candles = await rebuild(desk, CANDLES)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        last = next(more) - 1
        await live.reached(last)
        for name in READ:
            await readers.once(name)
        assert readers.reads > 100
    assert (outcome.swapped, candles.swapped) == (True, True)
    assert watcher.asked[0].different
    (row,) = await ask(url, "select count(*) as wrong from ticks where last_price < 90")
    assert row["wrong"] == 0
    (row,) = await ask(
        url, "select count(distinct n) as n from ticks join streams using (stream_id) where stream = %s", STREAM
    )
    ticks = [event for event in events(1, last) if event.type == "kite.frame.v1"]
    assert row["n"] == len(ticks)
    assert await schemas(url) == []


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_the_answer_to_the_swap_may_be_lost(desk: Desk, fault: Any) -> None:
    await desk.project(TICKS, events(1, 300))
    before = await content(desk.database_url, ["ticks"])
    async with proxy(desk.database_url) as way:
        watcher = Remembering()
        watcher.at["swapping"] = lambda: way.arm(fault)
        outcome = await rebuild(desk, TICKS, watcher, url=way.url)
        await way.struck()
    assert outcome.swapped
    (row,) = await ask(desk.database_url, "select generation from projections")
    assert row["generation"] == 2, "once"
    assert await content(desk.database_url, ["ticks"]) == before
    assert await schemas(desk.database_url) == []


async def test_an_owner_from_before_the_swap_writes_into_no_table(desk: Desk) -> None:
    await desk.project(TICKS, events(1, 100))
    frozen = Store(desk.database_url)
    lease = await frozen.acquire("ticks", STREAM)
    assert lease is not None
    projector = TICKS.make(STREAM)
    await desk.write(events(101, 120))
    await rebuild(desk, TICKS)
    before = await content(desk.database_url, ["ticks"])
    projector.absorb(events(101, 120))
    with pytest.raises(LeaseLost):
        async with frozen.begin(lease, 120) as rows:
            await projector.write(rows)
    await frozen.close()
    assert await content(desk.database_url, ["ticks"]) == before


async def test_what_the_live_projector_is_about_to_commit_is_waited_for(desk: Desk) -> None:
    await desk.project(TICKS, events(1, 100))
    await desk.write(events(101, 120))
    live = Store(desk.database_url)
    lease = await live.acquire("ticks", STREAM)
    assert lease is not None
    projector = TICKS.make(STREAM)
    projector.absorb(events(101, 120))
    async with live.begin(lease, 120) as rows:
        await projector.write(rows)
        await rows._connection.execute("set local idle_in_transaction_session_timeout = 0")  # wait as long as it takes
        rebuilding = asyncio.ensure_future(rebuild(desk, TICKS))
        waiting = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        await answered(desk.database_url, waiting, bool)
    outcome = await rebuilding
    await live.close()
    assert outcome.swapped
    assert outcome.comparison is not None
    assert not outcome.comparison.different
    (row,) = await ask(desk.database_url, "select max(n) as n from ticks")
    assert row["n"] == 120


async def test_a_takeover_of_the_log_lets_it_begin_again(desk: Desk) -> None:
    await desk.project(TICKS, events(1, 300))
    watcher = Remembering()

    def fence() -> None:
        del watcher.at["swapping"]
        fencing = Thread(target=lambda: asyncio.run(checkpoints.fence(desk.database_url, STREAM)))
        fencing.start()
        fencing.join()

    watcher.at["swapping"] = fence
    outcome = await rebuild(desk, TICKS, watcher)
    assert (outcome.swapped, outcome.resumed) == (True, False)
    assert watcher.phases.count("building") == 2
    assert await schemas(desk.database_url) == []


@pytest.mark.parametrize("drops", [1, 4, 6])
async def test_what_a_killed_rebuild_has_half_dropped_is_not_gone_on_with(desk: Desk, drops: int) -> None:
    await desk.project(CANDLES, events(1, 100))
    before = await content(desk.database_url, CANDLES.tables)
    killed = Site(desk.database_url, CANDLES.name, CANDLES.tables, CANDLES.version)
    await killed.enter()
    await killed.make()
    await killed.own_lease(STREAM, 1)
    (left,) = await killed.left()
    for _ in range(drops):
        await killed.drop_one(left)
    await killed.close()
    await checkpoints.fence(desk.database_url, STREAM)
    watcher = Remembering(accepts=False)
    outcome = await rebuild(desk, CANDLES, watcher)
    assert (outcome.swapped, outcome.resumed, watcher.asked) == (True, False, [])
    assert await content(desk.database_url, CANDLES.tables) == before
    assert await schemas(desk.database_url) == []


async def test_a_session_that_is_cut_while_old_tables_are_dropped_is_opened_again(desk: Desk) -> None:
    url = desk.database_url
    await desk.project(GAPS, events(1, 100))
    waiting = "select pid from pg_stat_activity where query like '%%drop_rebuild%%' and wait_event_type = 'Lock'"
    with psycopg.connect(url) as reader:
        watcher = Remembering()
        watcher.at["dropping what is not needed any more"] = lambda: reader.execute("table replaced_gaps_1.feed_gaps")
        rebuilding = asyncio.create_task(rebuild(desk, GAPS, watcher))
        found = await answered(url, waiting, bool)
        await ask(url, "select pg_terminate_backend(%s)", found[0]["pid"])
        reader.rollback()
        assert (await rebuilding).swapped
    assert await schemas(url) == []


async def test_rows_of_events_that_the_log_has_lost_are_no_difference(desk: Desk, tmp_path: Path) -> None:
    await desk.project(TICKS, events(1, 100))
    lost = recorded(60, Tombstone(), START_NS + 60 * STEP_NS)
    other = Desk(desk.database_url, tmp_path / "other")
    await other.write([*events(1, 59), lost, *events(61, 100)])
    watcher = Remembering(accepts=False)
    outcome = await rebuild(other, TICKS, watcher)
    assert watcher.asked == []
    assert outcome.swapped
    assert not await ask(desk.database_url, "select from ticks where n = 60")


@pytest.mark.parametrize("live", [True, False], ids=["beside live ticks", "into an empty database"])
async def test_what_is_past_retention_is_neither_loaded_nor_compared(desk: Desk, live: bool) -> None:
    long = events(1, 16_000)  # seven days
    await desk.project(TICKS, long)
    for start in range(0, len(long), 1000):
        await desk.archive.put(STREAM, list(desk.log._entries[STREAM].values())[start : start + 1000])
    await drop_tick_days(desk.database_url, 3)
    before = await content(desk.database_url, ["ticks", "parked_events"])
    if not live:
        await ask(desk.database_url, "truncate ticks, projection_checkpoints, parked_events")
    outcome = await rebuild(desk, TICKS, kept_days=3)
    assert outcome.swapped
    assert (outcome.comparison is None) == (not live)
    assert outcome.comparison is None or not outcome.comparison.different
    assert outcome.events < 12_000, "the days before were not even read"
    after = await content(desk.database_url, ["ticks", "parked_events"])
    assert after["ticks"] == before["ticks"]
    assert not live or after == before


async def test_a_redis_that_forgets_meanwhile_takes_no_stream_out_of_the_swap(desk: Desk) -> None:
    await desk.write(events(1, 100))
    watcher = Remembering()
    watcher.at["comparing"] = desk.log._entries.clear
    assert (await rebuild(desk, GAPS, watcher)).swapped
    assert watcher.asked == []
    (row,) = await ask(desk.database_url, "select n from projection_checkpoints where projector = 'gaps'")
    assert row["n"] == 100


async def test_a_stream_that_comes_while_the_others_are_compared_is_no_difference(desk: Desk) -> None:
    await desk.project(TICKS, events(1, 100))
    watcher, moment = Remembering(), "moved, comparing"
    park = "insert into parked_events values ('ticks', 'ticks-sandbox-2', 7, 0, now(), 'mended since', 0, '')"

    def come() -> None:
        del watcher.at[moment]
        for n, event in enumerate(events(1, 40, OTHER), 1):
            desk.log._entries.setdefault(OTHER, {})[n] = entry(event)
        with psycopg.connect(desk.database_url, autocommit=True) as connection:
            connection.execute("insert into projection_checkpoints values ('ticks', 'ticks-sandbox-2', 40)")
            connection.execute(park)
        watcher.at["building"] = mend

    def mend() -> None:
        with psycopg.connect(desk.database_url, autocommit=True) as connection:
            connection.execute("delete from parked_events where error = 'mended since'")

    watcher.at[moment] = come
    assert (await rebuild(desk, TICKS, watcher)).swapped
    assert watcher.phases.count("building") == 2
    assert "ticks-sandbox-2 n 7 part 0" not in [row.key for asked in watcher.asked for row in asked.rows]


@pytest.mark.parametrize("moment", ["swapping", "moved, swapping"], ids=["before it is held", "while it is held"])
async def test_a_stream_that_nobody_saw_come_is_not_lost_with_the_old_tables(desk: Desk, moment: str) -> None:
    await desk.project(TICKS, events(1, 100))
    watcher = Remembering()
    url = desk.database_url
    statement = "insert into projection_checkpoints (projector, stream, n) values ('ticks', 'ticks-sandbox-2', 40)"

    def come() -> None:
        del watcher.at[moment]
        for n, event in enumerate(events(1, 40, OTHER), 1):
            desk.log._entries.setdefault(OTHER, {})[n] = entry(event)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    watcher.at[moment] = come
    assert (await rebuild(desk, TICKS, watcher)).swapped
    (row,) = await ask(url, "select max(n) as n from ticks join streams using (stream_id) where stream = %s", OTHER)
    assert row["n"] == 40
