"""One connection by itself: whose certificate it believes, how much it takes, and what a replaced one leaves behind."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from twisted.internet import reactor as twisted_reactor

from events.event import EVENT_BYTES_MAX, Event
from producers.handover import Handover
from producers.kite import reactor
from producers.kite.address import Address
from producers.kite.connection import Bounds, Connection
from runtime.clock import SystemClock
from tests.certificates import self_signed, server_context
from tests.frames import Packet, frame
from tests.patience import PATIENCE_SECONDS, until_said

FRAME = frame(Packet("full"))
LONG_FRAME = struct.pack(">2H", 1, 0) + bytes(EVENT_BYTES_MAX)
BOUND_BYTES = 200_000


class Broker:
    """A server that speaks the ticker's protocol as far as these tests need it."""

    def __init__(self, sends: Callable[[int], bytes | None]) -> None:
        """sends: the next message of a socket by its place, None for no more."""
        self._sends = sends
        self.sockets: list[web.WebSocketResponse] = []
        self.requests = 0

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """Serve one client."""
        self.requests += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        await socket.receive()  # the subscription
        for place in range(10_000):
            message = self._sends(place)
            if message is None or socket.closed:
                break
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(message)
        async for _ in socket:
            pass
        return socket


@contextlib.asynccontextmanager
async def serving(broker: Broker, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/", broker.accept)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Line:
    """A connection with its handover, and what came through it."""

    def __init__(self, ws_root: str, bounds: Bounds) -> None:
        reactor.start()
        address = Address("kite", "http://127.0.0.1:1", ws_root, "key")
        self.connection = Connection(address, "ticks-kite-1", "full", "run", SystemClock(), bounds)
        let = self.connection.let
        self.handover = Handover(
            asyncio.get_running_loop(), self.connection.hold, lambda: reactor.call(let), bounds.waiting_bytes
        )
        self.connection.handover = self.handover
        self.heard: list[Event] = []
        reactor.call(self.connection.subscribe, [408065])

    async def until(self, kind: str, count: int = 1) -> None:
        """Take what comes until there are so many events of a type."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(event.type == kind for event in self.heard) < count:
                events = await self.handover.take()
                self.heard += events
                self.handover.done(events)

    async def close(self) -> None:
        reactor.call(self.connection.close)
        await reactor.settled()


@contextlib.asynccontextmanager
async def line(ws_root: str, bounds: Bounds | None = None) -> AsyncIterator[Line]:
    made = Line(ws_root, bounds or Bounds())
    try:
        yield made
    finally:
        await made.close()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what happens in another thread."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await reactor.settled()


def some(number: int) -> Callable[[int], bytes | None]:
    return lambda place: FRAME if place < number else None


async def test_a_server_with_a_certificate_of_its_own_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(some(3))
    tls = server_context(self_signed(tmp_path, "localhost"))
    async with serving(broker, tls) as port, line(f"wss://localhost:{port}") as way:
        reactor.call(way.connection.open, "token")
        said = await until_said(capsys, "feed.not_connected")
    assert broker.requests == 0, "the address with the token in it was never sent"
    assert "token" not in said.replace("part", "")


async def test_a_server_is_believed_whose_authority_is_trusted_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    async with serving(Broker(some(3)), server_context(pem)) as port, line(f"wss://localhost:{port}") as way:
        reactor.call(way.connection.open, "token")
        await way.until("kite.frame.v1", 3)


async def test_a_trusted_certificate_of_another_host_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pem = self_signed(tmp_path, "elsewhere.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    broker = Broker(some(3))
    async with serving(broker, server_context(pem)) as port, line(f"wss://localhost:{port}") as way:
        reactor.call(way.connection.open, "token")
        await until_said(capsys, "feed.not_connected")
    assert broker.requests == 0


async def test_a_message_that_fits_into_no_event_costs_its_socket_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broker = Broker(
        lambda place: [FRAME, LONG_FRAME, FRAME][place] if place < 3 and len(broker.sockets) == 1 else FRAME
    )
    async with serving(broker) as port, line(f"ws://127.0.0.1:{port}") as way:
        reactor.call(way.connection.open, "token")
        await way.until("feed.gap.v1")
        await way.until("kite.frame.v1", 50)
    assert all(len(event.payload) <= EVENT_BYTES_MAX for event in way.heard)
    assert [event.type for event in way.heard].count("feed.lost.v1") == 1


async def test_a_socket_opened_while_the_queue_is_full_is_not_read_either(capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        serving(Broker(some(10_000))) as port,
        line(f"ws://127.0.0.1:{port}", Bounds(waiting_bytes=BOUND_BYTES)) as way,
    ):
        reactor.call(way.connection.open, "token")
        await until(lambda: way.handover.held)
        for turn in range(3):
            reactor.call(way.connection.open, f"token {turn}")
            await until(lambda: "feed.subscribed" in capsys.readouterr().out)
        for _ in range(2_000):
            await reactor.settled()
        assert way.handover.waiting_bytes < BOUND_BYTES + 4 * 65_536, "what was read at once, and no more"
        await way.until("kite.frame.v1", 8_000)


async def test_a_ticker_that_was_replaced_while_it_connected_is_closed() -> None:
    broker = Broker(some(5))
    async with serving(broker) as port, line(f"ws://127.0.0.1:{port}") as way:

        def open_again_and_again() -> None:
            for turn in range(4):
                way.connection.open(f"token {turn}")

        reactor.call(open_again_and_again)  # in one call: between two of them a ticker might have connected
        await way.until("kite.frame.v1", 5)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while broker.requests < 4 or sum(not each.closed for each in broker.sockets) > 1:
                await reactor.settled()
        assert [event.type for event in way.heard].count("feed.connected.v1") == 1
        assert broker.requests == 4
    assert await quiet_for_one_try(), "nobody tries again once it was closed"


async def quiet_for_one_try() -> bool:
    """Wait longer than the SDK does before it tries again; say whether none of its tickers waits to do so."""
    done = asyncio.get_running_loop().create_future()
    reactor.call(_waiting, asyncio.get_running_loop(), done)
    waiting: int = await done
    return waiting == 0


def _waiting(loop: asyncio.AbstractEventLoop, done: "asyncio.Future[int]") -> None:
    calls = [str(call) for call in cast(Any, twisted_reactor).getDelayedCalls()]
    loop.call_soon_threadsafe(done.set_result, sum("reconnector" in call for call in calls))
