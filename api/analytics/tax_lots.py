"""Tax lots of an account by financial year, as CSV or JSON: all its trades, matched as the tax law wants it.

Each answer matches the whole history anew: a lot that is sold this year was bought in any year before.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import paging
from api.accounts.known import unknown
from api.analytics.wanted import begins
from api.decisions.actions import CorporateAction
from api.decisions.taken import is_account
from api.digits import ExactResponse
from api.tables import Tables
from money.pnl import Action, EntryId, Fill, Opening, Row, Total, Traded, in_csv, reckon, totals
from money.pnl.entry import exact, of_ratio
from runtime.errors import BadInput

PAGE_DEFAULT, PAGE_MAX = 1000, 10_000  # of JSON; a CSV has the whole year
YEAR = re.compile(r"(20\d\d)-(\d\d)")
TRADE_TO_TRADE = ("-BE", "-BZ")  # how Kite's symbols of the NSE's series end in which every trade is delivered
ACTIONS_MAX = 100_000  # all there are: a few a day in all of India
Method = Literal["fifo", "lifo"]
Symbol = tuple[str, str]  # exchange, tradingsymbol

_one_at_a_time = asyncio.Semaphore(1)  # it takes a processor for seconds where there are 100,000 trades


class TaxLots(msgspec.Struct):
    """Tax lots of a financial year, or of all: a page of rows, and the totals of all of them by line of the return.

    Gains are before charges, and nothing here is advice. lawful: whether the method is the law's.
    """

    rows: list[Row]
    next: str | None
    account_id: str
    fy: str | None
    method: Method
    lawful: bool
    totals: list[Total]


class _Trade(msgspec.Struct):
    day: date
    exchange: str
    order_id: str
    trade_id: str
    time: datetime
    tradingsymbol: str
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    price: Decimal
    multiplier: Decimal


class _Opening(msgspec.Struct):
    day: date
    exchange: str
    tradingsymbol: str
    product: str
    quantity: Decimal
    price: Decimal
    multiplier: Decimal


class _Isin(msgspec.Struct):
    exchange: str
    tradingsymbol: str
    isin: str


@get("/analytics/account/{account:str}/tax-lots", summary="Tax lots by financial year", tags=["analytics"])
async def show_tax_lots(
    tables: NamedDependency[Tables],
    account: FromPath[str],
    fy: FromQuery[str | None] = None,
    method: FromQuery[Method] = "fifo",
    shape: Annotated[Literal["csv", "json"], QueryParameter(name="format")] = "csv",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> Response[object]:
    """Give an account's matches of a year (`fy=2026-27`), or of all years; `method=lifo` for the record only."""
    year = _year(fy) if fy else None
    place = paging.from_word(cursor, int) if cursor else 0
    if not await is_account(tables, account):
        raise unknown(account)
    history = await _history(tables, account)
    async with _one_at_a_time:
        reckoned = await asyncio.to_thread(reckon, history, method)
    rows = [row for row in reckoned.rows if year is None or row.financial_year == year]
    if shape == "csv":
        name = f"tax-lots-{account}-{year or 'all'}-{method}.csv"
        return Response(
            in_csv(rows), media_type="text/csv", headers={"content-disposition": f'attachment; filename="{name}"'}
        )
    end = place + limit
    told = TaxLots(
        rows=rows[place:end],
        next=paging.to_word(end) if end < len(rows) else None,
        account_id=account,
        fy=year,
        method=method,
        lawful=method == "fifo",
        totals=totals(rows),
    )
    return ExactResponse(told)


def _year(text: str) -> str:
    found = YEAR.fullmatch(text.strip())
    if not found or (int(found[1]) + 1) % 100 != int(found[2]):
        raise BadInput("`fy` as 2026-27, from April to March", repr(text[:20]), "correct it, or leave it out for all")
    return text.strip()


async def _history(tables: Tables, account: str) -> list[Traded]:
    """Give all that an account's lots are made of."""
    asked = {"account": account}
    trades, openings, known = await asyncio.gather(
        tables.rows("api_history", asked, _Trade),
        tables.rows("api_openings", asked, _Opening),
        tables.rows("api_isins", {}, _Isin),
    )
    nothing = dict.fromkeys(("action", "exchange", "tradingsymbol", "after"))
    actions = await tables.rows("api_corporate_actions", {**nothing, "limit": ACTIONS_MAX}, CorporateAction)
    isins = {(each.exchange, each.tradingsymbol): each.isin for each in known}
    told = [_traded(_fill(each), each.tradingsymbol, isins) for each in trades]
    told += [_traded(_opening(each), each.tradingsymbol, isins) for each in openings]
    return [*told, *_actions(actions, told, isins)]


def _actions(actions: Iterable[CorporateAction], told: Iterable[Traded], isins: dict[Symbol, str]) -> Iterator[Traded]:
    """Give the actions of what was held, each once for a scrip: it may be told for both exchanges."""
    held = {each.scrip for each in told}
    seen: dict[tuple[str, str], set[tuple[date, str, int, int]]] = defaultdict(set)
    for each in actions:
        action = of_ratio(
            EntryId(each.day, each.exchange, "", each.action_id), each.kind, each.ratio_old, each.ratio_new
        )
        traded = _traded(action, each.tradingsymbol, isins)
        what = (each.day, each.kind, each.ratio_old, each.ratio_new)
        if traded.scrip in held and what not in seen[traded.scrip]:
            seen[traded.scrip].add(what)
            yield traded


def _traded(entry: Fill | Opening | Action, symbol: str, isins: dict[Symbol, str]) -> Traded:
    return Traded(
        entry, symbol, isins.get((entry.id.exchange, symbol), ""), trade_to_trade=symbol.endswith(TRADE_TO_TRADE)
    )


def _fill(row: _Trade) -> Fill:
    known = EntryId(row.day, row.exchange, row.order_id, row.trade_id)
    return Fill(known, row.time.astimezone(UTC), row.side, exact(row.quantity), exact(row.price), row.multiplier)


def _opening(row: _Opening) -> Opening:
    """Give a first lot: it was there when its day began, by an id that no product shares."""
    known = EntryId(row.day, row.exchange, "", f"opening {row.product}")
    at = begins(row.day).astimezone(UTC)
    return Opening(known, at, exact(row.quantity), exact(row.price), row.multiplier)
