"""Who runs which pair: fair, the same for all who look, and nothing moves that need not."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from projectors.sharing import share
from sql.workers import Pair

NAMES = ("ticks", "candles", "gaps", "instruments")
WEIGHTS = {"ticks": 4, "candles": 2, "gaps": 1, "instruments": 1}
PAIRS = st.sets(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([f"ticks-kite-{number}" for number in range(1, 6)])), max_size=20
)
ABLE = st.dictionaries(
    st.sampled_from("abcde"), PAIRS.map(lambda pairs: {pair: WEIGHTS[pair[0]] for pair in pairs}), max_size=5
)
HOLDERS = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([f"ticks-kite-{number}" for number in range(1, 6)])),
    st.sampled_from("abcdex"),
)
Able = dict[str, dict[Pair, int]]


def weighed(pairs: set[Pair]) -> dict[Pair, int]:
    return {pair: WEIGHTS[pair[0]] for pair in pairs}


def loads(given_to: Mapping[Pair, str], able: Able) -> dict[str, int]:
    return {worker: sum(WEIGHTS[pair[0]] for pair in given_to if given_to[pair] == worker) for worker in able}


@given(ABLE, HOLDERS)
def test_every_pair_that_anybody_can_run_is_run_and_by_one_who_can(able: Able, holders: dict[Pair, str]) -> None:
    found = share(able, holders)
    assert found.keys() == {pair for pairs in able.values() for pair in pairs}
    assert all(pair in able[worker] for pair, worker in found.items())


@given(ABLE, HOLDERS)
def test_what_was_given_stays(able: Able, holders: dict[Pair, str]) -> None:
    found = share(able, holders)
    assert share(able, found) == found


@given(PAIRS, st.sets(st.sampled_from("abcde"), min_size=1), HOLDERS)
def test_nobody_has_more_than_another_by_more_than_one_pair(
    pairs: set[Pair], workers: set[str], holders: dict[Pair, str]
) -> None:
    able = {worker: weighed(pairs) for worker in workers}
    found = share(able, holders)
    by_load = loads(found, able)
    for pair, worker in found.items():
        assert by_load[worker] - min(by_load.values()) <= WEIGHTS[pair[0]]


@given(PAIRS, st.permutations("abc"), st.permutations("abc"))
def test_the_order_in_which_it_is_told_does_not_matter(pairs: set[Pair], one: list[str], other: list[str]) -> None:
    backwards = dict(reversed(weighed(pairs).items()))
    told = share({worker: weighed(pairs) for worker in one}, {})
    assert told == share(dict.fromkeys(other, backwards), {})


def test_the_heaviest_goes_to_the_one_who_joins() -> None:
    pairs = weighed({(name, "ticks-kite-1") for name in NAMES})
    alone = share({"a": pairs}, {})
    joined = share({"a": pairs, "b": pairs}, alone)
    assert joined == {**alone, ("ticks", "ticks-kite-1"): "b"}


def test_the_pairs_of_one_who_is_gone_are_taken_over_and_no_others_move() -> None:
    pairs = weighed({(name, stream) for name in NAMES for stream in ("ticks-kite-1", "ticks-kite-2")})
    before = share(dict.fromkeys("abc", pairs), {})
    after = share(dict.fromkeys("ab", pairs), before)
    assert set(after.values()) == {"a", "b"}
    assert all(after[pair] == worker for pair, worker in before.items() if worker != "c")


def test_what_one_alone_sees_is_run_by_that_one_and_the_rest_by_all() -> None:
    seen_by_all = weighed({(name, "ticks-kite-1") for name in ("ticks", "candles", "gaps")})
    only_b = {**seen_by_all, ("ticks", "ticks-sandbox-1"): 4, ("candles", "ticks-sandbox-1"): 2}
    found = share({"a": seen_by_all, "b": only_b}, {})
    assert found.keys() == only_b.keys()
    assert {found["ticks", "ticks-sandbox-1"], found["candles", "ticks-sandbox-1"]} == {"b"}
