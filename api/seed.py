"""Prices for a quiet market: each instrument's last day from the database, until its first tick.

What comes from candles has no book and no average price; those are null.
"""

import msgspec
import numpy as np

from api.prices import Prices
from api.quotes import FROM_CANDLES
from api.tables import Tables
from events.decode.tick import TICK, Ticks
from runtime.errors import BahiError, Unreachable
from runtime.log import get
from runtime.waiting import Backoff

DAYS = 5  # over a long weekend; an instrument that was not traded for longer has no price that helps

_log = get("seed")


class LastDay(msgspec.Struct):
    """An instrument's last day by its candles. close: of the day before, 0 where it is not known."""

    instrument_token: int
    time_ns: int
    open: float
    high: float
    low: float
    last_price: float
    close: float
    volume: int
    oi: int


async def seed(tables: Tables, prices: Prices) -> None:
    """Fill prices from the database, as soon as it answers."""
    backoff = Backoff()
    while True:
        try:
            days = await tables.rows("api_last_days", {"days": DAYS}, LastDay)
        except Unreachable:
            await backoff.wait()
            continue
        except BahiError as error:
            _log.error("seed_failed", wanted=error.wanted, found=error.found)
            return
        prices.put(_rows(days))
        _log.info("seeded", instruments=len(days))
        return


def _rows(days: list[LastDay]) -> Ticks:
    rows = np.zeros(len(days), TICK)
    rows["kind"] = FROM_CANDLES
    for field in ("instrument_token", "time_ns", "open", "high", "low", "last_price", "close", "volume", "oi"):
        rows[field] = [getattr(day, field) for day in days]
    rows["at_ns"] = rows["time_ns"]
    return rows
