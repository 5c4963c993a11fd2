"""What the seeded traders did before the sandbox was first opened: some days of trading, in the ledger as any other.

So that from its first minute it shows what accounts have: shares that were delivered and shares that will be, positions
that stayed overnight, cash that has been moved.
"""

from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np

from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.ledger import newest_day
from ops.sandbox.accounts.trader import Trader
from ops.sandbox.market import Market
from runtime.calendar import IST

DAYS = 2
FROM, STEP, STEPS = time(9, 30), timedelta(minutes=10), 30  # an act each, in the exchange's hours
EVENING = time(23, 55)
SATURDAY = 5


USERS_MAX = 10  # a third of a second of work for each ten; nobody waits for more


class _Clock:
    """The time then."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> int:
        return int(self.at.timestamp()) * 10**9


def live(folder: Path, seed: int, users: list[str], now_ns: int) -> None:
    """Write the ledgers of the last DAYS weekdays before `now_ns`, UTC, where there are none; of the first users."""
    if newest_day(folder) is not None:
        return
    now = datetime.fromtimestamp(now_ns / 1e9, IST)
    clock, desk = _Clock(now), None
    for day in _weekdays(now):
        clock.at = datetime.combine(day, FROM, IST)
        market = Market(seed, clock())
        if desk is None:
            desk = Desk(folder, market, lambda _user, _order: None, clock)
        else:
            desk.follow(market)
        _trade(desk, market, [Trader(user, seed, desk) for user in users[:USERS_MAX]], clock)
    if desk is not None:
        desk.close()


def _weekdays(now: datetime) -> list[datetime]:
    days = [now - timedelta(days=back) for back in range(1, 2 * DAYS + 3)]
    return [day for day in days if day.weekday() < SATURDAY][:DAYS][::-1]


def _trade(desk: Desk, market: Market, traders: list[Trader], clock: _Clock) -> None:
    everything = np.arange(len(market.instruments))
    for _ in range(STEPS):
        clock.at += STEP
        market.tick(everything, clock())
        with desk.together():
            desk.tick(everything)
            for trader in traders:
                trader.act()
    clock.at = datetime.combine(clock.at, EVENING, IST)
    market.tick(everything, clock())
    desk.tick(everything)
