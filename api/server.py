"""`bahi api`: the application on granian, in this one process and on its own event loop.

Granian's embedded server keeps everything in one process: the hub's memory is the server's, kill -9 leaves no worker,
and the stop is ours. Three of its traits shape this page:

    it binds with SO_REUSEPORT   a second API on the same port would quietly take half of the connections: the port is
                                 tried first without it
    it waits for open requests   live connections are told to end first, then the server is asked to stop
    its one runtime thread       keeps the order of messages that are handed to a socket without waiting (see `viewer`)

Everything else the API can do without: with PostgreSQL or Redis away it starts and serves what it can.
"""

import asyncio
import contextlib
import sys

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from api import parts as parts_module
from api.app import create_app
from api.door import Door
from api.parts import Parts
from api.seed import seed
from events.redis_log import RedisLog
from runtime import port
from runtime.errors import SettingError
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.settings import Settings

RUNTIME_THREADS = 1  # more would not keep the order of messages, and a core is what the decoding needs
CONNECTIONS_MAX = 2048  # open requests and sockets at once; the next ones wait in the kernel
CLOSE_SECONDS_MAX = 1.0  # for live connections to be told; a client that does not listen is not waited for
STOP_SECONDS_MAX = 4.0  # of the 10 s that a process has: then connections are cut
KEY_RELOAD_SECONDS = 2.0  # a new key in the vault is good within this

_log = get("api")


async def run(settings: Settings, stop: Stop) -> None:
    """Serve until the stop. Raises SettingError for a port that is taken or a host that is not ours."""
    if settings.redis_url is None:
        raise SettingError("REDIS_URL, a server of the log", "nothing", "set it, or start everything with bahi up")
    port.refuse_taken("API_PORT", settings.api_host, settings.api_port)
    log = RedisLog.connect(settings.redis_url)
    parts = parts_module.make(settings, log)
    await load_key(parts)
    await parts.tables.open()
    try:
        await serve(parts, stop)
    finally:
        await parts.tables.close()
        await log.close()


async def load_key(parts: Parts) -> None:
    """Read the administrator's key; where there is none, one is made, and printed this one time."""
    made = await asyncio.to_thread(parts.keys.load)
    if made:
        sys.stderr.write(f"bahi: the administrator's key of the API, made now and kept in the vault: {made}\n")


async def serve(parts: Parts, stop: asyncio.Event) -> None:
    """Run the parts and the server over them until the stop."""
    async with asyncio.TaskGroup() as tasks:
        behind = [
            tasks.create_task(parts.following.run()),
            tasks.create_task(parts.live.run()),
            tasks.create_task(parts.observer.run()),
            tasks.create_task(seed(parts.tables, parts.live.prices)),
            tasks.create_task(reload_keys(parts)),
            tasks.create_task(parts.updates.run()),
        ]
        requests = tasks.create_task(parts.requests.run(stop))
        await listen(create_app(parts), parts, stop)
        await requests
        for task in behind:
            task.cancel()


async def listen(door: Door, parts: Parts, stop: asyncio.Event) -> None:
    """Serve what is behind the door until the stop; live connections are told to end before the server does."""
    server = _server(door, parts.settings)
    serving = asyncio.ensure_future(server.serve())
    _log.info("serving", host=parts.settings.api_host, port=parts.settings.api_port)
    try:
        await _first_of(serving, stop)
        parts.closing.set()
        await door.drained(CLOSE_SECONDS_MAX)
        server.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(serving), STOP_SECONDS_MAX)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _server(door: Door, settings: Settings) -> Server:
    return Server(
        door,
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGINL,  # the parts are run here, not by the framework's lifespan
        runtime_threads=RUNTIME_THREADS,
        backpressure=CONNECTIONS_MAX,
        websockets=True,
        log_level=LogLevels.error,
    )


async def _first_of(serving: asyncio.Task[None], stop: asyncio.Event) -> None:
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


async def reload_keys(parts: Parts) -> None:
    """Take a new key of the vault for as long as it runs."""
    while True:
        await asyncio.sleep(KEY_RELOAD_SECONDS)
        await asyncio.to_thread(parts.keys.load)
