"""The sandbox's ticker socket: the real KiteTicker decodes what the market had, and the journal knows all of it."""

import asyncio
import contextlib
import itertools
import json
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from ops.sandbox import connection, journal, wire
from ops.sandbox.market import Market
from ops.sandbox.server import Exchange
from ops.sandbox.wire import Field, IndexField
from tests.exchange import call, client, exchange, log_in, until
from tests.house.source import ROOT
from tests.patience import PATIENCE_SECONDS

INFY, NIFTY_50 = 408065, 256265
SECOND_NS = 1_000_000_000


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[Exchange]:
    """Give a sandbox that ticks only when the test lets it."""
    async with exchange(tmp_path, driven=False) as opened:
        yield opened


def settled(running: Exchange) -> int:
    return sum(len(c.subscriptions.settled) for c in running.hub)


def market_of(running: Exchange) -> Market:
    assert isinstance(running.stage, Market)
    return running.stage


def tick(running: Exchange, *tokens: int) -> None:
    """Let instruments tick once, all of them where none is named."""
    market = market_of(running)
    which = np.array([market.places[token] for token in tokens or market.places])
    market.tick(which, time.time_ns())
    running.hub.offer(which)


@contextlib.asynccontextmanager
async def probe(running: Exchange, token: str, mode: str, tokens: list[int]) -> AsyncIterator[Callable[[], Any]]:
    """Run KiteTicker as a program; the value gives its next line."""
    root = f"ws://127.0.0.1:{running.port}"
    arguments = [str(ROOT / "tests" / "ticker_probe.py"), root, token, mode, *map(str, tokens)]
    quiet = asyncio.subprocess.DEVNULL
    program = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=quiet, limit=2**24
    )
    assert program.stdout is not None
    lines = program.stdout

    async def line() -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found: dict[str, Any] = json.loads(await lines.readline())
            return found

    try:
        yield line
    finally:
        program.kill()
        await program.wait()


async def ticks(line: Callable[[], Any], count: int) -> dict[int, dict[str, Any]]:
    """Collect `count` ticks; give the last of each instrument."""
    found: dict[int, dict[str, Any]] = {}
    while count > 0:
        for one in (await line()).get("ticks", []):
            found[one["instrument_token"]] = one
            count -= 1
    return found


@pytest.mark.parametrize("mode", ["full", "quote", "ltp"])
async def test_kiteticker_reads_the_values_that_the_market_had(still: Exchange, mode: str) -> None:
    market = market_of(still)
    tokens = list(market.places)
    async with probe(still, await log_in(still), mode, tokens) as line:
        await until(still, lambda: settled(still) == len(tokens))
        tick(still)
        # The snapshot at subscription comes first, in quote mode.
        found = await ticks(line, 2 * len(tokens))
    words = market.board.view(">u4").astype(np.int64).tolist()
    for token, place in market.places.items():
        check(found[token], words[place], market.divisor(place), mode)


def check(one: dict[str, Any], row: list[int], scale: int, mode: str) -> None:
    index = row[Field.TOKEN] & 0xFF == wire.INDEX_SEGMENT
    assert (one["mode"], one["tradable"]) == (mode, not index)
    assert one["last_price"] == row[Field.LTP] / scale
    fields: type[IndexField | Field] = IndexField if index else Field
    if mode != "ltp":
        assert one["ohlc"] == {name.lower(): row[fields[name]] / scale for name in ("OPEN", "HIGH", "LOW", "CLOSE")}
    if mode != "ltp" and not index:
        assert one["volume_traded"] == row[Field.VOLUME]
        assert one["total_sell_quantity"] == row[Field.SELL_QUANTITY]
    if mode == "full":
        assert one["exchange_timestamp"] == row[fields["TIME"]]
    if mode == "full" and not index:
        assert one["oi"] == row[Field.OI]
        best = one["depth"]["buy"][0], one["depth"]["sell"][0]
        assert [level["price"] for level in best] == [row[Field.DEPTH + 1] / scale, row[Field.DEPTH + 16] / scale]


