"""What a user asked to be replayed, over the stores that the settings name."""

from collections.abc import Sequence
from functools import partial

import msgspec

from events.archive import Archive
from events.log import Log
from events.reader import Reader
from events.redis_log import RedisLog
from events.span import Span, Wanted
from ops.replay import to_live, to_sandbox
from ops.replay.chosen import choose
from ops.replay.merged import Merged
from ops.replay.pace import Pace
from ops.replay.play import Play, Watcher
from projectors.projector import is_tick_stream
from runtime.clock import SystemClock
from runtime.errors import BadInput, SettingError, Unreachable
from runtime.lifecycle import Stop
from runtime.settings import Settings

LIVE, SANDBOX = "live", "sandbox"
LIVE_PORT = 8010  # beside the API's 8000, which may be at work


class Wish(msgspec.Struct, frozen=True):
    """What the user asked for. speed: None is as fast as it goes. clients: so many begin a live one.

    port: None is LIVE_PORT, or the sandbox's.
    """

    to: str
    streams: Sequence[str]
    wanted: Wanted
    speed: float | None
    clients: int = 1
    port: int | None = None


def target(name: str) -> str:
    """Give the name of a target. Raises BadInput for one that is not there."""
    if name not in (LIVE, SANDBOX):
        raise BadInput(f"{LIVE} or {SANDBOX} to replay to", repr(name), "see bahi replay --help")
    return name


async def run(settings: Settings, stop: Stop, wish: Wish, watcher: Watcher) -> int:
    """Replay until it is done, or the stop; give how many events were played.

    Raises SettingError, BadInput, Halt; Unreachable where a server does not answer while the spans are looked up.
    """
    if settings.redis_url is None:
        raise SettingError("REDIS_URL, a server of the log", "nothing", "set it, or start everything with bahi up")
    log = RedisLog.connect(settings.redis_url)
    try:
        spans = await choose(Reader(log, Archive.at(settings)), wish.streams, is_tick_stream, wish.wanted)
        watcher.say(", ".join(f"{span.stream} n = {span.first}..{span.last}" for span in spans))
        return await _to(wish, Source(settings, log, spans, stop, watcher))
    finally:
        await log.close()


class Source(msgspec.Struct, frozen=True):
    """Spans of a log, to be played as often as it takes."""

    settings: Settings
    log: Log
    spans: Sequence[Span]
    stop: Stop
    watcher: Watcher

    def merged(self) -> Merged:
        """Give them from their beginning."""
        make_archive = partial(Archive.at, self.settings)
        return Merged(self.spans, self.log, make_archive, self.stop, self._wait_for)

    def _wait_for(self, error: Unreachable) -> None:
        self.watcher.say(f"waits for {error.wanted}: {error.found}")


async def _to(wish: Wish, source: Source) -> int:
    merged = source.merged()
    play = Play(merged, Pace(SystemClock(), wish.speed), source.watcher, source.stop)
    try:
        if wish.to == LIVE:
            settings = msgspec.structs.replace(source.settings, api_port=wish.port or LIVE_PORT)
            return await to_live.run(settings, source.log, source.spans, play, wish.clients)
        port = source.settings.bahi_sandbox_port if wish.port is None else wish.port
        return await to_sandbox.run(source.settings, port, source.merged, play)
    finally:
        await merged.close()
