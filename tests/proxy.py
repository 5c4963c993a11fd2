"""A TCP proxy in front of PostgreSQL that loses commits: before they are made, after, or while nobody looks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from tests.patience import PATIENCE_SECONDS

COMMIT = b"COMMIT"
READ_BYTES = 65_536
Fault = Literal["none", "before", "after", "held"]


class Side(NamedTuple):
    """One end of a way through the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def end(self) -> None:
        """Cut it."""
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Proxy:
    """Forwards everything, until a fault is armed; `struck` waits until it has come.

    before: the connection is cut and the server never hears of the commit. after: the server commits, the answer is
    lost. held: the client's side is cut, the server hears of the commit only at `release`.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._fault: Fault = "none"
        self._released = asyncio.Event()
        self._cut = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """Give the database's URL by way of the proxy."""
        user, _, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{self.port}"))

    def arm(self, fault: Fault) -> None:
        """Let the next commit meet with this."""
        self._fault = fault
        self._cut.clear()
        self._released.clear()

    def release(self) -> None:
        """Let the server hear of a commit that is held."""
        self._released.set()

    async def struck(self) -> None:
        """Wait until the armed fault has struck."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._cut.wait()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        near = Side(reader, writer)
        far = Side(*await asyncio.open_connection(self._target.hostname, self._target.port))
        back = asyncio.ensure_future(_pour(far, near))
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._forward(near, far, back)
        back.cancel()
        await asyncio.gather(back, return_exceptions=True)
        await near.end()
        await far.end()
        self._tasks.discard(task)

    async def _forward(self, near: Side, far: Side, back: "asyncio.Future[None]") -> None:
        while data := await near.reader.read(READ_BYTES):
            if self._fault != "none" and COMMIT in data:
                fault, self._fault = self._fault, "none"
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
                await self._strike(fault, data, near, far)
                return
            far.writer.write(data)
            await far.writer.drain()

    async def _strike(self, fault: Fault, data: bytes, near: Side, far: Side) -> None:
        if fault == "held":
            await near.end()
            self._cut.set()
            await self._released.wait()
        if fault != "before":
            far.writer.write(data)
            await far.reader.read(READ_BYTES)  # the answer to the commit
        await near.end()
        self._cut.set()

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pour(source: Side, target: Side) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.reader.read(READ_BYTES):
            target.writer.write(data)
            await target.writer.drain()
    target.writer.close()


@contextlib.asynccontextmanager
async def proxy(url: str) -> AsyncIterator[Proxy]:
    """Run a proxy to the database at `url`."""
    made = Proxy(url)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
