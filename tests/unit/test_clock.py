"""The clocks: what a hand-moved clock promises to the code that is tested with it."""

import time

from runtime.clock import Clock, ManualClock, SystemClock


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock(now_ns=1_000)
    assert (clock.now_ns(), clock.monotonic()) == (1_000, 0.0)
    clock.advance(1.5)
    assert (clock.now_ns(), clock.monotonic()) == (1_500_001_000, 1.5)


def test_the_system_clock_tells_the_time_in_utc_nanoseconds() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns()
    assert before <= clock.now_ns() <= time.time_ns()
    assert clock.monotonic() <= clock.monotonic()
