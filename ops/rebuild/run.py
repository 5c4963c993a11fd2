"""One projection after the other, over the stores that the settings name."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from events.archive import Archive
from events.redis_log import RedisLog
from projectors.projector import Projection
from projectors.rebuild import Outcome, Plan, Rebuild, Watcher
from runtime.clock import SystemClock
from runtime.errors import SettingError
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql import migrate


class Wish(msgspec.Struct, frozen=True):
    """What the user asked for. swap: put the new tables in place. restart: throw away what was left unfinished."""

    projections: Sequence[Projection]
    swap: bool = True
    restart: bool = False


async def run(
    settings: Settings, stop: Stop, wish: Wish, watch: Callable[[Projection], Watcher], done: Callable[[Outcome], None]
) -> None:
    """Rebuild each projection, telling what became of it. Raises SettingError, BadInput, Halt, Stopped."""
    if settings.redis_url is None or settings.database_url is None:
        raise SettingError("REDIS_URL and DATABASE_URL", "one is not set", "run bahi up, or set both")
    await migrate.run(settings.database_url)
    log = RedisLog.connect(settings.redis_url)
    make_archive = partial(Archive.at, settings)
    try:
        for each in wish.projections:
            plan = Plan(each, settings.database_url, settings.tick_retention_days, wish.swap, wish.restart)
            done(await Rebuild(plan, log, make_archive, SystemClock(), watch(each), stop).run())
    finally:
        await log.close()
