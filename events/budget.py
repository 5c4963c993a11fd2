"""Rate budgets: how many calls may leave in any second, over all processes that use one API key.

Promise: no window of a budget holds more calls than it allows, whoever makes them, and who asks for something urgent
goes before those who wait already.

    call -> waiting (urgent first, then as they came) -> one booking at a time in Redis -> its moment -> the call leaves

A booking is one script on one key: the budget's last moments, by the server's clock, so that machines need not agree on
the time. Only the call that leaves next is booked, so nobody stands behind a queue that somebody else has booked. One
that left later than booked, because the machine was busy, says so with the next booking, and counts from when it left.

Redis does not answer: each process keeps to a fixed share by its own clock, and asks Redis again after a while.
"""

import asyncio
import hashlib
from collections import deque

import msgspec

from events.redis_log import Script, reaching
from events.redis_nodes import Nodes
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import Unreachable
from runtime.log import get

MICROSECONDS = 1_000_000
AHEAD_SECONDS_MAX = 60.0  # nobody books farther: each process waits for one booking at a time
# A broker counts when calls arrive, not when they left. Two that left a window apart arrive closer together where the
# first one was held up, on a new connection say; this much is given for it, and costs a tenth of the rate. What is
# refused all the same is tried again.
SLACK = 1.1
SHARES = 2  # with Redis down: `bahi sync`, and one more process on the same key
DOWN_SECONDS = 5.0  # how long a Redis that did not answer is not asked

_log = get("budget")


class Rate(msgspec.Struct, frozen=True):
    """So many calls in any window of so many seconds."""

    name: str
    calls: int
    seconds: float


class Haste(msgspec.Struct):
    """Whether somebody waits for what these calls are for; it may become so while they wait."""

    urgent: bool = False


class _Waiting(msgspec.Struct):
    """A call that waits. number: as they came."""

    haste: Haste
    number: int
    turn: asyncio.Future[None]


class _Line(msgspec.Struct):
    """Who waits under one key, and who gives the turns."""

    waiting: list[_Waiting] = []
    giving: asyncio.Task[None] | None = None
    own: deque[float] = msgspec.field(default_factory=deque)  # this process's last moments, while Redis is away
    booked: bytes = b"0"  # the last booking in Redis
    late_seconds: float = 0.0  # how much later than booked that call left

    def drop_gone(self) -> bool:
        """Forget who waits no more; say whether somebody does."""
        self.waiting = [each for each in self.waiting if not each.turn.done()]
        return bool(self.waiting)

    def take_next(self) -> _Waiting:
        """Take the first of the urgent off the line, or else the first."""
        found = min(self.waiting, key=lambda each: (not each.haste.urgent, each.number))
        self.waiting.remove(found)
        return found


class Budget:
    """One rate, kept for each key apart."""

    def __init__(self, redis_url: str, rate: Rate, clock: Clock) -> None:
        """No connection is made before the first turn is asked for."""
        self._nodes = Nodes(redis_url)
        self._book = Script(self._nodes, "budget.lua")
        self._rate, self._clock = rate, clock
        self._window_seconds = rate.seconds * SLACK
        self._lines: dict[str, _Line] = {}
        self._number = 0
        self._down_until = 0.0
        self._complaints = Complaints(_log.bind(rate=rate.name))

    async def turn(self, key: str, haste: Haste | None = None) -> None:
        """Wait until a call under this key may leave. Who stops waiting gives his place to the next."""
        line = self._lines.setdefault(key, _Line())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number += 1
        line.waiting.append(_Waiting(haste or Haste(), self._number, turn))
        if line.giving is None or line.giving.done():
            line.giving = asyncio.create_task(self._give(key, line))
        await turn

    async def _give(self, key: str, line: _Line) -> None:
        while line.drop_gone():
            wait_seconds = await self._booked(key, line)
            due = self._clock.monotonic() + wait_seconds
            await asyncio.sleep(wait_seconds)
            line.late_seconds = max(0.0, self._clock.monotonic() - due)  # a busy machine wakes late
            if line.drop_gone():  # whoever is first now, not when the moment was booked
                line.take_next().turn.set_result(None)

    async def _booked(self, key: str, line: _Line) -> float:
        """Book the next moment; give the seconds until then."""
        now = self._clock.monotonic()
        if now >= self._down_until:
            try:
                async with reaching("book of a call"):
                    waits, line.booked = await self._book(
                        self._place(key),
                        self._rate.calls,
                        round(self._window_seconds * MICROSECONDS),
                        round(AHEAD_SECONDS_MAX * MICROSECONDS),
                        line.booked,
                        round(line.late_seconds * MICROSECONDS),
                    )
                self._complaints.heal("budget.redis_away")
                return int(waits) / MICROSECONDS
            except Unreachable as error:
                self._down_until = self._clock.monotonic() + DOWN_SECONDS
                self._complaints.say("budget.redis_away", found=error.found, share=f"1/{SHARES}")
        return self._booked_alone(line, self._clock.monotonic())

    def _booked_alone(self, line: _Line, now: float) -> float:
        share = max(1, self._rate.calls // SHARES)
        if line.own:
            line.own[-1] += line.late_seconds
        at = max(now, line.own[-share] + self._window_seconds) if len(line.own) >= share else now
        line.own.append(at)
        while len(line.own) > share:
            line.own.popleft()
        return at - now

    def _place(self, key: str) -> str:
        """Give the budget's key in Redis: an API key is nobody's business there."""
        return f"budget:{self._rate.name}:{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    async def close(self) -> None:
        """Give no more turns."""
        giving = [line.giving for line in self._lines.values() if line.giving]
        for task in giving:
            task.cancel()
        await asyncio.gather(*giving, return_exceptions=True)
        await self._nodes.close()
