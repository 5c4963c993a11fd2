"""The REST worker: a dump a day, at first start and on request; a refused token or a dead server stops nothing."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import zstandard

from events.archive import Archive
from events.event import Event, Recorded
from events.messages import InstrumentsDump, InstrumentsPart, Sync, unpack
from events.reader import Reader
from events.spool import Spool
from events.writer import Writer
from producers import sync
from producers.instruments import STREAM, Worker
from producers.kite.address import address
from producers.kite.hours import DUMP_TIME, TOKEN_END, business_day
from projectors.instruments import INSTRUMENTS
from runtime.calendar import IST
from runtime.clock import ManualClock
from runtime.lifecycle import Stop
from runtime.settings import Settings
from runtime.vault import Vault
from tests.exchange import call, fault
from tests.loops import Desk
from tests.patience import PATIENCE_SECONDS, until_said
from tests.ports import free_port
from tests.tickers import TOKEN_NAME, Watcher, bring_token, market, nobody


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def syncing(settings: Settings) -> AsyncIterator[None]:
    """Run `bahi sync` in this process."""
    stop = Stop()
    task = asyncio.ensure_future(sync.run(settings, stop, nobody))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await task


async def dumps(watcher: Watcher, number: int) -> list[Recorded]:
    """Wait until there are so many dumps in the log; give its events."""
    return await watcher.until(lambda heard: ended(heard) >= number, STREAM)


def ended(heard: list[Recorded]) -> int:
    return sum(event.type == "instruments.dump.v1" for event in heard)


def body_of(heard: list[Recorded]) -> bytes:
    """Give the newest dump as it came, checked against what its end tells."""
    told = unpack(heard[-1], InstrumentsDump)
    parts = [unpack(event, InstrumentsPart) for event in heard[-1 - told.parts : -1]]
    assert [part.part for part in parts] == list(range(1, told.parts + 1))
    body = zstandard.decompress(b"".join(part.body for part in parts))
    assert hashlib.sha256(body).hexdigest() == told.sha256
    assert told.rows == body.count(b"\n") - 1
    return body


async def test_at_first_start_it_logs_in_and_the_dump_is_in_the_log_as_it_came(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings) as exchange:
        async with syncing(settings):
            heard = await dumps(watcher, 1)
        token = Vault(settings.bahi_data_dir).get(TOKEN_NAME)
        assert token is not None
        headers = {"Authorization": f"token sandbox:{token[0]}", "X-Kite-Version": "3"}
        listed = {str(each.instrument_token) for each in exchange.stage.instruments}
        assert (await call(exchange, "GET", "/user/profile", headers=headers))[0] == 200
    lines = body_of(heard).decode().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == listed
    assert heard[0].type == "log.takeover.v1"


async def test_its_dump_becomes_the_instruments(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange, syncing(settings):
        await dumps(watcher, 1)
        wanted = {(each.instrument_token, each.tradingsymbol) for each in exchange.stage.instruments}
    assert settings.database_url is not None
    desk = Desk(settings.database_url, settings.bahi_data_dir)
    await desk.project(INSTRUMENTS, await watcher.all(STREAM))
    rows = await desk.rows("select instrument_token, tradingsymbol, valid_to from instruments")
    assert {(row["instrument_token"], row["tradingsymbol"]) for row in rows} == wanted
    assert not any(row["valid_to"] for row in rows)


async def test_once_a_day_and_on_request_and_a_repeated_request_is_dropped(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings):
        async with syncing(settings):
            await dumps(watcher, 1)
        async with syncing(settings):
            await watcher.say("requests", Sync(what="instruments", key="a"))
            await dumps(watcher, 2)
            await watcher.say("requests", Sync(what="instruments", key="a"), Sync(what="orders", key="b"))
            await watcher.say("requests", Event("request.sync.v1", 1, b"broken"), Sync(what="instruments", key="c"))
            await dumps(watcher, 3)
        async with syncing(settings):
            await watcher.say("requests", Sync(what="instruments", key="d"))
            heard = await dumps(watcher, 4)
    assert ended(heard) == 4
    assert "sync.request_refused" in capsys.readouterr().out


async def test_a_refused_token_is_said_once_and_a_new_one_taken_at_once(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    async with market(settings) as exchange, syncing(settings):
        await dumps(watcher, 1)
        await fault(exchange, "expire_token")
        await watcher.say("requests", Sync(what="instruments", key="a"))
        said = await until_said(capsys, "sync.waits_for_token")
        await bring_token(settings, exchange)
        await dumps(watcher, 2)
        said += capsys.readouterr().out
    assert said.count("sync.waits_for_token") <= 2, "the broker's refusal, and that there is no other"
    assert "run bahi login" in said


async def test_a_broker_that_is_away_is_waited_for(
    settings: Settings, watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    async with market(settings, port=port):
        pass  # it was there, and is gone
    async with syncing(settings):
        said = await until_said(capsys, "sync.waits_for_broker")
        assert "Connection refused" in said
        assert "sync.failed" not in said, "a broker that is not there yet while everything starts is no failure"
        assert "Max retries" not in said, "what it began with, without its wrapping"
        async with market(settings, port=port):
            await dumps(watcher, 1)


@contextlib.asynccontextmanager
async def working(settings: Settings, watcher: Watcher, clock: ManualClock) -> AsyncIterator[None]:
    """Run a worker by a clock of the test's."""
    archive = Archive.at(settings)
    spool = Spool(settings.bahi_data_dir / "spool" / STREAM, STREAM)
    writer = await Writer.open(spool, watcher.log, archive, clock, nobody, roll_bytes=1 << 20, roll_seconds=3600)
    stop, writing = Stop(), asyncio.ensure_future(writer.run())
    where = address(settings, "sandbox")
    task = asyncio.ensure_future(Worker(settings, where, writer, Reader(watcher.log, archive), clock).run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await writer.close()


async def test_a_new_day_begins_when_the_broker_has_remade_its_dump(settings: Settings, watcher: Watcher) -> None:
    evening = datetime.now(IST).replace(hour=20, minute=0, second=0, microsecond=0)
    clock = ManualClock(round(evening.timestamp()) * 10**9)
    async with market(settings), working(settings, watcher, clock):
        await dumps(watcher, 1)
        clock.advance(12 * 3600 + 34 * 60)  # 08:34
        clock.advance(60)
        heard = await dumps(watcher, 2)
    days = [unpack(event, InstrumentsDump).day for event in heard if event.type == "instruments.dump.v1"]
    assert days == [evening.date().isoformat(), (evening.date() + timedelta(days=1)).isoformat()]


@pytest.mark.parametrize(
    ("hour", "minute", "of_dump", "of_token"),
    [(0, 0, 12, 12), (5, 59, 12, 12), (6, 0, 12, 13), (8, 34, 12, 13), (8, 35, 13, 13), (23, 59, 13, 13)],
)
def test_the_brokers_day_turns_at_its_own_hours(hour: int, minute: int, of_dump: int, of_token: int) -> None:
    now = datetime(2026, 4, 13, hour, minute, tzinfo=IST).astimezone(UTC)
    assert business_day(now, DUMP_TIME).day == of_dump
    assert business_day(now, TOKEN_END).day == of_token
