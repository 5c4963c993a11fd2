"""Plays merged spans to a sink, at a pace; it waits where the sink does, and ends where the spans or the user do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from events.event import Recorded
from ops.replay.bounds import told
from ops.replay.merged import Merged
from ops.replay.pace import Pace
from runtime.lifecycle import Stop

BATCH_EVENTS = 64  # shown at once at most: some 640 ticks, which as text fit into the 1 MiB that clients take
QUIET_SECONDS = 10.0  # a longer wait is told, so that nobody takes it for an end

Pause = Callable[[float], Awaitable[object]]  # seconds; ends early with the stop


class Sink(Protocol):
    """Whom it is played to."""

    async def gathered(self) -> bool:
        """Wait until somebody is there; say whether he had to be waited for."""
        ...

    async def show(self, batch: Sequence[Recorded]) -> None:
        """Take events that are due, in order; wait for whoever is slow."""
        ...


class Watcher(Protocol):
    """Who is told how it goes."""

    def phase(self, name: str) -> None:
        """Hear what is done now."""
        ...

    def moved(self, done: int, total: int) -> None:
        """Hear how many events of how many were played."""
        ...

    def say(self, text: str) -> None:
        """Hear what a user should know."""
        ...


class Play(msgspec.Struct, frozen=True):
    """What is played: events, how fast, who is told and who ends it. pause: how it waits, `stop.pause` for None."""

    merged: Merged
    pace: Pace
    watcher: Watcher
    stop: Stop
    pause: Pause | None = None

    async def to(self, sink: Sink) -> int:
        """Play to the end, or until the stop; give how many events were played. Raises what `merged` does."""
        done, wait = 0, self.pause or self.stop.pause
        self.watcher.moved(0, self.merged.total)
        while not self.stop.is_set():
            due_ns = await self.merged.due_ns()
            if due_ns is None:
                break
            if await self.stop.cut(sink.gathered()):
                self.pace.stand()
            if (seconds := self.pace.seconds_until(due_ns)) > 0:
                self._tell_of(seconds, due_ns)
                await wait(seconds)
                continue
            self.pace.forgive(due_ns, self.watcher.say)
            if self.stop.is_set():
                break
            batch = await self.merged.take(self.pace.reached_ns(), BATCH_EVENTS)
            await self.stop.cut(sink.show(batch))
            done += len(batch)
            self.watcher.moved(done, self.merged.total)
            await asyncio.sleep(0)
        return done

    def _tell_of(self, seconds: float, due_ns: int) -> None:
        if seconds > QUIET_SECONDS:
            self.watcher.say(f"nothing was received until {told(due_ns)}: {seconds:,.0f} s at this speed")
