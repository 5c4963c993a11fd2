"""A database that went back: restored from a backup, or a standby in its place that lacked the last commits.

Promise: whoever takes a pair over notices it, says so, and goes on from the checkpoint that is there; nobody who held
the pair before can write any more, and nothing is doubled or lost.

Checkpoints never fall (invariant 3). So a checkpoint below what this process has committed itself, or below where the
projector's consumer group in Redis was set after a commit, is a sure sign; it costs one question at each new lease. The
log goes on from the checkpoint as always: rows and checkpoint went back together.

What must not happen is that epochs are handed out twice: they live in the database that went back, so the next ones may
be those of owners who are frozen somewhere with rows in memory. That is why this owner's epoch is raised past any that
was handed out: to the time in microseconds. Epochs are raised by one, each by an update that takes longer than a
microsecond, from 0 or from an earlier time; so none is above the time at which it was handed out. A clock that was set
back since is the exception: `bahi restored` asks the log's receive times, too.

Where the checkpoint is 0 the database is new, or another one: its epoch is raised as well, and nobody is alarmed.
"""

from typing import Protocol

from runtime.log import get
from runtime.metrics import PROJECTOR_SETBACKS
from sql.store import Lease, Store

_log = get("projector")


class Marks(Protocol):
    """Where positions are shown to operators, and outlive a database that goes back."""

    async def mark(self, stream: str, projector: str, n: int) -> None:
        """Show a position. Raises Unreachable."""
        ...

    async def marked(self, stream: str) -> dict[str, int]:
        """Give the positions that are shown of a stream, by projector. Raises Unreachable."""
        ...


async def look_back(store: Store, marks: Marks, lease: Lease, committed: int, now_ns: int) -> None:
    """Look at a new lease before it is worked on: raise its epoch where the database went back, and say so.

    committed: the n that this process committed last. Raises Unreachable, LeaseLost.
    """
    stood = max(committed, (await marks.marked(lease.stream)).get(lease.projector, 0))
    if stood <= lease.n:
        return
    await store.raise_far(lease, now_ns)
    if lease.n:
        PROJECTOR_SETBACKS.labels(lease.projector).inc()
        where = {"projector": lease.projector, "stream": lease.stream, "stood": stood, "found": lease.n}
        _log.error("projector.database_went_back", **where, remedy="if a backup was restored, run bahi restored")
