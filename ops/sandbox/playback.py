"""Plays a tape to its audience: all rows in order, as recorded, faster, or as fast as the clients take them.

It starts when its audience has gathered (`ops/sandbox/audience.py`). It waits while nobody listens, and for the slowest
client: no row is skipped. An instrument that nobody has subscribed to is silent, as on the real feed.
"""

import asyncio
import time

import numpy as np

from ops.sandbox.audience import Audience
from ops.sandbox.hub import Hub
from ops.sandbox.tape import Tape
from runtime.errors import SettingError

BATCH_ROWS = 1_000  # at full speed; 100 messages, 186 KB
STEP_SECONDS = 0.02  # between batches at a given speed
MAX = "max"
SECOND_NS = 1_000_000_000


class Playback:
    """One run through a tape."""

    def __init__(self, tape: Tape, hub: Hub, speed: str) -> None:
        """Play at `speed`: "max", or a number of tape seconds for each second of the clock."""
        self.tape = tape
        self.speed = read_speed(speed)
        self.played = 0
        self.sent = 0
        self.done = asyncio.Event()
        self._hub = hub
        self._audience = Audience(hub, tape)

    async def run(self) -> None:
        """Play to the end."""
        started, first = 0.0, 0
        while self.played < len(self.tape):
            if await self._audience.gathered():
                # The tape stood still meanwhile: it goes on from where it was.
                started, first = time.monotonic(), int(self.tape.rows.due_ns[self.played])
            end = self._due(started, first)
            await self._play(end)
            if self.speed is not None and end < len(self.tape):
                await asyncio.sleep(STEP_SECONDS)
        self.done.set()

    async def _play(self, end: int) -> None:
        while self.played < end and self._audience.is_there():
            batch_end = min(end, self.played + BATCH_ROWS)
            part = self.tape.part(self.played, batch_end)
            self._hub.pass_by(part.which, part.bodies)
            sent = sum(await asyncio.gather(*(c.deliver(part) for c in self._hub)))
            if not sent and not self._audience.is_there():
                return  # the last client left before it got these
            self.played, self.sent = batch_end, self.sent + sent
            await asyncio.sleep(0)

    def _due(self, started: float, first: int) -> int:
        """Give the row before which playing pauses."""
        if self.speed is None:
            return len(self.tape)
        reached = first + (time.monotonic() - started) * self.speed * SECOND_NS
        return int(np.searchsorted(self.tape.rows.due_ns, reached, side="right"))


def read_speed(text: str) -> float | None:
    """Read "max" as None, else a number above 0; raise `SettingError`."""
    if text == MAX:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise SettingError('a speed above 0, or "max"', repr(text), "give --speed 1, --speed 60 or --speed max")
    return speed