async def test_the_journal_has_each_message_that_kiteticker_received_and_no_heartbeat(tmp_path: Path) -> None:
    async with exchange(tmp_path, rate=2_000) as running:
        tokens = list(running.stage.places)
        received: list[bytes] = []
        async with probe(running, await log_in(running), "full", tokens) as line:
            while len(received) < 300:
                said = await line()
                if said.get("binary") and len(said["raw"]) > 2 * len(wire.HEARTBEAT):
                    received.append(bytes.fromhex(said["raw"]))
    sent = list(journal.read(tmp_path / "journal"))
    assert len({(s.connection, s.port) for s in sent}) == 1
    assert [s.index for s in sent] == list(range(len(sent)))
    assert [(s.crc, s.length) for s in sent[:300]] == [(zlib.crc32(raw), len(raw)) for raw in received]
    assert [s.packets for s in sent[:300]] == [int.from_bytes(raw[:2], "big") for raw in received]
    assert all(a.sent_ns <= b.sent_ns for a, b in itertools.pairwise(sent))


async def test_a_snapshot_comes_at_once_and_once(still: Exchange, tmp_path: Path) -> None:
    async with client(still, await log_in(still)) as one:
        await one.say("subscribe", [INFY, NIFTY_50])
        (snapshot,) = await one.frames_to(1)
        assert [len(packet) for packet in wire.split(snapshot)] == [wire.QUOTE_BYTES, wire.INDEX_QUOTE_BYTES]
        await one.say("subscribe", [INFY])
        await one.say("mode", ["full", [INFY, NIFTY_50]])
        await until(still, lambda: settled(still) == 2)
        tick(still, INFY, NIFTY_50)
        frames = await one.frames_to(2)
        assert [len(packet) for packet in wire.split(frames[1])] == [wire.FULL_BYTES, wire.INDEX_FULL_BYTES]
        await one.say("unsubscribe", [INFY])
        await until(still, lambda: settled(still) == 1)
        tick(still, INFY, NIFTY_50)
        frames = await one.frames_to(3)
        assert [len(packet) for packet in wire.split(frames[2])] == [wire.INDEX_FULL_BYTES]
        # The journal names the client's own port, by which log and journal are paired.
        assert {s.port for s in journal.read(tmp_path / "journal")} == {one.port}


async def test_heartbeats_come_while_nothing_else_does(tmp_path: Path) -> None:
    async with exchange(tmp_path, rate=0.001) as running, client(running, await log_in(running)) as one:
        while one.heartbeats < 2:
            await one.hear()
        assert not one.frames


async def test_a_bad_token_gets_403_at_the_handshake(still: Exchange) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with client(still, "wrong"):
            pass
    assert caught.value.status == 403
    async with probe(still, "wrong", "full", [INFY]) as line:
        code, reason = (await line())["error"]
    assert code == 1006
    assert "403" in reason


async def test_a_fourth_connection_of_a_key_is_refused(tmp_path: Path) -> None:
    async with exchange(tmp_path, driven=False, limits=True) as running, contextlib.AsyncExitStack() as stack:
        token = await log_in(running)
        for _ in range(3):
            await stack.enter_async_context(client(running, token))
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await stack.enter_async_context(client(running, token))
        assert caught.value.status == 429
        await stack.enter_async_context(client(running, await log_in(running, "other"), "other"))


async def test_a_malformed_message_gets_an_error_and_the_socket_goes_on(still: Exchange) -> None:
    async with client(still, await log_in(still)) as one:
        await one.socket.send_str("no json")
        await one.texts_to(2)
        assert one.texts[1]["type"] == "error"
        await one.socket.send_bytes(b"\xff")
        await one.texts_to(3)
        await one.say("subscribe", [INFY])
        assert len(await one.frames_to(1)) == 1


