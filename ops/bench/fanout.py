"""Live prices to 100 websocket clients through the whole API, against picows sending them bytes that are ready.

A delivery is one message to one client. Ours: one-packet frames written by a ticker's writer, so the way is spool,
Redis, hub, JSON, granian; every client wishes everything; latency counts from the frame's receipt. At its limit the hub
puts several ticks into one message, which is why more ticks than messages are delivered.
"""

import asyncio
import multiprocessing
import time
from asyncio import Runner
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import msgspec
import numpy as np
import picows

from ops.bench import bed, feeder, running
from ops.bench.feeder import Feeder
from ops.bench.frames import Source
from ops.bench.measure import AT_MOST, Case, Target, Trial, alone, compare
from ops.embedded.place import free_port

CLIENTS = 100
TIMED_EVERY = 10  # one client in so many reads the times in what it gets
MESSAGE_BYTES = 200  # what picows sends
FRAMES_A_SECOND = 4000  # more than the hub can show one by one
SHARE = 0.33  # of the limit: where the latency is measured
SECONDS = 2.0  # a round
SETTLE_SECONDS = 0.5  # from the first frame to the count, and once more behind it
BUFFER_BYTES_MAX = 64 * 1024  # waiting for one of picows' clients; then it waits, too
TRY_SECONDS = 0.05
_STAMP, _STAMP_END = b'"received_at":"', b'"'


def run(trial: Trial) -> list[Case]:
    """Measure deliveries a second and how late they are."""
    trial.say("starting a Bahi of its own")
    ours, limits, late = [], [], []
    with (
        bed.folder() as data_dir,
        running.up(data_dir, {"api": "bahi api"}, {}) as settings,
        feeder.running(settings) as feeding,
        _picows_server() as port,
        bed.loop() as loop,
    ):
        wish = msgspec.json.encode({"action": "subscribe", "tokens": Source(feeder.INSTRUMENTS).tokens})
        ours_url = f"ws://127.0.0.1:{settings.api_port}/api/ws/ticks"
        crowd = _Crowd(ours_url, trial.part(SECONDS), settings.bahi_api_key or "", wish)
        for place in range(trial.rounds + 1):
            trial.say(f"round {place}")
            limit = loop.run(_Crowd(f"ws://127.0.0.1:{port}", trial.part(SECONDS)).listen())
            shown = _show(loop, crowd, feeding, FRAMES_A_SECOND)
            calm = _show(loop, crowd, feeding, SHARE * limit.messages / CLIENTS)
            if place:
                ours.append(shown)
                limits.append(limit.messages)
                late.append(calm)
    against = f"picows, {MESSAGE_BYTES} bytes"
    rate = f"at {SHARE:.0%} of picows' deliveries"
    note = f"messages of {np.median([each.message_bytes for each in ours]):.0f} bytes"
    return [
        compare("messages", "deliveries/s", against, ([each.messages for each in ours], limits), Target(SHARE), note),
        compare("ticks", "deliveries/s", against, ([each.ticks for each in ours], limits), None, "of full packets"),
        alone(
            f"p99, {rate}", "ms", [each.late_ms(99) for each in late], Target(5, AT_MOST), "from the frame's receipt"
        ),
        alone(f"p50, {rate}", "ms", [each.late_ms(50) for each in late], None),
        compare(f"kept up {rate}", "deliveries/s", against, ([each.messages for each in late], limits), None),
    ]


class Heard(msgspec.Struct):
    """What all clients got: deliveries a second, a message's mean size, and how late (ns) the timed ones were."""

    messages: float
    ticks: float
    message_bytes: float
    late_ns: list[int]

    def late_ms(self, percent: float) -> float:
        """Give a percentile of the lateness."""
        return float(np.percentile(self.late_ns, percent)) / 1e6


