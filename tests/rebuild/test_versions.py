"""A projector's version and its tables': old ones are told, newer ones not touched, what rebuilds left is named."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from ops.doctor import projections
from ops.doctor.finding import State
from ops.facts.gather import gather
from projectors.catalogue import PROJECTIONS
from projectors.loop import State as LoopState
from projectors.ticks import TICKS
from runtime.clock import SystemClock
from runtime.settings import Settings
from sql import facts
from tests.frames import STREAM
from tests.loops import Desk, answered, ask
from tests.rebuild.log import events
from tests.rebuilding import Remembering, rebuild

NEWER = msgspec.structs.replace(TICKS, version=TICKS.version + 1)


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


async def test_old_tables_are_told_and_go_on_until_they_are_rebuilt(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.project(TICKS, events(1, 50))
    await desk.project(NEWER, events(51, 60))
    assert "projector.tables_are_old" in (said := capsys.readouterr().out)
    assert "bahi rebuild ticks" in said
    assert (await rebuild(desk, NEWER)).version == NEWER.version
    assert await ask(desk.database_url, "select version from projections") == [{"version": NEWER.version}]
    await desk.project(NEWER, events(61, 70))
    assert "projector.tables_are_old" not in capsys.readouterr().out


async def test_an_old_projector_never_writes_into_tables_of_a_newer_one(desk: Desk) -> None:
    await desk.project(TICKS, events(1, 50))
    async with desk.running(TICKS, STREAM) as old:
        await old.reached(50)
        await rebuild(desk, NEWER)
        await desk.write(events(51, 60))
        await old.turned(LoopState.HALTED)
    assert await ask(desk.database_url, "select max(n) as n from ticks") == [{"n": 50}]


async def test_what_another_version_began_is_not_gone_on_with(desk: Desk) -> None:
    await desk.project(TICKS, events(1, 50))
    await ask(desk.database_url, "delete from ticks where n = 7")
    assert not (await rebuild(desk, TICKS, Remembering(accepts=False))).swapped
    outcome = await rebuild(desk, NEWER)
    assert (outcome.swapped, outcome.resumed) == (True, False)


async def test_the_doctor_names_old_tables_and_what_rebuilds_left(settings: Settings, tmp_path: Path) -> None:
    desk = Desk(str(settings.database_url), tmp_path)
    await desk.project(TICKS, events(1, 50))
    await ask(desk.database_url, "delete from ticks where n = 7")
    await rebuild(desk, TICKS, Remembering(accepts=False))
    claims = "select pid from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory'"
    here = f"{claims} and datname = current_database()"
    await answered(desk.database_url, here, lambda rows: not rows)  # its session has ended on the server, too
    await ask(desk.database_url, "create schema replaced_candles_1")
    await ask(desk.database_url, "update projections set version = %s where projector = 'ticks'", 0)
    found = list(projections.tables(await gather(settings, SystemClock())))
    assert [(each.state, each.remedy.partition(":")[0]) for each in found] == [
        (State.WRONG, "bahi rebuild ticks"),
        (State.NOTE, "bahi rebuild ticks"),
        (State.NOTE, "bahi rebuild candles drops them; what hangs on them must be dropped by hand"),
    ]
    assert found[0].found == f"tables of ticks were made by version 0, this is version {PROJECTIONS['ticks'].version}"


async def test_a_database_that_knows_no_versions_yet_is_looked_at_all_the_same(database_url: str) -> None:
    await ask(database_url, "delete from bahi_migrations where number >= 5")
    await ask(database_url, "drop table projections")
    assert (await facts.look(database_url, datetime.now(UTC), "sandbox", ("NSE:INFY",))).versions == {}
