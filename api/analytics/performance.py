"""How well an account traded over a period, and how its trades and their results are spread."""

import asyncio
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from api.analytics.days import DayResult, checked_capital, in_sessions, read_days
from api.analytics.marks import total
from api.analytics.wanted import WANTED, Now, Wanted, checked, over
from api.performance import Bin, Daily, Trips, histogram, of_days, of_trips
from api.performance.exact import ZERO
from api.tables import Tables
from runtime.errors import BadInput

PERIOD = "7d"
SYMBOLS_MAX = 100  # shown by their value; the rest is added up under `others`
RISK_FREE_MAX = Decimal(1)  # 100 % a year: 6 instead of 0.06 is a slip of the pen
DIMENSIONS = ("hour", "weekday", "symbol", "exchange", "product", "side", "strategy")


class Performance(msgspec.Struct):
    """Figures of the span `from` to `to` (null: from the first trade on, to the last).

    trips: of the round trips that ended in it, net of their trades' charges. days: of the net results of its sessions;
    those of returns need `capital`. realised, charges, net, trades, turnover: of the span.
    """

    account_id: str
    strategy_id: str | None
    first: date | None = msgspec.field(name="from")
    last: date | None = msgspec.field(name="to")
    capital: Decimal | None
    risk_free: Decimal
    trades: int
    unique_symbols: int
    turnover: Decimal
    realised: Decimal
    charges: Decimal
    net: Decimal
    trips: Trips
    days: Daily


class Part(msgspec.Struct):
    """A part of the trades: how many, and their value in rupees. name: `10:00` for 10 to 11, `1` for Monday."""

    name: str
    trades: int
    value: Decimal


class Distribution(msgspec.Struct):
    """How the trades of the span are spread, by IST hour, weekday, and so on; and the results of its round trips.

    symbols: the 100 of the highest value, `others` for the rest. results: net of the trades' charges, in rupees.
    """

    account_id: str
    strategy_id: str | None
    first: date | None = msgspec.field(name="from")
    last: date | None = msgspec.field(name="to")
    trades: int
    value: Decimal
    hours: list[Part]
    weekdays: list[Part]
    symbols: list[Part]
    exchanges: list[Part]
    products: list[Part]
    sides: list[Part]
    strategies: list[Part]
    results: list[Bin]


class _Spread(msgspec.Struct):
    dimension: str
    name: str
    trades: int
    value: Decimal


class _Nets(msgspec.Struct):
    nets: list[Decimal]


class _Count(msgspec.Struct):
    symbols: int


@get(
    "/analytics/account/{account:str}/performance",
    summary="How well an account traded",
    tags=["analytics"],
    dependencies=WANTED,
)
async def show_performance(
    tables: NamedDependency[Tables],
    now: NamedDependency[Now],
    wanted: NamedDependency[Wanted],
    account: FromPath[str],
    period: FromQuery[str] = PERIOD,
    capital: FromQuery[Decimal | None] = None,
    risk_free: FromQuery[Decimal] = ZERO,
) -> Performance:
    """Give figures of round trips and of days; `period=7d`, `4w`, `3m`, `1y`, `all`, or `from` and `to`."""
    if not (risk_free.is_finite() and abs(risk_free) <= RISK_FREE_MAX):
        raise BadInput("`risk_free` as a year's rate, 0.06 for 6 %", str(risk_free)[:40], "correct it")
    wanted = await checked(tables, over(msgspec.structs.replace(wanted, account=account), period, now))
    results, nets, (traded,) = await asyncio.gather(
        read_days(tables, wanted, None),
        _results(tables, wanted),
        tables.rows("api_symbols", wanted.asked, _Count),
    )
    return Performance(
        account_id=account,
        strategy_id=wanted.strategy,
        first=wanted.first,
        last=wanted.last,
        capital=capital,
        risk_free=risk_free,
        trades=sum(each.trades for each in results),
        unique_symbols=traded.symbols,
        turnover=_sum(results, "turnover"),
        realised=_sum(results, "realised"),
        charges=_sum(results, "charges"),
        net=_sum(results, "net"),
        trips=of_trips(nets),
        days=of_days(in_sessions(results, wanted, now.day), checked_capital(capital), risk_free),
    )


@get(
    "/analytics/account/{account:str}/trade-distribution",
    summary="How an account's trades are spread",
    tags=["analytics"],
    dependencies=WANTED,
)
async def show_distribution(
    tables: NamedDependency[Tables],
    now: NamedDependency[Now],
    wanted: NamedDependency[Wanted],
    account: FromPath[str],
    period: FromQuery[str] = "all",
) -> Distribution:
    """Give how trades and results are spread; `period` as for performance, all days without it."""
    wanted = await checked(tables, over(msgspec.structs.replace(wanted, account=account), period, now))
    spread, nets = await asyncio.gather(tables.rows("api_spread", wanted.asked, _Spread), _results(tables, wanted))
    whole = next(each for each in spread if each.dimension == "all")
    parts = {
        name: [Part(each.name, each.trades, each.value) for each in spread if each.dimension == name]
        for name in DIMENSIONS
    }
    return Distribution(
        account_id=account,
        strategy_id=wanted.strategy,
        first=wanted.first,
        last=wanted.last,
        trades=whole.trades,
        value=whole.value,
        hours=parts["hour"],
        weekdays=parts["weekday"],
        symbols=_highest(parts["symbol"]),
        exchanges=parts["exchange"],
        products=parts["product"],
        sides=parts["side"],
        strategies=parts["strategy"],
        results=histogram(nets),
    )


async def _results(tables: Tables, wanted: Wanted) -> list[Decimal]:
    """Give what the round trips that ended in the span brought, as they ended, in rupees to the paisa."""
    (found,) = await tables.rows("api_trips", wanted.asked, _Nets)
    return found.nets


def _highest(parts: list[Part]) -> list[Part]:
    ordered = sorted(parts, key=lambda part: (-part.value, part.name))
    shown, rest = ordered[:SYMBOLS_MAX], ordered[SYMBOLS_MAX:]
    if rest:
        shown.append(Part("others", sum(part.trades for part in rest), sum((part.value for part in rest), ZERO)))
    return shown


def _sum(results: Sequence[DayResult], field: str) -> Decimal:
    return total([getattr(each, field) for each in results])
