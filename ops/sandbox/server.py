"""The sandbox exchange as a process: one port of 127.0.0.1 for REST, websocket and control."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Protocol, Self

import msgspec
from aiohttp import web

from ops.sandbox import csv_tape, history, segment_tape
from ops.sandbox.accounts import past, postback, shown
from ops.sandbox.accounts.desk import ORDERS_MAX, Desk
from ops.sandbox.accounts.inspection import Inspection
from ops.sandbox.accounts.order import Order
from ops.sandbox.accounts.postback import Postbacks, Target
from ops.sandbox.accounts.register import Telling
from ops.sandbox.accounts.routes import AccountRoutes
from ops.sandbox.accounts.trigger_routes import TriggerRoutes
from ops.sandbox.accounts.triggers import Triggers
from ops.sandbox.control import Control, Feed
from ops.sandbox.envelope import wrap_errors
from ops.sandbox.faults import Faults
from ops.sandbox.feed import MarketFeed
from ops.sandbox.hub import Hub
from ops.sandbox.journal import Journal
from ops.sandbox.limits import Limits
from ops.sandbox.market import Market
from ops.sandbox.playback import Playback, read_speed
from ops.sandbox.recording import Recording, RecordingStage, Screening
from ops.sandbox.rest import Rest
from ops.sandbox.session import Sessions
from ops.sandbox.socket import Socket
from ops.sandbox.tape import Tape
from ops.sandbox.traders import Traders, names
from ops.sandbox.trouble import Trouble
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

    folder: of its files; port: 0 takes a free one, which <folder>/port then names; seed: of the generated market;
    rate: ticks a second over all instruments, None is 1.5 for each; instruments: how many, None is the usual list;
    tape, speed: play recorded ticks instead; recording: play this one, which has a speed of its own; limits: whether
    Kite's limits of requests and connections are enforced; redirect_url: where a login leads to; traders: how many
    seeded ones there are; past: whether the first of them have traded before;
    postback_url: where the usual app's orders are posted to.
    """

    folder: Path
    port: int
    seed: int = 1
    rate: float | None = None
    instruments: int | None = None
    tape: Path | None = None
    speed: str = "1"
    recording: Recording | None = None
    limits: bool = True
    redirect_url: str = "http://127.0.0.1:8000/"
    traders: int = 0
    past: bool = False
    postback_url: str | None = None


class Exchange:
    """A running sandbox; `async with Exchange(options) as exchange`, then `drive`."""

    def __init__(self, options: Options, tls: ssl.SSLContext | None = None) -> None:
        """Make the market or read the tape; nothing listens yet. With `tls` clients come by https and wss."""
        self._tls = tls
        self.options = options
        self.stage = _stage(options)
        self.journal = Journal(options.folder / "journal")
        self.sessions = Sessions(options.folder / "sessions.json")
        self.hub = Hub(self.stage, self.journal)
        self.postbacks = Postbacks()
        self.postbacks.aim(Target(options.postback_url))
        if options.past and isinstance(self.stage, Market):
            past.live(options.folder / "books", options.seed, names(options.traders), time.time_ns())
        self.desk = Desk(
            options.folder / "books", self.stage, self._news, orders_max=ORDERS_MAX if options.limits else None
        )
        self.hub.watchers.append(self.desk)
        self.triggers = Triggers(self.desk)
        self.hub.watchers.append(self.triggers)
        self.traders = Traders(self.desk, options.seed, options.traders)
        self.feed = self._feed()
        self.port = 0
        self._opened_ns = opened(options.folder)
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)

    async def __aenter__(self) -> Self:
        """Listen; raise `SettingError` where the port is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.options.port, ssl_context=self._tls)
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
        _replace(self.options.folder / "port", f"{self.port}\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        for connection in self.hub:
            connection.close()
        await self._runner.cleanup()
        self.journal.close()
        self.desk.close()

    def _news(self, user: str, order: Order) -> Telling | None:
        """Make an order update for the user's tickers and the app's postback, as Kite does."""
        listeners = [connection for connection in self.hub if connection.peer.user == user]
        is_posted = self.postbacks.wants(order)
        if not listeners and not is_posted:
            return None
        app, body = order.app, postback.message(user, order)
        update = {**shown.order(user, order), "user_id": user, "app_id": body["app_id"], "checksum": ""}
        text = msgspec.json.encode({"type": "order", "data": update})

        def tell() -> None:
            for connection in listeners:
                connection.tell(text)
            if is_posted:
                self.postbacks.post(app, body)

        return tell

    async def drive(self) -> None:
        """Run market or tape, and heartbeats, for ever; a failure of one is the sandbox's."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.feed.run())
            tasks.create_task(self.hub.beat())
            tasks.create_task(self.traders.run())
            tasks.create_task(self.postbacks.run())

    def _feed(self) -> Feed:
        if isinstance(self.stage, RecordingStage):
            return Screening(self.stage, self.hub)
        if isinstance(self.stage, Tape):
            return Playback(self.stage, self.hub, self.options.speed)
        return MarketFeed(self.stage, self.hub, self.options.rate)

    def _history(self, place: int, ask: history.Asked) -> list[history.Candle]:
        if isinstance(self.feed, Playback):
            return history.of_tape(self.feed.tape, place, ask, self.feed.played)
        if isinstance(self.feed, Screening):
            return []  # what was played is not kept
        return history.of_market(self.feed.market, place, ask, self._opened_ns, time.time_ns())

    def _app(self) -> web.Application:
        options = self.options
        trouble = Trouble(self.sessions)
        app = web.Application(middlewares=[trouble.meddle, wrap_errors])
        socket = Socket(self.hub, self.sessions, options.limits)
        rest = Rest(self.hub, self.sessions, Limits(options.limits), self._history, options.redirect_url)
        app.router.add_get("/", socket.accept)
        app.add_routes(rest.routes())
        app.add_routes(AccountRoutes(self.desk, rest).routes())
        app.add_routes(TriggerRoutes(self.triggers, rest).routes())
        faults = Faults(self.hub, self.sessions, trouble)
        app.add_routes(Control(self.hub, self.feed, self.sessions, faults, options.folder / "journal").routes())
        app.add_routes(Inspection(self.desk, self.traders, self.postbacks, options.folder / "books").routes())
        return app


