"""Events come in the order and at the distance in which they were received, at any speed, without drift."""

import asyncio
from pathlib import Path

import pytest

from events.archive import Archive
from events.memory_log import MemoryLog
from events.span import Span
from ops.replay.pace import LATE_SECONDS_MAX, Pace
from ops.replay.play import Play
from runtime.clock import ManualClock
from tests.entries import START_NS
from tests.frames import SECOND_NS
from tests.patience import PATIENCE_SECONDS
from tests.replay.recorded_log import ONE, TWO, Listener, Told, a_play, frames_of_one, frames_of_two, keep

COUNT = 60
WHOLE = [Span(ONE, 1, COUNT), Span(TWO, 1, COUNT)]


class Hand:
    """Moves a clock by what is waited for, and a little more: no timer is exact."""

    def __init__(self, clock: ManualClock, more: float = 0.013) -> None:
        self.clock, self.more = clock, more

    async def __call__(self, seconds: float) -> None:
        self.clock.advance(seconds + self.more)


@pytest.fixture
async def near(tmp_path: Path) -> MemoryLog:
    log = MemoryLog()
    await keep(log, Archive(tmp_path), ONE, frames_of_one(COUNT))
    await keep(log, Archive(tmp_path), TWO, frames_of_two(COUNT))
    return log


def told(play: Play) -> Told:
    assert isinstance(play.watcher, Told)
    return play.watcher


@pytest.mark.parametrize("speed", [None, 1.0, 7.0])
async def test_streams_are_merged_by_receive_time_and_each_keeps_its_order(
    near: MemoryLog, tmp_path: Path, speed: float | None
) -> None:
    clock = ManualClock()
    play, listener = a_play(near, tmp_path, WHOLE, clock, speed, Hand(clock)), Listener(clock)
    assert await play.to(listener) == 2 * COUNT
    times = [event.at_ns for event in listener.shown]
    assert times == sorted(times)
    for stream in (ONE, TWO):
        assert [event.n for event in listener.shown if event.stream == stream] == list(range(1, COUNT + 1))
    assert told(play).moves[-1] == (2 * COUNT, 2 * COUNT)


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0])
async def test_nothing_comes_early_and_what_is_late_is_caught_up(near: MemoryLog, tmp_path: Path, speed: float) -> None:
    clock = ManualClock()
    play, listener = a_play(near, tmp_path, WHOLE, clock, speed, Hand(clock)), Listener(clock)
    await play.to(listener)
    for event, at in zip(listener.shown, listener.at, strict=True):
        due = (event.at_ns - START_NS) / SECOND_NS / speed
        assert due <= at <= due + 0.014  # the hand's own lateness, at the end as at the beginning


async def test_a_span_within_the_log_begins_at_once(near: MemoryLog, tmp_path: Path) -> None:
    clock = ManualClock()
    play, listener = a_play(near, tmp_path, [Span(ONE, 29, 32)], clock, 1.0, Hand(clock, 0)), Listener(clock)
    await play.to(listener)
    assert [event.n for event in listener.shown] == [29, 30, 31, 32]  # over the seam between archive and Redis
    assert listener.at == pytest.approx([0, 1, 2, 3])


async def test_a_clock_that_was_set_back_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.replay.play.BATCH_EVENTS", 1)
    near, clock = MemoryLog(), ManualClock()
    seconds = [0, 10, 20, 10, 12, 20, 21]
    events = [event for event, _ in zip(frames_of_one(9), seconds, strict=False)]
    back = [
        type(each)(each.type, START_NS + at * SECOND_NS, each.payload) for each, at in zip(events, seconds, strict=True)
    ]
    await keep(near, Archive(tmp_path), ONE, back)
    play, listener = a_play(near, tmp_path, [Span(ONE, 1, 7)], clock, 1.0, Hand(clock, 0)), Listener(clock)
    await play.to(listener)
    assert [event.n for event in listener.shown] == list(range(1, 8))
    assert listener.at == pytest.approx([0, 10, 20, 20, 20, 20, 21])


class Dawdling(Listener):
    """A sink that takes its time with one event."""

    def __init__(self, clock: ManualClock, n: int, seconds: float) -> None:
        super().__init__(clock)
        self._n, self._seconds, self._hands = n, seconds, clock

    async def show(self, batch):  # type: ignore[no-untyped-def]  # as in Listener
        await super().show(batch)
        if any(event.n == self._n for event in batch):
            self._hands.advance(self._seconds)


async def test_who_is_too_late_goes_on_from_there_and_it_is_said(near: MemoryLog, tmp_path: Path) -> None:
    clock = ManualClock()
    listener = Dawdling(clock, 5, LATE_SECONDS_MAX + 8)
    play = a_play(near, tmp_path, [Span(ONE, 1, 10)], clock, 1.0, Hand(clock, 0))
    await play.to(listener)
    assert listener.at == pytest.approx([0, 1, 2, 3, 4, 14, 15, 16, 17, 18])
    assert any("9.0 s behind its pace" in line for line in told(play).said)
    assert play.pace.late_seconds == pytest.approx(9)


async def test_a_long_silence_is_told(near: MemoryLog, tmp_path: Path) -> None:
    clock = ManualClock()
    play = a_play(near, tmp_path, [Span(ONE, 1, 3)], clock, 0.05, Hand(clock, 0))
    await play.to(Listener(clock))
    assert next(line for line in told(play).said if "nothing was received until" in line).endswith("20 s at this speed")


def test_a_pace_stands_until_something_is_due() -> None:
    clock = ManualClock()
    pace = Pace(clock, 2.0)
    clock.advance(1000)
    assert pace.seconds_until(START_NS) == 0
    assert pace.seconds_until(START_NS + SECOND_NS) == 0.5
    pace.stand()
    clock.advance(1000)
    assert pace.seconds_until(START_NS + SECOND_NS) == 0


class Leaving(Listener):
    """A sink from which everybody is gone when the last event was shown."""

    async def gathered(self) -> bool:
        if len(self.shown) == COUNT:
            await asyncio.Event().wait()
        return False


async def test_nobody_is_waited_for_when_all_is_played(near: MemoryLog, tmp_path: Path) -> None:
    clock = ManualClock()
    play = a_play(near, tmp_path, [Span(ONE, 1, COUNT)], clock, None)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await play.to(Leaving(clock)) == COUNT