async def test_a_slow_client_gets_the_newest_state_and_the_journal_only_what_was_sent(
    still: Exchange, tmp_path: Path
) -> None:
    market = market_of(still)
    tokens = list(market.places)
    async with client(still, await log_in(still)) as one:
        await one.subscribe("full", tokens)
        await until(still, lambda: settled(still) == len(tokens))
        (served,) = still.hub
        # Nothing is read meanwhile, so that the buffers fill up and ticks are skipped.
        offered = 0
        while served.has_room():
            tick(still)
            offered += 1
        buffered = served.buffered
        for _ in range(1_000):
            tick(still)
        assert connection.BUFFER_BYTES_MAX < served.buffered == buffered < 2 * connection.BUFFER_BYTES_MAX
        while not served.has_room():
            await one.hear()
        tick(still, INFY)
        await one.frames_to(served.messages)
        last = {packet[:4]: packet for frame in one.frames for packet in wire.split(frame)}
        assert all(last[row[:4]] == row[: len(last[row[:4]])] for row in map(bytes, market.board))
        sent = list(journal.read(tmp_path / "journal"))
        assert [s.crc for s in sent] == [zlib.crc32(frame) for frame in one.frames]
        assert sum(s.packets for s in sent) == len(tokens) * (offered + 2)


async def test_the_first_message_is_a_text_that_clients_must_bear_and_more_can_be_sent(still: Exchange) -> None:
    order = {"type": "order", "data": {"order_id": "1", "status": "COMPLETE", "meta": "x" * 200}}
    async with client(still, await log_in(still)) as one:
        (first,) = await one.texts_to(1)
        assert first["type"] == "instruments_meta"
        _, answer = await call(still, "POST", "/sandbox/text", json=order)
        assert answer["data"] == {"connections": 1}
        assert (await one.texts_to(2))[1] == order
    status, _ = await call(still, "POST", "/sandbox/text", data=b"")
    assert status == 400


async def test_two_clients_get_what_each_asked_for(still: Exchange) -> None:
    token = await log_in(still)
    async with client(still, token) as one, client(still, token) as two:
        await one.subscribe("full", [INFY])
        await two.subscribe("ltp", [INFY, NIFTY_50])
        await until(still, lambda: settled(still) == 3)
        await asyncio.gather(one.frames_to(1), two.frames_to(1))
        tick(still)
        await asyncio.gather(one.frames_to(2), two.frames_to(2))
        assert [len(packet) for packet in wire.split(one.frames[1])] == [wire.FULL_BYTES]
        assert [len(packet) for packet in wire.split(two.frames[1])] == [wire.LTP_BYTES] * 2
        _, answer = await call(still, "GET", "/sandbox/state")
        assert sorted(c["instruments"] for c in answer["data"]["connections"]) == [1, 2]


async def test_midnight_brings_another_list_and_subscriptions_stay(still: Exchange) -> None:
    async with client(still, await log_in(still)) as one:
        await one.subscribe("full", [INFY])
        await until(still, lambda: settled(still) == 1)
        await one.frames_to(1)
        tomorrow = Market(1, time.time_ns() + 86_400 * SECOND_NS)
        still.hub.play(tomorrow)
        still.hub.offer(np.arange(len(tomorrow.instruments)))
        frames = await one.frames_to(2)
        assert wire.split(frames[1])[0][:4] == INFY.to_bytes(4, "big")


async def test_what_is_played_is_ordered_by_instrument_and_time(tmp_path: Path) -> None:
    async with exchange(tmp_path, rate=5_000) as running, client(running, await log_in(running)) as one:
        await one.subscribe("full", list(running.stage.places))
        await one.frames_to(500)
    volumes: dict[int, int] = {}
    for frame in one.frames[100:]:
        for packet in wire.split(frame):
            words = np.frombuffer(packet, ">u4").tolist()
            if len(packet) == wire.FULL_BYTES:
                assert words[Field.VOLUME] >= volumes.get(words[Field.TOKEN], 0)
                volumes[words[Field.TOKEN]] = words[Field.VOLUME]
    assert len(volumes) > 200
