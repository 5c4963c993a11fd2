"""Candles of one minute: the same as plain Python's, however the log is cut into batches and whatever crashes."""

import contextlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.event import Recorded
from events.messages import Beat, Gap, Message, Subscribed
from ops import retention
from projectors.candles import CANDLES, CandleProjector
from runtime.clock import ManualClock
from sql.store import Store
from tests.candle_reference import Candle, Reference
from tests.frames import (
    DAY_NS,
    INFY,
    MINUTE_NS,
    NIFTY,
    RELIANCE,
    SECOND_NS,
    STREAM,
    Packet,
    frame,
    recorded,
)
from tests.loops import Desk, ask

MIDNIGHT_NS = 1_775_932_200 * SECOND_NS  # 2026-04-12 00:00 IST
START_NS = MIDNIGHT_NS - 90 * SECOND_NS
OPEN_NS = MIDNIGHT_NS + (9 * 60 + 15) * MINUTE_NS

Said = tuple[int, tuple[Packet, ...] | Message]  # receive time, what came


def beat() -> Beat:
    return Beat(run="r", frames=0, packets=0, bytes=0, heartbeats=0, texts=0, last_message_ns=0)


def subscribed(*tokens: int) -> Subscribed:
    return Subscribed(run="r", tokens=list(tokens), mode="full")


