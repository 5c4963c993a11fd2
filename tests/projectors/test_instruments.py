"""Instruments by day: what each dump says holds until another says otherwise; half, broken and late ones do no harm."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.event import Event, Recorded
from events.messages import InstrumentsDump, InstrumentsPart, Takeover, pack
from producers.kite import dump as kite_dump
from projectors.instruments import INSTRUMENTS
from projectors.loop import State
from tests.entries import START_NS
from tests.loops import Desk, ask

STREAM = "reference"
HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
DAY_ONE = date(2026, 4, 10)

Listed = dict[int, tuple[str, int]]  # token -> symbol, lot size


def csv_of(listed: Listed) -> bytes:
    rest = "EQ,NSE,NSE"
    lines = [f"{each},{each // 256},{symbol},NAME,0.0,,0.0,0.05,{lot},{rest}" for each, (symbol, lot) in listed.items()]
    return "\n".join([HEADER, *lines, ""]).encode()


def dump(body: bytes, day: date, broker: str = "sandbox") -> list[Event]:
    return kite_dump.events(broker, body, day, START_NS, START_NS + 1)


def log_of(events: Sequence[Event], first: int = 1) -> list[Recorded]:
    return [Recorded(STREAM, n, each.at_ns, each.type, each.payload) for n, each in enumerate(events, first)]


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


Described = tuple[int, str, int, date, date | None]


async def held(url: str, broker: str = "sandbox") -> list[Described]:
    rows = await ask(
        url,
        "select instrument_token, tradingsymbol, lot_size, valid_from, valid_to from instruments"
        " where broker = %s order by instrument_token, valid_from",
        broker,
    )
    return [tuple(row.values()) for row in rows]


def plain(dumps: Sequence[tuple[date, Listed]]) -> list[Described]:
    """Give the validities as a person would: the last dump of each day, one day after the other."""
    by_day: dict[date, Listed] = {}
    for day, listed in dumps:
        if not by_day or day >= max(by_day):
            by_day[day] = listed
    found: list[Described] = []
    days = sorted(by_day)
    for token in sorted({token for listed in by_day.values() for token in listed}):
        for day, before in zip(days, [None, *days[:-1]], strict=True):
            new, old = by_day[day].get(token), by_day[before].get(token) if before else None
            if new == old:
                continue
            if old:
                found[-1] = (*found[-1][:4], day - timedelta(days=1))
            if new:
                found.append((token, *new, day, None))
    return found


async def test_each_days_dump_begins_and_ends_descriptions(desk: Desk) -> None:
    monday = DAY_ONE + timedelta(days=3)
    dumps = [
        (DAY_ONE, {257: ("A", 1), 513: ("B", 1)}),
        (monday, {257: ("A", 2), 769: ("C", 1)}),  # another lot size, one that is gone, one that is new
        (monday + timedelta(days=1), {257: ("A", 2), 513: ("D", 5)}),  # B's token is used again
    ]
    await desk.project(INSTRUMENTS, log_of([each for day, listed in dumps for each in dump(csv_of(listed), day)]))
    assert await held(desk.database_url) == [
        (257, "A", 1, DAY_ONE, monday - timedelta(days=1)),
        (257, "A", 2, monday, None),
        (513, "B", 1, DAY_ONE, monday - timedelta(days=1)),
        (513, "D", 5, monday + timedelta(days=1), None),
        (769, "C", 1, monday, monday),
    ]


async def test_a_description_is_that_of_the_dump(desk: Desk) -> None:
    line = '12517890,48898,NIFTY26APR22500CE,"NIFTY, fifty",12.5,2026-04-30,22500.0,0.05,75,CE,NFO-OPT,NFO'
    await desk.project(INSTRUMENTS, log_of(dump(f"{HEADER}\r\n{line}\r\n".encode(), DAY_ONE)))
    (row,) = await ask(desk.database_url, "select * from instruments")
    assert row == {
        "instrument_token": 12517890,
        "exchange": "NFO",
        "tradingsymbol": "NIFTY26APR22500CE",
        "name": "NIFTY, fifty",
        "segment": "NFO-OPT",
        "instrument_type": "CE",
        "expiry": date(2026, 4, 30),
        "strike": 22500.0,
        "tick_size": 0.05,
        "lot_size": 75,
        "exchange_token": 48898,
        "broker": "sandbox",
        "valid_from": DAY_ONE,
        "valid_to": None,
    }


listings = st.dictionaries(
    st.sampled_from([257, 513, 769]), st.tuples(st.sampled_from(["A", "B"]), st.integers(1, 2)), min_size=1
)


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(-1, 3), listings), min_size=1, max_size=6), st.integers(1, 5))
async def test_any_row_of_dumps_gives_the_validities_of_plain_python(
    database_url: str, tmp_path: Path, steps: list[tuple[int, Listed]], at_once: int
) -> None:
    await ask(database_url, "delete from instruments; delete from instrument_dumps; delete from projection_checkpoints")
    day, dumps = DAY_ONE, []
    for step, listed in steps:
        day += timedelta(days=step)
        dumps.append((day, listed))
    log = log_of([each for day, listed in dumps for each in dump(csv_of(listed), day)])
    desk = Desk(database_url, tmp_path)
    for start in range(0, len(log), at_once):  # a crash between any two of its events
        await desk.write(log[start : start + at_once])
        async with desk.running(INSTRUMENTS, STREAM) as running:
            await running.reached(min(start + at_once, len(log)) // 2 * 2)  # a dump is two events
    assert await held(database_url) == plain(dumps)


async def test_two_brokers_may_number_alike(desk: Desk) -> None:
    events = [*dump(csv_of({257: ("A", 1)}), DAY_ONE), *dump(csv_of({257: ("A", 9)}), DAY_ONE, "kite")]
    await desk.project(INSTRUMENTS, log_of(events))
    assert await held(desk.database_url) == [(257, "A", 1, DAY_ONE, None)]
    assert await held(desk.database_url, "kite") == [(257, "A", 9, DAY_ONE, None)]


def large_dump() -> list[Event]:
    """Give a dump of several parts: names that do not compress."""
    parts = dump(
        csv_of({256 * i + 1: (f"S{i * 2_654_435_761 % 2**64:x}{i * 40_503 % 2**31:x}", 1) for i in range(1, 60_000)}),
        DAY_ONE,
    )
    assert len(parts) > 2
    return parts


async def test_a_dump_in_parts_counts_when_it_is_whole(desk: Desk) -> None:
    parts = large_dump()
    opening = pack(Takeover(host="h", tombstones=[], checkpoints={}), START_NS)
    log = log_of([opening, *parts])
    await desk.write(log[:-1])
    async with desk.running(INSTRUMENTS, STREAM) as running:
        await running.reached(1)
        assert await held(desk.database_url) == []
    (checkpoint,) = await ask(desk.database_url, "select n from projection_checkpoints")
    assert checkpoint["n"] == 1, "it never stands inside a dump"
    await desk.write(log[-1:])
    async with desk.running(INSTRUMENTS, STREAM) as running:
        await running.reached(len(log))
    assert len(await held(desk.database_url)) == 59_999


async def test_parts_of_a_dump_that_never_ended_are_passed_over(desk: Desk) -> None:
    cut = large_dump()[:1]
    await desk.project(INSTRUMENTS, log_of([*cut, *dump(csv_of({257: ("A", 1)}), DAY_ONE)]))
    assert await held(desk.database_url) == [(257, "A", 1, DAY_ONE, None)]


def changed(events: list[Event], **fields: object) -> list[Event]:
    """Give a dump whose closing event says otherwise."""
    told = msgspec.json.decode(events[-1].payload, type=InstrumentsDump)
    return [*events[:-1], pack(msgspec.structs.replace(told, **fields), START_NS)]


def packed(body: bytes, **fields: object) -> list[Event]:
    """Give a dump whose one part holds these bytes as they are."""
    events = dump(csv_of({257: ("A", 1)}), DAY_ONE)
    part = msgspec.json.decode(events[0].payload, type=InstrumentsPart)
    return changed([pack(msgspec.structs.replace(part, body=body), START_NS), events[-1]], **fields)


GOOD = csv_of({257: ("A", 1)})
BROKEN: dict[str, list[Event]] = {
    "another checksum": changed(dump(GOOD, DAY_ONE), sha256="0" * 64),
    "none of": changed(dump(GOOD, DAY_ONE), parts=3),
    "day": changed(dump(GOOD, DAY_ONE), day="yesterday"),
    "zstd": packed(b"no zstd at all"),
    "cut": packed(zstandard.compress(GOOD)[:-9]),
    "too large": packed(zstandard.ZstdCompressor().compress(b"")[:4] + b"\x80" + (2**40).to_bytes(8, "little")),
    "columns": dump(b"token,name\n1,A\n", DAY_ONE),
    "html": dump(b"<html>Bad Gateway</html>", DAY_ONE),
    "empty": dump(b"", DAY_ONE),
    "no lines": dump(f"{HEADER}\n".encode(), DAY_ONE),
    "not utf-8": dump(GOOD.replace(b"NAME", b"\xff"), DAY_ONE),
    "number": dump(GOOD.replace(b"257", b"many"), DAY_ONE),
    "short line": dump(GOOD + b"1,2,3\n", DAY_ONE),
    "out of range": dump(GOOD.replace(b"257", b"9" * 30), DAY_ONE),
    "nul": dump(GOOD.replace(b"NAME", b"N\x00"), DAY_ONE),
    "endless field": dump(GOOD.replace(b"NAME", b"N" * 200_000), DAY_ONE),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_dump_is_parked_and_the_next_one_counts(desk: Desk, name: str) -> None:
    before, after = csv_of({513: ("B", 1)}), csv_of({513: ("B", 2)})
    events = [*dump(before, DAY_ONE), *BROKEN[name], *dump(after, DAY_ONE + timedelta(days=1))]
    log = log_of(events)
    await desk.write(log)
    async with desk.running(INSTRUMENTS, STREAM) as running:
        await running.reached(len(log))
        assert running.loop.state in (State.HOLDING, State.ISOLATING)
    parked: list[dict[str, Any]] = await ask(desk.database_url, "select n, payload from parked_events")
    assert [(row["n"], bytes(row["payload"])) for row in parked] == [(len(log) - 2, BROKEN[name][-1].payload)]
    assert await held(desk.database_url) == [
        (513, "B", 1, DAY_ONE, DAY_ONE),
        (513, "B", 2, DAY_ONE + timedelta(days=1), None),
    ]
