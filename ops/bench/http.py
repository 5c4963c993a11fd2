"""GET /api/latest/{token} of the whole API, against a handler that does nothing: the same server, client and body."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar.types import Receive, Scope, Send

from api.server import CONNECTIONS_MAX, RUNTIME_THREADS
from ops.bench import bed, feeder, running
from ops.bench.frames import Source
from ops.bench.measure import Case, Target, Trial, compare
from ops.embedded.place import free_port

CONNECTIONS = 32
SECONDS = 1.0  # a round
START_SECONDS_MAX = 20.0
TRY_SECONDS = 0.05


def run(trial: Trial) -> list[Case]:
    """Measure reads of one instrument's latest price, five levels deep."""
    seconds = trial.part(SECONDS)
    trial.say("starting a Bahi of its own")
    with bed.folder() as data_dir, running.up(data_dir, {"api": "bahi api"}, {}) as settings, bed.loop() as loop:
        with feeder.running(settings) as feeding:
            feeding.begin(100, 1.0)
            feeding.ended()
        token = Source(feeder.INSTRUMENTS).tokens[0]
        ours = loop.run(_Get.known(settings.api_port, f"/api/latest/{token}", settings.bahi_api_key or ""))
        with _bare_server(ours.body) as port:
            bare = loop.run(_Get.known(port, "/", ""))
            trial.say(f"{CONNECTIONS} connections, answers of {len(ours.body)} bytes")
            found = trial.alternate(
                lambda: loop.run(ours.per_second(seconds)), lambda: loop.run(bare.per_second(seconds))
            )
    against = "a bare ASGI handler on granian, the same body"
    return [compare("GET /api/latest/{token}", "answers/s", against, found, Target(0.7))]


class _Get:
    """One request, known by the size of its answer, asked again and again."""

    def __init__(self, port: int, request: bytes, head_bytes: int, body: bytes) -> None:
        self.port, self.request, self.body = port, request, body
        self.answer_bytes = head_bytes + len(body)

    @classmethod
    async def known(cls, port: int, path: str, key: str) -> "_Get":
        """Ask until it is answered with 200."""
        request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n\r\n".encode()
        async with asyncio.timeout(START_SECONDS_MAX):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.close()
                    if head.startswith(b"HTTP/1.1 200"):
                        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                        return cls(port, request, len(head), await reader.readexactly(size))
                except OSError:
                    pass
                await asyncio.sleep(TRY_SECONDS)

    async def per_second(self, seconds: float) -> float:
        """Ask on CONNECTIONS at once, one request on each at a time; give answers a second."""
        loop = asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: _Client(self), "127.0.0.1", self.port))[1] for _ in range(CONNECTIONS)
        ]
        await asyncio.sleep(seconds / 10)
        began, before = time.perf_counter(), sum(client.answers for client in clients)
        await asyncio.sleep(seconds)
        rate = (sum(client.answers for client in clients) - before) / (time.perf_counter() - began)
        for client in clients:
            client.close()
        return rate


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, get: _Get) -> None:
        self.answers = 0
        self._get, self._left = get, get.answer_bytes
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is one in all but its class
        self._transport.write(self._get.request)

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left <= 0:
            self._left += self._get.answer_bytes
            self.answers += 1
            if self._transport is not None:
                self._transport.write(self._get.request)

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()


@contextmanager
def _bare_server(body: bytes) -> Iterator[int]:
    """Run the handler that does nothing in a process of its own; give its port."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve_bare, args=(port, body), daemon=True)
    process.start()
    try:
        yield port
    finally:
        process.kill()
        process.join()


def _serve_bare(port: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def handler(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    server = Server(
        handler,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        runtime_threads=RUNTIME_THREADS,
        backpressure=CONNECTIONS_MAX,
        log_level=LogLevels.error,
    )
    with bed.loop() as loop:
        loop.run(server.serve())
