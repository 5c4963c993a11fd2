"""The pace of a replay: when what was received at a time is due again.

STANDING   nothing was due yet, or nobody listened: the next event begins the count
RUNNING    everything is due at (its time - the time of the first) / speed behind the first: what comes late is caught
           up, so that a day at speed 1 takes as long as the day did
LATE       more than LATE_SECONDS_MAX behind: it is not caught up in a rush. The count begins anew with what is due,
           and that is told. So it is where a client, a disk or the processor is slower than the speed, or the process
           was frozen. While a machine sleeps its monotonic clock stands still, so that nothing is late after it.
"""

from collections.abc import Callable

from runtime.clock import NS_PER_SECOND, Clock

LATE_SECONDS_MAX = 2.0  # a busy machine's hiccups are shorter, and a rush of two seconds' ticks harms nobody


class Pace:
    """The clock of the recording, `speed` times as quick as ours; None is as fast as it goes."""

    def __init__(self, clock: Clock, speed: float | None) -> None:
        """Begin standing."""
        self.late_seconds = 0.0  # in all
        self._clock, self._speed = clock, speed
        self._began: tuple[float, int] | None = None  # on our clock and on the recording's

    @property
    def keeps_time(self) -> bool:
        """Say whether there is anything to wait for."""
        return self._speed is not None

    def stand(self) -> None:
        """Count anew from the next event on."""
        self._began = None

    def seconds_until(self, due_ns: int) -> float:
        """Give how long it is until an event is due, 0 or less where it is now; below 0 is how late it is."""
        if self._speed is None or not due_ns:  # 0: of events that were lost and have no time
            return 0.0
        if self._began is None:
            self._began = (self._clock.monotonic(), due_ns)
        began, first_ns = self._began
        return began + (due_ns - first_ns) / NS_PER_SECOND / self._speed - self._clock.monotonic()

    def forgive(self, due_ns: int, say: Callable[[str], None]) -> None:
        """Go on from here where an event is too late, and say by how much."""
        late = -self.seconds_until(due_ns)
        if late <= LATE_SECONDS_MAX:
            return
        self.late_seconds += late
        self._began = (self._clock.monotonic(), due_ns)
        say(f"{late:,.1f} s behind its pace: it goes on from here, and does not catch up")

    def reached_ns(self) -> int | None:
        """Give up to when (UTC epoch ns of the recording) events are due now; None is all."""
        if self._speed is None:
            return None
        if self._began is None:
            return 0
        began, first_ns = self._began
        return first_ns + round((self._clock.monotonic() - began) * self._speed * NS_PER_SECOND)
