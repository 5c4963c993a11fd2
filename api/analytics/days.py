"""Results by IST day (and by account or strategy), the equity curve with the calendar, volume by hour."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api import paging
from api.analytics.wanted import WANTED, Now, Wanted, checked
from api.performance import Day, EquityPoint, calendar, equity_curve
from api.tables import Tables
from runtime.calendar import covered_years, session
from runtime.errors import BadInput

PAGE_DEFAULT, PAGE_MAX = 1000, 10_000  # forty years of one strategy; 10,000 rows are about 2 MB
SESSIONS_OF = "NSE"  # days on which nothing was traded count by its calendar; others hardly differ
CAPITAL_MAX = Decimal(10) ** 15  # rupees: more than all of India's shares are worth; squares of it still fit
Split = Literal["account", "strategy", "both"]


class DayResult(msgspec.Struct):
    """A day: what was won by what was closed on it, what its trades cost, and how many they were.

    account_id, strategy_id: null where `by` does not tell them apart. realised: first in first out. realised_average:
    by average cost; null as it is in `Figures`. net: realised - charges. turnover: rupees.
    """

    day: date
    account_id: str | None
    strategy_id: str | None
    realised: Decimal
    realised_average: Decimal | None
    charges: Decimal
    net: Decimal
    trades: int
    turnover: Decimal


class DayPage(msgspec.Struct):
    """Days with trades or results, the first one first; `next` is the cursor of the page behind, null on the last."""

    days: list[DayResult]
    next: str | None


class HourVolume(msgspec.Struct):
    """An hour of Indian time: trades in it and their value in rupees."""

    hour: datetime
    trades: int
    value: Decimal


class HourPage(msgspec.Struct):
    """Hours with trades, the first one first; `next` is the cursor of the page behind it, null on the last."""

    hours: list[HourVolume]
    next: str | None


class EquityCurve(msgspec.Struct):
    """Where each session ended: net results added up from the first one of the span, from `capital` on, or from 0.

    calendar: the same results by month and day. Only what was realised, less charges: what is open has no results yet.
    """

    points: list[EquityPoint]
    calendar: dict[str, dict[str, Decimal]]
    capital: Decimal | None


@get("/api/analytics/daily-pnl", summary="Profit and loss by day", tags=["analytics"], dependencies=WANTED)
async def list_days(
    tables: NamedDependency[Tables],
    wanted: NamedDependency[Wanted],
    by: FromQuery[Split | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> DayPage:
    """Give results by day; `by=strategy`, `account` or `both` tells these apart."""
    await checked(tables, wanted)
    after = paging.from_word(cursor, tuple[date, str, str]) if cursor else None
    if after:  # the days before it are on the pages before it
        wanted = msgspec.structs.replace(wanted, first=after[0])
    found = [each for each in await read_days(tables, wanted, by) if after is None or _place(each) > after]
    more = paging.to_word(_place(found[limit - 1])) if len(found) > limit else None
    return DayPage(found[:limit], more)


@get("/api/analytics/hourly-volume", summary="Volume by hour", tags=["analytics"], dependencies=WANTED)
async def list_hours(
    tables: NamedDependency[Tables],
    wanted: NamedDependency[Wanted],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> HourPage:
    """Give how much was traded in each hour."""
    await checked(tables, wanted)
    after = paging.from_word(cursor, datetime) if cursor else None
    found = await tables.rows("api_hours", {**wanted.asked, "after": after, "limit": limit + 1}, HourVolume)
    return HourPage(found[:limit], paging.to_word(found[limit - 1].hour) if len(found) > limit else None)


@get("/api/analytics/equity-curve", summary="Equity curve and calendar", tags=["analytics"], dependencies=WANTED)
async def show_equity(
    tables: NamedDependency[Tables],
    now: NamedDependency[Now],
    wanted: NamedDependency[Wanted],
    capital: FromQuery[Decimal | None] = None,
) -> EquityCurve:
    """Give the equity after each session, from the first day of the span, or of the trades, to the last, or today."""
    await checked(tables, wanted)
    days = in_sessions(await read_days(tables, wanted, None), wanted, now.day)
    return EquityCurve(equity_curve(days, checked_capital(capital)), calendar(days), capital)


async def read_days(tables: Tables, wanted: Wanted, by: Split | None) -> list[DayResult]:
    """Give results by day, and by account or strategy where they are to be told apart."""
    split = {"by_account": by in ("account", "both"), "by_strategy": by in ("strategy", "both")}
    return await tables.rows("api_days", {**wanted.asked, **split}, DayResult)


def in_sessions(results: list[DayResult], wanted: Wanted, today: date) -> list[Day]:
    """Give the net result of each session of the span up to today, 0 where nothing was traded.

    Of a year that the calendar does not cover only days with trades are known to be sessions. Only covered years are
    gone through: a span of all years that there are would hold up every other request for a minute.
    """
    found = {each.day: each.net for each in results}
    first, last = wanted.first or min(found, default=None), wanted.last or max(found, default=None)
    if first is None or last is None:
        return []
    for year in covered_years():
        begins, ends = max(first, date(year, 1, 1)), min(last, today, date(year, 12, 31))
        for ordinal in range(begins.toordinal(), ends.toordinal() + 1):
            day = date.fromordinal(ordinal)
            if day not in found and session(SESSIONS_OF, day) is not None:
                found[day] = Decimal(0)
    return [Day(day, net) for day, net in sorted(found.items())]


def checked_capital(capital: Decimal | None) -> Decimal | None:
    """Give the capital. Raises BadInput for one that nobody has."""
    if capital is not None and not (capital.is_finite() and 0 < capital <= CAPITAL_MAX):
        raise BadInput(f"`capital` above 0, up to {CAPITAL_MAX:f} rupees", str(capital)[:40], "correct it")
    return capital


def _place(row: DayResult) -> tuple[date, str, str]:
    return row.day, row.account_id or "", row.strategy_id or ""
