"""`bahi up`: everything on one machine, from nothing to a URL to open, and back.

The way up, each step said: nothing else runs here -> ports are free -> embedded servers where the user has none ->
migrations -> programs of the Procfile -> GET /ready answers 200 -> the URL. The way down is the supervisor's.

What blocks (initdb, a download) runs before the event loop, where Ctrl-C simply interrupts it.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from events.archive import Archive
from ops import invitation, readiness
from ops.embedded import discover, postgres, redis, server
from ops.embedded.server import Launch
from ops.embedded.spawn import spawn
from ops.supervisor import procfile
from ops.supervisor.child import Child
from ops.supervisor.console import Console
from ops.supervisor.crew import Crew
from ops.supervisor.guard import Guard
from ops.supervisor.procfile import PROCFILE
from ops.supervisor.program import SERVER_WAITS, Program, Stage
from producers.kite.address import refuse_unspoken
from runtime import layout, lifecycle, port
from runtime.clock import SystemClock
from runtime.errors import Halt
from runtime.lifecycle import EXIT_FAILED, Stop
from runtime.settings import Settings

SANDBOX = "sandbox"
NEEDS_TABLES = ("project",)
"""Waits for the migrations; everything else runs without (ticks keep flowing with PostgreSQL down)."""

STAGES = {"project": Stage.READERS, "archive": Stage.READERS}
"""Who reads the log; everything else may write to it, and stops first."""

SERVER_LOCK_WAIT_SECONDS = 0.2
"""At a restart: remnants of the server that died are met again after the supervisor's own wait."""

READY_POLL_SECONDS = 0.2
STILL_WAITING_SECONDS = 20.0
"""How often it is said what is still missing."""

SECOND_CTRL_C_SECONDS = 0.5
"""Some launchers pass the terminal's Ctrl-C on to a child that has had it already: an echo is not a second one."""


def main(settings: Settings, programs: Path = PROCFILE) -> int:
    """Run everything until SIGINT, SIGTERM or SIGHUP; return the exit code.

    Raises SettingError where it cannot begin: somebody has the data directory, a port is taken, a server cannot be.
    """
    data_dir = settings.bahi_data_dir
    layout.prepare(data_dir)
    wanted = _wanted_programs(settings, programs)
    url = readiness.url(settings.api_host, settings.api_port)
    with discover.held(data_dir, "up", url) as lock:
        discover.servers_path(data_dir).unlink(missing_ok=True)
        _refuse_what_programs_refuse(settings)
        with _interruptible():
            launches = _launches(settings)
        up = _Up(settings, launches, wanted, lock)
        return lifecycle.run("up", up.run, settings)


