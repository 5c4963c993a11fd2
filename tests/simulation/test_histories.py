"""The eight invariants hold in every history that a seed draws; a seed that fails can be replayed, and made smaller."""

import pytest

from tests.simulation.defects import planted
from tests.simulation.faults import Plan
from tests.simulation.history import History
from tests.simulation.shrink import failure, first_failure, shrunk

SEEDS = 2000
SEEDS_AT_ONCE = 100  # a test: they are shared out over the suite's workers


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_AT_ONCE))
def test_every_invariant_holds(first: int) -> None:
    found = first_failure(range(first, first + SEEDS_AT_ONCE))
    assert found is None, f"python -m tests.simulation --seed {found.plan.seed} --shrink: {found.found}"


# One with a backup, one with a second writer, and two with all that a rebuild and an observer can meet.
@pytest.mark.parametrize("seed", [5, 20, 1122, 2999])
def test_a_seed_gives_one_history(seed: int) -> None:
    def trace() -> list[str]:
        history = History(Plan(seed), tracing=True)
        history.run()
        return history.world.trace

    assert trace() == trace()


def test_a_fault_that_is_left_out_does_not_happen() -> None:
    whole = History(Plan(5))
    whole.run()
    assert whole.world.faults.happened
    muted = whole.world.faults.happened[0]
    less = History(Plan(5, muted=frozenset({muted})))
    less.run()
    assert muted not in less.world.faults.happened


def test_a_failure_is_made_smaller() -> None:
    with planted("no epoch in the checkpoint"):
        found = first_failure(range(SMALLEST["no epoch in the checkpoint"], 2000))
        assert found is not None
        small = shrunk(found)
        assert small.kind == found.kind
        assert len(small.happened) <= len(found.happened)
        again = failure(small.plan, tracing=True)
    assert again is not None
    assert again.found == small.found
    assert again.trace


# The smallest seed of each planted mistake. A change of what seeds draw moves them: `make simulate` finds them anew.
SMALLEST = {
    "append before fsync": 89,
    "checkpoint in a second transaction": 0,
    "trim by time": 0,
    "a restarted writer that sends before it has synced its spool": 564,
    "spool cut before the archive": 0,
    "no epoch in the checkpoint": 0,
    "a read without the density check": 0,
    "a repeat accepted without comparing": 186,
    "a hole passed without a tombstone": 452,
    "a swap outside the transaction": 976,
    "no alarm for who stands still": 1079,
}


@pytest.mark.parametrize("defect", SMALLEST)
def test_a_planted_mistake_is_found(defect: str) -> None:
    with planted(defect):
        assert failure(Plan(SMALLEST[defect])) is not None
