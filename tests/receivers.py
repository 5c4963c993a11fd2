"""Who gets the messages that Bahi sends: an HTTP server of the test that takes, refuses, or keeps silent."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from tests.patience import PATIENCE_SECONDS


class Receiver:
    """A server on loopback. status: with what it answers; while `silent` it answers nothing at all."""

    def __init__(self) -> None:
        self.status = 200
        self.silent = False
        self.port = 0
        self.asked = 0
        self.taken: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    def url(self, rest: str = "", secret: str = "") -> str:
        """Give its address as Apprise wants it."""
        return f"json://{secret}127.0.0.1:{self.port}/{rest}"

    async def until(self, number: int, *, asked: bool = False) -> list[dict[str, Any]]:
        """Wait for so many messages that were taken, or `asked` for in any way; give what was taken."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (self.asked if asked else len(self.taken)) < number:
                self._changed.clear()
                await self._changed.wait()
        return self.taken

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one message."""
        message = json.loads(await request.read())
        self.asked += 1
        if self.status == 200 and not self.silent:
            self.taken.append(message)
        self._changed.set()
        if self.silent:
            await asyncio.Event().wait()
        return web.Response(status=self.status)


@contextlib.asynccontextmanager
async def receiver(port: int = 0, receiving: Receiver | None = None) -> AsyncIterator[Receiver]:
    """Run one, on a free port or on this one."""
    made = receiving or Receiver()
    app = web.Application()
    app.router.add_post("/{rest:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()
