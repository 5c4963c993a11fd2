"""Each misbehaviour does what it says, to whom it says, and the journal tells the truth about it."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from kiteconnect import KiteTicker

from ops.sandbox import journal, wire
from ops.sandbox.server import Exchange
from ops.sandbox.wire import Oddity
from tests.exchange import Client, call, client, exchange, fault, log_in

RATE = 2_000


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Exchange]:
    """Give a busy sandbox."""
    async with exchange(tmp_path, rate=RATE) as opened:
        yield opened


@pytest.fixture
async def one(running: Exchange) -> AsyncIterator[Client]:
    """Give a client that is receiving everything in full mode."""
    async with client(running, await log_in(running)) as connected:
        await connected.subscribe("full", list(running.stage.places))
        await connected.frames_to(100)
        yield connected


async def oddities(one: Client, folder: Path, wanted: int, count: int) -> list[bytes]:
    """Receive until the journal has `count` messages with this oddity that were received; give these."""
    while True:
        await one.frames_to(len(one.frames) + 10)
        sent = list(journal.read(folder / "journal"))[: len(one.frames)]
        assert [s.crc for s in sent] == [zlib.crc32(frame) for frame in one.frames]
        assert [s.packets for s in sent] == [len(wire.split(frame)) for frame in one.frames]
        odd = [one.frames[s.index] for s in sent if s.oddity & wanted]
        if len(odd) >= count:
            return odd


async def test_a_dropped_socket_is_gone_without_a_closing_handshake(running: Exchange, one: Client) -> None:
    assert (await fault(running, "drop"))["connections"] == 1
    await one.end()
    assert one.socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    async with client(running, await log_in(running)) as again:
        await again.say("subscribe", list(running.stage.places))
        await again.frames_to(1)


async def test_a_frozen_socket_is_silent_stays_open_and_thaws(running: Exchange, one: Client) -> None:
    await fault(running, "freeze", seconds=3600)
    _, state = await call(running, "GET", "/sandbox/state")
    sent = state["data"]["connections"][0]["messages"]
    await one.frames_to(sent)
    # What it says now is not heard, and nothing more comes, not even heartbeats.
    await one.say("unsubscribe", list(running.stage.places))
    beats = one.heartbeats
    with pytest.raises(TimeoutError):
        await one.socket.receive(1.5)
    assert (len(one.frames), one.heartbeats, one.closed) == (sent, beats, False)
    _, shown = await call(running, "GET", "/sandbox/faults")
    assert shown["data"]["pending"][0]["frozen_seconds"] > 3000
    await call(running, "DELETE", "/sandbox/faults")
    # Thawed, it hears at last that nothing is wanted any more: heartbeats are all that is left.
    while one.heartbeats == beats:
        await one.hear()


async def test_messages_are_repeated(running: Exchange, one: Client, tmp_path: Path) -> None:
    await fault(running, "repeat", count=3)
    again = await oddities(one, tmp_path, Oddity.REPEATED, 3)
    assert len(again) == 3
    assert all(one.frames.count(frame) == 2 for frame in again)


@pytest.mark.parametrize("what", ["packets", "frames"])
async def test_messages_are_reordered(running: Exchange, one: Client, tmp_path: Path, what: str) -> None:
    await fault(running, "reorder", what=what, count=3)
    assert len(await oddities(one, tmp_path, Oddity.REORDERED, 3)) == 3


async def test_a_cut_message_is_one_that_the_sdk_stumbles_over(running: Exchange, one: Client, tmp_path: Path) -> None:
    await fault(running, "cut", count=2)
    cut = await oddities(one, tmp_path, Oddity.CUT, 2)
    for frame in cut:
        assert len(wire.split(frame)) == int.from_bytes(frame[:2], "big") - 1
        with pytest.raises(Exception, match="unpack requires"):
            KiteTicker("key", "token")._parse_binary(frame)


async def test_a_message_may_be_cut_by_a_single_byte(running: Exchange, one: Client, tmp_path: Path) -> None:
    await fault(running, "cut", keep_bytes=wire.FULL_BYTES - 1)
    (frame,) = await oddities(one, tmp_path, Oddity.CUT, 1)
    # The SDK takes what is left for a packet of a length that it does not know.
    assert len(KiteTicker("key", "token")._parse_binary(frame)) == len(wire.split(frame))


async def test_a_packet_of_unknown_length_is_one_that_the_sdk_leaves_out(
    running: Exchange, one: Client, tmp_path: Path
) -> None:
    await fault(running, "unknown")
    (frame,) = await oddities(one, tmp_path, Oddity.UNKNOWN_LENGTH, 1)
    assert len(KiteTicker("key", "token")._parse_binary(frame)) == len(wire.split(frame)) - 1


async def test_a_slow_socket_gets_no_more_than_it_may(running: Exchange, one: Client) -> None:
    await fault(running, "slow", seconds=3600, bytes_per_second=1_000)
    _, before = await call(running, "GET", "/sandbox/state")
    await one.frames_to(before["data"]["connections"][0]["messages"])
    start = len(one.frames)
    # One batch of owed packets may go, and is then paid for with time.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await one.frames_to(start + 1_000_000)
    assert len(one.frames) - start < 2 * len(running.stage.instruments) / 10
    await call(running, "DELETE", "/sandbox/faults")
    await one.frames_to(len(one.frames) + 100)


async def test_expired_tokens_are_refused_everywhere_until_a_new_login(running: Exchange, one: Client) -> None:
    old = await log_in(running)
    await fault(running, "expire_token")
    await one.end()
    headers = {"Authorization": f"token sandbox:{old}"}
    status, answer = await call(running, "GET", "/user/profile", headers=headers)
    assert (status, answer["error_type"]) == (403, "TokenException")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        async with client(running, old):
            pass
    async with client(running, await log_in(running)):
        pass


async def test_sockets_may_outlive_their_token(running: Exchange, one: Client) -> None:
    await fault(running, "expire_token", keep_sockets=True)
    await one.frames_to(len(one.frames) + 10)


async def test_good_tokens_may_be_refused_for_some_handshakes(running: Exchange) -> None:
    token = await log_in(running)
    await fault(running, "refuse", count=2)
    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with client(running, token):
                pass
    async with client(running, token):
        pass


async def test_one_connection_can_be_meant(running: Exchange, one: Client) -> None:
    async with client(running, await log_in(running)) as two:
        await two.say("subscribe", list(running.stage.places))
        await two.frames_to(1)
        number = max(c.peer.number for c in running.hub)
        assert (await fault(running, "drop", connection=number))["connections"] == 1
        await two.end()
    await one.frames_to(len(one.frames) + 10)


@pytest.mark.parametrize(
    "body",
    ["", "[]", '{"fault": "sing"}', '{"fault": "drop", "seconds": 0}', '{"fault": "drop", "count": -1}',
     '{"fault": "reorder", "what": "time"}', '{"fault": "drop", "unknown": 1}', '{"fault": "cut", "keep_bytes": -1}',
     '{"fault": "slow", "bytes_per_second": 0}'],
)  # fmt: skip
async def test_a_wrong_request_for_a_fault_is_refused(running: Exchange, body: str) -> None:
    status, answer = await call(running, "POST", "/sandbox/faults", data=body)
    assert (status, answer["error_type"]) == (400, "InputException")
    assert "anted" in answer["message"]


async def test_the_journal_is_summed_up(running: Exchange, one: Client) -> None:
    await call(running, "POST", "/sandbox/faults", json={"fault": "freeze"})
    _, answer = await call(running, "GET", "/sandbox/journal")
    _, state = await call(running, "GET", "/sandbox/state")
    (served,) = state["data"]["connections"]
    assert (answer["data"]["messages"], answer["data"]["packets"]) == (served["messages"], served["packets"])
    assert served["port"] == one.port
    await call(running, "DELETE", "/sandbox/faults")
