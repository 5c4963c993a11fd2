"""Who runs which pair: fair, the same for all who look, and nothing moves that need not."""

from hypothesis import given
from hypothesis import strategies as st

from projectors.sharing import Pair, share

NAMES = ("ticks", "candles", "gaps", "instruments")
WEIGHTS = {"ticks": 4, "candles": 2, "gaps": 1, "instruments": 1}
PAIRS = st.sets(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([f"ticks-kite-{number}" for number in range(1, 6)])), max_size=20
)
ROLL = st.dictionaries(st.sampled_from("abcde"), st.frozensets(st.sampled_from(NAMES)), max_size=5)


def weighed(pairs: set[Pair]) -> dict[Pair, int]:
    return {pair: WEIGHTS[pair[0]] for pair in pairs}


def loads(given_to: dict[Pair, str], roll: dict[str, frozenset[str]]) -> dict[str, int]:
    return {worker: sum(WEIGHTS[pair[0]] for pair in given_to if given_to[pair] == worker) for worker in roll}


@given(PAIRS, ROLL, st.data())
def test_every_pair_that_can_be_run_is_run_and_by_one_who_can(
    pairs: set[Pair], roll: dict[str, frozenset[str]], data: st.DataObject
) -> None:
    holders = data.draw(st.dictionaries(st.sampled_from(sorted(pairs)), st.sampled_from("abcdex"))) if pairs else {}
    found = share(weighed(pairs), roll, holders)
    assert found.keys() == {pair for pair in pairs if any(pair[0] in runs for runs in roll.values())}
    assert all(pair[0] in roll[worker] for pair, worker in found.items())


@given(PAIRS, ROLL, st.data())
def test_what_was_given_stays(pairs: set[Pair], roll: dict[str, frozenset[str]], data: st.DataObject) -> None:
    holders = data.draw(st.dictionaries(st.sampled_from(sorted(pairs)), st.sampled_from("abcdex"))) if pairs else {}
    found = share(weighed(pairs), roll, holders)
    assert share(weighed(pairs), roll, found) == found


@given(PAIRS, st.sets(st.sampled_from("abcde"), min_size=1), st.data())
def test_nobody_has_more_than_another_by_more_than_one_pair(
    pairs: set[Pair], workers: set[str], data: st.DataObject
) -> None:
    roll = {worker: frozenset(NAMES) for worker in workers}
    holders = data.draw(st.dictionaries(st.sampled_from(sorted(pairs)), st.sampled_from("abcdex"))) if pairs else {}
    found = share(weighed(pairs), roll, holders)
    by_load = loads(found, roll)
    for pair, worker in found.items():
        assert by_load[worker] - min(by_load.values()) <= WEIGHTS[pair[0]]


@given(PAIRS, st.permutations("abc"), st.permutations("abc"))
def test_the_order_in_which_it_is_told_does_not_matter(pairs: set[Pair], one: list[str], other: list[str]) -> None:
    first, second = ({worker: frozenset(NAMES) for worker in workers} for workers in (one, other))
    backwards = dict(reversed(weighed(pairs).items()))
    assert share(weighed(pairs), first, {}) == share(backwards, second, {})


def test_the_heaviest_goes_to_the_one_who_joins() -> None:
    pairs = {(name, "ticks-kite-1") for name in NAMES}
    alone = share(weighed(pairs), {"a": frozenset(NAMES)}, {})
    joined = share(weighed(pairs), {each: frozenset(NAMES) for each in "ab"}, alone)
    assert joined == {**alone, ("ticks", "ticks-kite-1"): "b"}


def test_the_pairs_of_one_who_is_gone_are_taken_over_and_no_others_move() -> None:
    pairs = {(name, stream) for name in NAMES for stream in ("ticks-kite-1", "ticks-kite-2")}
    before = share(weighed(pairs), {each: frozenset(NAMES) for each in "abc"}, {})
    after = share(weighed(pairs), {each: frozenset(NAMES) for each in "ab"}, before)
    assert set(after.values()) == {"a", "b"}
    assert all(after[pair] == worker for pair, worker in before.items() if worker != "c")
