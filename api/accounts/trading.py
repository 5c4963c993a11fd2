"""Orders and trades of an account: lists, and one order with its history."""

from datetime import date, datetime, time

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from api import paging
from api.accounts.known import Answers
from api.accounts.shown import Order, OrderPage, OrderState, OrderStory, Trade, TradePage
from api.accounts.wanted import ORDERS, TRADES, Parameters, order_filter
from api.accounts.wish import PAGED, SPANNED, Page, Span
from api.answers import NotFound
from runtime.calendar import IST

ORDER_TRADES_MAX = 1000  # of one order: a full freeze quantity, filled lot by lot, has fewer
_FIRST_ORDER = {"after_day": None, "after_order": None}


@get("/accounts/{account:str}/orders", summary="Orders", tags=["accounts"], dependencies=PAGED | SPANNED | ORDERS)
async def list_orders(
    answers: NamedDependency[Answers],
    account: FromPath[str],
    wanted: NamedDependency[Parameters],
    span: NamedDependency[Span],
    page: NamedDependency[Page],
) -> OrderPage:
    """Give an account's orders of all days, the newest first, each in its newest state."""
    said = await answers.told(account, "orders", page)
    place = paging.from_word(page.cursor, tuple[date, str]) if page.cursor else (None, None)
    asked = {"after_day": place[0], "after_order": place[1], **wanted, **span.asked}
    found = await answers.page("api_orders", account, page, asked, Order)
    if found.more:
        said.next = paging.to_word((found.rows[-1].day, found.rows[-1].order_id))
    return OrderPage(**msgspec.structs.asdict(said), orders=found.rows)


@get("/accounts/{account:str}/orders/{order_id:str}", summary="One order with its history", tags=["accounts"])
async def show_order(
    answers: NamedDependency[Answers],
    account: FromPath[str],
    order_id: FromPath[str],
    day: FromQuery[date | None] = None,
) -> OrderStory:
    """Give an order, the states in which it was seen, and its trades; of two days' orders of one number the newer."""
    said = await answers.told(account, "orders")
    span = Span(*(datetime.combine(day, at, IST) if day else None for at in (time.min, time.max)))
    asked = {**_FIRST_ORDER, **order_filter(order_id=order_id), **span.asked}
    orders = (await answers.page("api_orders", account, Page(1, None, raw=True), asked, Order)).rows
    if not orders:
        raise NotFound(f"an order of {account}", repr(order_id[:60]), f"GET /accounts/{account}/orders lists them")
    (order,) = orders
    key = {"account": account, "day": order.day, "order_id": order_id}
    history = await answers.tables.rows("api_order_history", key, OrderState)
    trades = await answers.tables.rows("api_order_trades", {**key, "limit": ORDER_TRADES_MAX}, Trade)
    return OrderStory(**msgspec.structs.asdict(said), order=order, history=history, trades=trades)


@get("/accounts/{account:str}/trades", summary="Trades", tags=["accounts"], dependencies=PAGED | SPANNED | TRADES)
async def list_trades(
    answers: NamedDependency[Answers],
    account: FromPath[str],
    wanted: NamedDependency[Parameters],
    span: NamedDependency[Span],
    page: NamedDependency[Page],
) -> TradePage:
    """Give an account's trades of all days, the newest first."""
    said = await answers.told(account, "trades", page)
    place = paging.from_word(page.cursor, tuple[datetime, str, str, str]) if page.cursor else (None,) * 4
    after = dict(zip(("after_time", "after_exchange", "after_order", "after_trade"), place, strict=True))
    found = await answers.page("api_trades", account, page, {**after, **wanted, **span.asked}, Trade)
    if found.more:
        last = found.rows[-1]
        said.next = paging.to_word((last.time, last.exchange, last.order_id, last.trade_id))
    return TradePage(**msgspec.structs.asdict(said), trades=found.rows)