def _stage(options: Options) -> Market | Tape | RecordingStage:
    if options.recording is not None:
        return RecordingStage(options.recording)
    if options.tape is None:
        return Market(options.seed, time.time_ns(), options.instruments)
    if options.tape.suffix == segment_tape.SUFFIX:
        return segment_tape.read(options.tape)
    return csv_tape.read(options.tape)


def opened(folder: Path) -> int:
    """Give when the sandbox of this folder was first opened, in UTC ns; its market has never closed since."""
    mark = folder / "opened"
    if not mark.exists():
        _replace(mark, f"{time.time_ns()}\n")
    return int(mark.read_text())


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


async def run(
    settings: Settings,
    stop: Stop,
    *,
    tape: Path | None = None,
    speed: str = "1",
    port: int | None = None,
) -> None:
    """Run the sandbox until `stop`; `tape`, `speed` and `port` as in `Options`, the rest from the settings."""
    read_speed(speed)  # a wrong one is said also where no tape is played
    options = Options(
        folder=settings.bahi_data_dir / "sandbox",
        port=settings.bahi_sandbox_port if port is None else port,
        seed=settings.bahi_sandbox_seed,
        rate=settings.bahi_sandbox_rate,
        instruments=settings.bahi_sandbox_instruments,
        limits=settings.bahi_sandbox_limits,
        tape=tape,
        speed=speed,
        redirect_url=f"http://{settings.api_host}:{settings.api_port}/",
        traders=settings.bahi_sandbox_traders,
        past=True,
        postback_url=own_postback(settings),
    )
    async with Exchange(options) as exchange:
        _log.info("sandbox.listening", port=exchange.port, instruments=len(exchange.hub.stage.instruments))
        await until(stop, exchange)


def own_postback(settings: Settings) -> str | None:
    """Give where Bahi's own API takes postbacks, as it listens on this machine; None where it does not."""
    url = f"http://{settings.api_host}:{settings.api_port}/postback/kite"
    return url if postback.is_here(url) else None


async def until(stop: Stop, exchange: Exchange) -> None:
    """Drive `exchange` until `stop`, or until it fails."""
    driving, waiting = asyncio.ensure_future(exchange.drive()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((driving, waiting), return_when=asyncio.FIRST_COMPLETED)
    failure = driving.exception() if driving.done() else None
    for task in (driving, waiting):
        task.cancel()
    await asyncio.gather(driving, waiting, return_exceptions=True)
    if failure:
        raise failure.exceptions[0] if isinstance(failure, BaseExceptionGroup) else failure
