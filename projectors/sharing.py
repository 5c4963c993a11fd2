"""Who runs which pair (projector, stream): every worker works it out for itself, and from the same roll the same.

Nobody is asked and nobody decides. Each worker tells on the roll what it could run, so that all reckon with the same
pairs, also where one sees a stream that another does not, or is of another version. A pair stays with who holds it as
long as that is fair, so that little moves; what nobody holds goes to who has least to do; then pairs go from the busy
to the idle while that makes the busier one's load smaller. While two workers see different rolls for a moment a pair
has two takers or none: the lease lets one of them have it, and the next look mends it.
"""

from collections.abc import Iterable, Mapping

from sql.workers import Pair


def share(able: Mapping[str, Mapping[Pair, int]], holders: Mapping[Pair, str]) -> dict[Pair, str]:
    """Give the worker of each pair.

    able: what each living worker could run, with how much work a pair is compared with others. holders: who held each
    pair last, whether it is alive or not.
    """
    takers: dict[Pair, list[str]] = {}
    weights: dict[Pair, int] = {}
    for worker in sorted(able):
        for pair, weight in able[worker].items():
            takers.setdefault(pair, []).append(worker)
            weights[pair] = max(weight, weights.get(pair, 0))
    heavy_first = sorted(takers, key=lambda pair: (-weights[pair], pair))
    given = {pair: holders[pair] for pair in heavy_first if holders.get(pair) in takers[pair]}
    loads = {worker: sum(weights[pair] for pair in given if given[pair] == worker) for worker in able}
    for pair in heavy_first:
        if pair not in given:
            given[pair] = _idlest(takers[pair], loads)
            loads[given[pair]] += weights[pair]
    while (move := _next_move(heavy_first, weights, takers, given, loads)) is not None:
        pair, taker = move
        loads[given[pair]] -= weights[pair]
        loads[taker] += weights[pair]
        given[pair] = taker
    return given


def _idlest(workers: Iterable[str], loads: Mapping[str, int]) -> str:
    return min(workers, key=lambda worker: (loads[worker], worker))


def _next_move(
    pairs: list[Pair],
    weights: Mapping[Pair, int],
    takers: Mapping[Pair, list[str]],
    given: Mapping[Pair, str],
    loads: Mapping[str, int],
) -> tuple[Pair, str] | None:
    """Give the first pair that a less busy worker should have: after it the two are nearer to each other.

    It ends: the sum of the squares of all loads falls with each move.
    """
    for pair in pairs:
        taker = _idlest(takers[pair], loads)
        if loads[given[pair]] - loads[taker] > weights[pair]:
            return pair, taker
    return None
