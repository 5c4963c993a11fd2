"""Keep ticks for as many days as the user wants, and no longer: a look now and then, beside the projectors."""

from runtime.errors import BahiError, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from sql.retention import drop_tick_days, forget_volumes

LOOK_SECONDS = 600.0  # a day more or less is a matter of hours; a look is a few milliseconds
VOLUME_DAYS = 30  # counted back from the newest receipt: ticks that come later than that for a day are a replay's
RETRY_SECONDS = 30.0  # somebody reads what would be dropped, or the database is away

_log = get("retention")


async def run(database_url: str, days: int, stop: Stop) -> None:
    """Drop what is past retention until the stop. Several may do so at once."""
    while not stop.is_set():
        await stop.pause(await look(database_url, days))


async def look(database_url: str, days: int) -> float:
    """Drop what is past retention; give after how many seconds to look again."""
    try:
        for part in await drop_tick_days(database_url, days):
            _log.info("retention.dropped", ticks=part, days=days)
        if counters := await forget_volumes(database_url, VOLUME_DAYS):
            _log.info("retention.forgot", counters=counters, days=VOLUME_DAYS)
    except Unreachable as error:
        _log.warning("retention.waits", wanted=error.wanted, found=error.found)
        return RETRY_SECONDS
    except BahiError as error:  # somebody's view on a day, say: the projectors beside it go on
        _log.error("retention.fails", wanted=error.wanted, found=error.found, remedy=error.remedy)
    return LOOK_SECONDS
