"""Decoding: a pure function from a batch of events to one array of ticks. Every reader uses it.

A parser's bug is mended here, and the past with it: the raw frames are in the log, and a rebuild reads them again.
"""

from collections.abc import Sequence

import msgspec

from events.decode import kite
from events.decode.kite import Parked
from events.decode.tick import Ticks
from events.event import Recorded

FRAME_TYPES = frozenset({"kite.frame.v1"})


class Decoded(msgspec.Struct, frozen=True):
    """What a batch held: its ticks, in the order of the log, and the parts that could not be read."""

    ticks: Ticks
    parked: list[Parked]


def decode(batch: Sequence[Recorded]) -> Decoded:
    """Give the ticks of all frames in a batch; events of other types hold none."""
    ticks, parked = kite.decode([event for event in batch if event.type in FRAME_TYPES])
    return Decoded(ticks, parked)
