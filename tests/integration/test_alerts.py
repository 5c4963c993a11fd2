"""The alert rules: each is well made, has its runbook, keeps quiet while all is well, and fires when it should."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import promql_parser
import pytest
import yaml

from api.disks import Disks
from api.observer import Observer
from api.tables import Tables
from events import standing
from events.archive import Archive
from events.event import Event
from events.redis_log import RedisLog
from runtime import account_metrics, metrics, registry
from runtime.calendar import IST
from runtime.clock import ManualClock
from runtime.settings import Settings
from tests import promql, servers
from tests.entries import START_NS
from tests.house.source import ROOT
from tests.loops import ask
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port
from tests.promql import Scrape
from tests.small_log import SmallLog, market, small_log

pytestmark = pytest.mark.anyio

RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["What it means", "What is at stake", "How to look", "How to mend it"]
OF_PROMETHEUS = {"up"}
OF_THE_MACHINE = {"DiskFilling", "DiskFull"}  # whether there is room on the disk that tests run on
TRADING_NS = int(datetime(2026, 4, 15, 10, 0, tzinfo=IST).timestamp()) * 1_000_000_000
NIGHT_NS = int(datetime(2026, 4, 15, 3, 0, tzinfo=IST).timestamp()) * 1_000_000_000
UNCOVERED_NS = int(datetime(2031, 4, 15, 10, 0, tzinfo=IST).timestamp()) * 1_000_000_000

SET_ASIDE = (
    "insert into parked_decisions select 'requests', 1, now(), 'set_aside', projector, stream, n, 'known', '', '' "
    "from parked_events"
)
PARKED = (
    "insert into parked_events (projector, stream, n, at, error, payload) "
    "values ('ticks', 'ticks-sandbox-1', 3, now(), 'cut short', '')"
)
DIVERGING = (
    "insert into divergences (account_id, exchange, tradingsymbol, product, type, ours, theirs, settling, evidence, "
    "observed_at) values ('main', 'NSE', 'INFY', 'MIS-{settling}', 'quantity', 1, 2, {settling}, '{{}}', now())"
)


def read_rules() -> list[dict[str, Any]]:
    found = yaml.safe_load((ROOT / "ops/prometheus/bahi.rules.yml").read_text("utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


RULES = {rule["alert"]: rule for rule in read_rules()}
OF_MARKET_HOURS = {name for name, rule in RULES.items() if "bahi_market_open" in promql.names(rule["expr"])}


def test_no_two_alerts_have_one_name() -> None:
    assert len(read_rules()) == len(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_rule_is_well_made(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    promql_parser.parse(rule["expr"])
    if "for" in rule:
        assert promql_parser.parse_duration(rule["for"]).total_seconds() > 0
    assert promql.names(rule["expr"]) <= metrics.CATALOGUE.keys() | OF_PROMETHEUS
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_a_summary_names_only_labels_that_its_metrics_have(rule: dict[str, Any]) -> None:
    known = [metrics.CATALOGUE[name] for name in promql.names(rule["expr"]) & metrics.CATALOGUE.keys()]
    labels = {label for each in known for label in each.labels}
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == RULES.keys()


def test_the_page_of_alerts_has_all_of_them() -> None:
    page = (ROOT / "docs/alerts.md").read_text("utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \|", page, re.MULTILINE)
    assert rows == [(name, name, rule["labels"]["severity"]) for name, rule in RULES.items()]


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_what_is_at_stake_how_to_look_and_how_to_mend(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    looking = text.partition("## How to look")[2].partition("## How to mend it")[0]
    assert "```" in looking, "the very commands"


def test_prometheus_reads_the_rules_that_lie_beside_its_configuration() -> None:
    found = yaml.safe_load((ROOT / "ops/prometheus/prometheus.yml").read_text("utf-8"))
    assert all((ROOT / "ops/prometheus" / name).exists() for name in found["rule_files"])
    assert [job["job_name"] for job in found["scrape_configs"]] == ["bahi"]


# ---- each is tried -------------------------------------------------------------------------------------------------


class Room:
    """A log that is projected and archived to its end, an observer, and what Prometheus reads of it."""

    def __init__(self, log: SmallLog, settings: Settings) -> None:
        self.log, self.settings = log, settings
        self.clock = log.clock
        self._open: list[Callable[[], Awaitable[None]]] = []
        self.is_up = True

    async def observer(self, settings: Settings | None = None, clock: ManualClock | None = None) -> Observer:
        chosen = settings or self.settings
        tables, near = Tables(chosen), RedisLog.connect(chosen.redis_url or "")
        self._open += [tables.close, near.close]
        await tables.open()
        return Observer(chosen, clock or self.clock, tables, near, Archive.at(chosen))

    async def seen(self, settings: Settings | None = None, clock: ManualClock | None = None) -> Observer:
        """Look once at everything."""
        observer = await self.observer(settings, clock)
        await observer.look_far()
        await observer.look_at_disks()
        await observer.look()
        return observer

    def scrape(self) -> Scrape:
        registry.write("test", self.settings.bahi_data_dir)
        return Scrape(registry.collect(self.settings.bahi_data_dir), self.clock.now_ns() / 1e9, is_up=self.is_up)

    async def configured(self, name: str, value: str) -> None:
        """Look once while Redis is configured so."""
        with servers.redis_client(self.settings.redis_url or "") as client:
            before = client.config_get(name)[name]
            client.config_set(name, value)
            try:
                await self.seen()
            finally:
                client.config_set(name, before)

    async def ask(self, statement: str) -> None:
        await ask(self.settings.database_url or "", statement)

    async def close(self) -> None:
        for each in self._open:
            await each()


def forget_metrics() -> None:
    """Forget what other tests of this process have counted."""
    asked = {name.removesuffix("_total") for rule in RULES.values() for name in promql.names(rule["expr"])}
    for each in (*vars(metrics).values(), *vars(account_metrics).values()):
        if getattr(each, "_name", None) in asked:
            each.clear() if each._labelnames else each.set(0)


@pytest.fixture
async def room(settings: Settings) -> AsyncIterator[Room]:
    forget_metrics()
    (settings.bahi_data_dir / "run").mkdir()
    async with small_log(settings) as log:
        await log.connect()
        await log.receive(*market(0, 30))
        await log.project()
        room = Room(log, settings)
        metrics.FEED_CONNECTED.labels(log.stream).set(1)
        metrics.FEED_TOKEN_WANTED.labels(log.stream).set(0)
        metrics.FEED_LAST_MESSAGE.labels(log.stream).set(START_NS / 1e9)
        metrics.FEED_HELD.labels(log.stream)
        metrics.SUPERVISOR_RESTARTS.labels("ticks")
        await room.seen()
        yield room
        await room.close()
    forget_metrics()


def firing(now: Scrape, before: Scrape) -> set[str]:
    return {name for name, rule in RULES.items() if promql.fires(rule["expr"], now, before)}


async def test_no_alert_fires_while_all_is_well(room: Room) -> None:
    room.log.clock.advance(1)
    await room.seen()
    assert firing(room.scrape(), room.scrape()) <= OF_THE_MACHINE


async def nothing_is_heard(room: Room) -> None:
    room.clock = ManualClock(TRADING_NS)
    metrics.FEED_LAST_MESSAGE.labels(room.log.stream).set(TRADING_NS / 1e9 - 16)
    await room.seen()


async def no_ticker(room: Room) -> None:
    room.clock = ManualClock(TRADING_NS)
    metrics.FEED_CONNECTED.clear()
    await room.seen()


async def token_refused(room: Room) -> None:
    metrics.FEED_TOKEN_WANTED.labels(room.log.stream).set(1)


async def socket_held(room: Room) -> None:
    metrics.FEED_HELD.labels(room.log.stream).inc()


async def writer_stopped(room: Room) -> None:
    standing.keep(room.log.spool, standing.Standing("stopped", START_NS, "twice"))
    await room.seen()


async def writer_refused(room: Room) -> None:
    standing.refused(room.log.spool, "another content", START_NS)
    await room.seen()


async def spool_grows(room: Room) -> None:
    metrics.LOG_SPOOL_BYTES.labels(room.log.stream).set(2 << 30)


async def redis_is_behind(room: Room) -> None:
    metrics.LOG_LAST_N.labels(room.log.stream).set(10_000)
    metrics.LOG_SENT_N.labels(room.log.stream).set(4_000)


async def redis_is_away(room: Room) -> None:
    await room.seen(msgspec.structs.replace(room.settings, redis_url=f"redis://127.0.0.1:{free_port()}"))


async def redis_is_nearly_full(room: Room) -> None:
    with servers.redis_client(room.settings.redis_url or "") as client:
        await room.configured("maxmemory", str(int(client.info("memory")["used_memory"] * 1.1)))


async def redis_evicts(room: Room) -> None:
    await room.configured("maxmemory-policy", "allkeys-lru")


async def nothing_is_archived(room: Room) -> None:
    room.clock.advance(4_300)
    await room.seen()


async def archive_is_away(room: Room) -> None:
    (room.settings.bahi_data_dir / "file").write_text("no folder")
    place = (room.settings.bahi_data_dir / "file").as_uri()
    await room.seen(msgspec.structs.replace(room.settings, archive_url=place))


async def database_is_away(room: Room) -> None:
    gone = f"postgresql://bahi@127.0.0.1:{free_port()}/bahi"
    await room.seen(msgspec.structs.replace(room.settings, database_url=gone))


async def database_went_back(room: Room) -> None:
    metrics.PROJECTOR_SETBACKS.labels("ticks").inc()


async def projector_stands_still(room: Room) -> None:
    await room.log.receive(*market(30, 1))
    observer = await room.seen()
    room.clock.advance(5.5)
    await observer.look()


async def log_is_short(room: Room) -> None:
    await room.ask("update projection_checkpoints set n = n + 10")
    await room.seen()


async def far_behind(room: Room) -> None:
    for _ in range(21):
        await room.log.append([Event("kite.text.v1", room.clock.now_ns(), b"{}")] * 1_000)
    await room.seen()


async def rows_are_old(room: Room) -> None:
    await room.log.receive(*market(30, 1))
    room.clock.advance(31)
    await room.seen()


async def events_are_parked(room: Room) -> None:
    await room.ask(PARKED)
    await room.seen()


async def rows_were_lost(room: Room) -> None:
    await room.ask("insert into lost_rows (projector, stream, n, lost) values ('ticks', 'ticks-sandbox-1', 3, 1)")
    await room.seen()


async def account(room: Room, status: str = "ok", age_seconds: float = 10.0, **told: Any) -> None:
    """Put an account into the tables that was asked so long ago."""
    at = room.clock.now_ns() / 1e9 - age_seconds
    await room.ask(
        "insert into trading_accounts (account_id, broker, active, last_sync_status, n)"
        f" values ('main', 'kite', {told.get('active', True)}, '{status}', 1)"
    )
    await room.ask(
        f"insert into account_snapshots select 'main', 'orders', at, at, 0, '', 3, 1, 1, '' from to_timestamp({at}) at"
    )
    for n in range(told.get("failures", 0)):
        await room.ask(
            "insert into sync_runs (n, account_id, run, trigger, started_at, finished_at, kinds, counts, outcome,"
            f" success, results, asked) values ({n + 1}, 'main', '', 'start', now(), now(), '{{}}', '{{}}', 'failed',"
            " false, '{}', '[]')"
        )
    await room.seen()


async def account_is_refused(room: Room) -> None:
    await account(room, "refused", 5_000.0, failures=9)
    quiet = {"AccountStale", "AccountFailing"}  # one cause, one alert
    assert not firing(room.scrape(), room.scrape()) & quiet


async def account_is_stale(room: Room) -> None:
    await account(room, age_seconds=3 * room.settings.sync_interval_seconds + 1)


async def account_fails(room: Room) -> None:
    await account(room, "failed", failures=3)


async def accounts_stand_still(room: Room) -> None:
    metrics.CHECKPOINT_STILL_SECONDS.labels("accounts", "accounts").set(61)


async def accounts_are_unread(room: Room) -> None:
    await room.ask(PARKED.replace("'ticks', 'ticks-sandbox-1'", "'accounts', 'accounts'"))
    await room.seen()
    assert "ParkedEvents" not in firing(room.scrape(), room.scrape())


async def books_differ(room: Room) -> None:
    await room.ask(DIVERGING.format(settling=True))
    await room.seen()
    assert not promql.fires(RULES["BooksDiffer"]["expr"], room.scrape(), room.scrape()), "the next pull may mend it"
    await room.ask(DIVERGING.format(settling=False))
    await room.seen()


async def api_is_down(room: Room) -> None:
    room.is_up = False


async def nobody_looks(room: Room) -> None:
    room.clock.advance(61)


async def a_process_dies(room: Room) -> None:
    metrics.SUPERVISOR_RESTARTS.labels("ticks").inc(3)


async def disk_fills(room: Room) -> None:
    metrics.DISK_FREE_BYTES.labels("data").set(15 << 30)


async def disk_is_full(room: Room) -> None:
    metrics.DISK_FREE_BYTES.labels("data").set(1 << 20)


async def a_year_without_calendar(room: Room) -> None:
    metrics.MARKET_OPEN.clear()
    await room.seen(clock=ManualClock(UNCOVERED_NS))


TRIED: dict[str, Callable[[Room], Awaitable[None]]] = {
    "FeedSilent": nothing_is_heard,
    "TickerMissing": no_ticker,
    "TokenRefused": token_refused,
    "FeedHeld": socket_held,
    "WriterStopped": writer_stopped,
    "TakeoverDue": writer_refused,
    "SpoolFilling": spool_grows,
    "RedisBehind": redis_is_behind,
    "RedisAway": redis_is_away,
    "RedisMemory": redis_is_nearly_full,
    "RedisEvicts": redis_evicts,
    "ArchiveBehind": nothing_is_archived,
    "ArchiveAway": archive_is_away,
    "DatabaseAway": database_is_away,
    "DatabaseWentBack": database_went_back,
    "ProjectorStill": projector_stands_still,
    "LogShort": log_is_short,
    "ProjectorLag": far_behind,
    "TablesOld": rows_are_old,
    "ParkedEvents": events_are_parked,
    "LostRows": rows_were_lost,
    "AccountRefused": account_is_refused,
    "AccountStale": account_is_stale,
    "AccountFailing": account_fails,
    "AccountsHalted": accounts_stand_still,
    "AccountsUnread": accounts_are_unread,
    "BooksDiffer": books_differ,
    "BahiDown": api_is_down,
    "ObserverStill": nobody_looks,
    "ProcessRestarts": a_process_dies,
    "DiskFilling": disk_fills,
    "DiskFull": disk_is_full,
    "CalendarEnded": a_year_without_calendar,
}


def test_each_alert_is_tried() -> None:
    assert TRIED.keys() == RULES.keys()


@pytest.mark.parametrize("alert", TRIED)
async def test_an_alert_fires_when_it_should(room: Room, alert: str) -> None:
    before = room.scrape()
    expression = RULES[alert]["expr"]
    assert alert in OF_THE_MACHINE or not promql.fires(expression, before, before)
    await TRIED[alert](room)
    assert promql.fires(expression, room.scrape(), before)


def test_three_alerts_ask_for_market_hours() -> None:
    assert {"FeedSilent", "TickerMissing", "CalendarEnded"} == OF_MARKET_HOURS


@pytest.mark.parametrize(("now_ns", "wanted"), [(NIGHT_NS, set()), (UNCOVERED_NS, {"CalendarEnded"})])
async def test_outside_market_hours_nobody_is_missed(room: Room, now_ns: int, wanted: set[str]) -> None:
    room.clock = ManualClock(now_ns)
    metrics.FEED_LAST_MESSAGE.labels(room.log.stream).set(now_ns / 1e9 - 3_600)
    metrics.FEED_CONNECTED.clear()
    metrics.MARKET_OPEN.clear()
    await room.seen(clock=room.clock)
    assert firing(room.scrape(), room.scrape()) & OF_MARKET_HOURS == wanted


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"age_seconds": 800.0, "failures": 2}, set()),
        ({"status": "refused", "active": False, "age_seconds": 9e6, "failures": 5}, set()),
        ({"age_seconds": 901.0}, {"AccountStale"}),
    ],
)
async def test_an_account_that_is_well_or_not_pulled_alarms_nobody(
    room: Room, told: dict[str, Any], wanted: set[str]
) -> None:
    await account(room, **told)
    assert {name for name in firing(room.scrape(), room.scrape()) if name.startswith("Account")} == wanted


async def test_what_is_known_of_accounts_is_measured(room: Room) -> None:
    trade = (
        "insert into trades values ('main', '2026-04-13', 'NSE', '1', '{0}', null, now(), 'INFY', 1, 'CNC', 'BUY', 1, 1"
    )
    await room.ask(f"{trade.format(1)}, null, '', now(), null, '{{}}', 1)")
    await room.ask(f"{trade.format(2)}, 'ladder', 'tag', now(), null, '{{}}', 1)")
    doubled = "row 3 of the trades of main: wanted one row of a key; found another one of NSE 1 1; mend it"
    await room.ask(PARKED.replace("'ticks', 'ticks-sandbox-1'", "'accounts', 'accounts'").replace("cut short", doubled))
    await account(room, age_seconds=12.5)
    account_label = ("account_id", "main")
    by = ("process", "test")
    assert shown(room, "trade_data_freshness_seconds") == {(account_label, ("kind", "orders"), by): 12.5}
    assert shown(room, "trade_data_missing_strategy_id_total") == {(account_label, by): 1.0}
    assert shown(room, "trade_data_duplicate_count") == {(by,): 1.0}


def shown(room: Room, name: str) -> promql.Vector:
    """Give the samples of a metric."""
    return promql.fires(f"{name} > -1", room.scrape(), room.scrape())


# ---- what is seen ----------------------------------------------------------------------------------------------------


async def test_disks_are_measured(room: Room) -> None:
    total = shutil.disk_usage(room.settings.bahi_data_dir).total
    for place in ("data", "archive"):
        assert metrics.DISK_BYTES.labels(place)._value.get() == total
        assert 0 < metrics.DISK_FREE_BYTES.labels(place)._value.get() <= total


def is_disks_look_old(room: Room) -> bool:
    return (("look", "disks"),) in promql.fires(RULES["ObserverStill"]["expr"], room.scrape(), room.scrape())


async def test_a_disk_that_hangs_blinds_nobody_to_the_rest(room: Room) -> None:
    observer = await room.seen()
    observer._disks = Disks(room.settings, seconds_max=0.05)
    os.mkfifo(room.log.spool / standing.NAME)  # whoever reads it waits until somebody writes
    assert not is_disks_look_old(room)
    room.clock.advance(61)
    for _ in range(2):
        await observer.look_at_disks()
        assert shown(room, "bahi_disk_free_bytes")
        assert is_disks_look_old(room), "such a look does not count"
    kept = observer._disks._sent["spool"]
    assert kept.is_alive()
    (room.log.spool / standing.NAME).write_bytes(b"")
    kept.join(PATIENCE_SECONDS)
    (room.log.spool / standing.NAME).unlink()
    observer._disks = Disks(room.settings)
    await observer.look_at_disks()
    assert not is_disks_look_old(room)


async def test_a_folder_that_cannot_be_asked_ends_nothing(room: Room) -> None:
    place = (room.settings.bahi_data_dir / ("x" * 300)).as_uri()  # longer than a name may be
    observer = await room.observer(msgspec.structs.replace(room.settings, archive_url=place))
    await observer.look_at_disks()
    assert any(("place", "data") in labels for labels in shown(room, "bahi_disk_bytes"))
    await observer.look_far()
    assert promql.fires(RULES["ArchiveAway"]["expr"], room.scrape(), room.scrape())


async def test_what_is_mended_is_not_shown_any_more(room: Room) -> None:
    await room.ask(PARKED)
    standing.refused(room.log.spool, "another content", START_NS)
    observer = await room.seen()
    assert shown(room, "bahi_parked_events")
    assert shown(room, "bahi_writer_standing")
    assert promql.fires("bahi_parked_events > 0", room.scrape(), room.scrape())
    await room.ask(SET_ASIDE)
    await observer.look_far()
    await observer.look_at_disks()
    assert not promql.fires("bahi_parked_events > 0", room.scrape(), room.scrape())
    await room.ask("delete from parked_events")
    (room.log.spool / standing.NAME).unlink()
    await observer.look_far()
    await observer.look_at_disks()
    assert not shown(room, "bahi_parked_events")
    assert not shown(room, "bahi_writer_standing")


async def test_a_projector_that_moves_does_not_stand_still(room: Room) -> None:
    observer = await room.seen()
    for second in range(30, 33):
        await room.log.receive(*market(second, 1))
        room.clock.advance(3)
        await room.ask("update projection_checkpoints set n = n + 1")
        await observer.look()
        assert set(shown(room, "bahi_checkpoint_still_seconds").values()) == {0.0}


async def test_a_log_that_is_gone_altogether_is_short(room: Room) -> None:
    rule = RULES["LogShort"]["expr"]
    assert not promql.fires(rule, room.scrape(), room.scrape())
    with servers.redis_client(room.settings.redis_url or "") as client:
        client.delete(room.log.stream)  # nothing is archived: nobody has this stream any more
    await room.seen()
    assert promql.fires(rule, room.scrape(), room.scrape())


async def test_what_cannot_be_asked_is_not_shown_as_it_was(room: Room) -> None:
    observer = await room.seen()
    observer._near = RedisLog.connect(f"redis://127.0.0.1:{free_port()}")
    await observer.look()
    assert not shown(room, "bahi_checkpoint_lag_events")
    assert not shown(room, "bahi_checkpoint_ahead_events")
    assert shown(room, "bahi_checkpoint_n")
    await observer._near.close()
