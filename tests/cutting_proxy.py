"""A way to a server on which requests and answers are lost, and some requests come late."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

PIECE_BYTES = 1 << 20
ANSWER_SECONDS_MAX = 0.05


class CuttingProxy:
    """Stands before a server. Of the pieces that clients send, `share` meet one of three ends:

    lost      the connection is cut and the server hears nothing
    unanswered  the server hears it, and the connection is cut before its answer
    late      the connection is cut, and the server hears it after it has answered others
    """

    def __init__(self, host: str, port: int, share: float, seed: float) -> None:
        self._host, self._port, self.share = host, port, share
        self._random = random.Random(seed)
        self._late: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.cuts = dict.fromkeys(("lost", "unanswered", "late"), 0)

    async def serve(self, down: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Carry one client's requests to the server and its answers back, until a cut."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        up, to_server = await asyncio.open_connection(self._host, self._port)
        self._open |= {back, to_server}
        answers = asyncio.create_task(self._carry_back(up, back))
        try:
            while piece := await down.read(PIECE_BYTES):
                if self._random.random() < self.share:
                    await self._cut(piece, up, to_server, answers)
                    break
                _write(to_server, piece)
        except OSError:
            pass  # a client that goes away cuts by itself
        finally:
            answers.cancel()
            back.close()
            self._serving.discard(task)

    async def _carry_back(self, up: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await up.read(PIECE_BYTES):
                _write(back, piece)
                self._send_late()
        back.close()

    async def _cut(
        self, piece: bytes, up: asyncio.StreamReader, to_server: asyncio.StreamWriter, answers: asyncio.Task[None]
    ) -> None:
        end = self._random.choice(list(self.cuts))
        self.cuts[end] += 1
        answers.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answers
        if end == "unanswered":
            _write(to_server, piece)
            with contextlib.suppress(TimeoutError):  # a part of a request gets no answer
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    await up.read(PIECE_BYTES)
        if end == "late":
            self._late.append((to_server, piece))

    def _send_late(self) -> None:
        while self._late and self._random.random() < 0.5:
            to_server, piece = self._late.pop(0)
            _write(to_server, piece)

    async def close(self) -> None:
        """Cut everything, and wait until nobody carries anything."""
        for writer in self._open:
            writer.close()
        await asyncio.gather(*self._serving, return_exceptions=True)


def _write(writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Write to a side that may be gone already, in which case nobody hears it."""
    if not writer.is_closing():
        writer.write(piece)


@contextlib.asynccontextmanager
async def cutting_proxy(url: str, share: float, seed: float) -> AsyncIterator[tuple[str, CuttingProxy]]:
    """Yield the URL of a proxy before the server of `url`, and the proxy."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = CuttingProxy(parts.hostname, parts.port, share, seed)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place = parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{port}"
    try:
        yield urlunsplit(parts._replace(netloc=place)), proxy
    finally:
        server.close()
        await proxy.close()
