"""What drives the market: so many ticks a second, instruments in turn."""

import asyncio
import time

import numpy as np

from ops.sandbox.connection import PACKETS_PER_MESSAGE
from ops.sandbox.hub import Hub
from ops.sandbox.market import Market
from ops.sandbox.wire import Ints

# A step sends about one message, but is not shorter than the first (it costs 0.15 ms) nor longer than the second.
STEP_SECONDS_MIN, STEP_SECONDS_MAX = 0.01, 0.05
RATE_PER_INSTRUMENT = 1.5  # ticks a second: half of the instruments at two, half at one, as the real feed has it
IDLE_SECONDS = 0.5
LATE_SECONDS_MAX = 0.25  # what a stalled loop makes up for; older ticks never happened


class MarketFeed:
    """Lets instruments tick and offers the ticks to all clients."""

    def __init__(self, market: Market, hub: Hub, rate: float | None) -> None:
        """Tick `rate` times a second in all; None is RATE_PER_INSTRUMENT for each."""
        self.market = market
        self._hub = hub
        self._rate = rate

    @property
    def rate(self) -> float:
        """Give the ticks a second over all instruments."""
        return RATE_PER_INSTRUMENT * len(self.market.instruments) if self._rate is None else self._rate

    async def run(self) -> None:
        """Tick for ever; at midnight IST the next day's instruments take over."""
        order = turns(len(self.market.instruments), self.market.seed)
        step = min(max(PACKETS_PER_MESSAGE / self.rate, STEP_SECONDS_MIN), STEP_SECONDS_MAX)
        place, owed, last = 0, 0.0, time.monotonic()
        while True:
            idle = self._hub.empty()
            await asyncio.sleep(IDLE_SECONDS if idle else step)
            if self.market.over(time.time_ns()):
                await self._turn_day()
                order, place = turns(len(self.market.instruments), self.market.seed), 0
            now = time.monotonic()
            owed += min(now - last, LATE_SECONDS_MAX) * self.rate
            last = now
            # Where nobody listens, REST still shows the newest packets.
            due = len(order) if idle else int(owed)
            owed = 0.0 if idle else owed - due
            if due:
                self._tick(order[np.arange(place, place + due) % len(order)])
                place = (place + due) % len(order)

    def _tick(self, which: Ints) -> None:
        self.market.tick(which, time.time_ns())
        self._hub.offer(which)

    async def _turn_day(self) -> None:
        count = len(self.market.instruments) if self.market.resized else None
        self.market = await asyncio.to_thread(Market, self.market.seed, time.time_ns(), count)
        self._hub.play(self.market)


def turns(count: int, seed: int) -> Ints:
    """Give a cycle in which half of the instruments come twice, half a cycle apart, and the others once."""
    shuffled = np.random.default_rng(seed).permutation(count)
    often, seldom = shuffled[: count // 2], shuffled[count // 2 :]
    middle = len(seldom) // 2
    return np.concatenate([often, seldom[:middle], often, seldom[middle:]])
