"""A recorded log of two connections in Redis and the archive: its first half is archived and trimmed away."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from events import codec
from events.archive import Archive
from events.event import Event, Recorded
from events.log import Log
from events.span import Span
from ops.replay.merged import Merged
from ops.replay.pace import Pace
from ops.replay.play import Pause, Play
from runtime.clock import Clock
from runtime.errors import Unreachable
from runtime.lifecycle import Stop
from tests.entries import START_NS
from tests.frames import INFY, NIFTY, RELIANCE, SECOND_NS, Packet, frame

ONE, TWO = "ticks-kite-1", "ticks-kite-2"
CUT, STRANGE = 7, 11  # seconds whose frame of ONE was cut, or has a packet of unknown length


def frames_of_one(count: int) -> list[Event]:
    """Give a frame a second of two shares: one full, one quote."""
    found = []
    for second in range(count):
        infy = Packet("full", INFY, 140_000 + second, 10 * second, seconds=START_NS // SECOND_NS + second)
        whole = frame(infy, Packet("quote", RELIANCE, 250_000 + second, second))
        found.append(Event("kite.frame.v1", START_NS + second * SECOND_NS, _spoilt(whole, second)))
    return found


def frames_of_two(count: int) -> list[Event]:
    """Give a frame every second and a half of an index, on the other connection."""
    step = 3 * SECOND_NS // 2
    return [
        Event("kite.frame.v1", START_NS + place * step, frame(Packet("index_full", NIFTY, 2_400_000 + place)))
        for place in range(count)
    ]


def _spoilt(whole: bytes, second: int) -> bytes:
    if second == CUT:
        return whole[:-9]
    return b"\x00\x03" + whole[2:] + b"\x00\x02xy" if second == STRANGE else whole


async def keep(log: Log, archive: Archive, stream: str, events: Sequence[Event]) -> None:
    """Write a stream: its first half lies in the archive alone, the rest in Redis alone."""
    entries = [codec.encode(n, event) for n, event in enumerate(events, 1)]
    half = len(entries) // 2
    await log.append(stream, entries, archived=0)
    await archive.put(stream, entries[:half])
    await log.trim(stream, half)


class Told:
    """A watcher that keeps what it hears."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.moves: list[tuple[int, int]] = []

    def phase(self, name: str) -> None:
        self.said.append(name)

    def say(self, text: str) -> None:
        self.said.append(text)

    def moved(self, done: int, total: int) -> None:
        self.moves.append((done, total))


class Listener:
    """A sink that keeps what it is shown, and when."""

    def __init__(self, clock: Clock) -> None:
        self.shown: list[Recorded] = []
        self.at: list[float] = []
        self._clock = clock

    async def gathered(self) -> bool:
        return False

    async def show(self, batch: Sequence[Recorded]) -> None:
        self.shown += batch
        self.at += [self._clock.monotonic()] * len(batch)


def a_play(  # what is played over which stores, how fast, and who waits how
    near: Log, folder: Path, spans: Sequence[Span], clock: Clock, speed: float | None, pause: Pause | None = None
) -> Play:
    """Put a play together."""
    stop, told = Stop(), Told()

    def waits(error: Unreachable) -> None:
        told.say(str(error))

    return Play(Merged(spans, near, partial(Archive, folder), stop, waits), Pace(clock, speed), told, stop, pause)
