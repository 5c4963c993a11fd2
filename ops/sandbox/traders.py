"""Seeded traders: accounts with a life of their own, so many and so busy as asked for."""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.trader import Trader
from ops.sandbox.envelope import input_refused
from runtime.settings import SANDBOX_TRADERS_MAX

RATE_USUAL = 0.02  # of what one does, a second: one order in 50 s, 1,700 a day, where Kite allows 5,000
RATE_MAX = 1_000.0
BEGINNING_ACTS, BEGINNING_RATE = 10, 1.0  # nobody waits long for the first ones
STEP_SECONDS = 0.02
LATE_SECONDS_MAX = 0.25  # what a busy process makes up for; the rest was never to be done
SLICE_SECONDS = 0.01  # of trading, then everybody else has a turn


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /sandbox/traders takes.

    orders_per_second: of each of them; users: how many there are, or the names of those that are meant (all when
    absent); cancel: whether they cancel first what they have open, so that with a rate of 0 all comes to rest.
    """

    orders_per_second: float | None = None
    users: int | list[str] | None = None
    cancel: bool = False


class _Seat(msgspec.Struct):
    trader: Trader
    rate: float | None = None  # None is the usual one, which keeps the evening free
    owed: float = 0.0


def names(count: int) -> list[str]:
    """Give the client codes of so many traders."""
    return [f"TR{number:04}" for number in range(1, count + 1)]


class Traders:
    """All of them, on one desk."""

    def __init__(self, desk: Desk, seed: int, count: int) -> None:
        """Begin with `count` traders at the usual rate."""
        self._desk, self._seed, self._day = desk, seed, desk.day
        self._seats: dict[str, _Seat] = {}
        self._people(count)

    def wish(self, wish: Wish) -> None:
        """Have other traders, or faster ones. Raises Refusal."""
        rate = wish.orders_per_second
        if rate is not None and not 0 <= rate <= RATE_MAX:
            raise input_refused(f"Wanted `orders_per_second` from 0 to {RATE_MAX:.0f}, found {rate}")
        if isinstance(wish.users, int):
            if not 0 <= wish.users <= SANDBOX_TRADERS_MAX:
                raise input_refused(f"Wanted from 0 to {SANDBOX_TRADERS_MAX} `users`, found {wish.users}")
            self._people(wish.users)
        meant = wish.users if isinstance(wish.users, list) else list(self._seats)
        if unknown := set(meant) - self._seats.keys():
            raise input_refused(f"Wanted names of traders, found {', '.join(sorted(unknown))}")
        for name in meant:
            self._seats[name].rate = rate
        if wish.cancel:
            self._cancel(meant)

    def act(self, name: str) -> None:
        """Let one of them do one thing now."""
        self._seats[name].trader.act()

    def shown(self) -> list[dict[str, object]]:
        """Show who there is, and what they have done since the sandbox began."""
        return [
            {
                "user_id": name,
                "orders_per_second": RATE_USUAL if seat.rate is None else seat.rate,
                "acts": seat.trader.acts,
                "refused": seat.trader.refused,
                "orders": len(self._desk.book(name).orders),
                "trades": len(self._desk.book(name).trades),
            }
            for name, seat in self._seats.items()
        ]

    async def run(self) -> None:
        """Let them trade for ever."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(STEP_SECONDS)
            now = time.monotonic()
            due = self._due(min(now - last, LATE_SECONDS_MAX))
            last = now
            while due:
                self._trade(due)
                await asyncio.sleep(0)

    def _due(self, seconds: float) -> list[Trader]:
        """Give those whose turn it is, each as often as it is."""
        if self._desk.day != self._day:
            self._day = self._desk.day
            self._wake()
        due: list[Trader] = []
        is_late = self._desk.is_evening
        for seat in self._seats.values():
            rate = seat.rate
            if rate is None:
                is_new = seat.trader.acts < BEGINNING_ACTS
                rate = 0.0 if is_late else BEGINNING_RATE if is_new else RATE_USUAL
            seat.owed += seconds * rate
            turns = int(seat.owed)
            seat.owed -= turns
            due += [seat.trader] * turns
        return due

    def _trade(self, due: list[Trader]) -> None:
        """Let as many act as there is time for now, and write it in one go."""
        end = time.monotonic() + SLICE_SECONDS
        with self._desk.together():
            while due and time.monotonic() < end:
                due.pop().act()

    def _people(self, count: int) -> None:
        self._seats = {
            name: self._seats.get(name) or _Seat(Trader(name, self._seed, self._desk)) for name in names(count)
        }

    def _wake(self) -> None:
        for name, seat in self._seats.items():
            seat.trader = Trader(name, self._seed, self._desk)

    def _cancel(self, users: Sequence[str]) -> None:
        with self._desk.together():
            for name in users:
                for order in [each for each in self._desk.book(name).pending.values() if each.is_working]:
                    self._desk.cancel(name, order.order_id)
