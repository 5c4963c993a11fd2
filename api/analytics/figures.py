"""Profit and loss of a part of the trades: what was won, what is open, what it cost; parts add up to the whole.

Realised first in first out and by average cost, from the same closings.
"""

import asyncio
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import msgspec

from api.analytics.marks import OpenBook, OpenLine, total, valued
from api.analytics.wanted import Wanted
from api.performance.exact import CONTEXT, ZERO
from api.prices import Prices, Still
from api.tables import Tables

Key = tuple[str, str]  # account, strategy


class Figures(msgspec.Struct):
    """Rupees. account_id, strategy_id: null where all of them are added up; `none` is what belongs to no strategy.

    realised, realised_average: by closing, before charges; the second is null within a span of days in which lots were
    closed by an older version, until `bahi rebuild accounts`. unrealised, market_value: of what is open now, at the
    prices of now; unpriced: open lines of which nobody told a price, which are left out of these. charges: what the
    trades cost. net_realised: realised - charges. gross: realised + unrealised; net: gross - charges; both null within
    a span. cash_flow, opening_value: for all days, else null; then, with nothing unpriced, realised + unrealised =
    cash_flow + market_value - opening_value.
    """

    account_id: str | None
    strategy_id: str | None
    realised: Decimal = ZERO
    realised_average: Decimal | None = ZERO
    unrealised: Decimal = ZERO
    unrealised_average: Decimal = ZERO
    market_value: Decimal = ZERO
    unpriced: int = 0
    open_lines: int = 0
    charges: Decimal = ZERO
    net_realised: Decimal = ZERO
    gross: Decimal | None = None
    net: Decimal | None = None
    cash_flow: Decimal | None = None
    opening_value: Decimal | None = None
    trades: int = 0
    turnover: Decimal = ZERO


class Reckoned(msgspec.Struct):
    """The figures of each strategy in each account, and what is open."""

    parts: list[Figures]
    open: list[OpenLine]


class Uncharged(msgspec.Struct):
    """A day on which an account's charges on an exchange cannot be reckoned, and why."""

    account_id: str
    day: date
    exchange: str
    error: str


class _Book(msgspec.Struct):
    account_id: str
    strategy_id: str
    realised: Decimal
    realised_average: Decimal | None
    cash_flow: Decimal | None = None
    opening_value: Decimal | None = None


class _Traded(msgspec.Struct):
    account_id: str
    strategy_id: str
    trades: int
    turnover: Decimal
    charges: Decimal


async def reckon(tables: Tables, prices: Prices | Still, wanted: Wanted, *, draft: bool = False) -> Reckoned:
    """Give the figures of each strategy in each account; draft: as they would be if the drafts were applied."""
    asked = {**wanted.asked, "draft": draft}
    books, traded, held = await asyncio.gather(
        tables.rows("api_books" if wanted.is_whole else "api_realised", asked, _Book),
        tables.rows("api_traded", asked, _Traded),
        tables.rows("api_open_books", asked, OpenBook),
    )
    lines = [valued(each, prices) for each in held]
    found: dict[Key, Figures] = {}
    for book in books:
        part = _part(found, book.account_id, book.strategy_id)
        part.realised, part.realised_average = book.realised, book.realised_average
        part.cash_flow, part.opening_value = book.cash_flow, book.opening_value
    for row in traded:
        part = _part(found, row.account_id, row.strategy_id)
        part.trades, part.turnover, part.charges = row.trades, row.turnover, row.charges
    for line in lines:
        _open(_part(found, line.account_id, line.strategy_id), line)
    return Reckoned([_ended(part, wanted) for _, part in sorted(found.items())], lines)


def added(parts: Iterable[Figures], account_id: str | None, strategy_id: str | None) -> Figures:
    """Add up parts, exactly; of none it is nothing won and nothing open."""
    listed = list(parts)
    whole = Figures(account_id, strategy_id)
    for name in ("realised", "unrealised", "unrealised_average", "market_value", "charges", "net_realised", "turnover"):
        setattr(whole, name, total([getattr(part, name) for part in listed]))
    for name in ("realised_average", "gross", "net", "cash_flow", "opening_value"):
        told = [getattr(part, name) for part in listed]
        setattr(whole, name, None if None in told else total(told))
    for name in ("unpriced", "open_lines", "trades"):
        setattr(whole, name, sum(getattr(part, name) for part in listed))
    return whole


def by(parts: Iterable[Figures], field: str) -> list[Figures]:
    """Add up parts by account (`account_id`) or by strategy (`strategy_id`), in the order of these."""
    groups: dict[str, list[Figures]] = {}
    for part in parts:
        groups.setdefault(getattr(part, field), []).append(part)
    return [
        added(group, name if field == "account_id" else None, name if field == "strategy_id" else None)
        for name, group in sorted(groups.items())
    ]


def _part(found: dict[Key, Figures], account_id: str, strategy_id: str) -> Figures:
    return found.setdefault((account_id, strategy_id), Figures(account_id, strategy_id))


def _open(part: Figures, line: OpenLine) -> None:
    part.open_lines += 1
    part.unpriced += line.market_value is None
    part.unrealised = total([part.unrealised, line.unrealised])
    part.unrealised_average = total([part.unrealised_average, line.unrealised_average])
    part.market_value = total([part.market_value, line.market_value])


def _ended(part: Figures, wanted: Wanted) -> Figures:
    part.net_realised = CONTEXT.subtract(part.realised, part.charges)
    if wanted.is_whole:
        part.gross = CONTEXT.add(part.realised, part.unrealised)
        part.net = CONTEXT.subtract(part.gross, part.charges)
    return part