def _show(loop: Runner, crowd: "_Crowd", feeding: Feeder, rate: float) -> Heard:
    heard = loop.run(crowd.listen(lambda: feeding.begin(rate, crowd.seconds + 2 * SETTLE_SECONDS, packets=1)))
    feeding.ended()
    return heard


class _Client(picows.WSListener):
    """One client: counts, and where it is timed reads the time of a message's first tick."""

    def __init__(self, wish: bytes | None, *, timed: bool) -> None:
        self.messages = self.bytes = self.ticks = 0
        self.late_ns: list[int] = []
        self._wish, self._timed = wish, timed

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        if self._wish is not None:
            transport.send(picows.WSMsgType.TEXT, self._wish)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:  # noqa: ARG002 - the library's
        self.messages += 1
        if not self._timed:
            return
        payload = frame.get_payload_as_bytes()
        self.bytes += len(payload)
        found = payload.find(_STAMP)
        if found >= 0:
            start = found + len(_STAMP)
            sent = datetime.fromisoformat(payload[start : payload.index(_STAMP_END, start)].decode())
            self.late_ns.append(time.time_ns() - round(sent.timestamp() * 1e6) * 1000)
            self.ticks += payload.count(_STAMP)

    def forget(self) -> None:
        self.messages = self.bytes = self.ticks = 0
        self.late_ns = []


class _Crowd(msgspec.Struct, frozen=True):
    """All clients of one server. wish: what each sends first."""

    url: str
    seconds: float
    key: str = ""
    wish: bytes | None = None

    async def listen(self, begin: Callable[[], None] = lambda: None) -> Heard:
        """Connect all, call `begin`, and count what comes."""
        clients: list[_Client] = []
        transports = []
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else None
        for number in range(CLIENTS):
            make = partial(_Client, self.wish, timed=number % TIMED_EVERY == 0)
            transport, client = await picows.ws_connect(make, self.url, extra_headers=headers)
            assert isinstance(client, _Client), "the library gives what the factory made"
            transports.append(transport)
            clients.append(client)
        begin()
        await asyncio.sleep(SETTLE_SECONDS)
        for client in clients:
            client.forget()
        began = time.perf_counter()
        await asyncio.sleep(self.seconds)
        heard = _counted(clients, time.perf_counter() - began)
        for transport in transports:
            transport.disconnect()
        return heard


def _counted(clients: list[_Client], took: float) -> Heard:
    timed = clients[::TIMED_EVERY]
    messages = sum(client.messages for client in timed) or 1
    return Heard(
        messages=sum(client.messages for client in clients) / took,
        ticks=sum(client.ticks for client in timed) * TIMED_EVERY / took,
        message_bytes=sum(client.bytes for client in timed) / messages,
        late_ns=[late for client in timed for late in client.late_ns],
    )


@contextmanager
def _picows_server() -> Iterator[int]:
    """Run the limit in a process of its own; give its port."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve_picows, args=(port,), daemon=True)
    process.start()
    try:
        with bed.loop() as loop:
            loop.run(_until_there(port))
        yield port
    finally:
        process.kill()
        process.join()


async def _until_there(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(TRY_SECONDS)
        else:
            writer.close()
            return


class _Hall(picows.WSListener):
    """The server's side of one client."""

    present: set[picows.WSTransport] = set()

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.present.add(transport)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.present.discard(transport)


def _serve_picows(port: int) -> None:
    with bed.loop() as loop:
        loop.run(_broadcast(port))


async def _broadcast(port: int) -> None:
    """Send every client the same bytes, as fast as they take them."""
    await picows.ws_create_server(lambda _: _Hall(), "127.0.0.1", port)
    message = bytes(MESSAGE_BYTES)
    while True:
        for transport in list(_Hall.present):
            if transport.underlying_transport.get_write_buffer_size() < BUFFER_BYTES_MAX:
                transport.send(picows.WSMsgType.BINARY, message)
        await asyncio.sleep(0 if _Hall.present else TRY_SECONDS)