def full(at_ns: int, price: int, volume: int = 0, token: int = INFY) -> Said:
    """Give a full packet stamped with the second in which it came."""
    return at_ns, (Packet("full", token, price, volume, seconds=at_ns // SECOND_NS),)


def log_of(said: Sequence[Said], stream: str = STREAM) -> list[Recorded]:
    return [
        recorded(n, frame(*content) if isinstance(content, tuple) else content, at_ns, stream)
        for n, (at_ns, content) in enumerate(said, 1)
    ]


def reference_of(said: Sequence[Said]) -> Reference:
    reference = Reference()
    for at_ns, content in said:
        reference.hear(at_ns, content)
    return reference


async def held(url: str) -> dict[tuple[int, int], tuple[Candle, float]]:
    """Give the table as the reference's candles with their coverage."""
    found = {}
    for row in await ask(url, "select * from candles_1m"):
        prices = [round(row[name] * 100) for name in ("open", "high", "low", "close")]
        numbers = [row[name] for name in ("volume", "oi", "tick_count", "revision", "volume_falls")]
        minute_ns = round(row["bucket"].timestamp()) * SECOND_NS
        found[row["instrument_token"], minute_ns] = (Candle(*prices, *numbers), row["coverage"])
        assert row["source"] == "ticks"
    return found


async def check(url: str, said: Sequence[Said]) -> None:
    """Compare all that is in the tables with the reference."""
    reference, found = reference_of(said), await held(url)
    assert {key: candle for key, (candle, _) in found.items()} == reference.candles
    wanted = {key: reference.coverage(*key) for key in reference.candles}
    assert {key: coverage for key, (_, coverage) in found.items()} == pytest.approx(wanted, abs=1e-6)
    volumes = await ask(url, "select instrument_token, day - date '1970-01-01' as number, highest from candle_volumes")
    assert {(row["instrument_token"], row["number"]): row["highest"] for row in volumes} == reference.highest
    (clock,) = await ask(url, "select * from candle_clocks")
    assert clock["watermark_ns"] == reference.watermark_ns
    assert (clock["newest_ns"], clock["newest_at_ns"]) == (reference.newest or (0, 0))


async def forget_all(url: str) -> None:
    tables = ("candles_1m", "candle_volumes", "candle_clocks", "candle_uncovered", "candle_subscriptions")
    await ask(url, "; ".join(f"delete from {table}" for table in (*tables, "projection_checkpoints")))


class Unlucky(Exception):
    """Stands for anything that ends a transaction."""


class Hand:
    """Drives one projector over a log by hand, through the real store."""

    def __init__(self, store: Store, log: list[Recorded]) -> None:
        self.store, self.log = store, log
        self.read = 0

    async def begin(self) -> None:
        """Make a projector at the checkpoint, as after a start or a crash."""
        lease = await self.store.acquire("candles", self.log[0].stream)
        assert lease is not None
        self.lease, self.read = lease, lease.n
        self.projector = CandleProjector(self.log[0].stream)
        async with self.store.reading(self.log[0].stream) as rows:
            await self.projector.recall(rows)

    async def absorb(self, count: int) -> None:
        """Take the next events as one batch."""
        batch = self.log[self.read : self.read + count]
        if batch:
            self.projector.absorb(batch)
            self.read = batch[-1].n

    async def commit(self, *, torn: bool = False) -> None:
        """Write all that is absorbed; a torn one is rolled back at the end and changes nothing."""
        target = self.projector.due(math.inf)
        if target is None or target == self.lease.n:
            return
        with contextlib.suppress(Unlucky):
            await self._write(target, torn)
            self.projector.committed()
            self.lease.n = target

    async def _write(self, target: int, torn: bool) -> None:
        async with self.store.begin(self.lease, target) as rows:
            await self.projector.write(rows)
            if torn:
                raise Unlucky

    async def step(self, name: str, count: int) -> None:
        """Do one step of a history."""
        if name == "absorb":
            await self.absorb(count)
        elif name == "crash":
            await self.store.release(self.lease)
            await self.begin()
        else:
            await self.commit(torn=name == "torn")


tokens = st.sampled_from([INFY, RELIANCE])
ages = st.sampled_from([0, 0, 0, 1, 2, 65, 130, 86_400, 3 * 86_400, 40 * 86_400, -5, -200_000])


@st.composite
def packets(draw: st.DrawFn, at_ns: int) -> Packet:
    kind = draw(st.sampled_from(["full", "full", "quote", "ltp", "index_full"]))
    return Packet(
        kind,
        NIFTY if kind == "index_full" else draw(tokens),
        price=draw(st.integers(0, 4)),
        volume=draw(st.integers(0, 9)),
        oi=draw(st.integers(0, 3)),
        seconds=at_ns // SECOND_NS - draw(ages),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    """Give what a stream may say around an Indian midnight."""
    said: list[Said] = []
    at_ns = START_NS
    for _ in range(draw(st.integers(1, 30))):
        at_ns += draw(st.integers(0, 25_000)) * 1_000_000
        kind = draw(st.sampled_from(["frame", "frame", "frame", "beat", "beat", "gap", "subscribed"]))
        if kind == "frame":
            content: tuple[Packet, ...] | Message = tuple(draw(st.lists(packets(at_ns), min_size=1, max_size=4)))
        elif kind == "beat":
            content = beat()
        elif kind == "gap":
            content = Gap(from_ns=at_ns - draw(st.integers(0, 200)) * SECOND_NS, to_ns=at_ns, reason="test")
        else:
            content = subscribed(*draw(st.sets(tokens)))
        said.append((at_ns, content))
    return said


steps = st.lists(
    st.tuples(st.sampled_from(["absorb", "absorb", "absorb", "commit", "torn", "crash"]), st.integers(1, 9)),
    max_size=25,
)


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(histories(), steps)
async def test_the_tables_are_those_of_plain_python_however_it_was_cut_and_crashed(
    database_url: str, said: list[Said], course: list[tuple[str, int]]
) -> None:
    await forget_all(database_url)
    store = Store(database_url)
    try:
        hand = Hand(store, log_of(said))
        await hand.begin()
        for name, count in course:
            await hand.step(name, count)
        await hand.absorb(len(said))
        await hand.commit()
        await check(database_url, said)
    finally:
        await store.close()


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


async def project(desk: Desk, said: Sequence[Said]) -> None:
    await desk.project(CANDLES, log_of(said))
    await check(desk.database_url, said)


async def test_candles_grow_through_the_loop_and_its_restarts(desk: Desk) -> None:
    said: list[Said] = [(START_NS, subscribed(INFY))]
    said += [full(START_NS + i * 700_000_000, 100 + i % 7, i * 3) for i in range(300)]
    log = log_of(said)
    for start in range(0, len(log), 60):
        last = await desk.write(log[start : start + 60])
        async with desk.running(CANDLES, STREAM) as running:
            await running.reached(last)
    await check(desk.database_url, said)


async def test_open_candles_are_written_once_a_second_and_what_was_read_at_the_stop(desk: Desk) -> None:
    clock = ManualClock()
    said = [full(START_NS, 100, 5), full(START_NS + SECOND_NS, 101, 9)]
    log = log_of(said)
    async with desk.running(CANDLES, STREAM, clock=clock) as running:
        await desk.write(log[:1])
        clock.advance(1.0)
        await running.reached(1)
        await check(desk.database_url, said[:1])
        await desk.write(log[1:])
    (checkpoint,) = await desk.rows("select n from projection_checkpoints")
    await check(desk.database_url, said[: checkpoint["n"]])


async def test_a_killed_projector_reads_again_what_it_had_not_written(desk: Desk) -> None:
    clock = ManualClock()
    said = [full(START_NS + i * SECOND_NS, 100 + i, 5 * i) for i in range(20)]
    log = log_of(said)
    running = desk.start(CANDLES, STREAM, clock=clock)
    await desk.write(log[:8])
    clock.advance(1.0)
    await running.reached(8)
    await desk.write(log[8:15])
    await running.crashed()
    await ask(desk.database_url, "update projection_checkpoints set owner = null")  # the dead owner's lease
    await desk.write(log[15:])
    async with desk.running(CANDLES, STREAM) as again:
        await again.reached(20)
    await check(desk.database_url, said)


async def test_a_quiet_candle_closes_by_the_beats_and_a_late_tick_is_a_revision(desk: Desk) -> None:
    minute = OPEN_NS
    late = (Packet("full", INFY, 90, 50, seconds=minute // SECOND_NS + 1),)
    said: list[Said] = [full(minute + SECOND_NS, 100, 10)]
    for second in (61, 62):  # the watermark stands 2 s behind the beat
        said += [(minute + second * SECOND_NS, beat()), (minute + second * SECOND_NS + 1, late)]
    await project(desk, said)
    ((candle, _),) = (await held(desk.database_url)).values()
    assert (candle.late, candle.low, candle.close, candle.volume) == (1, 90, 90, 40)


async def test_a_tape_of_an_old_day_keeps_its_own_time(desk: Desk) -> None:
    old = OPEN_NS // SECOND_NS - 5 * 365 * 86_400
    said: list[Said] = []
    for i in range(120):
        said.append((START_NS + i * SECOND_NS, (Packet("full", INFY, 100 + i, 10 * i, seconds=old + i),)))
        said.append((START_NS + i * SECOND_NS + 1, beat()))
    await project(desk, said)
    assert not any(candle.late for candle, _ in (await held(desk.database_url)).values())


async def test_an_old_days_volume_is_asked_for_after_newer_days(desk: Desk) -> None:
    old_ns = OPEN_NS - 10 * DAY_NS
    first = [(START_NS, (Packet("full", INFY, 100, 500, seconds=old_ns // SECOND_NS),)), full(OPEN_NS, 100, 7)]
    log = log_of([*first, (OPEN_NS, (Packet("full", INFY, 100, 900, seconds=old_ns // SECOND_NS + 1),))])
    await desk.project(CANDLES, log[:2])
    await desk.write(log[2:])
    async with desk.running(CANDLES, STREAM) as running:
        await running.reached(3)
    found = await held(desk.database_url)
    assert found[INFY, old_ns][0].volume == 400


@pytest.mark.parametrize("at_once", [1, 100])
async def test_coverage_tells_what_was_not_received(desk: Desk, at_once: int) -> None:
    minute = OPEN_NS
    said: list[Said] = [
        (minute + 6 * SECOND_NS, subscribed(INFY)),
        full(minute + 10 * SECOND_NS, 100),
        full(minute + 70 * SECOND_NS, 101),
        (minute + 90 * SECOND_NS, subscribed()),
        (minute + 150 * SECOND_NS, subscribed(INFY, RELIANCE)),
        full(minute + 151 * SECOND_NS, 102),
        full(minute + 152 * SECOND_NS, 200, token=RELIANCE),
        (minute + 175 * SECOND_NS, Gap(from_ns=minute + 160 * SECOND_NS, to_ns=minute + 175 * SECOND_NS, reason="x")),
        full(minute + 180 * SECOND_NS, 103),
    ]
    log = log_of(said)
    for start in range(0, len(log), at_once):
        async with desk.running(CANDLES, STREAM) as running:
            await running.reached(await desk.write(log[start : start + at_once]))
        await check(desk.database_url, said[: start + at_once])
    found = {key: coverage for key, (_, coverage) in (await held(desk.database_url)).items()}
    assert [found[INFY, minute + i * MINUTE_NS] for i in range(4)] == pytest.approx([0.9, 0.5, 0.25, 1.0])
    assert found[RELIANCE, minute + 2 * MINUTE_NS] == pytest.approx(0.25)
    (hour,) = await ask(
        desk.database_url, "select coverage, bucket from candles_1h where instrument_token = %s", RELIANCE
    )
    assert hour["coverage"] == pytest.approx(1 - (150 + 15) / 3600)
    assert hour["bucket"] == datetime.fromtimestamp(minute / 1e9, UTC)


async def test_longer_candles_open_with_the_session_and_add_up(desk: Desk) -> None:
    said = [full(OPEN_NS + i * 20 * SECOND_NS, 1_000 + (i * 37) % 101, 11 * i) for i in range(3 * 375)]
    mcx = 500 * 256 + 7
    said += [full(OPEN_NS + i * MINUTE_NS, 2_000 + i, 15 + i, token=mcx) for i in range(-15, 60)]
    said.sort(key=lambda each: each[0])
    await project(desk, said)
    minutes = await held(desk.database_url)
    for view, width in (("candles_5m", 5), ("candles_15m", 15), ("candles_1h", 60), ("candles_1d", 375)):
        rows = await ask(desk.database_url, f"select * from {view} where instrument_token = %s order by bucket", INFY)
        assert [round(row["bucket"].timestamp()) for row in rows] == [
            OPEN_NS // SECOND_NS + 60 * minute for minute in range(0, 375, width)
        ]
        for row in rows:
            begin = round(row["bucket"].timestamp()) * SECOND_NS
            inside = [
                minutes[INFY, at][0]
                for at in range(begin, begin + width * MINUTE_NS, MINUTE_NS)
                if (INFY, at) in minutes
            ]
            assert rolled(row) == together(inside)
    (first, *_) = await ask(desk.database_url, "select * from candles_1h where instrument_token = %s order by 1", mcx)
    assert first["bucket"].timestamp() == OPEN_NS / 1e9 - 15 * 60


def rolled(row: dict[str, Any]) -> tuple[int, ...]:
    prices = [round(row[name] * 100) for name in ("open", "high", "low", "close")]
    return (*prices, row["volume"], row["oi"], row["tick_count"])


def together(candles: list[Candle]) -> tuple[int, ...]:
    oi = next(each.oi for each in reversed(candles) if each.oi is not None)
    return (
        candles[0].open,
        max(each.high for each in candles),
        min(each.low for each in candles),
        candles[-1].close,
        sum(each.volume for each in candles),
        oi,
        sum(each.ticks for each in candles),
    )


async def test_counters_are_forgotten_by_when_their_ticks_came_not_by_their_day(desk: Desk) -> None:
    old_day = OPEN_NS // SECOND_NS - 5 * 365 * 86_400
    played = (OPEN_NS + 40 * DAY_NS, (Packet("full", INFY, 100, 9, seconds=old_day),))
    said = [full(OPEN_NS, 100, 5), full(OPEN_NS + 11 * DAY_NS, 100, 5), played, full(OPEN_NS + 40 * DAY_NS + 1, 100, 5)]
    await project(desk, said)
    assert await retention.look(desk.database_url, 7) == retention.LOOK_SECONDS
    rows = await desk.rows("select day from candle_volumes order by day")
    days = [
        datetime.fromtimestamp(ns / 1e9, UTC).date() for ns in (OPEN_NS, OPEN_NS + 11 * DAY_NS, OPEN_NS + 40 * DAY_NS)
    ]
    assert [row["day"] for row in rows] == [datetime.fromtimestamp(old_day, UTC).date(), *days[1:]]
    assert await retention.look(desk.database_url, 7) == retention.LOOK_SECONDS
    assert len(await desk.rows("select day from candle_volumes")) == 3
