"""Figures of closed round trips: how many won, how much, how many one after the other.

A round trip is what its caller says, with its net result: from flat to flat in one book of lots, say. A win is above 0,
a loss below; one of exactly 0 is a trip, and neither. The definitions are those of the usual strategy reports
(TradingView's and TradeStation's performance summaries: percent profitable, profit factor, average and largest winning
and losing trade, consecutive winners and losers); expectancy is that of "Trade Your Way to Financial Freedom".
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import groupby

import msgspec

from api.performance.exact import CONTEXT, ZERO, amount, part


class Trips(msgspec.Struct, frozen=True):
    """The figures of round trips; None where there is none of the kind that a figure is made of.

    count, wins, losses, even: of trips; even ones had a result of 0.
    gross_profit, gross_loss: sums of the wins, and of the losses (0 or less). net: both together.
    win_rate: wins / count, from 0 to 1.
    profit_factor: gross profit / -gross loss; None without a loss, 0 without a win.
    expectancy: what a trip brought on average, net / count. It is the same as win rate x average win + loss rate x
        average loss.
    average_win, average_loss: gross profit / wins, gross loss / losses. Rounded to the paisa, as expectancy is.
    largest_win, largest_loss: the best of the wins, the worst of the losses.
    longest_wins, longest_losses: the most wins, or losses, one after the other by the time of closing; an even trip
        ends a streak.
    streak: the streak that the last trip stands in, above 0 of wins, below 0 of losses; 0 after an even trip.
    """

    count: int
    wins: int
    losses: int
    even: int
    gross_profit: Decimal
    gross_loss: Decimal
    net: Decimal
    win_rate: Decimal | None
    profit_factor: Decimal | None
    expectancy: Decimal | None
    average_win: Decimal | None
    average_loss: Decimal | None
    largest_win: Decimal | None
    largest_loss: Decimal | None
    longest_wins: int
    longest_losses: int
    streak: int


def of_trips(results: Sequence[Decimal]) -> Trips:
    """Give the figures of trips. results: what each brought, in rupees after charges, in the order of their ends."""
    won = [net for net in results if net > 0]
    lost = [net for net in results if net < 0]
    longest_wins, longest_losses, streak = _streaks(results)
    with localcontext(CONTEXT):
        profit, loss = sum(won, ZERO), sum(lost, ZERO)
        return Trips(
            count=len(results),
            wins=len(won),
            losses=len(lost),
            even=len(results) - len(won) - len(lost),
            gross_profit=profit,
            gross_loss=loss,
            net=profit + loss,
            win_rate=part(Decimal(len(won)), len(results)),
            profit_factor=part(profit, -loss),
            expectancy=_mean(profit + loss, len(results)),
            average_win=_mean(profit, len(won)),
            average_loss=_mean(loss, len(lost)),
            largest_win=max(won, default=None),
            largest_loss=min(lost, default=None),
            longest_wins=longest_wins,
            longest_losses=longest_losses,
            streak=streak,
        )


def _mean(total: Decimal, count: int) -> Decimal | None:
    return amount(total / count) if count else None


def _streaks(results: Sequence[Decimal]) -> tuple[int, int, int]:
    """Give the longest streak of wins, that of losses, and the last one with its sign."""
    runs = [0, *(sign * sum(1 for _ in same) for sign, same in groupby(results, key=_sign))]
    return max(runs), -min(runs), runs[-1]


def _sign(net: Decimal) -> int:
    return (net > 0) - (net < 0)
