"""From a broker client's thread to the event loop: in order, bounded, nothing dropped.

The thread puts; the loop takes what waits, piece by piece. At WAITING_BYTES_MAX the socket is read no further (`hold`)
until half of it is on disk (`let`), so that a slow disk slows the broker down and loses nothing.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from events.event import Event

WAITING_BYTES_MAX = 16 * 1024 * 1024  # some seconds of the busiest feed; more would only hide a dead disk
# What is taken at once goes to the disk at once: a disk that was full goes on when it has room for so much. It is about
# 0.1 s of the busiest feed, which a healthy disk writes in a few milliseconds.
TAKE_BYTES_MAX = 512 * 1024
EVENT_BYTES_COST = 256  # what an event costs beside its payload, so that many small ones are bounded too


class Handover:
    """One connection's queue between its thread and the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hold: Callable[[], None],
        let: Callable[[], None],
        bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        """hold, let: called in the putting and in the loop's thread; both must be quick and thread-safe."""
        self._loop, self._hold, self._let, self._bytes_max = loop, hold, let, bytes_max
        self._waiting: deque[Event] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self._held = False
        self._there = asyncio.Event()
        self._none = asyncio.Event()

    @property
    def waiting_bytes(self) -> int:
        """What is taken from the socket and not yet on disk."""
        return self._bytes

    @property
    def held(self) -> bool:
        """Whether the socket is read no further."""
        return self._held

    def put(self, event: Event) -> None:
        """Hand an event over; call it from the thread."""
        with self._lock:
            first = not self._waiting
            self._waiting.append(event)
            self._bytes += _cost(event)
            hold = not self._held and self._bytes >= self._bytes_max
            self._held = self._held or hold
        if hold:
            self._hold()
        if first:
            self._loop.call_soon_threadsafe(self._there.set)

    async def take(self) -> list[Event]:
        """Wait for events and give those that are there, TAKE_BYTES_MAX at most; tell `done` when they are on disk."""
        await self._there.wait()
        events: list[Event] = []
        taken_bytes = 0
        with self._lock:
            while self._waiting and (not events or taken_bytes + _cost(self._waiting[0]) <= TAKE_BYTES_MAX):
                events.append(self._waiting.popleft())
                taken_bytes += _cost(events[-1])
            if not self._waiting:
                self._there.clear()
        return events

    def done(self, events: list[Event]) -> None:
        """These are on disk: let the socket go on once there is room."""
        with self._lock:
            self._bytes -= sum(_cost(event) for event in events)
            let = self._held and self._bytes <= self._bytes_max // 2
            self._held = self._held and not let
            if self._bytes == 0:
                self._none.set()
        if let:
            self._let()

    async def emptied(self) -> None:
        """Wait until all that was put is on disk; nothing may be put any more."""
        while self._bytes:
            self._none.clear()
            if self._bytes:
                await self._none.wait()


def _cost(event: Event) -> int:
    return len(event.payload) + EVENT_BYTES_COST
