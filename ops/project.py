"""`bahi project`: a loop for each pair (projector, stream), for the streams that are there and those that come."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from events.archive import Archive
from events.reader import Reader
from events.redis_log import RedisLog
from ops import retention
from ops.trace import Trace
from projectors.catalogue import chosen
from projectors.loop import Loop
from projectors.projector import Projection
from projectors.ticks import TICKS
from runtime.clock import SystemClock
from runtime.complaints import Complaints
from runtime.errors import SettingError, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.settings import Settings
from sql.store import Store

LOOK_SECONDS = 1.0  # a new stream's rows are there within this of its first event

_complaints = Complaints(get("project"))


async def run(settings: Settings, stop: Stop, names: Sequence[str], trace: Path | None = None) -> None:
    """Run projectors by these names, all for none, until the stop. trace: a file for the times of all commits."""
    projections = chosen(names)
    if settings.redis_url is None or settings.database_url is None:
        raise SettingError("REDIS_URL and DATABASE_URL", "one is not set", "run bahi up, or set both")
    log = RedisLog.connect(settings.redis_url)
    archive = Archive.at(settings)
    running: dict[tuple[str, str], asyncio.Task[None]] = {}
    tracing = Trace(trace, SystemClock()) if trace else None
    followers: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as tasks:
        if TICKS in projections:
            tasks.create_task(retention.run(settings.database_url, settings.tick_retention_days, stop))
        while not stop.is_set():
            for projection, stream in await _pairs(projections, Reader(log, archive)):
                pair = (projection.name, stream)
                if pair in running:
                    continue
                store = Store(settings.database_url)
                loop = Loop(projection, stream, store, Reader(log, archive), SystemClock(), log, stop)
                running[pair] = tasks.create_task(loop.run())
                if tracing:
                    followers.append(tasks.create_task(tracing.follow(loop)))
            await stop.pause(LOOK_SECONDS)
        for follower in followers:
            follower.cancel()
    if tracing:
        tracing.close()
    await log.close()


async def _pairs(projections: list[Projection], reader: Reader) -> list[tuple[Projection, str]]:
    try:
        streams = await reader.streams()
    except Unreachable as error:
        _complaints.say("project.waits", wanted=error.wanted, found=error.found, remedy=error.remedy)
        return []
    _complaints.heal("project.waits")
    return [(projection, stream) for projection in projections for stream in streams if projection.wants(stream)]
