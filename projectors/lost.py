"""Rows that a takeover made wrong (design rule 13): events that a projector had seen, and that nobody else ever gets.

A writer that lost its disk puts a tombstone for each n that no store has any more, and names in its `log.takeover`
how far every projector had come. Where some of these n lie at or below that place, the projector has rows of them;
they stay until its tables are rebuilt.
"""

from collections.abc import Sequence

import msgspec

from events.event import Recorded
from events.messages import Takeover, unpack

TAKEOVER = "log.takeover.v1"


class LostRows(msgspec.Struct, frozen=True):
    """The n of a log.takeover, and how many events it gave up of which the projector had rows."""

    n: int
    lost: int


def lost_rows(batch: Sequence[Recorded], projector: str) -> list[LostRows]:
    """Give what the takeovers in a batch say of this projector. Raises BadEvent for one that cannot be read."""
    found = []
    for event in batch:
        if event.type == TAKEOVER:
            told = unpack(event, Takeover)
            reached = told.checkpoints.get(projector, 0)
            lost = sum(max(0, min(last, reached) - first + 1) for first, last in told.tombstones)
            found += [LostRows(event.n, lost)] if lost else []
    return found
