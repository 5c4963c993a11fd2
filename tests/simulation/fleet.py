"""Many seeds over the cores of this machine."""

import multiprocessing
from collections.abc import Iterator

import msgspec

from tests.simulation.defects import planted
from tests.simulation.faults import Plan
from tests.simulation.shrink import Failure, lived

CHUNK_SEEDS = 50  # handed to one process at a time


class Tally(msgspec.Struct):
    """What some histories came to."""

    seeds: int = 0
    steps: int = 0
    faults: int = 0
    failures: list[Failure] = []

    def add(self, other: "Tally") -> None:
        """Count others as well."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.faults += other.faults
        self.failures += other.failures


def tallies(seeds: range, jobs: int, defect: str | None = None, *, residual: bool = False) -> Iterator[Tally]:
    """Run the seeds; give what chunk after chunk of them came to, in their order."""
    chunks = [(seeds[start : start + CHUNK_SEEDS], defect, residual) for start in range(0, len(seeds), CHUNK_SEEDS)]
    if jobs == 1:
        yield from map(_chunk, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_chunk, chunks)


def failures(seeds: range, jobs: int, defect: str | None = None, *, residual: bool = False) -> Iterator[Failure]:
    """Give the failures among the seeds, in their order, as they are found."""
    for tally in tallies(seeds, jobs, defect, residual=residual):
        yield from tally.failures


def _chunk(work: tuple[range, str | None, bool]) -> Tally:
    seeds, defect, residual = work
    tally = Tally()
    with planted(defect):
        for seed in seeds:
            found = lived(Plan(seed, residual=residual))
            tally.add(Tally(1, found.steps, found.faults, [found.failure] if found.failure else []))
    return tally
