"""`python -m tests.simulation`: run seeds, replay one, shrink one."""

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.defects import DEFECTS, planted
from tests.simulation.faults import Plan
from tests.simulation.fleet import Tally, failures, tallies
from tests.simulation.shrink import failure, shrunk

FAILURES_SHOWN = 10


def main() -> int:
    """Give 0 where all seeds hold, 1 where one fails."""
    options = _options()
    with planted(options.defect):
        if options.seed is None and os.environ.get("RESIDUAL") == "1":
            return _residual(range(options.first, options.first + options.seeds), options.jobs)
        if options.seed is None:
            return _many(range(options.first, options.first + options.seeds), options.jobs, options.defect)
        return _one(options.seed, shrink=options.shrink)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one, and print its trace")
    parser.add_argument("--shrink", action="store_true", help="make it smaller first, as long as it fails")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--defect", choices=sorted(DEFECTS), help="plant this mistake first")
    return parser.parse_args()


def _one(seed: int, *, shrink: bool) -> int:
    found = failure(Plan(seed))
    if found is None:
        print(f"seed {seed} holds")
        return 0
    if shrink:
        found = shrunk(found)
    found = failure(found.plan, tracing=True)
    assert found is not None, "the same plan gives the same history"
    print("\n".join(found.trace))
    print(f"\nseed {seed}: {found.found}")
    print(f"faults: {', '.join(f'{kind} {occasion}' for kind, occasion in found.happened) or 'none'}")
    return 1


def _residual(seeds: range, jobs: int) -> int:
    """Draw what is not promised, and count what comes of it."""
    kinds = Counter(found.kind for found in failures(seeds, jobs, residual=True))
    print(f"{len(seeds)} seeds from {seeds.start} with what is not promised: {kinds.total()} do not hold")
    for kind, count in kinds.most_common():
        print(f"{count:>8}  {kind}")
    return 0


def _many(seeds: range, jobs: int, defect: str | None) -> int:
    began, whole = time.monotonic(), Tally()
    for tally in tallies(seeds, jobs, defect):
        for each in tally.failures[: max(0, FAILURES_SHOWN - len(whole.failures))]:
            print(f"seed {each.plan.seed}: {each.found}", flush=True)
        whole.add(tally)
    seconds, found = time.monotonic() - began, whole.failures
    print(
        f"{whole.seeds} seeds from {seeds.start}: {len(found)} fail; {whole.steps} steps, {whole.faults} faults;",
        end="",
    )
    print(f" {seconds:.0f} s, {whole.seeds / seconds:.0f} a second")
    if found:
        print(f"python -m tests.simulation --seed {found[0].plan.seed} --shrink shows the first of them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
