"""`bahi rebuild` as a real process: killed at any moment, refused beside another, and after the loss of everything."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from events.archive import Archive
from events.messages import SetAside
from events.reader import Reader
from events.redis_log import RedisLog
from ops.embedded.server import Server
from producers.kite import dump as kite_dump
from projectors.building import NoMarks
from projectors.catalogue import PROJECTIONS
from projectors.loop import Loop
from projectors.projector import Projection
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql.store import Store
from tests import servers
from tests.account_log import a_day
from tests.entries import START_NS
from tests.frames import STREAM, entry, recorded
from tests.loops import HastyClock, Running, ask
from tests.patience import PATIENCE_SECONDS
from tests.projectors.test_instruments import DAY_ONE, csv_of, log_of
from tests.rebuild.log import OTHER, events
from tests.rebuilding import content, schemas

EVENTS = 3000
SEGMENT_EVENTS = 500
TABLES = tuple(table for each in PROJECTIONS.values() for table in each.tables)


async def fill(settings: Settings) -> dict[str, int]:
    """Write a log into the archive alone; give each stream's last n."""
    archive = Archive.at(settings)
    dumps = kite_dump.events("sandbox", csv_of({256: ("INFY", 1), 512: ("TCS", 1)}), DAY_ONE, START_NS, START_NS + 1)
    decisions = [SetAside(projector="ticks", stream=STREAM, n=3, reason="cut", key=str(n)) for n in (1, 2)]
    requests = [recorded(n, decision, stream="requests") for n, decision in enumerate(decisions, 1)]
    streams = {
        STREAM: events(1, EVENTS),
        OTHER: events(1, EVENTS, OTHER),
        "reference": log_of(dumps),
        "requests": requests,
        "accounts": a_day().events,
    }
    for stream, log in streams.items():
        for start in range(0, len(log), SEGMENT_EVENTS):
            await archive.put(stream, [entry(event) for event in log[start : start + SEGMENT_EVENTS]])
    return {stream: log[-1].n for stream, log in streams.items()}


async def project(settings: Settings, projection: Projection, lasts: dict[str, int]) -> None:
    """Bring live tables up to the log."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    log = RedisLog.connect(settings.redis_url)
    for stream in filter(projection.wants, lasts):
        store = Store(settings.database_url)
        reader = Reader(log, Archive.at(settings))
        running = Running(Loop(projection, stream, store, reader, HastyClock(), NoMarks(), Stop()), store)
        await running.reached(lasts[stream])
        await running.ended()
    await log.close()


def start(settings: Settings, *words: str) -> subprocess.Popen[str]:
    """Start `bahi rebuild`."""
    environ = {
        **os.environ,
        "BAHI_DATA_DIR": str(settings.bahi_data_dir),
        "DATABASE_URL": str(settings.database_url),
        "REDIS_URL": str(settings.redis_url),
    }
    words = (sys.executable, "-m", "ops.cli", "rebuild", *words)
    return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rebuild(settings: Settings, *words: str) -> list[dict[str, Any]]:
    """Run `bahi rebuild` to its end; give its outcomes."""
    out, said = (process := start(settings, *words, "--json")).communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    outcomes: list[dict[str, Any]] = json.loads(out)["rebuilds"]
    return outcomes


def site_rows(connection: psycopg.Connection[Any]) -> int:
    """Give how many events the rebuild at work has committed, -1 where there is none."""
    try:
        (row,) = connection.execute("select coalesce(sum(n), 0) from rebuild_ticks_2.projection_checkpoints")
    except psycopg.errors.UndefinedTable:
        return -1
    return int(row[0])


def kill_when(process: subprocess.Popen[str], url: str, events_done: int) -> None:
    """Kill it as soon as it has committed so many events, or has swapped."""
    with psycopg.connect(url, autocommit=True) as connection:
        while process.poll() is None and site_rows(connection) < events_done:
            (generation,) = connection.execute("select coalesce(max(generation), 1) from projections").fetchall()
            if generation[0] > 1:
                break
    process.kill()
    process.communicate()


async def test_killed_at_any_moment_it_goes_on_where_it_was(settings: Settings, record_property: Any) -> None:
    url = str(settings.database_url)
    lasts = await fill(settings)
    await project(settings, PROJECTIONS["ticks"], lasts)
    before = await content(url, ["ticks", "parked_events"])
    draw = random.Random(4)
    for share in (0.0, draw.uniform(0.01, 0.5), draw.uniform(0.5, 0.95), 0.999, 1.0):
        process = start(settings, "ticks")
        await asyncio.to_thread(kill_when, process, url, round(share * 2 * EVENTS))
        assert await content(url, ["ticks", "parked_events"]) == before, "readers see whole tables at every moment"
    (outcome,) = rebuild(settings, "ticks")
    assert outcome["swapped"]
    assert await content(url, ["ticks", "parked_events"]) == before
    assert await schemas(url) == []
    record_property("resumed", outcome["resumed"])


async def test_a_second_one_is_refused_and_says_who_is_at_work(settings: Settings) -> None:
    lasts = await fill(settings)
    await project(settings, PROJECTIONS["gaps"], lasts)
    url = str(settings.database_url)
    with psycopg.connect(url, autocommit=True, application_name="elsewhere:7:1:1") as other:
        other.execute("select pg_advisory_lock(hashtext('bahi rebuild'), hashtext('gaps'))")
        process = start(settings, "gaps")
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "elsewhere:7:1:1 is at work" in said
    assert rebuild(settings, "gaps")[0]["swapped"]


async def test_a_difference_ends_with_1_and_is_swapped_when_asked_for(settings: Settings) -> None:
    lasts = await fill(settings)
    await project(settings, PROJECTIONS["ticks"], lasts)
    url = str(settings.database_url)
    before = await content(url, ["ticks"])
    await ask(url, "delete from ticks where n = 9")
    process = start(settings, "ticks")
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "only rebuilt" in said
    (outcome,) = rebuild(settings, "ticks", "--yes")
    assert (outcome["swapped"], outcome["resumed"]) == (True, True)
    assert outcome["comparison"]["rows"][0]["live"] is None
    assert await content(url, ["ticks"]) == before


@pytest.fixture
def made_anew(postgres_server: Server) -> Iterator[str]:
    """Give the URL of another empty database, migrated, for the time after the disaster."""
    with servers.cloned_database(postgres_server) as url:
        yield url


async def test_from_the_archive_alone_comes_everything(settings: Settings, made_anew: str) -> None:
    lasts = await fill(settings)
    for projection in PROJECTIONS.values():
        await project(settings, projection, lasts)
    before = await content(str(settings.database_url), (*TABLES, "parked_events"))
    assert all(before[table] for table in TABLES if table != "candle_subscriptions")
    with servers.redis_client(str(settings.redis_url)) as client:
        client.flushall()
    anew = Settings(
        **{name: getattr(settings, name) for name in settings.__struct_fields__} | {"database_url": made_anew}
    )
    outcomes = rebuild(anew, "--all")
    assert [each["projection"] for each in outcomes] == list(PROJECTIONS)
    assert all(each["swapped"] for each in outcomes)
    assert await content(made_anew, (*TABLES, "parked_events")) == before
    positions = await ask(made_anew, "select projector, stream, n from projection_checkpoints")
    assert {(row["projector"], row["stream"]): row["n"] for row in positions} == {
        (name, stream): last
        for name, projection in PROJECTIONS.items()
        for stream, last in lasts.items()
        if projection.wants(stream)
    }
