"""A tape over the wire: every row once, in order, when somebody listens, at the speed that was asked for."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from ops.sandbox import csv_tape, wire
from ops.sandbox.playback import Playback
from ops.sandbox.server import Exchange
from ops.sandbox.tape import Tape
from ops.sandbox.wire import Field
from tests.exchange import Client, call, client, exchange, fault, log_in
from tests.patience import PATIENCE_SECONDS

# Stamps that go back, exact duplicates, a falling counter: what recordings have.
DEFECTS = (
    "09:15:32,10.0,100",
    "09:15:32,10.0,100",
    "09:15:34,10.05,120",
    "09:15:33,10.1,115",
    "09:15:35,0.0,0",
    "09:15:36,10.2,130",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a tape of 3 symbols and 20,012 rows."""
    target = tmp_path / "tape"
    target.mkdir()
    for symbol, lines in (("INFY", DEFECTS), ("SBIN", DEFECTS), ("TCS", _many())):
        (target / f"{symbol}.csv").write_text(
            "timestamp,ltp,volume\n" + "".join(f"2021-04-20 {row}\n" for row in lines)
        )
    return target


def _many() -> list[str]:
    return [f"{9 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02},{3000 + n / 20},{n * 7}" for n in range(20_000)]


@contextlib.asynccontextmanager
async def playing(tmp_path: Path, folder: Path, speed: str) -> AsyncIterator[Exchange]:
    async with exchange(tmp_path / "sandbox", tape=folder, speed=speed) as running:
        yield running


def playback(running: Exchange) -> Playback:
    assert isinstance(running.feed, Playback)
    return running.feed


def tape_of(running: Exchange) -> Tape:
    return playback(running).tape


async def packets(one: Client, count: int) -> list[bytes]:
    """Receive `count` packets in all."""
    found: list[bytes] = []
    frames = 0
    while len(found) < count and not one.closed:
        await one.frames_to(frames + 1)
        for frame in one.frames[frames:]:
            found += wire.split(frame)
        frames = len(one.frames)
    return found


async def done(running: Exchange) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await playback(running).done.wait()


async def test_every_row_is_sent_once_in_order_at_full_speed(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "max") as running, client(running, await log_in(running)) as one:
        tape = tape_of(running)
        await one.subscribe("full", list(tape.places))
        found = await packets(one, len(tape))
        await done(running)
        assert found == [row.tobytes() for row in csv_tape.read(folder).part(0, len(tape)).bodies]
        _, answer = await call(running, "GET", "/sandbox/state")
        rows = len(tape)
        assert answer["data"]["tape"] == {"rows": rows, "played": rows, "sent": rows, "done": True}
        _, answer = await call(running, "GET", "/sandbox/journal")
        assert answer["data"]["packets"] == rows
        # The tape has ended; the socket lives on.
        beats = one.heartbeats
        while one.heartbeats == beats:
            await one.hear()


async def test_nothing_is_played_before_all_is_subscribed_and_modes_are_set(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "max") as running, client(running, await log_in(running)) as one:
        tokens = list(tape_of(running).places)
        await one.texts_to(1)
        await one.say("subscribe", tokens)
        await one.say("mode", ["full", tokens[:1]])
        with pytest.raises(TimeoutError):
            await one.socket.receive(0.3)
        assert playback(running).played == 0
        await one.say("mode", ["full", tokens[1:]])
        found = await packets(one, len(tape_of(running)))
        assert {len(packet) for packet in found} == {wire.FULL_BYTES}


async def test_two_connections_may_share_a_tape(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "max") as running:
        token = await log_in(running)
        async with client(running, token) as one, client(running, token) as two:
            first, *rest = tape_of(running).places
            await one.subscribe("full", [first])
            await two.subscribe("full", rest)
            rows = len(tape_of(running))
            parts = await asyncio.gather(packets(one, len(DEFECTS)), packets(two, rows - len(DEFECTS)))
            assert [len(part) for part in parts] == [len(DEFECTS), rows - len(DEFECTS)]


async def test_a_part_of_a_tape_is_played_to_who_wants_no_more(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "max") as running, client(running, await log_in(running)) as one:
        places = tape_of(running).places
        infy = next(i.instrument_token for i in running.stage.instruments if i.tradingsymbol == "INFY")
        await one.subscribe("full", [infy])
        assert len(await packets(one, len(DEFECTS))) == len(DEFECTS)
        await done(running)
        assert {int.from_bytes(packet[:4], "big") for frame in one.frames for packet in wire.split(frame)} == {infy}
        assert playback(running).sent == len(DEFECTS) < len(places) + 20_000


async def test_a_tape_waits_while_nobody_listens_and_goes_on_where_it_was(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "100") as running:
        token = await log_in(running)
        tokens = list(tape_of(running).places)
        async with client(running, token) as one:
            await one.subscribe("full", tokens)
            first = await packets(one, 20)
            await fault(running, "freeze", seconds=3600)
            _, state = await call(running, "GET", "/sandbox/state")
            first = await packets(one, state["data"]["connections"][0]["packets"])
            await fault(running, "drop")
            await one.end()
        at = playback(running).played
        assert at == len(first)
        async with client(running, token) as two:
            await two.subscribe("full", tokens)
            second = await packets(two, 10)
    expected = [row.tobytes() for row in csv_tape.read(folder).part(0, at + 10).bodies]
    assert first + second[:10] == expected


async def test_a_slow_reader_slows_the_tape_and_loses_nothing(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "max") as running, client(running, await log_in(running)) as one:
        await one.subscribe("full", list(tape_of(running).places))
        await fault(running, "slow", seconds=1, bytes_per_second=400_000)
        found = await packets(one, len(tape_of(running)))
        assert len(found) == len(tape_of(running))


async def test_at_a_speed_rows_come_in_their_time(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "20") as running, client(running, await log_in(running)) as one:
        started = time.monotonic()
        await one.subscribe("full", list(tape_of(running).places))
        found = await packets(one, 40)
        passed = time.monotonic() - started
        words = np.frombuffer(b"".join(found), ">u4").reshape(-1, wire.WORDS).astype(np.int64)
        times = words[:, Field.TIME]
        # A row never comes early; how late it comes is the machine's affair.
        assert (times.max() - times[0] - 1) / 20 <= passed


async def test_candles_of_a_tape_are_of_what_was_played(tmp_path: Path, folder: Path) -> None:
    async with playing(tmp_path, folder, "max") as running:
        token = await log_in(running)
        headers = {"Authorization": f"token sandbox:{token}"}
        infy = next(i.instrument_token for i in running.stage.instruments if i.tradingsymbol == "INFY")
        path = f"/instruments/historical/{infy}/minute?from=2021-04-20&to=2021-04-21"
        _, before = await call(running, "GET", path, headers=headers)
        assert before["data"]["candles"] == []
        async with client(running, token) as one:
            await one.subscribe("full", list(tape_of(running).places))
            await packets(one, len(tape_of(running)))
            await done(running)
        _, after = await call(running, "GET", path, headers=headers)
        assert after["data"]["candles"] == [["2021-04-20T09:15:00+0530", 10.0, 10.2, 0.0, 10.2, 30]]
