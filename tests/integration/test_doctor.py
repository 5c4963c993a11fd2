"""bahi doctor: what is well is said to be, each thing that is wrong is found with what mends it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest
import redis

from events import codec, standing
from events.archive import Archive
from events.event import Event, Recorded
from events.reader import Reader
from events.redis_log import RedisLog
from ops.doctor import machine
from ops.doctor.examine import examine, is_well
from ops.doctor.finding import Finding, State
from ops.embedded import discover
from ops.facts.gather import gather
from ops.project import Streams, Worker
from projectors.loop import Loop
from projectors.projector import Projection
from projectors.ticks import TICKS, TickProjector
from runtime.clock import NS_PER_SECOND, ManualClock, SystemClock
from runtime.lifecycle import Stop
from runtime.settings import Settings, load
from runtime.vault import Vault
from sql.owner import worker
from sql.store import Rows, Store
from sql.workers import Halted, Roll
from tests import servers
from tests.loops import ask
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port
from tests.small_log import SmallLog, market, small_log

pytestmark = pytest.mark.anyio

DAY_SECONDS = 86_400


@pytest.fixture(autouse=True)
def _watched_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.doctor.projections.STILL_SECONDS", 0.1)
    monkeypatch.setattr("ops.doctor.examine.LOOK_SECONDS", 0.1)


@pytest.fixture
def ready(settings: Settings) -> Settings:
    """Give settings on a port that is free."""
    return msgspec.structs.replace(settings, api_port=free_port())


@pytest.fixture
async def log(ready: Settings) -> AsyncIterator[SmallLog]:
    """Give a stream that is projected to its end."""
    async with small_log(ready) as log:
        await log.connect()
        await log.receive(*market(0, 30))
        await log.project()
        yield log


async def wrong(settings: Settings, check: str) -> Finding:
    """Give the one thing that is wrong, which is of this check."""
    found = [finding for finding in await examine(settings) if finding.state is State.WRONG]
    assert [finding.check for finding in found] == [check], found
    assert found[0].remedy
    return found[0]


async def noted(settings: Settings, check: str) -> Finding:
    """Give the first thing worth knowing of a check; nothing is wrong."""
    findings = await examine(settings)
    assert is_well(findings), findings
    return next(finding for finding in findings if finding.check == check and finding.state is State.NOTE)


def sql(settings: Settings, statement: str, *parameters: object) -> None:
    assert settings.database_url
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def in_redis(settings: Settings) -> redis.Redis:
    assert settings.redis_url
    return servers.redis_client(settings.redis_url)


async def test_nothing_is_wrong_where_all_is_well(ready: Settings, log: SmallLog) -> None:
    findings = await examine(ready)
    assert is_well(findings), findings
    assert {"PostgreSQL", "Redis", "log", "projectors", "clock", "disk"} <= {finding.check for finding in findings}


async def test_an_empty_place_is_not_wrong(tmp_path: Path) -> None:
    nowhere = load({"BAHI_DATA_DIR": str(tmp_path / "none"), "API_PORT": str(free_port())})
    findings = await examine(nowhere)
    assert is_well(findings), findings
    assert "bahi up" in next(each.remedy for each in findings if each.check == "PostgreSQL")


# ---- servers ------------------------------------------------------------------------------------------------------


async def test_a_database_that_does_not_answer_is_wrong(ready: Settings) -> None:
    away = msgspec.structs.replace(ready, database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    assert "does not answer" in (await wrong(away, "PostgreSQL")).found


async def test_migrations_that_are_missing_are_wrong(ready: Settings) -> None:
    sql(ready, "delete from bahi_migrations where number = (select max(number) from bahi_migrations)")
    assert (await wrong(ready, "migrations")).remedy == "bahi migrate"


async def test_a_database_of_a_newer_bahi_is_wrong(ready: Settings) -> None:
    sql(ready, "insert into bahi_migrations (number, name, flavour, sha256) values (999, 'later', '', '')")
    assert "update Bahi" in (await wrong(ready, "migrations")).remedy


async def test_a_redis_that_may_evict_is_wrong(ready: Settings) -> None:
    with in_redis(ready) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert "allkeys-lru" in (await wrong(ready, "Redis")).found
        finally:
            client.config_set("maxmemory-policy", "noeviction")


async def test_a_redis_that_is_nearly_full_is_wrong(ready: Settings) -> None:
    with in_redis(ready) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", client.info()["used_memory"] + 100_000)
        try:
            assert "MiB are used" in (await wrong(ready, "Redis")).found
        finally:
            client.config_set("maxmemory", before)


# ---- the log ------------------------------------------------------------------------------------------------------


async def test_trimmed_before_archived_is_wrong(ready: Settings, log: SmallLog) -> None:
    await log.trim(20)
    assert "trimmed too early" in (await wrong(ready, "log")).found


async def test_a_spool_behind_redis_is_wrong(ready: Settings, log: SmallLog) -> None:
    n = log.writer.last + 1
    with in_redis(ready) as client:
        client.xadd(log.stream, {"e": codec.encode(n, Event("kite.text.v1", 1, b"x"))}, id=f"{n}-0")
    found = [each.found for each in await examine(ready) if each.state is State.WRONG]
    assert any("a disk forgot" in each for each in found)  # beside, soon, that its writer was refused


async def test_other_content_in_redis_than_in_the_spool_is_wrong(ready: Settings, log: SmallLog) -> None:
    n = log.writer.last
    with in_redis(ready) as client:
        client.delete(log.stream)
        client.xadd(log.stream, {"e": codec.encode(n, Event("kite.text.v1", 1, b"x"))}, id=f"{n}-0")
    found = [each.found for each in await examine(ready) if each.state is State.WRONG]
    assert f"spool and Redis hold different content for n = {n} of {log.stream}" in found


async def test_an_event_from_the_future_is_wrong(ready: Settings) -> None:
    async with small_log(ready) as log:
        log.clock = ManualClock(SystemClock().now_ns() + DAY_SECONDS * NS_PER_SECOND)
        await log.connect()
        await log.project()
        assert "the clock was set back" in (await wrong(ready, "clock")).found


class SlowLook(SystemClock):
    """The clock of somebody whose first glance lies a minute before the second: so long took the look."""

    def __init__(self) -> None:
        self._glances = 0

    def now_ns(self) -> int:
        self._glances += 1
        return super().now_ns() - (60 * NS_PER_SECOND if self._glances == 1 else 0)


async def test_a_look_that_takes_long_is_no_wrong_clock(ready: Settings) -> None:
    async with small_log(ready) as log:
        log.clock = ManualClock(SystemClock().now_ns())
        await log.connect()
        assert machine.clock(await gather(ready, SlowLook())).state is State.GOOD


async def test_a_server_whose_clock_is_wrong_is_said(ready: Settings) -> None:
    ahead = ManualClock(SystemClock().now_ns() + 60 * NS_PER_SECOND)
    finding = machine.clock(await gather(ready, ahead))
    assert finding.state is State.WRONG
    assert "apart from Redis's clock" in finding.found


# ---- the tables ---------------------------------------------------------------------------------------------------


async def test_a_projector_that_stands_still_below_the_end_is_wrong(ready: Settings, log: SmallLog) -> None:
    await log.receive(*market(30, 2))
    assert (await noted(ready, "projectors")).remedy.startswith("bahi project")
    with discover.held(ready.bahi_data_dir, "project"):
        found = [each for each in await examine(ready) if each.check == "projectors"]
    assert [each.state for each in found] == [State.WRONG] * 3
    assert "nobody runs it" in found[0].found


class Strict(TickProjector):
    """Stands for money: what PostgreSQL refuses of it (from n = 5 on) stops all that comes behind it."""

    last = 0

    def absorb(self, batch: Sequence[Recorded]) -> None:
        self.last = batch[-1].n

    def due(self, waited_seconds: float) -> int | None:
        return self.last or None

    async def write(self, rows: Rows) -> None:
        if self.last < 5:
            return
        await rows.run("note_lost_rows", {"projector": None, "stream": None, "n": None, "lost": None})


async def test_the_event_at_which_a_projector_has_halted_is_named(ready: Settings, log: SmallLog) -> None:
    assert ready.database_url
    assert ready.redis_url
    url, redis_log, archive, stop = ready.database_url, RedisLog.connect(ready.redis_url), Archive.at(ready), Stop()

    def begin(projection: Projection, stream: str, own: Stop) -> Loop:
        return Loop(projection, stream, Store(url), Reader(redis_log, archive), SystemClock(), redis_log, own)

    strict = Projection("strict", TICKS.wants, Strict, parks=False)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(PATIENCE_SECONDS):
        working = Worker(Roll(url), Streams(redis_log, archive), [strict], begin)
        running = tasks.create_task(working.run(stop, tasks))
        halted: list[Finding] = []
        while not halted:
            found = [each for each in await examine(ready) if each.check == "projectors"]
            halted = [each for each in found if "has halted at event" in each.found]
        stop.set()
        await running
    assert halted[0].state is State.WRONG
    assert f"strict has halted at event 5 of {log.stream}, " in halted[0].found
    assert "null value in column" in halted[0].found
    assert f"bahi explain {log.stream} 5" in halted[0].remedy
    assert "has halted" not in str(await examine(ready)), "who ended has not halted"
    await redis_log.close()


async def test_a_halt_may_quote_whatever_came_from_outside(ready: Settings, log: SmallLog) -> None:
    await log.receive(*market(30, 1))
    assert ready.database_url
    roll = Roll(ready.database_url)
    await roll.call({}, [Halted("ticks", log.stream, 9, "rows", "NUL \0 and \\u0000 and %s {", "mend it", 1)])
    found = [each.found for each in await examine(ready) if "has halted" in each.found]
    assert len(found) == 1
    assert "NUL  and \\u0000 and %s {" in found[0]
    await roll.leave()


async def test_an_owner_that_died_is_named(ready: Settings, log: SmallLog) -> None:
    await log.receive(*market(30, 1))
    change = "update projection_checkpoints set owner = %s, lease_until = now() + interval '1 day'"
    sql(ready, change, f"{worker().partition(':')[0]}:{2**22 + 1}:1:1")
    found = [each.found for each in await examine(ready) if each.check == "projectors"]
    assert "is dead" in found[0]


async def test_a_checkpoint_behind_the_end_of_the_log_is_wrong(ready: Settings, log: SmallLog) -> None:
    sql(ready, "update projection_checkpoints set n = n + 100 where projector = 'gaps'")
    assert "the log ends at" in (await wrong(ready, "projectors")).found


async def test_what_was_parked_is_wrong_until_it_is_set_aside(ready: Settings, log: SmallLog) -> None:
    n = await log.receive(market(40, 1)[0][:-9])
    await log.project()
    assert (
        f"bahi parked show ticks {log.stream} {n}; after a fix bahi parked retry"
        in (await wrong(ready, "parked")).remedy
    )
    decided = "insert into parked_decisions values ('requests', 1, now(), 'set_aside', 'ticks', %s, %s, 'cut', '', '')"
    sql(ready, decided, log.stream, n)
    findings = await examine(ready)
    assert is_well(findings), findings
    assert "1 events are set aside" in next(each.found for each in findings if each.check == "parked")


# ---- access -------------------------------------------------------------------------------------------------------


async def test_kite_needs_a_key_and_a_token_of_today(ready: Settings) -> None:
    kite = msgspec.structs.replace(ready, broker=("kite",), watchlist=("408065",))
    found = [each for each in await examine(kite) if each.state is State.WRONG]
    assert [each.check for each in found] == ["settings", "token"]
    assert found[1].remedy == "bahi login kite"
    kite = msgspec.structs.replace(kite, kite_api_key="key")
    Vault(kite.bahi_data_dir).put("kite/access_token", "word")
    assert is_well(await examine(kite))
    yesterday = SystemClock().now_ns() / NS_PER_SECOND - DAY_SECONDS
    os.utime(kite.bahi_data_dir / "secrets" / "kite" / "access_token.secret", (yesterday, yesterday))
    assert "it ended at 06:00 IST" in (await wrong(kite, "token")).found


async def test_what_the_watchlist_names_and_the_broker_does_not_list_is_named(
    ready: Settings, database_url: str
) -> None:
    named = msgspec.structs.replace(ready, watchlist=("NSE:INFY", "408065", "NSE:INFI", "7"))
    assert not [each for each in await examine(named) if each.check == "watchlist"]  # no list is there yet
    await ask(
        database_url,
        "insert into instruments (instrument_token, exchange, tradingsymbol, name, segment, instrument_type, "
        "tick_size, lot_size, exchange_token, broker, valid_from) "
        "values (408065, 'NSE', 'INFY', 'INFOSYS', 'NSE', 'EQ', 0.05, 1, 1594, 'sandbox', '2026-04-01')",
    )
    found = await wrong(named, "watchlist")
    assert found.found == "WATCHLIST names NSE:INFI, 7, which sandbox does not list"


async def test_secrets_that_others_may_read_are_wrong(ready: Settings) -> None:
    Vault(ready.bahi_data_dir).put("sandbox/access_token", "word")
    (ready.bahi_data_dir / "secrets" / "master.key").chmod(0o644)
    assert "chmod" in (await wrong(ready, "data directory")).remedy


async def test_a_vault_without_its_key_is_wrong(ready: Settings) -> None:
    Vault(ready.bahi_data_dir).put("sandbox/access_token", "word")
    (ready.bahi_data_dir / "secrets" / "master.key").unlink()
    assert "master.key" in (await wrong(ready, "token")).remedy


async def test_a_data_directory_of_another_version_is_wrong(ready: Settings) -> None:
    (ready.bahi_data_dir / "VERSION").write_text("7\n")
    assert "version 7" in (await wrong(ready, "data directory")).found


async def test_a_port_that_another_has_is_wrong(ready: Settings, taken_port: int) -> None:
    taken = msgspec.structs.replace(ready, api_port=taken_port)
    assert f"API_PORT={taken_port}" in (await wrong(taken, "API")).found


async def test_an_api_that_does_not_answer_though_bahi_runs_is_wrong(ready: Settings) -> None:
    with discover.held(ready.bahi_data_dir, "up"):
        assert "does not answer" in (await wrong(ready, "API")).found


# ---- the command --------------------------------------------------------------------------------------------------


def doctor(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "ops.cli", "doctor", *words]
    return subprocess.run(
        argv, env={"PATH": os.environ["PATH"], **environ}, capture_output=True, text=True, check=False
    )


def test_the_command_ends_with_one_if_anything_is_wrong(tmp_path: Path, taken_port: int) -> None:
    places = {"BAHI_DATA_DIR": str(tmp_path / "none")}
    said = doctor(**places, API_PORT=str(free_port()))
    assert said.returncode == 0, said.stdout
    assert "nothing is wrong" in said.stdout
    said = doctor("--json", **places, API_PORT=str(taken_port))
    assert said.returncode == 1
    (found,) = [each for each in json.loads(said.stdout) if each["state"] == "wrong"]
    assert found["check"] == "API"


def test_a_wrong_setting_is_a_finding_too() -> None:
    said = doctor(API_PORT="nonsense")
    assert said.returncode == 1
    assert "API_PORT" in said.stdout


@pytest.mark.parametrize(
    ("stands", "found"),
    [
        (standing.Standing("refused", 0, "Redis ends at 9"), "the log refused the writer"),
        (standing.Standing("stopped", 0, "Redis ends at 9"), "is written by somebody else"),
        (
            standing.Standing("taken over", 0, "the spool is empty", 10, 3),
            "was taken over at n = 10: 3 events are lost",
        ),
    ],
)
async def test_a_writer_that_was_refused_or_took_over_is_told(
    ready: Settings, log: SmallLog, stands: standing.Standing, found: str
) -> None:
    standing.keep(ready.bahi_data_dir / "spool" / log.stream, stands)
    assert found in (await wrong(ready, "log")).found


async def test_a_takeover_that_lost_nothing_is_noted(ready: Settings, log: SmallLog) -> None:
    standing.keep(ready.bahi_data_dir / "spool" / log.stream, standing.Standing("taken over", 0, "empty", 10))
    assert "no event is known to be lost" in (await noted(ready, "log")).found
