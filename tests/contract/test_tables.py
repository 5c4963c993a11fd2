"""What the tables promise on every database: on plain PostgreSQL, and on TimescaleDB where a server is named.

The same events go through the real loops and stores; what differs lies behind the same names.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from events.event import Recorded
from ops import retention
from projectors.candles import CANDLES
from projectors.ticks import TICKS
from runtime.errors import SettingError
from sql import migrate
from sql.retention import drop_tick_days
from sql.statements import statements
from tests.frames import INFY, SECOND_NS, STREAM, USDINR, Packet, frame, recorded
from tests.loops import Desk, ask

MIDNIGHT = datetime(2026, 4, 12, 18, 30, tzinfo=UTC)  # 2026-04-13 00:00 IST, a Monday
GOLD = 53_505 * 256 + 7
HOUR = timedelta(hours=1)

CONTRACT = {
    "instruments": "instrument_token exchange tradingsymbol name segment instrument_type expiry strike tick_size "
    "lot_size valid_from valid_to",
    "ticks": "time received_at instrument_token last_price last_quantity average_price volume buy_quantity "
    "sell_quantity oi bid_price bid_quantity ask_price ask_quantity",
    **dict.fromkeys(
        ("candles_1m", "candles_5m", "candles_15m", "candles_1h", "candles_1d"),
        "bucket instrument_token open high low close volume oi tick_count coverage source",
    ),
    "feed_gaps": "feed connection from_time to_time reason filled",
    "projection_checkpoints": "projector stream n epoch owner lease_until",
    "parked_events": "projector stream n error payload",
}


@pytest.fixture(params=["plain", "timescale"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue("database_url" if request.param == "plain" else "timescale_url")
    return found


@pytest.fixture
def desk(url: str, tmp_path: Path) -> Desk:
    return Desk(url, tmp_path)


def at(days: int = 0, hours: float = 0, seconds: int = 0) -> datetime:
    """Give a time counted from the first midnight in India."""
    return MIDNIGHT + timedelta(days=days, hours=hours, seconds=seconds)


def log_of(times: Iterable[datetime], token: int = INFY, first: int = 1, stream: str = STREAM) -> list[Recorded]:
    """Give an event with a tick for each time, as the exchange stamped it; all received when the last of them was."""
    stamps = [round(time.timestamp()) for time in times]
    return [
        recorded(
            n,
            frame(Packet("full", token, price=100_000 + n, volume=n, seconds=stamp)),
            max(stamps) * SECOND_NS,
            stream,
        )
        for n, stamp in enumerate(stamps, first)
    ]


async def edition(url: str) -> str:
    (row,) = await ask(url, statements["server_version"])
    return row["license"] or "plain"


async def cut_at_midnight(url: str) -> bool:
    """Say whether the database keeps each Indian day apart; TimescaleDB's Apache edition cannot."""
    return await edition(url) != "apache"


async def needs_community(url: str) -> None:
    if (found := await edition(url)) != "timescale":
        pytest.skip(f"needs TimescaleDB Community, this is {found}")


async def held(url: str) -> Counter[tuple[datetime, int]]:
    return Counter((row["time"], row["n"]) for row in await ask(url, "select time, n from ticks"))


async def days_held(url: str) -> list[date]:
    return [row["day"] for row in await ask(url, statements["held_tick_days"])]


async def compress(url: str) -> None:
    """Compress all chunks, as the policy does a day later."""
    await ask(url, "select compress_chunk(part) from tick_chunks()")


# Migrations


async def test_migrations_run_once_and_say_what_they_found(url: str) -> None:
    again = await migrate.run(url)
    assert again.applied == []
    kind = await edition(url)
    assert again.flavour == ("plain" if kind == "plain" else "timescale")
    assert (again.timescale or "").partition(" ")[2] == migrate.EDITIONS.get(kind, "")
    assert again.version == await migrate.version(url) == len(migrate.migrations(again.flavour))


