"""A rebuild: the same tables from the same log, in the place of the old ones, whatever those had become."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

import pytest

from events.event import Recorded
from projectors.candles import CANDLES
from projectors.gaps import GAPS
from projectors.projector import Projection
from projectors.ticks import TICKS, TickProjector
from runtime.errors import Unreachable
from sql.rebuilds import Site
from tests import schema
from tests.frames import INFY, STREAM
from tests.loops import Desk, answered, ask
from tests.rebuild.log import OTHER, events
from tests.rebuilding import Remembering, content, rebuild, schemas

ALL = [TICKS, CANDLES, GAPS]


@pytest.fixture(params=["plain", "timescale"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue("database_url" if request.param == "plain" else "timescale_url")
    return found


@pytest.fixture
def desk(url: str, tmp_path: Path) -> Desk:
    return Desk(url, tmp_path)


async def one(url: str, statement: str) -> object:
    (row,) = await ask(url, statement)
    return next(iter(row.values()))


# The same again


@pytest.mark.parametrize("projection", ALL, ids=lambda each: each.name)
async def test_from_the_same_log_come_the_same_tables(desk: Desk, projection: Projection) -> None:
    await desk.project(projection, events(1, 2500))
    await desk.project(projection, events(1, 2500, OTHER))
    tables = (*projection.tables, "parked_events")
    before = await content(desk.database_url, tables)
    outcome = await rebuild(desk, projection)
    assert outcome.swapped
    assert outcome.comparison is not None
    assert not outcome.comparison.different
    assert (outcome.events, outcome.generation) == (5000, 2)
    assert await content(desk.database_url, tables) == before
    assert await schemas(desk.database_url) == []


async def test_what_comes_after_goes_into_the_new_tables(desk: Desk) -> None:
    await desk.project(TICKS, events(1, 600))
    await rebuild(desk, TICKS)
    await rebuild(desk, TICKS)
    await desk.project(TICKS, events(601, 3000))
    assert await one(desk.database_url, "select count(distinct n) from ticks") == 3000 - 3 - 2 * 6
    assert await one(desk.database_url, "select generation from projections where projector = 'ticks'") == 3


@pytest.mark.usefixtures("plain_postgres")
async def test_new_tables_are_like_the_old_ones_to_the_last_index(database_url: str, tmp_path: Path) -> None:
    desk = Desk(database_url, tmp_path)
    for projection in ALL:
        await desk.project(projection, events(1, 100)) if projection is TICKS else await _again(desk, projection, 100)
    before = schema.dump(database_url)
    for projection in ALL:
        await rebuild(desk, projection)
    assert schema.dump(database_url) == before


async def _again(desk: Desk, projection: Projection, last: int) -> None:
    async with desk.running(projection, STREAM) as running:
        await running.reached(last)


async def test_who_may_read_and_what_hangs_on_a_table_stays(desk: Desk, url: str) -> None:
    await desk.project(CANDLES, events(1, 500))
    await ask(url, "create view somebodys with (security_barrier) as select max(high) as top from candles_1m")
    await ask(url, "grant select on candles_1m to public")
    rights = "select relacl::text from pg_class where oid = 'public.candles_1m'::regclass"
    before = await one(url, rights)
    await rebuild(desk, CANDLES)
    await desk.write(events(501, 510))
    await _again(desk, CANDLES, 510)
    await ask(url, "update candles_1m set high = 99999")
    assert await one(url, "select top from somebodys") == 99999
    assert await one(url, "select max(high) from candles_1d") == 99999
    assert (
        await one(url, "select reloptions::text from pg_class where relname = 'somebodys'") == "{security_barrier=true}"
    )
    assert await one(url, rights) == before


async def test_what_cannot_be_dropped_stays_and_is_said(desk: Desk, url: str) -> None:
    await desk.project(CANDLES, events(1, 100))
    await ask(url, "create materialized view somebodys as select * from candles_1m")
    outcome = await rebuild(desk, CANDLES)
    assert outcome.swapped
    assert any("replaced_candles_1 stays" in note for note in outcome.notes)
    assert await schemas(url) == ["replaced_candles_1"]
    assert (await rebuild(desk, CANDLES)).generation == 3


# Differences


async def test_rows_that_are_wrong_are_shown_and_stay_until_somebody_accepts(desk: Desk, url: str) -> None:
    await desk.project(TICKS, events(1, 1200))
    before = await content(url, ["ticks"])
    await ask(url, "update ticks set last_price = last_price + 1 where n = 77 and instrument_token = %s", INFY)
    await ask(url, "delete from ticks where n = 78 and instrument_token = %s", INFY)
    wrong = await content(url, ["ticks"])
    watcher = Remembering(accepts=False)
    outcome = await rebuild(desk, TICKS, watcher)
    (asked,) = watcher.asked
    assert not outcome.swapped
    assert await content(url, ["ticks"]) == wrong
    changed, missing = asked.rows
    assert changed.key == f"{STREAM} n 77 instrument {INFY}"
    assert changed.live is not None
    assert changed.rebuilt is not None
    assert changed.live["last_price"] == changed.rebuilt["last_price"] + 1
    assert (missing.live, missing.rebuilt and missing.rebuilt["n"]) == (None, 78)
    accepted = await rebuild(desk, TICKS, Remembering(accepts=True))
    assert (accepted.resumed, accepted.swapped) == (True, True)
    assert await content(url, ["ticks"]) == before
    assert await schemas(url) == []


class Shifted(TickProjector):
    """A parser's bug: the last price is read where the last quantity stands."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        super().absorb(batch)
        for ticks in self._ticks:
            ticks["last_price"] = ticks["last_quantity"] / 100


async def test_a_dry_run_shows_the_difference_and_leaves_nothing(desk: Desk, url: str) -> None:
    await desk.project(Projection("ticks", TICKS.wants, Shifted), events(1, 800))
    wrong = await content(url, ["ticks"])
    outcome = await rebuild(desk, TICKS, swap=False)
    assert outcome.comparison is not None
    assert outcome.comparison.different
    assert outcome.comparison.more
    assert len(outcome.comparison.rows) == 100
    assert not outcome.swapped
    assert (await content(url, ["ticks"]), await schemas(url)) == (wrong, [])


# Alone


async def test_two_rebuilds_of_one_projection_exclude_each_other(desk: Desk, url: str) -> None:
    await desk.project(TICKS, events(1, 50))
    site = Site(url, "ticks", ("ticks",), 1)
    await site.enter()
    with pytest.raises(Unreachable, match="server has not seen it end"):  # ours: an earlier session of this process
        await Site(url, "ticks", ("ticks",), 1).enter()
    await site.close()
    assert (await rebuild(desk, TICKS)).swapped


LOCKS = (
    "select from pg_locks join pg_database on database = pg_database.oid"
    " where locktype = 'advisory' and datname = current_database()"
)


class Late(Site):
    """A site whose lock is let go by its holder right after it was refused."""

    holder: Site

    async def _one(self, statement: LiteralString, parameters: Mapping[str, Any]) -> dict[str, Any]:
        found = await super()._one(statement, parameters)
        await self.holder.close()
        await answered(self.database_url, LOCKS, lambda locks: not locks)
        return found


async def test_a_rebuild_that_ends_while_it_is_asked_for_is_no_other_one(desk: Desk, url: str) -> None:
    holder, late = Site(url, "ticks", ("ticks",), 1), Late(url, "ticks", ("ticks",), 1)
    await holder.enter()
    late.holder = holder
    with pytest.raises(Unreachable, match="server has not seen it end"):
        await late.enter()
