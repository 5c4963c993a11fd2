"""Figures of daily net results by IST day: equity, drawdown, volatility, Sharpe and Sortino ratios, the calendar.

The days are the sessions of a span, each once, also those on which nothing was traded (0): to leave them out makes
every annual figure too large.

**Capital base.** A day's return is its net result / the capital that is given, the same for all days: simple returns on
a fixed base. Nothing is compounded, because deposits, withdrawals and the margin in use are not known. Without capital
there are no returns, and what is made of them is None.

**A year** has SESSIONS_A_YEAR sessions. A daily mean is multiplied by it, a daily deviation by its square root, which
supposes that one day does not depend on another.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal, localcontext
from itertools import pairwise

import msgspec

from api.performance.exact import CONTEXT, ZERO, amount, ratio
from runtime.calendar import IST
from runtime.errors import BadInput

# The convention of the textbooks ("Options, Futures, and Other Derivatives": trading days in a year, on volatility), so
# that figures compare with those of others. The NSE had 249 sessions in 2025: a difference of 0.6 % in a ratio.
SESSIONS_A_YEAR = 252
LEAST_DAYS = 2  # a sample deviation of fewer does not exist


class Day(msgspec.Struct, frozen=True):
    """The net result of one IST day, in rupees, after charges."""

    day: date
    net: Decimal


class EquityPoint(msgspec.Struct, frozen=True):
    """Where a day ended. equity: capital (0 without) + all net results so far; drawdown: how far below its highest."""

    day: date
    net: Decimal
    equity: Decimal
    drawdown: Decimal


class Drawdown(msgspec.Struct, frozen=True):
    """A fall of the equity from its highest so far to the lowest before that is reached again.

    amount: rupees, above 0. percent: of the equity at the peak; None without capital. peak_day: the last day of the
    peak, None where that is the start. recovered_day: the first day at or above the peak again, None while it is not.
    """

    amount: Decimal
    percent: Decimal | None
    peak_day: date | None
    trough_day: date
    recovered_day: date | None


class Daily(msgspec.Struct, frozen=True):
    """The figures of daily results. Those of returns are None without capital, or for less than two days.

    sessions, winning, losing: days in all, above 0, below 0. net: their sum. average_day: net / sessions, to the paisa.
    best_day, worst_day: the first of the highest, and of the lowest, results; None without days.
    total_return: net / capital; also of one day.
    volatility: the sample standard deviation (n - 1) of daily returns x sqrt(SESSIONS_A_YEAR).
    sharpe: mean / sample standard deviation of the daily returns above the risk-free one x sqrt(SESSIONS_A_YEAR): the
        ex-post ratio of "The Sharpe Ratio", Journal of Portfolio Management, 1994. None where all days are the same.
    sortino: the same mean / downside deviation x sqrt(SESSIONS_A_YEAR), the target being the risk-free return. The
        downside deviation is the root of (the sum of squares of what fell short / the number of all days), as in
        "Performance Measurement in a Downside Risk Framework", Journal of Investing, 1994. None where none fell short.
    deepest: the drawdown of the largest amount; steepest: that of the largest percentage, None without capital. Both
        are None where the equity never fell.
    """

    sessions: int
    winning: int
    losing: int
    net: Decimal
    average_day: Decimal | None
    best_day: Day | None
    worst_day: Day | None
    total_return: Decimal | None
    volatility: Decimal | None
    sharpe: Decimal | None
    sortino: Decimal | None
    deepest: Drawdown | None
    steepest: Drawdown | None


def daily(results: Iterable[tuple[datetime, Decimal]], sessions: Iterable[date] = ()) -> list[Day]:
    """Add up timed net results by IST day; sessions without any are there with 0.

    Raises BadInput for a time without zone.
    """
    sums = dict.fromkeys(sessions, ZERO)
    with localcontext(CONTEXT):
        for at, net in results:
            if at.tzinfo is None:
                raise BadInput("a time with its zone", repr(at), "convert it to UTC")
            day = at.astimezone(IST).date()
            sums[day] = sums.get(day, ZERO) + net
    return [Day(day, net) for day, net in sorted(sums.items())]


def calendar(days: Iterable[Day]) -> dict[str, dict[str, Decimal]]:
    """Give net results by month and day: {"2026-05": {"2026-05-04": ...}}."""
    months: dict[str, dict[str, Decimal]] = {}
    for day in days:
        months.setdefault(f"{day.day:%Y-%m}", {})[day.day.isoformat()] = day.net
    return months


def equity_curve(days: Sequence[Day], capital: Decimal | None = None) -> list[EquityPoint]:
    """Give the equity after each day. Raises BadInput for days out of order or twice, or capital not above 0."""
    _check(days, capital)
    points: list[EquityPoint] = []
    with localcontext(CONTEXT):
        equity = highest = capital or ZERO
        for day in days:
            equity += day.net
            highest = max(highest, equity)
            points.append(EquityPoint(day.day, day.net, equity, highest - equity))
    return points


def of_days(days: Sequence[Day], capital: Decimal | None = None, risk_free: Decimal = ZERO) -> Daily:
    """Give the figures of sessions in order. capital: rupees; risk_free: a year's rate (0.06 is 6 %).

    A session's part of the risk-free rate is 1 / SESSIONS_A_YEAR of it. Raises BadInput for days out of order or twice,
    or capital not above 0.
    """
    points = equity_curve(days, capital)
    with localcontext(CONTEXT):
        net = sum((day.net for day in days), ZERO)
        falls = _drawdowns(points, capital)
        # Rupees above the risk-free ones, times SESSIONS_A_YEAR, so that nothing is divided, and equal days stay equal:
        # both ratios are the same of these as of returns.
        excess = [day.net * SESSIONS_A_YEAR - risk_free * capital for day in days] if capital else []
        deviation = _deviation(excess)
        return Daily(
            sessions=len(days),
            winning=sum(day.net > 0 for day in days),
            losing=sum(day.net < 0 for day in days),
            net=net,
            average_day=amount(net / len(days)) if days else None,
            best_day=max(days, key=lambda day: day.net, default=None),
            worst_day=min(days, key=lambda day: day.net, default=None),
            total_return=ratio(net / capital) if capital else None,
            volatility=ratio(deviation / _root_of_year() / capital) if deviation is not None and capital else None,
            sharpe=_annual(excess, deviation),
            sortino=_annual(excess, _downside(excess)),
            deepest=max(falls, key=lambda fall: fall.amount, default=None),
            steepest=max(falls, key=lambda fall: fall.percent or ZERO, default=None) if capital else None,
        )


def _check(days: Sequence[Day], capital: Decimal | None) -> None:
    for before, after in pairwise(days):
        if after.day <= before.day:
            raise BadInput("each day once, in order", f"{after.day} after {before.day}", "add up and sort them first")
    if capital is not None and not (capital.is_finite() and capital > 0):
        raise BadInput("capital above 0, or none", str(capital), "give what was at work when the span began")


def _root_of_year() -> Decimal:
    return Decimal(SESSIONS_A_YEAR).sqrt()


def _deviation(values: Sequence[Decimal]) -> Decimal | None:
    """Give the sample standard deviation, exactly 0 where all are the same, None for too few."""
    count = len(values)
    if count < LEAST_DAYS:
        return None
    squares = count * sum((value**2 for value in values), ZERO) - sum(values, ZERO) ** 2
    return (squares / (count * (count - 1))).sqrt()


def _downside(excess: Sequence[Decimal]) -> Decimal | None:
    """Give the downside deviation below 0, over all values, None for too few."""
    if len(excess) < LEAST_DAYS:
        return None
    return (sum((min(value, ZERO) ** 2 for value in excess), ZERO) / len(excess)).sqrt()


def _annual(excess: Sequence[Decimal], deviation: Decimal | None) -> Decimal | None:
    """Give the mean by its deviation for a year, None where nothing deviates."""
    return ratio(sum(excess, ZERO) / len(excess) / deviation * _root_of_year()) if deviation else None


def _drawdowns(points: Sequence[EquityPoint], capital: Decimal | None) -> list[Drawdown]:
    """Give every fall from a highest equity, each until that is reached again or the points end."""
    found: list[Drawdown] = []
    peak, peak_day = capital or ZERO, None
    under: list[EquityPoint] = []
    for point in points:
        if point.equity < peak:
            under.append(point)
            continue
        if under:
            found.append(_fall(under, peak, peak_day, point.day, has_base=capital is not None))
        peak, peak_day, under = point.equity, point.day, []
    if under:
        found.append(_fall(under, peak, peak_day, None, has_base=capital is not None))
    return found


def _fall(
    under: Sequence[EquityPoint], peak: Decimal, peak_day: date | None, recovered: date | None, *, has_base: bool
) -> Drawdown:
    lowest = min(under, key=lambda point: point.equity)
    fallen = peak - lowest.equity
    return Drawdown(fallen, ratio(fallen / peak * 100) if has_base else None, peak_day, lowest.day, recovered)
