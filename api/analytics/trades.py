"""Trades with what came of them: whose each is, what it cost, and what was won by what it closed."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import paging
from api.analytics.wanted import WANTED, Wanted, checked
from api.tables import Tables

PAGE_DEFAULT, PAGE_MAX = 100, 1000


class TradeResult(msgspec.Struct):
    """A trade. value: quantity x price x multiplier. strategy_id: `none` where it is nobody's.

    charges: null where they cannot be reckoned. realised: what was won by the lots that it closed, first in first out,
    before charges; null where it closed nothing: a trade that opens has no profit and no loss yet.
    """

    account_id: str
    day: date
    exchange: str
    order_id: str
    trade_id: str
    time: datetime
    tradingsymbol: str
    instrument_token: int | None
    product: str
    side: str
    quantity: Decimal
    price: Decimal
    value: Decimal
    strategy_id: str
    strategy_reason: str
    segment: str | None
    charges: Decimal | None
    realised: Decimal | None


class TradeResultPage(msgspec.Struct):
    """Trades, the newest first; `next` is the cursor of the page behind it, null on the last."""

    trades: list[TradeResult]
    next: str | None


@get(
    "/analytics/strategy/{strategy:str}/trades", summary="Trades of a strategy", tags=["analytics"], dependencies=WANTED
)
async def strategy_trades(
    tables: NamedDependency[Tables],
    wanted: NamedDependency[Wanted],
    strategy: FromPath[str],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> TradeResultPage:
    """Give a strategy's trades in all accounts or in `account_id`; `none` for what belongs to none."""
    return await _page(tables, msgspec.structs.replace(wanted, strategy=strategy), limit, cursor)


@get("/api/analytics/trades", summary="Trades with their results", tags=["analytics"], dependencies=WANTED)
async def all_trades(
    tables: NamedDependency[Tables],
    wanted: NamedDependency[Wanted],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> TradeResultPage:
    """Give all trades, or those of `account_id` and `strategy_id`."""
    return await _page(tables, wanted, limit, cursor)


async def _page(tables: Tables, wanted: Wanted, limit: int, cursor: str | None) -> TradeResultPage:
    await checked(tables, wanted)
    place = paging.from_word(cursor, tuple[datetime, str, str, str, str]) if cursor else (None,) * 5
    names = ("after_time", "after_account", "after_exchange", "after_order", "after_trade")
    asked = {**wanted.asked, **dict(zip(names, place, strict=True)), "limit": limit + 1}
    found = await tables.rows("api_told_trades", asked, TradeResult)
    page = found[:limit]
    if len(found) <= limit:
        return TradeResultPage(page, None)
    last = page[-1]
    return TradeResultPage(
        page, paging.to_word((last.time, last.account_id, last.exchange, last.order_id, last.trade_id))
    )
