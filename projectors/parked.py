"""What users decided about parked events: each request to retry one or to set one aside, as a row.

The newest decision about an event counts, and the view `parked` joins it to the event. So it stays what it is when the
projection that parked the event is rebuilt, and it comes back from the log like every other row.
"""

from collections.abc import Sequence
from typing import Any

from events.event import Recorded
from events.messages import Retry, SetAside, unpack
from projectors.projector import Projection
from runtime.clock import instant
from sql.store import Rows

NAME = "parked"
REQUESTS = "requests"
SETTLE_SECONDS = 0.5  # most requests are about other things: the checkpoint need not follow each of them


class ParkedProjector:
    """`projectors.projector.Projector` for the table `parked_decisions`."""

    def __init__(self, stream: str) -> None:
        """Begin with nothing in memory."""
        self._stream = stream
        self._last = 0
        self._decided: list[dict[str, Any]] = []

    async def recall(self, rows: Rows) -> None:
        """Nothing is remembered: each row stands for itself."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        """Keep what is about parked events."""
        self._last = batch[-1].n
        for event in batch:
            if event.type == "parked.retry.v1":
                self._keep(event, "retry", unpack(event, Retry))
            elif event.type == "parked.set_aside.v1":
                self._keep(event, "set_aside", unpack(event, SetAside))

    def _keep(self, event: Recorded, decision: str, said: Retry | SetAside) -> None:
        at = instant(event.at_ns)
        request = {"requests_stream": self._stream, "requests_n": event.n, "at": at, "decision": decision}
        about = {"projector": said.projector, "stream": said.stream, "n": said.n}
        self._decided.append({**request, **about, "reason": said.reason, "asked_by": said.by, "key": said.key})

    def due(self, waited_seconds: float) -> int | None:
        """Give the last n absorbed: at once where a decision is among it."""
        return (self._last or None) if self._decided or waited_seconds >= SETTLE_SECONDS else None

    async def write(self, rows: Rows) -> None:
        """Add the decisions."""
        await rows.run_many("add_decision", self._decided)

    def committed(self) -> None:
        """Forget what is in the table."""
        self._decided = []


def is_requests_stream(stream: str) -> bool:
    """Say whether a stream holds what users asked of the API."""
    return stream == REQUESTS or stream.startswith(f"{REQUESTS}-")


PARKED = Projection(NAME, is_requests_stream, ParkedProjector, ("parked_decisions",))
