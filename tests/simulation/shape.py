"""What a history is like, apart from its faults: its one stream, who reads it, and how much of everything there is."""

import random
from pathlib import Path

import msgspec

from tests.simulation.faults import Plan

STREAM = "ticks-sandbox-1"
FOLDER = Path("/data/spool") / STREAM
PROJECTORS = {"eager": False, "lazy": True}  # by name: whether it is lazy
CHAOS_SECONDS = (2.0, 6.0, 15.0)


class Shape(msgspec.Struct, frozen=True):
    """What a history is like, apart from its faults."""

    batches: int
    batch_events: int
    event_bytes: int
    every_seconds: float
    roll_bytes: int
    roll_seconds: int
    chaos_seconds: float
    bad: float
    window_bytes: int
    window_seconds: int

    @classmethod
    def drawn(cls, plan: Plan) -> "Shape":
        """Give the shape that a seed draws."""
        dice = random.Random(f"shape {plan.seed}")
        return cls(
            batches=min(dice.choice((4, 12, 30)), plan.batches),
            batch_events=dice.choice((1, 3, 8)),
            event_bytes=dice.choice((8, 60, 700)),
            every_seconds=dice.choice((0.02, 0.2, 0.6)),
            roll_bytes=dice.choice((400, 2_000, 20_000)),
            roll_seconds=dice.choice((2, 3600)),
            chaos_seconds=dice.choice(CHAOS_SECONDS),
            bad=dice.choice((0.0, 0.0, 0.0, 0.05)),
            window_bytes=dice.choice((0, 500, 1 << 30)),
            window_seconds=dice.choice((0, 3, 3600)),
        )
