"""The simulation's projector: a row for each event, with the sum of all before it, which it recalls from the tables."""

import zlib
from collections.abc import Sequence

from events.event import Recorded
from projectors.projector import Projection
from runtime.errors import BadEvent
from sql.store import Rows

BAD = b"bad "  # a payload that begins so is refused
LAZY_EVENTS = 5  # a lazy projector keeps as many open, and writes them when it has waited
LAZY_SECONDS = 1.5


def added(sum_: int, payload: bytes) -> int:
    """Give the sum with one more event."""
    return zlib.crc32(payload, sum_)


class Counting:
    """One stream's projector. lazy: it leaves the last few events for later, as candles do."""

    def __init__(self, projector: str, stream: str, *, lazy: bool) -> None:
        self._pair = {"projector": projector, "stream": stream}
        self._lazy = lazy
        self._sum = 0
        self._held: list[tuple[int, bytes, int]] = []

    async def recall(self, rows: Rows) -> None:
        found = await rows.run("last_row", self._pair)
        self._sum = found[0]["sum"] if found else 0

    def absorb(self, batch: Sequence[Recorded]) -> None:
        for event in batch:
            if event.payload.startswith(BAD):
                raise BadEvent("an event that can be counted", "a bad one", "it is parked")
            self._sum = added(self._sum, event.payload)
            self._held.append((event.n, event.payload, self._sum))

    def _ripe(self, waited_seconds: float) -> int:
        whole = not self._lazy or waited_seconds > LAZY_SECONDS
        return len(self._held) if whole else len(self._held) - LAZY_EVENTS

    def due(self, waited_seconds: float) -> int | None:
        ripe = self._due = self._ripe(waited_seconds)
        return self._held[ripe - 1][0] if ripe > 0 else None

    async def write(self, rows: Rows) -> None:
        due = self._held[: self._due]
        await rows.run_many("add_row", [{"n": n, "content": content, "sum": sum_} for n, content, sum_ in due])

    def committed(self) -> None:
        self._held = self._held[self._due :]


def projection(name: str, *, lazy: bool) -> Projection:
    """Give a projection that counts."""
    return Projection(name, lambda _: True, lambda stream: Counting(name, stream, lazy=lazy), ("counts",))
