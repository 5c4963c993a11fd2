"""When the books' day has its evening, and when it is over without a new stage."""

from collections.abc import Callable
from datetime import date, datetime

from runtime.calendar import IST, IST_NS

MINUTE_NS = 60 * 10**9
DAY_NS = 24 * 60 * MINUTE_NS
EVENING_NS = 10 * MINUTE_NS  # before midnight IST: time for two looks of who looks every five minutes
# A stage of a day of its own is followed by the next one by then; a tape goes on, and only the books' day turns.
LATE_NS = MINUTE_NS


class Hours:
    """The times of one day. evening_ns, late_ns: in UTC ns, the next ones from when the day began for us."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """Begin a day."""
        self.now_ns = now_ns
        self.begin()

    def begin(self) -> None:
        """Look at the times of the day that it is now."""
        self.evening_ns = self._next(-EVENING_NS)
        self.late_ns = self._next(LATE_NS)

    def evening_comes(self) -> bool:
        """Tell, once a day, that the evening has come."""
        if self.now_ns() < self.evening_ns:
            return False
        self.evening_ns += DAY_NS
        return True

    @property
    def is_evening(self) -> bool:
        """Tell whether the day is about to end."""
        return self._next(-EVENING_NS) - self.now_ns() > DAY_NS - EVENING_NS

    @property
    def is_over(self) -> bool:
        """Tell whether the next day came, and no stage with it."""
        return self.now_ns() >= self.late_ns

    def today(self) -> date:
        """Give the day in IST."""
        return datetime.fromtimestamp(self.now_ns() / 1e9, IST).date()

    def _next(self, after_midnight_ns: int) -> int:
        """Give the next time that lies so far behind a midnight of IST."""
        now_ns = self.now_ns()
        return now_ns + DAY_NS - (now_ns + IST_NS - after_midnight_ns) % DAY_NS
