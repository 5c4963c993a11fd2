"""Many seeds over the cores of this machine."""

import multiprocessing
from collections.abc import Iterator

from tests.simulation.defects import planted
from tests.simulation.faults import Plan
from tests.simulation.shrink import Failure, failure

CHUNK_SEEDS = 50  # handed to one process at a time


def failures(seeds: range, jobs: int, defect: str | None = None, *, residual: bool = False) -> Iterator[Failure]:
    """Give the failures among the seeds, in their order, as they are found."""
    chunks = [(seeds[start : start + CHUNK_SEEDS], defect, residual) for start in range(0, len(seeds), CHUNK_SEEDS)]
    if jobs == 1:
        for chunk in chunks:
            yield from _chunk(chunk)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for found in pool.imap(_chunk, chunks):
            yield from found


def _chunk(work: tuple[range, str | None, bool]) -> list[Failure]:
    seeds, defect, residual = work
    with planted(defect):
        return [found for seed in seeds if (found := failure(Plan(seed, residual=residual))) is not None]
