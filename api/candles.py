"""Candles of one instrument, paged by time."""

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api import paging
from api.moment import moment
from api.tables import Tables
from runtime.errors import BadInput

PAGE_DEFAULT, PAGE_MAX = 1000, 10_000  # 10,000 candles are about 1.5 MB: a month of minutes
# What is meant where `from` is left out: about one full page that a chart can show.
SPANS = {
    "1m": timedelta(days=1),
    "5m": timedelta(days=5),
    "15m": timedelta(days=15),
    "1h": timedelta(days=60),
    "1d": timedelta(days=730),
}

Interval = Literal["1m", "5m", "15m", "1h", "1d"]


class Candle(msgspec.Struct):
    """One candle. bucket: its beginning. coverage: received part, 0 to 1. source: ticks, history, mixed."""

    bucket: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    oi: int | None
    coverage: float
    source: str


class CandlePage(msgspec.Struct):
    """A page of candles, oldest first; `next` is the cursor of the one behind it, null on the last."""

    candles: list[Candle]
    next: str | None


@get("/api/historical/candles", summary="Candles of one instrument", tags=["market data"])
async def list_candles(
    tables: NamedDependency[Tables],
    instrument_token: Annotated[int, QueryParameter(ge=1)],
    interval: FromQuery[Interval] = "1m",
    start: Annotated[str | None, QueryParameter(name="from")] = None,
    end: Annotated[str | None, QueryParameter(name="to")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> CandlePage:
    """Give candles whose beginning lies in [from, to], both included; a time without offset is Indian time."""
    to = moment("to", end, time.max) if end else datetime.now(UTC)
    since = moment("from", start, time.min) if start else to - SPANS[interval]
    if start and end and since > to:
        raise BadInput("`from` before `to`", f"{start[:60]} after {end[:60]}", "swap them")
    if cursor:
        since = max(since, paging.from_word(cursor, datetime) + timedelta(microseconds=1))
    parameters = {"instrument_token": instrument_token, "from": since, "to": to, "limit": limit + 1}
    found = await tables.rows(f"api_candles_{interval}", parameters, Candle)
    page = found[:limit]
    return CandlePage(page, paging.to_word(page[-1].bucket) if len(found) > limit else None)
