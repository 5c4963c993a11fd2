"""The sandbox exchange as a process: one port of 127.0.0.1 for REST, websocket and control."""

import asyncio
import os
import time
from pathlib import Path
from typing import Protocol, Self

import msgspec
from aiohttp import web

from ops.sandbox.control import Control
from ops.sandbox.envelope import wrap_errors
from ops.sandbox.feed import MarketFeed
from ops.sandbox.hub import Hub
from ops.sandbox.journal import Journal
from ops.sandbox.limits import Limits
from ops.sandbox.market import Market
from ops.sandbox.rest import Rest
from ops.sandbox.session import Sessions
from ops.sandbox.socket import Socket
from runtime import log
from runtime.errors import SettingError
from runtime.settings import Settings

HOST = "127.0.0.1"
SHUTDOWN_SECONDS = 1.0

_log = log.get("sandbox")


class Stop(Protocol):
    """What tells the sandbox to end."""

    async def wait(self) -> object:
        """Return when it is time."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the sandbox is set up.

    port: 0 takes a free one, which <data>/sandbox/port then names; seed: of the generated market; rate: ticks a
    second over all instruments, None is 1.5 for each; instruments: how many, None is the usual list; limits:
    whether Kite's limits of requests and connections are enforced; redirect_url: where a login leads to.
    """

    folder: Path
    port: int
    seed: int = 1
    rate: float | None = None
    instruments: int | None = None
    limits: bool = True
    redirect_url: str = "http://127.0.0.1:8000/"


class Exchange:
    """A running sandbox; `async with Exchange(options) as exchange`."""

    def __init__(self, options: Options) -> None:
        """Make the market; nothing listens yet."""
        self.options = options
        self.market = Market(options.seed, time.time_ns(), options.instruments)
        self.journal = Journal(options.folder / "journal")
        self.sessions = Sessions(options.folder / "sessions.json")
        self.hub = Hub(self.market, self.journal)
        self.feed = MarketFeed(self.market, self.hub, options.rate)
        self.port = 0
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)

    async def __aenter__(self) -> Self:
        """Listen; raise `SettingError` where the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.options.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise SettingError(
                f"a free port {self.options.port} on {HOST} for the sandbox",
                str(error),
                "end what listens there, or set BAHI_SANDBOX_PORT to another port (0 takes a free one)",
            ) from error
        self.port = self._runner.addresses[0][1]
        self.options.folder.mkdir(parents=True, exist_ok=True)
        draft = self.options.folder / f"port.{os.getpid()}.draft"
        draft.write_text(f"{self.port}\n")
        draft.replace(self.options.folder / "port")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        for connection in self.hub:
            connection.drop()
        await self._runner.cleanup()
        self.journal.close()

    async def drive(self) -> None:
        """Run the market for ever; its failure is the sandbox's."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.feed.run())
            tasks.create_task(self.hub.beat())

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[wrap_errors])
        socket = Socket(self.hub, self.sessions, self.options.limits)
        rest = Rest(self.hub, self.sessions, Limits(self.options.limits), self.options.redirect_url)
        app.router.add_get("/", socket.accept)
        app.add_routes(rest.routes())
        app.add_routes(Control(self.hub, self.sessions, self.options.folder / "journal").routes())
        return app


async def run(
    settings: Settings,
    stop: Stop,
    *,
    seed: int | None = None,
    rate: float | None = None,
    instruments: int | None = None,
    port: int | None = None,
) -> None:
    """Run the sandbox until `stop`."""
    options = Options(
        folder=settings.bahi_data_dir / "sandbox",
        port=settings.bahi_sandbox_port if port is None else port,
        seed=1 if seed is None else seed,
        rate=rate,
        instruments=instruments,
        redirect_url=f"http://{settings.api_host}:{settings.api_port}/",
    )
    async with Exchange(options) as exchange:
        _log.info("sandbox.listening", port=exchange.port, instruments=len(exchange.hub.stage.instruments))
        driving = asyncio.ensure_future(exchange.drive())
        waiting = asyncio.ensure_future(stop.wait())
        await asyncio.wait({driving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        if driving.done() and not driving.cancelled() and (error := driving.exception()):
            raise error
