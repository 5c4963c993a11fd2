"""A span projected into a schema of its own: the projector's own rows of that span, beside the live ones, kept."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from events.archive import Archive
from events.event import Event, Recorded
from events.memory_log import MemoryLog
from events.redis_log import RedisLog
from events.span import Wanted
from ops.replay import run
from ops.replay.pace import Pace
from ops.replay.paced import Paced
from projectors.catalogue import PROJECTIONS
from runtime.clock import ManualClock
from runtime.errors import BadInput, Halt
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql import checkpoints
from sql.rebuilds import left_of
from sql.replays import Stage
from tests.entries import START_NS
from tests.frames import STREAM
from tests.loops import Desk, ask
from tests.patience import PATIENCE_SECONDS
from tests.rebuild.log import OTHER, events
from tests.rebuilding import content, rebuild
from tests.replay.recorded_log import ONE, Told, frames_of_one, keep

COUNT = 1500


@pytest.fixture
async def recorded(settings: Settings) -> Settings:
    """Give a log of two connections that lies in the archive and in Redis."""
    await write(settings)
    return settings


async def write(settings: Settings) -> None:
    assert settings.redis_url
    log = RedisLog.connect(settings.redis_url)
    for stream in (STREAM, OTHER):
        made = [Event(each.type, each.at_ns, each.payload) for each in events(1, COUNT, stream)]
        await keep(log, Archive.at(settings), stream, made)
    await log.close()


async def replay(settings: Settings, to: str, stop: Stop | None = None, told: Told | None = None, **wish: Any) -> int:
    asked = run.Wish(to, wish.pop("streams", ()), wish.pop("wanted", Wanted()), wish.pop("speed", None), **wish)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await run.run(settings, stop or Stop(), asked, told or Told())


async def live(settings: Settings, desk: Desk, name: str) -> dict[str, list[str]]:
    """Give the rows that the live projector makes of the same log."""
    assert settings.database_url
    for stream in (STREAM, OTHER):
        await desk.project(PROJECTIONS[name], events(1, COUNT, stream))
    return await content(settings.database_url, (*PROJECTIONS[name].tables, "parked_events"))


@pytest.fixture
def desk(settings: Settings, tmp_path: Path) -> Desk:
    assert settings.database_url
    return Desk(settings.database_url, tmp_path)


@pytest.mark.parametrize("name", ["ticks", "candles", "gaps"])
async def test_the_whole_log_gives_the_live_rows_and_leaves_the_live_tables_alone(
    recorded: Settings, desk: Desk, name: str
) -> None:
    assert await replay(recorded, name) == 2 * COUNT
    tables = (*PROJECTIONS[name].tables, "parked_events")
    found = await content(desk.database_url, tables, f"replay_{name}")
    assert not any((await content(desk.database_url, tables)).values())
    assert found == await live(recorded, desk, name)
    assert all(found[table] for table in PROJECTIONS[name].tables)


async def test_a_span_gives_the_rows_of_its_events(recorded: Settings, desk: Desk) -> None:
    assert await replay(recorded, "ticks", streams=(STREAM,), wanted=Wanted(first=700, last=800)) == 101
    rows = await ask(
        desk.database_url, "select min(n), max(n), count(distinct stream_id) as streams from replay_ticks.ticks"
    )
    assert rows == [{"min": 700, "max": 800, "streams": 1}]
    (position,) = await ask(desk.database_url, "select n, first from replay_ticks.projection_checkpoints")
    assert position == {"n": 800, "first": 700}


async def test_a_schema_is_kept_until_it_is_dropped_and_then_made_again(recorded: Settings, desk: Desk) -> None:
    few: dict[str, Any] = {"wanted": Wanted(last=10), "streams": (STREAM,), "schema": "replay_mine"}
    told = Told()
    await replay(recorded, "gaps", told=told, **few)
    with pytest.raises(BadInput, match="drop schema replay_mine cascade"):
        await replay(recorded, "gaps", **few)
    assert "drop schema replay_mine cascade" in told.said[-1]
    await ask(desk.database_url, "drop schema replay_mine cascade")
    await replay(recorded, "gaps", **few)


@pytest.mark.parametrize(
    "name", ["public", "rebuild_ticks_2", "replaced_ticks_1", "replay_", "replay_A", 'replay_"; x']
)
def test_no_other_schema_than_a_replays_is_filled(name: str) -> None:
    with pytest.raises(BadInput, match="replay_"):
        Stage("", name, "ticks", ())


def test_a_schema_is_for_projections_and_targets_are_known() -> None:
    with pytest.raises(BadInput, match="fills no tables"):
        run.check_target("live", "replay_mine")
    with pytest.raises(BadInput, match="live, sandbox or a projection"):
        run.check_target("tick", None)


# What is no rebuild


async def test_a_rebuild_neither_sees_nor_drops_it(recorded: Settings, desk: Desk) -> None:
    await replay(recorded, "gaps", schema="replay_gaps_2")
    await live(recorded, desk, "gaps")
    assert (await rebuild(desk, PROJECTIONS["gaps"])).swapped
    names = [row["name"] for row in await ask(desk.database_url, "select nspname as name from pg_namespace")]
    assert "replay_gaps_2" in names
    assert left_of(names) == []


async def test_a_takeover_of_the_log_fences_it_and_no_schema_that_only_looks_like_it(
    recorded: Settings, desk: Desk
) -> None:
    await ask(desk.database_url, "create schema replay_of_somebody_else")
    await replay(recorded, "gaps", wanted=Wanted(last=20), streams=(STREAM,))
    assert await checkpoints.fence(desk.database_url, STREAM) == {"replay_gaps": 20}
    (row,) = await ask(desk.database_url, "select epoch > own_epoch as raised from replay_gaps.projection_checkpoints")
    assert row["raised"]


class Fencing(Told):
    """Raises the epochs as a takeover does, as soon as something was projected."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.fenced: asyncio.Task[object] | None = None

    def moved(self, done: int, total: int) -> None:
        super().moved(done, total)
        if self.fenced is None:
            self.fenced = asyncio.ensure_future(checkpoints.fence(self.url, STREAM))