async def test_a_migration_that_was_changed_after_it_ran_is_refused(url: str) -> None:
    await ask(url, "update bahi_migrations set sha256 = 'of another text' where number = 2")
    with pytest.raises(SettingError, match="0002_ticks as it ran"):
        await migrate.run(url)


@pytest.mark.usefixtures("plain_postgres")
async def test_a_timescaledb_that_is_too_old_is_named(database_url: str) -> None:
    columns = "oid, extname, extowner, extnamespace, extrelocatable, extversion"
    values = "1, 'timescaledb', 10, 'public'::regnamespace, false, '2.20.3'"
    await ask(database_url, f"insert into pg_extension ({columns}) values ({values})")
    with pytest.raises(SettingError, match=r"TimescaleDB 2\.21 or later.*2\.20\.3"):
        await migrate.run(database_url)


async def test_the_tables_have_the_columns_of_the_contract(url: str) -> None:
    columns: dict[str, set[str]] = {table: set() for table in CONTRACT}
    for row in await ask(url, "select table_name, column_name from information_schema.columns"):
        columns.setdefault(row["table_name"], set()).add(row["column_name"])
    assert {table: set(wanted.split()) - columns[table] for table, wanted in CONTRACT.items()} == {
        table: set() for table in CONTRACT
    }


async def test_both_flavours_have_the_same_columns(database_url: str, timescale_url: str) -> None:
    statement = (
        "select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns "
        "where table_schema = 'public' and table_name !~ '^pg_|^ticks_2' order by table_name, ordinal_position"
    )
    assert await ask(database_url, statement) == await ask(timescale_url, statement)


# A place for each day


async def test_a_day_gets_its_place_with_its_first_tick_in_whatever_order_they_come(desk: Desk, url: str) -> None:
    times = [at(2, 10), at(0, 10), at(1, 10), at(0, 11), at(5, 10), at(2, 9)]
    await desk.project(TICKS, log_of(times))
    assert await held(url) == Counter((time, n) for n, time in enumerate(times, 1))
    days = await days_held(url)
    assert days == sorted(days, reverse=True)
    wanted = [date(2026, 4, 13) + timedelta(days=day) for day in (5, 2, 1, 0)]
    assert days == wanted if await cut_at_midnight(url) else set(days) >= set(wanted)


async def test_a_day_lasts_from_midnight_to_midnight_in_india(desk: Desk, url: str) -> None:
    await desk.project(TICKS, log_of([at(), at(0, 5.5), at(0, 23, 3599), at(1)]))
    if not await cut_at_midnight(url):
        pytest.skip("TimescaleDB's Apache edition cuts at 05:30 IST")
    parts = await ask(
        url, "select tableoid::regclass::text as part, count(*) as ticks from ticks group by 1 order by 1"
    )
    assert parts == [{"part": "ticks_20260413", "ticks": 3}, {"part": "ticks_20260414", "ticks": 1}]


async def test_two_streams_may_begin_a_day_at_once(desk: Desk, url: str) -> None:
    streams = ("ticks-sandbox-1", "ticks-sandbox-2")
    for stream in streams:
        await desk.write(log_of([at(0, 10)] * 40, stream=stream))
    async with desk.running(TICKS, streams[0]) as one, desk.running(TICKS, streams[1]) as two:
        await one.reached(40)
        await two.reached(40)
    (row,) = await ask(url, "select count(*) as ticks, count(distinct stream_id) as streams from ticks")
    assert row == {"ticks": 80, "streams": 2}


# Retention


async def test_retention_counts_back_from_the_newest_day_that_has_ticks(desk: Desk, url: str) -> None:
    times = [at(day, hour) for day in (0, 1, 2, 6, 7) for hour in (1, 10)]
    await desk.project(TICKS, log_of(times))
    await ask(url, "select make_tick_day('2026-05-30')")  # held, but empty: it does not count
    dropped = await drop_tick_days(url, 7)
    wanted = {time for time in times if time >= at(1)}
    if await cut_at_midnight(url):
        assert dropped == ["ticks_20260413"]
        assert {time for time, _ in await held(url)} == wanted
    else:
        assert {time for time, _ in await held(url)} >= wanted
    assert await drop_tick_days(url, 7) == []


