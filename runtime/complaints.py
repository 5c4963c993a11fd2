"""What is wrong with the outside world, said once and not at every look; again when it was well meanwhile."""

from structlog.typing import FilteringBoundLogger


class Complaints:
    """The complaints of one part."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        """log: bound to what all complaints have in common."""
        self._log = log
        self._said: dict[str, str] = {}

    def say(self, event: str, **data: object) -> None:
        """Log an event, unless it was said with the same data and not healed since."""
        if self._said.get(event) != str(data):
            self._said[event] = str(data)
            self._log.warning(event, **data)

    def heal(self, *events: str) -> None:
        """Note that these are well."""
        for event in events:
            self._said.pop(event, None)
