"""Make a failing history smaller: fewer kinds of faults, fewer of each, fewer batches, as long as it fails."""

from collections.abc import Callable, Iterator

import msgspec

from tests.simulation.faults import APART, BESIDE, KINDS, Plan
from tests.simulation.history import History
from tests.simulation.ledger import Violation

RUNS_MAX = 400  # a shrunk history is found in some dozen; each costs as much as the seed


class Failure(msgspec.Struct, frozen=True):
    """A history that failed: what it was made of, and what it broke."""

    plan: Plan
    found: str
    happened: tuple[tuple[str, int], ...]
    trace: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Give what was broken: the number of the invariant."""
        return self.found.partition(" ")[0]


class Lived(msgspec.Struct, frozen=True):
    """What a history came to: steps of its processes and servers, faults that struck, and how it failed, if it did."""

    steps: int
    faults: int
    failure: Failure | None


def lived(plan: Plan, *, tracing: bool = False) -> Lived:
    """Run a history."""
    history = History(plan, tracing=tracing)
    world, found = history.world, None
    try:
        history.run()
    except Violation as error:
        found = Failure(plan, str(error), tuple(world.faults.happened), tuple(world.trace))
    except AssertionError as error:
        found = Failure(plan, f"(assert) {error}", tuple(world.faults.happened), tuple(world.trace))
    return Lived(world.loop.steps, len(world.faults.happened), found)


def failure(plan: Plan, *, tracing: bool = False) -> Failure | None:
    """Run a history; give how it failed, or None."""
    return lived(plan, tracing=tracing).failure


def shrunk(first: Failure) -> Failure:
    """Give a smaller failure of the same kind."""
    best, runs = first, 0
    again = True
    while again and runs < RUNS_MAX:
        again = False
        for plan in _smaller(best):
            runs += 1
            found = failure(plan)
            if found is not None and found.kind == best.kind:
                best, again = found, True
                break
            if runs >= RUNS_MAX:
                break
    return best


def _smaller(failed: Failure) -> Iterator[Plan]:
    plan = failed.plan
    for kind in (*KINDS, *APART, *BESIDE):
        if any(happened[0] == kind for happened in failed.happened):
            yield msgspec.structs.replace(plan, without=plan.without | {kind})
    size = len(failed.happened)
    while size := size // 2:
        for start in range(0, len(failed.happened), size):
            less = frozenset(failed.happened[start : start + size])
            yield msgspec.structs.replace(plan, muted=plan.muted | less)
    for batches in (1, 2, 3, 5, 8, 12, 20):
        if batches < plan.batches:
            yield msgspec.structs.replace(plan, batches=batches)


def first_failure(seeds: range, tell: Callable[[int], None] = lambda _: None) -> Failure | None:
    """Give the failure of the smallest failing seed, or None where all hold."""
    for seed in seeds:
        found = failure(Plan(seed))
        if found is not None:
            return found
        tell(seed)
    return None