async def test_retention_of_one_day_keeps_the_newest(desk: Desk, url: str) -> None:
    await desk.project(TICKS, log_of([at(0, 10), at(1, 10), at(2, 3), at(2, 10)]))
    await drop_tick_days(url, 1)
    assert {time for time, _ in await held(url)} >= {at(2, 3), at(2, 10)}
    assert at(0, 10) not in {time for time, _ in await held(url)}


async def test_nothing_is_dropped_from_an_empty_table(url: str) -> None:
    await ask(url, "select make_tick_day('2026-04-13')")
    assert await drop_tick_days(url, 1) == []


async def test_a_drop_gives_way_to_somebody_who_reads(desk: Desk, url: str) -> None:
    await desk.project(TICKS, log_of([at(0, 10), at(8, 10)]))
    async with await psycopg.AsyncConnection.connect(url) as reader:
        await reader.execute("select * from ticks")
        assert await retention.look(url, 7) == retention.RETRY_SECONDS
        assert len(await held(url)) == 2
    assert await retention.look(url, 7) == retention.LOOK_SECONDS
    assert {n for _, n in await held(url)} == {2}


async def test_what_forbids_a_drop_stops_nothing_else(desk: Desk, url: str) -> None:
    await desk.project(TICKS, log_of([at(0, 10), at(8, 10)]))
    (part,) = await ask(url, "select tableoid::regclass::text as name from ticks where n = 1")
    await ask(url, f"create view somebodys as select * from {part['name']}")
    assert await retention.look(url, 7) == retention.LOOK_SECONDS
    assert len(await held(url)) == 2


async def test_a_tick_of_a_dropped_day_is_held_again_until_the_next_drop(desk: Desk, url: str) -> None:
    await desk.write(log_of([at(0, 10), at(8, 10)]))
    async with desk.running(TICKS, STREAM) as running:
        await running.reached(2)
        assert await drop_tick_days(url, 7)
        await desk.write(log_of([at(0, 11), at(8, 11)], first=3))
        await running.reached(4)
    assert await held(url) == Counter({(at(8, 10), 2): 1, (at(0, 11), 3): 1, (at(8, 11), 4): 1})
    assert await ask(url, "select * from parked_events") == []
    assert await drop_tick_days(url, 7)
    assert {n for _, n in await held(url)} == {2, 4}


# Candles


async def test_longer_candles_begin_with_the_session_of_their_exchange(desk: Desk, url: str) -> None:
    times = [at(0, 9.25), at(0, 9.45), at(0, 10), at(0, 10.25), at(0, 15.4), at(1, 11)]
    for connection, token in enumerate((INFY, GOLD, USDINR), 1):
        await desk.project(CANDLES, log_of(times, token, stream=f"ticks-sandbox-{connection}"))
    quarters = [9.25, 10, 10.25, 15.25, 35]
    for table, nse, others in (
        ("candles_15m", quarters, quarters),
        ("candles_1h", [9.25, 10.25, 15.25, 34.25], [9, 10, 15, 35]),
        ("candles_1d", [9.25, 33.25], [9, 33]),
    ):
        for token, hours in ((INFY, nse), (GOLD, others), (USDINR, others)):
            found = await ask(url, f"select bucket from {table} where instrument_token = %s order by 1", token)
            assert [row["bucket"] for row in found] == [at(0, hour) for hour in hours], (table, token)