class _Up:
    """One run: the crew, its console, and the order of things."""

    def __init__(self, settings: Settings, launches: list[Launch], programs: dict[str, list[str]], lock: int) -> None:
        self._settings = settings
        self._data_dir = settings.bahi_data_dir
        self._launches = launches
        self._programs = programs
        self._console = Console(as_json=settings.log_format == "json")
        self._console.name_width([*programs, *(launch.name for launch in launches), "migrate", "up"])
        self._guard = Guard((lock,))
        self._crew = Crew(self._guard, self._console)

    async def run(self, stop: Stop) -> None:
        """Start everything, wait for the stop, end everything."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)
        self._guard.open()
        try:
            await _first(asyncio.create_task(self._start()), stop)
            await stop.wait()
        finally:
            await self._end()

    async def _start(self) -> None:
        began = time.monotonic()
        await self._start_servers()
        migrate = self._crew.add(_program("migrate", procfile.command(["bahi", "migrate"]), once=True))
        await migrate.first_end.wait()
        _refuse_hopeless(migrate)
        for name, argv in self._programs.items():
            if name not in NEEDS_TABLES:
                self._crew.add(_program(name, argv))
        await migrate.succeeded.wait()
        for name, argv in self._programs.items():
            if name in NEEDS_TABLES:
                self._crew.add(_program(name, argv))
        await self._until_ready()
        self._invite(time.monotonic() - began)

    async def _start_servers(self) -> None:
        """Start the embedded servers, wait until they answer, and let other commands know."""
        children = [self._crew.add(_server_program(launch)) for launch in self._launches]
        for launch, child in zip(self._launches, children, strict=True):
            await self._until_answers(launch, child)
        urls = {_setting(launch): launch.url for launch in self._launches}
        discover.write(self._data_dir, discover.Servers(**urls))

    async def _until_answers(self, launch: Launch, child: Child) -> None:
        """Wait until a server takes connections. Raises Unreachable with its last words where it ends instead."""
        began = say_at = time.monotonic()
        while child.pid is None or not await asyncio.to_thread(launch.answers, child.pid):
            seconds = time.monotonic() - began
            if child.first_end.is_set():
                raise server.did_not_start(launch, "it ended")
            if seconds > server.READY_SECONDS_MAX:
                raise server.did_not_start(launch, f"no answer in {seconds:.0f} s")
            if time.monotonic() > say_at + STILL_WAITING_SECONDS:
                say_at = time.monotonic()
                self._console.say(f"{launch.name} does not answer yet; after a crash it reads its log again")
            await asyncio.sleep(server.READY_POLL_SECONDS)

    async def _until_ready(self) -> None:
        """Wait for GET /ready to answer 200, saying now and then what is missing."""
        say_at = time.monotonic() + STILL_WAITING_SECONDS
        while True:
            missing = await asyncio.to_thread(readiness.missing, self._settings.api_host, self._settings.api_port)
            if missing is None:
                return
            if time.monotonic() > say_at:
                self._console.say(f"not ready yet: {missing}")
                say_at += STILL_WAITING_SECONDS
            await asyncio.sleep(READY_POLL_SECONDS)

    def _invite(self, seconds: float) -> None:
        """Print the URL to open, and where the key is."""
        if self._settings.bahi_api_key is None:
            self._console.say("the administrator's key of the API is in the vault: `bahi key` prints it")
        code = invitation.make_code(self._data_dir, SystemClock())
        url = readiness.url(self._settings.api_host, self._settings.api_port)
        self._console.say(f"ready in {seconds:.0f} s; open {url}/#code={code}")

    async def _end(self) -> None:
        """End everything in order; a second Ctrl-C ends it at once."""
        hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.call_later(SECOND_CTRL_C_SECONDS, loop.add_signal_handler, signal.SIGINT, hurry.set)
        self._console.say("stopping: writers first, servers last (Ctrl-C again kills)")
        try:
            await self._crew.stop(hurry)
        except asyncio.CancelledError:
            self._crew.kill()
            raise
        finally:
            discover.servers_path(self._data_dir).unlink(missing_ok=True)
            # Where something is left, this waits until the guard has ended it.
            self._guard.close()
            self._console.say("stopped")
            self._console.close()


async def _first(work: asyncio.Task[None], stop: Stop) -> None:
    """Wait for the start to be done or the stop to come; a failed start raises its error."""
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait([work, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if work.done():
        await work
    else:
        work.cancel()


def _wanted_programs(settings: Settings, path: Path) -> dict[str, list[str]]:
    """Return the Procfile's programs; the sandbox exchange only where it is the broker."""
    programs = procfile.read(path)
    if SANDBOX not in settings.broker:
        programs.pop(SANDBOX, None)
    return programs


def _launches(settings: Settings) -> list[Launch]:
    """Prepare the servers that the user has not set. May block for seconds at the first time."""
    launches = []
    if settings.database_url is None:
        launches.append(postgres.prepare(settings.bahi_data_dir))
    if settings.redis_url is None:
        launches.append(redis.prepare(settings.bahi_data_dir))
    return launches


def _setting(launch: Launch) -> str:
    """Return the field of the settings that a server's URL fills."""
    return "database_url" if launch.name == "postgres" else "redis_url"


def _program(name: str, argv: list[str], *, once: bool = False) -> Program:
    """Describe a program of the Procfile."""
    return Program(
        name,
        start=lambda output: spawn(argv, death_signal=signal.SIGTERM, output=output),
        stage=STAGES.get(name, Stage.WRITERS),
        once=once,
    )


def _server_program(launch: Launch) -> Program:
    """Describe an embedded server; its output goes to its own log."""
    return Program(
        launch.name,
        start=lambda _output: server.spawn(launch, SERVER_LOCK_WAIT_SECONDS).process,
        stage=Stage.SERVERS,
        stop_signal=launch.stop_signals[0],
        waits=SERVER_WAITS,
    )


def _refuse_hopeless(migrate: Child) -> None:
    """Stop where the migrations failed for a reason that waiting does not mend."""
    if migrate.last_exit_code not in (0, None, EXIT_FAILED):
        raise Halt(
            "the database brought up to date",
            f"`bahi migrate` ended with exit code {migrate.last_exit_code}",
            "read its lines above",
        )


def _refuse_what_programs_refuse(settings: Settings) -> None:
    """Raise SettingError where a program would end at once: a wrong setting stops all before anything starts."""
    refuse_unspoken(settings)
    Archive.at(settings)
    port.refuse_taken("API_PORT", settings.api_host, settings.api_port)
    if SANDBOX in settings.broker and settings.bahi_sandbox_port:
        port.refuse_taken("BAHI_SANDBOX_PORT", "127.0.0.1", settings.bahi_sandbox_port)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM interrupt what blocks, as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        sys.exit(EXIT_FAILED)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
