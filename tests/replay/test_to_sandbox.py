"""A span played by the sandbox exchange: a client of Kite gets the very messages that were recorded, byte by byte."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.archive import Archive
from events.event import Event
from events.redis_log import RedisLog
from events.span import Wanted
from ops.replay import run
from ops.sandbox import journal, wire
from runtime.errors import BadInput
from runtime.lifecycle import Stop
from runtime.settings import Settings
from tests.exchange import call, client, log_in
from tests.frames import INFY, NIFTY, RELIANCE
from tests.patience import LOOK_SECONDS, PATIENCE_SECONDS
from tests.ports import free_port
from tests.replay.recorded_log import CUT, ONE, STRANGE, TWO, Told, frames_of_one, frames_of_two, keep
from tests.stack import select_nothing

ROOT = Path(__file__).parents[2]
COUNT = 200
ALL = [INFY, RELIANCE, NIFTY]


@pytest.fixture
async def recorded(settings: Settings) -> Settings:
    assert settings.redis_url
    log = RedisLog.connect(settings.redis_url)
    await keep(log, Archive.at(settings), ONE, frames_of_one(COUNT))
    await keep(log, Archive.at(settings), TWO, frames_of_two(COUNT))
    await log.close()
    return settings


@contextlib.asynccontextmanager
async def replaying(settings: Settings, wanted: Wanted | None = None, speed: float | None = None) -> AsyncIterator[int]:
    """Replay to a sandbox; the value is its port."""
    stop, told, port = Stop(), Told(), free_port()
    task = asyncio.ensure_future(
        run.run(settings, stop, run.Wish("sandbox", (), wanted or Wanted(), speed, 1, port), told)
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any("speak Kite" in line for line in told.said) and not task.done():
                await asyncio.wait([task], timeout=0.02)
        yield port
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(task, return_exceptions=True)
    task.result()


def merged() -> list[Event]:
    return sorted([*frames_of_one(COUNT), *frames_of_two(COUNT)], key=lambda event: event.at_ns)


async def test_who_wants_all_gets_every_message_as_it_was_received(recorded: Settings) -> None:
    async with replaying(recorded) as port, client(port, await log_in(port)) as one:
        await one.subscribe("full", ALL)
        assert await one.frames_to(2 * COUNT) == [event.payload for event in merged()]
        packets = 3 * COUNT - 1  # one was cut; one of no known length counts nowhere
        done = {"rows": packets, "played": packets, "sent": packets, "done": True}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await call(port, "GET", "/sandbox/state"))[1]["data"]["tape"] != done:
                await asyncio.to_thread(select_nothing, LOOK_SECONDS)
    sent = list(journal.read(recorded.bahi_data_dir / "replay" / "journal"))
    assert [each.length for each in sent] == [len(event.payload) for event in merged()]
    assert not (recorded.bahi_data_dir / "sandbox").exists(), "what bahi verify gives an account of"


async def test_kiteticker_gets_them_too(recorded: Settings) -> None:
    async with replaying(recorded, Wanted(from_ns=merged()[CUT * 4].at_ns)) as port:
        arguments = [str(ROOT / "tests" / "ticker_probe.py"), f"ws://127.0.0.1:{port}", await log_in(port), "full"]
        program = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, *map(str, ALL), stdout=asyncio.subprocess.PIPE, limit=2**24
        )
        assert program.stdout
        found: list[bytes] = []
        wanted = [event.payload for event in merged() if event.at_ns >= merged()[CUT * 4].at_ns]
        try:
            while len(found) < len(wanted):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    line = json.loads(await program.stdout.readline())
                if line.get("binary") and len(line["raw"]) > 2:
                    found.append(bytes.fromhex(line["raw"]))
        finally:
            program.kill()
            await program.wait()
        assert found == wanted


async def test_who_wants_a_part_gets_that_part_of_each_message(recorded: Settings) -> None:
    async with replaying(recorded) as port, client(port, await log_in(port)) as one:
        await one.subscribe("full", [RELIANCE])
        found = await one.frames_to(COUNT - 1)
    wanted = [wire.split(event.payload)[1] for second, event in enumerate(frames_of_one(COUNT)) if second != CUT]
    assert [wire.split(each) for each in found] == [[packet] for packet in wanted]


async def test_who_wants_less_of_an_instrument_gets_less(recorded: Settings) -> None:
    async with replaying(recorded) as port, client(port, await log_in(port)) as one:
        await one.subscribe("ltp", ALL)
        found = await one.frames_to(2 * COUNT)
        assert {len(packet) for each in found for packet in wire.split(each)} == {wire.LTP_BYTES}
        _, answer = await call(port, "GET", "/sandbox/state")
        assert answer["data"]["tape"]["sent"] == 3 * COUNT - 1
    assert STRANGE < COUNT


async def test_a_message_of_many_instruments_is_one_message_again(settings: Settings) -> None:
    assert settings.redis_url
    log = RedisLog.connect(settings.redis_url)
    first = frames_of_one(1)[0]
    packet = wire.split(first.payload)[0]
    large = wire.join([(INFY + 256 * place).to_bytes(4, "big") + packet[4:] for place in range(1000)])
    assert len(large) > 1 << 16
    await keep(log, Archive.at(settings), ONE, [first, Event(first.type, first.at_ns, large)])
    await log.close()
    async with replaying(settings) as port, client(port, await log_in(port)) as one:
        await one.subscribe("full", [RELIANCE, *(INFY + 256 * place for place in range(1000))])
        assert await one.frames_to(2) == [first.payload, large]


async def test_a_span_without_frames_is_refused(settings: Settings) -> None:
    assert settings.redis_url
    log = RedisLog.connect(settings.redis_url)
    await keep(log, Archive.at(settings), ONE, [Event("feed.beat.v1", 10**18, b"{}")] * 4)
    await log.close()
    with pytest.raises(BadInput, match="none in 4 events"):
        async with replaying(settings):
            pass
