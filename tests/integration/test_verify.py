"""bahi verify: a log that adds up is said to, and each kind of wrong is found and named by n."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
import redis

from events import codec
from events.archive import Archive
from events.event import Event
from events.memory_log import MemoryLog
from events.messages import Beat, Takeover, Tombstone
from events.reader import Reader
from events.spool import spool_files
from ops.verify import audit
from ops.verify.report import Problem, Range, Report
from producers.kite import dump as kite_dump
from projectors.accounts.projector import ACCOUNTS
from projectors.building import NoMarks
from projectors.instruments import INSTRUMENTS
from projectors.loop import Loop
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql.store import Store
from tests import servers
from tests.account_log import a_day, trade
from tests.entries import START_NS
from tests.frames import SECOND_NS, Packet, entry, frame
from tests.loops import HastyClock, Running
from tests.projectors.test_instruments import DAY_ONE, csv_of, log_of
from tests.small_log import SmallLog, market, small_log

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[SmallLog]:
    """Give a stream with two sessions and a gap between them, a cut frame and an unknown packet, projected."""
    async with small_log(settings) as log:
        await log.connect()
        await log.receive(*market(0, 100))
        log.send(*market(100, 3))  # under way when the socket is cut
        await log.lose()
        await log.return_with(*market(103, 50))
        await log.receive(market(153, 1)[0][:-20], frame(Packet("full"), Packet("ltp")) + b"rest")
        await log.project()
        yield log


async def verify(settings: Settings, *, full: bool = True) -> Report:
    return await audit.run(settings, full=full)


def sql(settings: Settings, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    assert settings.database_url
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def in_redis(settings: Settings) -> redis.Redis:
    assert settings.redis_url
    return servers.redis_client(settings.redis_url)


def only(problems: list[Problem], kind: str) -> Problem:
    """Give the one problem there is, which is of this kind."""
    assert [problem.kind for problem in problems] == [kind], problems
    return problems[0]


def only_range(ranges: list[Range]) -> Range:
    assert len(ranges) == 1, ranges
    return ranges[0]


# ---- what adds up -------------------------------------------------------------------------------------------------


async def test_a_log_that_adds_up_is_said_to(settings: Settings, log: SmallLog) -> None:
    report = await verify(settings)
    assert report.problems == []
    assert report.lost_ranges == report.doubled_ranges == []
    assert report.ok
    assert (report.received, report.stored, report.parked, report.lost, report.doubled) == (455, 454, 1, 0, 0)
    assert (report.sent, report.unreceived, report.under_way, report.gaps) == (463, 9, 0, 1)
    assert (report.candles.instruments, report.candles.different, report.candles.all) == (3, 0, True)
    assert report.candles.compared > 3


async def test_a_sample_of_the_candles_is_the_default(settings: Settings, log: SmallLog) -> None:
    report = await verify(settings, full=False)
    assert report.ok
    assert not report.candles.all


async def test_it_accounts_over_archive_spool_and_a_trimmed_redis(settings: Settings, log: SmallLog) -> None:
    archived = await log.archive_closed()
    await log.trim(archived - 10)
    await log.receive(*market(160, 20))
    await log.project()
    report = await verify(settings)
    assert report.ok, report.problems
    (account,) = report.streams
    assert (account.archived, account.segments, account.checked) == (archived, 1, account.last)


async def test_what_is_not_committed_yet_waits_and_is_not_lost(settings: Settings, log: SmallLog) -> None:
    await log.receive(*market(160, 20))
    report = await verify(settings)
    assert report.ok, report.problems
    assert (report.waiting, report.received) == (60, 455)


async def test_days_past_retention_are_left_out(settings: Settings, log: SmallLog) -> None:
    later = log.clock.now_ns() // SECOND_NS + 8 * 86_400
    log.clock.advance(8 * 86_400)
    await log.receive(frame(Packet("full", volume=5, seconds=later)))
    await log.project()
    report = await verify(settings)
    assert report.ok, report.problems
    assert (report.stored, report.parked, report.expired) == (1, 1, 454)
    sql(settings, "select drop_tick_days(7)")
    report = await verify(settings)
    assert report.ok, report.problems
    assert (report.stored, report.expired) == (1, 454)


async def test_an_event_that_the_database_refused_whole_is_parked_whole(settings: Settings, log: SmallLog) -> None:
    payload = frame(Packet("full"), Packet("full"))
    n = await log.receive(payload)
    await log.project()
    sql(settings, "delete from ticks where n = %s", n)
    sql(
        settings,
        "insert into parked_events (projector, stream, n, at, error, payload) values ('ticks', %s, %s, now(), 'x', %s)",
        log.stream,
        n,
        payload,
    )
    sql(settings, "delete from candles_1m")
    report = await verify(settings)
    assert (report.lost, report.doubled, report.parked) == (0, 0, 3)


# ---- the tables ---------------------------------------------------------------------------------------------------


async def test_a_deleted_row_is_lost_by_its_n(settings: Settings, log: SmallLog) -> None:
    sql(settings, "delete from ticks where n = 50 and instrument_token = 408065")
    report = await verify(settings)
    assert not report.ok
    assert (report.lost, report.received, report.stored) == (1, 455, 453)
    lost = only_range(report.lost_ranges)
    assert (lost.stream, lost.first, lost.last, lost.packets) == (log.stream, 50, 50, 1)


async def test_rows_of_neighbours_are_one_range(settings: Settings, log: SmallLog) -> None:
    sql(settings, "delete from ticks where n between 50 and 59")
    lost = only_range((await verify(settings)).lost_ranges)
    assert (lost.first, lost.last, lost.packets) == (50, 59, 30)


async def test_a_doubled_row_is_found_by_its_n(settings: Settings, log: SmallLog) -> None:
    sql(settings, "insert into ticks select * from ticks where n = 40 and instrument_token = 738561")
    report = await verify(settings)
    doubled = only_range(report.doubled_ranges)
    assert (doubled.first, doubled.last, doubled.packets, report.doubled) == (40, 40, 1, 1)
    assert report.received == report.stored + report.parked - report.doubled


async def test_rows_above_the_checkpoint_are_found(settings: Settings, log: SmallLog) -> None:
    n = await log.receive(*market(160, 1))
    sql(
        settings,
        "insert into ticks select time, received_at, instrument_token, last_price, last_quantity, average_price, "
        "volume, buy_quantity, sell_quantity, oi, bid_price, bid_quantity, ask_price, ask_quantity, %s, stream_id, "
        "flags from ticks where n = 40",
        n,
    )
    report = await verify(settings)
    assert f"3 rows in ticks for n = {n}" in only(report.problems, "above").found
    assert not report.ok


async def test_a_missing_parked_packet_is_lost(settings: Settings, log: SmallLog) -> None:
    ((n, _),) = [row for row in sql(settings, "select n, packets from parked_events") if row[1]]
    sql(settings, "delete from parked_events where n = %s", n)
    lost = only_range((await verify(settings)).lost_ranges)
    assert (lost.first, lost.packets) == (n, 1)


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume", "oi", "tick_count"])
async def test_an_altered_candle_is_found_in_every_field(settings: Settings, log: SmallLog, field: str) -> None:
    ((bucket,),) = sql(settings, "select max(bucket) from candles_1m where instrument_token = 408065")
    change = f"update candles_1m set {field} = {field} + 1 where instrument_token = 408065 and bucket = %s"
    sql(settings, change, bucket)
    report = await verify(settings)
    told = [problem.found for problem in report.problems if "408065" in problem.found]
    assert report.candles.different == 1
    assert len(told) == 1
    assert f"{field} is" in told[0]


async def test_a_missing_candle_is_found_in_a_sample_too(settings: Settings, log: SmallLog) -> None:
    sql(settings, "delete from candles_1m where instrument_token = 408065")
    report = await verify(settings, full=False)
    assert "all candles together" in only(report.problems, "candle").found


async def test_a_gap_that_the_table_has_otherwise_is_found(settings: Settings, log: SmallLog) -> None:
    sql(settings, "update feed_gaps set to_time = to_time + interval '1 second'")
    assert "feed_gaps" in only((await verify(settings)).problems, "gap").found


async def test_a_checkpoint_behind_the_end_of_the_log_is_found(settings: Settings, log: SmallLog) -> None:
    sql(settings, "update projection_checkpoints set n = n + 5 where projector = 'candles'")
    assert "the checkpoint of candles" in only((await verify(settings)).problems, "checkpoint").found


# ---- the log ------------------------------------------------------------------------------------------------------


async def test_a_cut_segment_is_found_and_the_rest_is_still_read(settings: Settings, log: SmallLog) -> None:
    await log.archive_closed()
    (segment,) = (settings.bahi_data_dir / "archive" / log.stream).glob("*.seg")
    segment.write_bytes(segment.read_bytes()[:-5])
    report = await verify(settings)  # Redis still has everything
    assert str(segment) in report.problems[0].found
    assert {problem.kind for problem in report.problems} == {"archive"}
    assert report.lost == 0


async def test_a_changed_byte_of_a_segment_is_found(settings: Settings, log: SmallLog) -> None:
    await log.archive_closed()
    (segment,) = (settings.bahi_data_dir / "archive" / log.stream).glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    assert not (await verify(settings)).ok


async def test_a_hole_in_redis_is_found_by_its_n(settings: Settings, log: SmallLog) -> None:
    with in_redis(settings) as client:
        client.xdel(log.stream, "30-0", "31-0")
    report = await verify(settings)
    assert "n = 30..31" in only(report.problems, "redis").found
    assert report.lost == 0  # the spool has them


async def test_an_n_that_no_store_has_is_a_hole(settings: Settings, log: SmallLog) -> None:
    await log.archive_closed()
    (segment,) = (settings.bahi_data_dir / "archive" / log.stream).glob("*.seg")
    segment.unlink()
    with in_redis(settings) as client:
        client.xdel(log.stream, "30-0", "31-0")
    report = await verify(settings)
    holes = [problem.found for problem in report.problems if problem.kind == "hole"]
    assert holes == ["n = 30..31 is in no store"]


async def test_trimmed_before_archived_is_found(settings: Settings, log: SmallLog) -> None:
    await log.trim(20)
    assert "Redis begins at 21" in only((await verify(settings)).problems, "trim").found


async def test_stores_that_differ_are_found_by_n(settings: Settings, log: SmallLog) -> None:
    (last, other) = (log.writer.last, codec.encode(log.writer.last, Event("kite.text.v1", 1, b"other")))
    with in_redis(settings) as client:
        client.xtrim(log.stream, maxlen=0, approximate=False)
        client.delete(log.stream)
        for entry in spool_files(log.spool)[0].entries(log.stream):
            n = codec.entry_n(entry)
            client.xadd(log.stream, {"e": other if n == last else entry}, id=f"{n}-0")
    assert f"n = {last}..{last}" in only((await verify(settings)).problems, "stores").found


async def test_a_spool_record_that_rotted_is_found(settings: Settings, log: SmallLog) -> None:
    (file,) = spool_files(log.spool)
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 1
    file.path.write_bytes(content)
    assert "bad record" in only((await verify(settings)).problems, "spool").found


# ---- beats and journal --------------------------------------------------------------------------------------------


async def test_a_frame_that_the_ticker_counted_and_the_log_lacks_is_lost(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        await log.hear(*market(0, 10))
        counted = Beat(run="first", frames=11, packets=33, bytes=1, heartbeats=0, texts=0, last_message_ns=1)
        n = await log.tell(counted)
        await log.project()
        report = await verify(settings)
    lost = only_range(report.lost_ranges)
    assert (lost.packets, lost.last, report.lost) == (3, n - 1, 3)


async def test_a_frame_that_was_sent_and_not_stored_is_lost(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        frames = log.send(*market(0, 10))
        last = await log.hear(*frames[:4], *frames[5:])
        await log.project()
        report = await verify(settings)
    lost = only_range(report.lost_ranges)
    assert (lost.packets, lost.messages) == (3, (4, 4))
    assert lost.last == lost.first + 1 == last - 4
    assert (report.lost, report.sent, report.received) == (3, 30, 30)


async def test_a_frame_that_was_stored_twice_is_doubled(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        frames = log.send(*market(0, 10))
        last = await log.hear(*frames[:5], frames[4], *frames[5:])
        await log.project()
        report = await verify(settings)
    doubled = only_range(report.doubled_ranges)
    assert (doubled.first, doubled.packets, report.doubled) == (last - 5, 3, 3)


async def test_the_end_of_a_connection_without_a_gap_is_lost(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        await log.receive(*market(0, 10))
        log.send(*market(10, 2))
        await log.connect(port=40_002)
        await log.receive(*market(12, 5))
        await log.project()
        report = await verify(settings)
    lost = only_range(report.lost_ranges)
    assert (lost.packets, lost.messages, report.lost) == (6, (10, 11), 6)


async def test_what_was_sent_before_the_gap_began_is_lost(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        await log.receive(*market(0, 10))
        log.send(*market(10, 2))
        log.clock.advance(30)
        await log.lose(from_ns=log.clock.now_ns())
        await log.return_with(*market(12, 5))
        await log.project()
        report = await verify(settings)
    assert (report.lost, only_range(report.lost_ranges).messages) == (6, (10, 11))


async def test_a_ticker_that_was_killed_counts_anew_and_declares_what_it_lost(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        frames = log.send(*market(0, 10))
        await log.hear(*frames[:6], beat=False)  # four frames were in its socket, and no beat told of the six
        await log.kill("second")
        await log.return_with(*market(20, 5))
        await log.project()
        report = await verify(settings)
    assert report.ok, (report.problems, report.lost_ranges)
    assert (report.sent, report.received, report.unreceived, report.gaps) == (45, 33, 12, 1)


async def test_a_socket_behind_a_proxy_is_found_by_its_first_message(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect(seen_as=50_000)
        frames = log.send(*market(0, 10))
        await log.hear(*frames[:4], *frames[5:])
        await log.project()
        report = await verify(settings)
    assert (report.sent, report.lost, only_range(report.lost_ranges).messages) == (30, 3, (4, 4))


async def test_frames_of_a_socket_that_the_journal_does_not_know_are_told(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        await log.receive(*market(0, 3))
        await log.lose()
        log.clock.advance(100)
        await log.connect(port=40_009)
        await log.hear(*market(10, 3))
        await log.project()
        report = await verify(settings)
    assert "does not know" in only(report.problems, "journal").found


async def test_what_is_under_way_at_the_end_of_the_log_is_not_lost(settings: Settings, log: SmallLog) -> None:
    log.send(*market(200, 7))
    report = await verify(settings)
    assert report.ok, report.lost_ranges
    assert (report.sent, report.under_way) == (484, 21)


async def test_a_connection_that_the_log_does_not_know_is_lost_unless_a_stream_was_in_session(
    settings: Settings,
) -> None:
    async with small_log(settings) as log:
        log.clock.advance(10)
        log._connection, log._port = log.clock.now_ns(), 50_000
        log.send(*market(0, 3))
        log.clock.advance(10)
        await log.connect()
        await log.receive(*market(3, 10))
        await log.project()
        report = await verify(settings)
        assert (report.lost, report.sent) == (9, 39)
        assert only_range(report.lost_ranges).stream == ""


async def test_a_frame_that_was_sent_twice_is_stored_twice(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.connect()
        one, two = market(0, 2)
        await log.receive(one, one, two, two, one)
        await log.project()
        report = await verify(settings)
    assert report.ok, report.problems
    assert report.stored == 15


# ---- the command --------------------------------------------------------------------------------------------------


def run_command(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    environ = {"PATH": os.environ["PATH"], "BAHI_DATA_DIR": str(settings.bahi_data_dir)}
    environ |= {"DATABASE_URL": str(settings.database_url), "REDIS_URL": str(settings.redis_url)}
    argv = [sys.executable, "-m", "ops.cli", "verify", *words]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)


# ---- what was given up, and names ----------------------------------------------------------------------------------


async def test_tombstones_that_a_takeover_names_are_counted(settings: Settings, log: SmallLog) -> None:
    first = await log.tell(Tombstone(), Tombstone()) - 1
    await log.tell(Takeover(host="other", tombstones=[(first, first + 1)], checkpoints={}, lost=2))
    await log.project()
    report = await verify(settings)
    assert report.ok
    assert (report.tombstones, report.lost) == (2, 0)
    assert "2 events were given up" in run_command(settings).stdout


async def test_a_tombstone_that_nobody_names_is_found(settings: Settings, log: SmallLog) -> None:
    first = await log.tell(Tombstone(), Tombstone()) - 1
    await log.tell(Takeover(host="other", tombstones=[(first + 1, first + 1)], checkpoints={}, lost=1))
    await log.project()
    problem = only((await verify(settings)).problems, "tombstone")
    assert f"n = {first}..{first} that no log.takeover names" in problem.found


async def test_a_tombstone_that_is_named_and_not_there_is_found(settings: Settings, log: SmallLog) -> None:
    n = await log.tell(Tombstone())
    await log.tell(Takeover(host="other", tombstones=[(n - 2, n)], checkpoints={}, lost=3))
    await log.project()
    problem = only((await verify(settings)).problems, "tombstone")
    assert f"n = {n - 2}..{n - 1}, where other events stand" in problem.found


async def told(settings: Settings, *odd: bytes) -> None:
    """Bring a day of the accounts into the log and the tables; one of its rows cannot be read. odd: trades, last."""
    assert settings.database_url
    day = a_day()
    for place, body in enumerate(odd):
        day.snapshot("main", "trades", body, f"09:{25 + place}:00")
    log = day.events
    await Archive.at(settings).put("accounts", [entry(event) for event in log])
    store, reader = Store(settings.database_url), Reader(MemoryLog(), Archive.at(settings))
    running = Running(Loop(ACCOUNTS, "accounts", store, reader, HastyClock(), NoMarks(), Stop()), store)
    await running.reached(log[-1].n)
    await running.ended()


async def test_orders_and_trades_are_held_against_what_the_brokers_told(settings: Settings, log: SmallLog) -> None:
    await told(settings)
    report = await verify(settings)
    assert report.problems == []
    assert (report.accounts.compared, report.accounts.different) == (18, 0)
    assert report.parked == 1  # of ticks: a row of a broker is no packet
    assert "orders and trades of the accounts: 18, 0 differ" in run_command(settings).stdout


async def test_answers_that_are_none_are_no_rows(settings: Settings, log: SmallLog) -> None:
    huge = json.dumps({"data": [trade("9")]}).encode().replace(b'"quantity": 5', b'"quantity": 1e400')
    assert b"1e400" in huge
    await told(settings, b"<html>", b"[]", b'{"data": "none"}', b'{"data": [{"order_id": "\xff"}]}', huge)
    report = await verify(settings)
    assert report.problems == []
    assert (report.accounts.compared, report.accounts.different) == (19, 0)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("delete from trades where trade_id = '2' and account_id = 'main'", "1 trades are in the log and not in"),
        ("delete from orders where account_id = 'other'", "2 orders that the broker told of are not in"),
        (
            "update trades set price = price + 1 where trade_id = '1' and account_id = 'main'",
            "another quantity or price",
        ),
        ("update trades set trade_id = '9' where trade_id = '1' and account_id = 'main'", None),
        (
            "delete from parked_events where projector = 'accounts' and error ~ ' of main: '",
            "1 trades are in the log and not in",
        ),
    ],
)
async def test_an_order_or_a_trade_that_is_not_as_it_was_told_is_found(
    settings: Settings, log: SmallLog, change: str, found: str | None
) -> None:
    await told(settings)
    sql(settings, change)
    problems = (await verify(settings)).problems
    if found is None:
        assert [problem.kind for problem in problems] == ["account", "account"]
    else:
        assert found in only(problems, "account").found


async def named(settings: Settings, *days: dict[int, tuple[str, int]]) -> None:
    """Bring a dump for each day into the log and the table."""
    assert settings.database_url
    events = [
        event
        for place, day in enumerate(days)
        for event in kite_dump.events("kite", csv_of(day), DAY_ONE + timedelta(place), START_NS, START_NS + 1)
    ]
    log = log_of(events)
    await Archive.at(settings).put("reference", [entry(event) for event in log])
    store, reader = Store(settings.database_url), Reader(MemoryLog(), Archive.at(settings))
    running = Running(Loop(INSTRUMENTS, "reference", store, reader, HastyClock(), NoMarks(), Stop()), store)
    await running.reached(log[-1].n)
    await running.ended()


async def test_names_are_held_against_the_newest_dump(settings: Settings, log: SmallLog) -> None:
    await named(settings, {256: ("INFY", 1), 512: ("TCS", 1)}, {256: ("INFY", 1), 512: ("TCS", 2)})
    report = await verify(settings)
    assert report.problems == []
    assert (report.instruments.compared, report.instruments.different) == (2, 0)


@pytest.mark.parametrize(
    "change",
    [
        "update instruments set lot_size = 7 where instrument_token = 512 and valid_to is null",
        "update instruments set valid_to = '2030-01-01' where instrument_token = 512",
        "delete from instruments where instrument_token = 512",
    ],
)
async def test_a_name_that_is_not_what_the_dump_says_is_found(settings: Settings, log: SmallLog, change: str) -> None:
    await named(settings, {256: ("INFY", 1), 512: ("TCS", 1)})
    sql(settings, change)
    problem = only((await verify(settings)).problems, "instrument")
    assert "1 instruments of kite are not what the dump" in problem.found
    assert problem.found.endswith(": 512")


async def test_the_command_says_it_for_people_and_for_scripts(settings: Settings, log: SmallLog) -> None:
    said = run_command(settings, "--full")
    assert said.returncode == 0, said.stderr
    assert "every event is accounted for" in said.stdout
    assert "\x1b" not in said.stdout
    sql(settings, "delete from ticks where n = 50")
    said = run_command(settings, "--json")
    report = json.loads(said.stdout)
    assert said.returncode == 1
    assert (report["ok"], report["lost"], report["lost_ranges"][0]["first"]) == (False, 3, 50)
    assert {"received", "stored", "parked", "doubled", "gaps", "problems", "sent"} <= report.keys()
    assert "lost ticks-sandbox-1 n = 50..50: 3 packets: no row in ticks" in run_command(settings).stdout