async def test_every_candle_shows_a_late_tick_with_its_commit(desk: Desk, url: str) -> None:
    events = log_of([at(0, 9.25), at(1, 9.25), at(2, 9.25), at(0, 9.25, 30)])
    await desk.write(events)
    async with desk.running(CANDLES, STREAM) as running:
        await running.reached(4)
    for table in ("candles_1m", "candles_5m", "candles_15m", "candles_1h", "candles_1d"):
        first, *others = await ask(url, f"select open, close, tick_count, source from {table} order by bucket")
        assert first == {"open": 1000.01, "close": 1000.04, "tick_count": 2, "source": "ticks"}, table
        assert [row["tick_count"] for row in others] == [1, 1]


# Compression


async def test_late_ticks_go_into_a_compressed_chunk(tmp_path: Path, timescale_url: str) -> None:
    await needs_community(timescale_url)
    desk = Desk(timescale_url, tmp_path)
    times = [at(day, 10, second) for day in (0, 1) for second in range(50)] * 2  # each twice, on two days
    await desk.write(log_of(times))
    async with desk.running(TICKS, STREAM) as running:
        await running.reached(200)
        before = await held(timescale_url)
        await compress(timescale_url)
        assert await held(timescale_url) == before
        await desk.write(log_of([*times[:60], at(3)], first=201))
        await running.reached(261)
    wanted = before + Counter((time, n) for n, time in enumerate([*times[:60], at(3)], 201))
    assert await held(timescale_url) == wanted
    await compress(timescale_url)
    assert await held(timescale_url) == wanted
    assert await ask(timescale_url, "select * from parked_events") == []


async def test_the_policy_compresses_a_day_after_its_end(tmp_path: Path, timescale_url: str) -> None:
    await needs_community(timescale_url)
    now = datetime.now(UTC).replace(microsecond=0)
    await Desk(timescale_url, tmp_path).project(TICKS, log_of([now - 72 * HOUR, now - HOUR, now]))
    (job,) = await ask(timescale_url, "select job_id from timescaledb_information.jobs where hypertable_name = 'ticks'")
    await ask(timescale_url, "call run_job(%s)", job["job_id"])
    chunks = await ask(timescale_url, "select range_end, is_compressed from timescaledb_information.chunks")
    assert {row["is_compressed"] for row in chunks} == {False, True}
    assert all(row["is_compressed"] == (row["range_end"] < now - 24 * HOUR) for row in chunks)


async def test_compressed_days_are_dropped_like_others(tmp_path: Path, timescale_url: str) -> None:
    await needs_community(timescale_url)
    await Desk(timescale_url, tmp_path).project(TICKS, log_of([at(0, 10), at(1, 10), at(2, 10)]))
    await compress(timescale_url)
    assert await drop_tick_days(timescale_url, 2) == ["ticks_20260413"]
    assert await drop_tick_days(timescale_url, 1) == ["ticks_20260414"]
    assert {n for _, n in await held(timescale_url)} == {3}


# Plans


def relations(plan: Any) -> set[str]:
    """Give the tables that were really read."""
    if isinstance(plan, list):
        return {name for each in plan for name in relations(each)}
    own = {plan["Relation Name"]} if plan.get("Actual Loops") and "Relation Name" in plan else set()
    return own | relations(plan.get("Plans", [])) | relations(plan.get("Plan", []))


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", ["any_tick", "count_ticks"])
async def test_a_day_is_read_without_touching_others(desk: Desk, url: str, name: str, mode: str) -> None:
    await desk.project(TICKS, log_of([at(day, 10) for day in range(-5, 2)]))
    statement = statements[name].replace("%(from)s", "$1").replace("%(to)s", "$2")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"set plan_cache_mode = {mode}")
        await connection.execute(f"prepare asked (timestamptz, timestamptz) as {statement}".encode())
        explained = f"explain (analyze, format json) execute asked ('{at(1)}', '{at(2)}')"
        row = await (await connection.execute(explained.encode())).fetchone()
    assert row is not None
    read = relations(row[0]) - {"ticks"}
    assert read == {"ticks_20260414"} if await cut_at_midnight(url) else 1 <= len(read) <= 2
