"""Measuring in turns: ours, the limit, ours, the limit ...

The two of one round see the same machine, so their ratio means something even where neither figure does. The result
is the median of the rounds' ratios; its least and most show how far to trust it.
"""

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median

import msgspec

ROUNDS = 5  # the least that has a median worth the name
ROUND_SECONDS = 0.25  # long against the clock and a time slice, short against a neighbour's visit
QUICK_SHARE = 0.1  # of a whole benchmark's sizes and times

Rate = Callable[[], float]  # does some work and gives how much of it a second

AT_LEAST, AT_MOST = "at least", "at most"


class Target(msgspec.Struct, frozen=True):
    """What is wanted: a number, and on which side of it the result must lie."""

    number: float
    side: str = AT_LEAST

    def met(self, found: float) -> bool:
        """Say whether a result is good enough."""
        return found >= self.number if self.side == AT_LEAST else found <= self.number


class Case(msgspec.Struct, frozen=True):
    """One line of a result.

    value, limit: medians, in `unit`; against: what the limit is; ratio: median of value / limit, None where nothing
    limits but the target. least, most: of the ratio, else of the value. target is about the ratio, else the value.
    """

    case: str
    value: float
    unit: str
    against: str | None
    limit: float | None
    ratio: float | None
    target: float | None
    target_is: str | None
    met: bool | None
    least: float
    most: float
    rounds: int
    note: str = ""


class Trial:
    """One run of a benchmark: how thorough it is, and whom it tells how far it is."""

    def __init__(self, say: Callable[[str], None], *, quick: bool = False) -> None:
        """quick: one short round; it shows that the benchmark works, and no more."""
        self.say = say
        self.quick = quick
        self.rounds = 1 if quick else ROUNDS

    def part(self, size: float) -> float:
        """Give a size or a time, a small part of it where this is quick."""
        return size * QUICK_SHARE if self.quick else size

    def alternate(self, ours: Rate, limit: Rate) -> tuple[list[float], list[float]]:
        """Measure both in turns, after a round that does not count."""
        values, limits = [], []
        for place in range(self.rounds + 1):
            gc.collect()
            value = ours()
            gc.collect()
            bound = limit()
            if place:
                values.append(value)
                limits.append(bound)
        return values, limits

    def per_second(
        self, count: int, work: Callable[[], object], clock: Callable[[], float] = time.perf_counter
    ) -> float:
        """Do `work`, which handles `count` things, again and again for a while; give things a second.

        clock: `time.thread_time` for pure computing leaves out what the machine did for others meanwhile.
        """
        wanted, times, began = self.part(ROUND_SECONDS), 0, clock()
        while True:
            work()
            times += 1
            took = clock() - began
            if took >= wanted:
                return count * times / took


Bench = Callable[[Trial], list[Case]]


def compare(
    case: str,
    unit: str,
    against: str,
    found: tuple[Sequence[float], Sequence[float]],
    target: Target | None,
    note: str = "",
) -> Case:
    """Give the case of values and limits of the same rounds."""
    values, limits = found
    ratios = [value / limit for value, limit in zip(values, limits, strict=True)]
    return _case(case, unit, values, ratios, target, note, against=against, limit=_rounded(median(limits)))


def alone(case: str, unit: str, values: Sequence[float], target: Target | None, note: str = "") -> Case:
    """Give the case of values that no limit was measured for."""
    return _case(case, unit, values, values, target, note)


def _case(
    case: str,
    unit: str,
    values: Sequence[float],
    judged: Sequence[float],
    target: Target | None,
    note: str,
    *,
    against: str | None = None,
    limit: float | None = None,
) -> Case:
    middle = median(judged)
    return Case(
        case=case,
        value=_rounded(median(values)),
        unit=unit,
        against=against,
        limit=limit,
        ratio=_rounded(middle) if against else None,
        target=target.number if target else None,
        target_is=target.side if target else None,
        met=target.met(middle) if target else None,
        least=_rounded(min(judged)),
        most=_rounded(max(judged)),
        rounds=len(judged),
        note=note,
    )


def _rounded(number: float) -> float:
    """Keep four digits: more would pretend."""
    return float(f"{number:.4g}")
