"""What a user asked to be replayed, over the stores that the settings name."""

from collections.abc import Sequence

import msgspec

from events.archive import Archive
from events.log import Log
from events.reader import Reader
from events.redis_log import RedisLog
from events.span import Span, Wanted
from ops.replay import to_live, to_sandbox, to_schema
from ops.replay.chosen import choose
from ops.replay.merged import Merged
from ops.replay.pace import Pace
from ops.replay.play import Play, Watcher
from projectors.catalogue import PROJECTIONS
from projectors.projector import Projection, is_tick_stream
from runtime.clock import SystemClock
from runtime.errors import BadInput, SettingError, Unreachable
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql import migrate
from sql.replays import PREFIX, Stage

LIVE, SANDBOX = "live", "sandbox"
LIVE_PORT = 8010  # beside the API's 8000, which may be at work


def usual_speed(target: str) -> str:
    """Give the speed where a user says none: tables are not looked at while they fill."""
    return "max" if target in PROJECTIONS else "1"


class Wish(msgspec.Struct, frozen=True):
    """What the user asked for. speed: None is as fast as it goes. clients: so many begin a live one.

    port: None is LIVE_PORT, or the sandbox's. schema: of a projection's tables; None is called after it.
    """

    to: str
    streams: Sequence[str]
    wanted: Wanted
    speed: float | None
    clients: int = 1
    port: int | None = None
    schema: str | None = None

    @property
    def projection(self) -> Projection | None:
        """Give the projection that it is for, if it is for one."""
        return PROJECTIONS.get(self.to)


def check_target(name: str, schema: str | None) -> None:
    """Raise BadInput for a target that is not there, and for a schema where none is filled."""
    if name not in (LIVE, SANDBOX, *PROJECTIONS):
        wanted = f"{LIVE}, {SANDBOX} or a projection ({', '.join(PROJECTIONS)}) to replay to"
        raise BadInput(wanted, repr(name), "see bahi replay --help")
    if schema is not None and name not in PROJECTIONS:
        raise BadInput("--schema with a projection", f"{name}, which fills no tables", "leave --schema out")


async def run(settings: Settings, stop: Stop, wish: Wish, watcher: Watcher) -> int:
    """Replay until it is done, or the stop; give how many events were played.

    Raises SettingError, BadInput, Halt; Unreachable where a server does not answer while the spans are looked up.
    """
    if settings.redis_url is None or settings.database_url is None:
        raise SettingError("REDIS_URL and DATABASE_URL", "one is not set", "run bahi up, or set both")
    log = RedisLog.connect(settings.redis_url)
    try:
        wants = is_tick_stream if wish.projection is None else wish.projection.wants
        spans = await choose(Reader(log, Archive.at(settings)), wish.streams, wants, wish.wanted)
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
        return Merged(self.spans, self.log, self.make_archive, self.stop, self._wait_for)

    def make_archive(self) -> Archive:
        """Give an archive that nobody else reads."""
        return Archive.at(self.settings)

    def _wait_for(self, error: Unreachable) -> None:
        self.watcher.say(f"waits for {error.wanted}: {error.found}")


async def _to(wish: Wish, source: Source) -> int:
    merged = source.merged()
    play = Play(merged, Pace(SystemClock(), wish.speed), source.watcher, source.stop)
    try:
        if wish.projection is not None:
            return await _project(wish, wish.projection, source, play)
        if wish.to == LIVE:
            settings = msgspec.structs.replace(source.settings, api_port=wish.port or LIVE_PORT)
            return await to_live.run(settings, source.log, source.spans, play, wish.clients)
        port = source.settings.bahi_sandbox_port if wish.port is None else wish.port
        return await to_sandbox.run(source.settings, port, source.merged, play)
    finally:
        await merged.close()


async def _project(wish: Wish, projection: Projection, source: Source, play: Play) -> int:
    url = source.settings.database_url
    assert url is not None, "looked at before"
    await migrate.run(url)
    stage = Stage(url, wish.schema or PREFIX + projection.name, projection.name, projection.tables)
    return await to_schema.run(stage, projection, source.spans, play, source.log, source.make_archive)