async def test_a_takeover_meanwhile_ends_it(recorded: Settings, desk: Desk) -> None:
    fencing = Fencing(desk.database_url)
    with pytest.raises(Halt, match="drop schema replay_ticks cascade"):
        await replay(recorded, "ticks", told=fencing, speed=2000.0)
    assert fencing.fenced
    await fencing.fenced


# At a pace


async def test_a_projector_gets_events_when_they_are_due(tmp_path: Path) -> None:
    near, far, clock = MemoryLog(), Archive(tmp_path), ManualClock()
    await keep(near, far, ONE, frames_of_one(60))
    pace, told, stop = Pace(clock, 10.0), Told(), Stop()
    reader = Paced(pace, told, near, far, 55, Stop(), stop, _unnoticed)
    pace.seconds_until(START_NS)
    assert [each.n for each in await reader.read(ONE, 0, 100, 0)] == [1]
    assert await reader.read(ONE, 1, 100, 0) == []
    clock.advance(0.55)
    assert [each.n for each in await reader.read(ONE, 1, 100, 0)] == [2, 3, 4, 5, 6]
    assert [each.n for each in await reader.read(ONE, 3, 2, 0)] == [4, 5]  # taken again, one after the other
    clock.advance(60)
    assert [each.n for each in await reader.read(ONE, 5, 100, 0)] == [6]  # late: it goes on from here
    assert "behind its pace" in told.said[-1]
    clock.advance(1.2)
    assert [each.n for each in await reader.read(ONE, 6, 100, 0)] == list(range(7, 19))
    pace.stand()
    assert not stop.is_set()
    await reader.close()


async def test_a_stop_ends_it_while_it_waits(recorded: Settings, desk: Desk) -> None:
    stop = Stop()

    class Stopping(Told):
        def moved(self, done: int, total: int) -> None:
            if done:
                stop.set()

    done = await replay(recorded, "ticks", stop, Stopping(), speed=1.0)
    assert 0 < done < 2 * COUNT
    (row,) = await ask(desk.database_url, "select sum(n) as n from replay_ticks.projection_checkpoints")
    assert row["n"] == done


async def _unnoticed(_batch: Sequence[Recorded]) -> None:
    """Nobody keeps tombstones here."""
