"""What a projector is: one projection of one stream, in five verbs. The loop (`projectors.loop`) does all the rest."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from events.event import Recorded
from sql.store import Rows


class Projector(Protocol):
    """Events in, rows out. One object serves one stream while its lease is held; it is made anew after that.

    What it has absorbed and not yet written lives in memory only: the checkpoint stays behind it, so that nothing is
    lost with the process. It may not read a clock or anything else that is not in the log.
    """

    async def recall(self, rows: Rows) -> None:
        """Read from the tables what it must remember at its checkpoint. Called once, before anything is absorbed."""
        ...

    def absorb(self, batch: Sequence[Recorded]) -> None:
        """Take events into memory, dense in n. Raises BadEvent where one of them cannot be read."""
        ...

    def due(self, waited_seconds: float) -> int | None:
        """Give the n up to which `write` would write, or None while there is nothing, or not yet enough, to write.

        waited_seconds: since the last commit; infinity asks for all that can be written at all.
        """
        ...

    async def write(self, rows: Rows) -> None:
        """Write the rows of all up to `due`. It may be called again with the same rows: only `committed` forgets.

        Raises BadEvent where the database refuses a row.
        """
        ...

    def committed(self) -> None:
        """Forget what was written: it is in the tables and the checkpoint says so."""
        ...


class Projection(msgspec.Struct, frozen=True):
    """A projector as the loop needs to know it.

    wants: which streams it reads. make: gives the projector for one stream. parks: a bad event is parked and the rest
    goes on; without it, as for orders, trades and money, the projector stops and says so. packets: how many ticks an
    event said that it holds, for the account of one that is parked whole. weight: how much work a pair of it is beside
    others, for sharing them out. rest_seconds: how long it rests after a read that took all there was; what is in no
    haste takes more at once, and leaves the processor to what is. read_events: the most that one read takes, and so one
    transaction, where events are large.

    forget: removes its rows of one event, as its present code finds them, and gives how many these were, so that this
    event can be tried again (`projectors.retry`); None where rows hold more than one event, or one changes another's.

    tables: all that it writes, but its parked events. version: raised where the rows that it made before are not what
    it would make now, so that they are rebuilt. by_days: its rows are dropped with TICK_RETENTION_DAYS.
    """

    name: str
    wants: Callable[[str], bool]
    make: Callable[[str], Projector]
    tables: tuple[str, ...] = ()
    version: int = 1
    by_days: bool = False
    parks: bool = True
    packets: Callable[[Recorded], int] = lambda _: 0
    weight: int = 1
    rest_seconds: float = 0.0
    read_events: int | None = None
    forget: Callable[[Rows, Recorded], Awaitable[int]] | None = None


def is_tick_stream(stream: str) -> bool:
    """Say whether a stream is that of a ticker's connection."""
    return stream.startswith("ticks-")
