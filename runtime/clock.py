"""The two clocks of a process: what time it is, and how much time went by.

Code that decides anything by time takes a `Clock` instead of asking the system, so that tests move
the hands themselves and nothing sleeps.
"""

import time
from datetime import UTC, datetime
from typing import Protocol

NS_PER_SECOND = 1_000_000_000


def instant(ns: int) -> datetime:
    """Give a moment (UTC nanoseconds since 1970) as PostgreSQL keeps it: aware, UTC, in whole microseconds."""
    return datetime.fromtimestamp(ns // 1000 / 1e6, UTC)


class Clock(Protocol):
    """Where a part of Bahi gets its time from."""

    def now_ns(self) -> int:
        """Give UTC nanoseconds since 1970; it may jump either way, so it explains and never orders."""

    def monotonic(self) -> float:
        """Give seconds from an arbitrary start; it never falls, and only differences mean anything."""


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Give the system's UTC time in nanoseconds since 1970."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Give the system's monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until `advance` moves it; part of the product, so that users' tests have it too."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._monotonic = 0.0

    def now_ns(self) -> int:
        """Give the time that the hand was set to, in UTC nanoseconds since 1970."""
        return self._now_ns

    def monotonic(self) -> float:
        """Give the seconds that the clock was advanced by in all."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward by `seconds`, which is not negative."""
        assert seconds >= 0, "a monotonic clock never falls"
        self._now_ns += round(seconds * NS_PER_SECOND)
        self._monotonic += seconds
