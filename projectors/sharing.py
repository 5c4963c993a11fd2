"""Who runs which pair (projector, stream): every worker works it out for itself, and from the same roll the same.

Nobody is asked and nobody decides. A pair stays with who holds it as long as that is fair, so that little moves; what
nobody holds goes to who has least to do; then pairs go from the busy to the idle while that makes the busier one's load
smaller. While two workers see different rolls for a moment a pair has two takers or none: the lease lets one of them
have it, and the next look mends it.
"""

from collections.abc import Iterable, Mapping

Pair = tuple[str, str]  # projector, stream


def share(
    weights: Mapping[Pair, int], projectors: Mapping[str, frozenset[str]], holders: Mapping[Pair, str]
) -> dict[Pair, str]:
    """Give the worker of each pair; a pair whose projector nobody runs has none.

    weights: of each pair, how much work it is compared with others. projectors: what each living worker runs.
    holders: who held each pair last, whether it is alive or not.
    """
    able = {pair: sorted(worker for worker, runs in projectors.items() if pair[0] in runs) for pair in weights}
    heavy_first = sorted((pair for pair in weights if able[pair]), key=lambda pair: (-weights[pair], pair))
    given = {pair: holders[pair] for pair in heavy_first if holders.get(pair) in able[pair]}
    loads = {worker: sum(weights[pair] for pair in given if given[pair] == worker) for worker in projectors}
    for pair in heavy_first:
        if pair not in given:
            given[pair] = _idlest(able[pair], loads)
            loads[given[pair]] += weights[pair]
    while (move := _next_move(heavy_first, weights, able, given, loads)) is not None:
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
    able: Mapping[Pair, list[str]],
    given: Mapping[Pair, str],
    loads: Mapping[str, int],
) -> tuple[Pair, str] | None:
    """Give the first pair that a less busy worker should have: after it the two are nearer to each other.

    It ends: the sum of the squares of all loads falls with each move.
    """
    for pair in pairs:
        taker = _idlest(able[pair], loads)
        if loads[given[pair]] - loads[taker] > weights[pair]:
            return pair, taker
    return None
