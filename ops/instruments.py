"""`bahi instruments sync`: ask for the broker's list of instruments, and wait until it is in the log."""

import asyncio
import time

import msgspec

from events import codec
from events.messages import InstrumentsDump, unpack
from events.redis_log import RedisLog
from ops import own_api
from ops.embedded.discover import connect_settings
from producers.instruments import STREAM
from runtime.settings import Settings

WAIT_SECONDS_MAX = 60.0
"""The REST worker looks twice a second, and Kite's dump of 7 MB takes seconds; more means that it cannot get it."""

BLOCK_MS = 500


class Accepted(msgspec.Struct):
    """The API's answer."""

    request: int
    stream: str


async def sync(settings: Settings, *, wait: bool) -> str:
    """Ask for the list; return what came of it, in words. Raises as `own_api.ask`."""
    redis_url = connect_settings(settings, ()).redis_url if wait else None
    if redis_url is None:
        return _taken(await _ask(settings))
    log = RedisLog.connect(redis_url)
    try:
        before, _ = await log.last(STREAM)
        taken = await _ask(settings)
        dump = await _arrived(log, before)
    finally:
        await log.close()
    if dump is None:
        return f"{_taken(taken)}, and has not yet: what it says tells why"
    return f"{dump.rows:,} instruments of {dump.broker}, the list of {dump.day}, are in the log"


async def _ask(settings: Settings) -> Accepted:
    answer = await asyncio.to_thread(own_api.ask, settings, "POST", "/api/instruments/sync")
    return msgspec.json.decode(answer, type=Accepted)


def _taken(taken: Accepted) -> str:
    return f"request {taken.request} of {taken.stream} is in the log; bahi sync carries it out"


async def _arrived(log: RedisLog, after: int) -> InstrumentsDump | None:
    """Wait for the end of a dump behind n = after."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        for entry in await log.read(STREAM, after, block_ms=BLOCK_MS):
            event = codec.decode(STREAM, entry)
            after = event.n
            if event.type == "instruments.dump.v1":
                return unpack(event, InstrumentsDump)
    return None
