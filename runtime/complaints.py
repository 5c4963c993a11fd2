"""What is wrong with the outside world, said once and not at every look; again when it was well meanwhile.

While all of Bahi starts, one part waits for another: a sandbox that does not listen yet, a login that is on its way.
What is usual then is information, and becomes a warning where it lasts longer than a start.
"""

from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from runtime.clock import Clock, SystemClock

START_SECONDS = 15.0  # `bahi up` is ready after 5 to 12; what is not there by then waits for a person


class Complaints:
    """The complaints of one part."""

    def __init__(self, log: FilteringBoundLogger, clock: Clock | None = None) -> None:
        """log: bound to what all complaints have in common. clock: by which the start is over."""
        self._log, self._clock = log, clock or SystemClock()
        self._start_until = self._clock.monotonic() + START_SECONDS
        self._said: dict[str, str] = {}

    def say(self, event: str, **data: object) -> None:
        """Log an event, unless it was said with the same data and not healed since."""
        self._once(self._log.warning, event, data)

    def say_late(self, event: str, early: str, **data: object) -> None:
        """Log an event that is usual while everything starts: as information under the name `early` until then."""
        assert early != event, "what was information is said again as a warning"
        if self._clock.monotonic() >= self._start_until:
            self.say(event, **data)
        else:
            self._once(self._log.info, early, data)

    def _once(self, log: Callable[..., object], event: str, data: Mapping[str, object]) -> None:
        if self._said.get(event) != str(data):
            self._said[event] = str(data)
            log(event, **data)

    def heal(self, *events: str) -> None:
        """Note that these are well."""
        for event in events:
            self._said.pop(event, None)
