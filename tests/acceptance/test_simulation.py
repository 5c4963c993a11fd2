"""The simulator at full length: 20,000 seeds hold, and each planted mistake is found."""

import os
from collections.abc import Callable

import pytest

from tests.simulation.defects import DEFECTS
from tests.simulation.fleet import Tally, failures, tallies

SEEDS = 20_000
DEFECT_SEEDS = 2_000  # within which each planted mistake is found


@pytest.mark.prove
def test_every_invariant_holds_in_every_history(record_property: Callable[[str, object], None]) -> None:
    """In 20,000 seeded histories of the log's own code, with crashes and losses at every step, all invariants hold."""
    whole = Tally()
    for tally in tallies(range(SEEDS), os.cpu_count() or 1):
        whole.add(tally)
    found = whole.failures
    record_property("seeds", whole.seeds)
    record_property("steps", whole.steps)
    record_property("faults", whole.faults)
    record_property("failing", len(found))
    assert not found, f"python -m tests.simulation --seed {found[0].plan.seed} --shrink: {found[0].found}"


@pytest.mark.prove
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_mistake_is_found(defect: str, record_property: Callable[[str, object], None]) -> None:
    """A mistake planted in the log's code is found within 2,000 seeds."""
    found = list(failures(range(DEFECT_SEEDS), os.cpu_count() or 1, defect))
    record_property("planted", defect)
    record_property("failing seeds", len(found))
    assert found, f"no seed of {DEFECT_SEEDS} finds it"
    record_property("the smallest", found[0].plan.seed)
    record_property("found by", found[0].kind)
