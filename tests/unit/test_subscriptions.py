"""Which instruments are held on which connection: folded from requests, bounded, and steady for the day."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.event import Recorded
from events.messages import Message, Subscribe, Sync, TokenChanged, Unsubscribe, pack
from producers import requests
from producers.subscriptions import CONNECTION_INSTRUMENTS_MAX, CONNECTIONS_MAX, Wanted, assign, chosen, fold
from runtime.errors import SettingError

TODAY = date(2026, 4, 13)
TOKENS = {"NSE:INFY": 408065, "NSE:RELIANCE": 738561}
LIMIT = CONNECTIONS_MAX * CONNECTION_INSTRUMENTS_MAX


def token_of(name: str) -> int | None:
    return int(name) if name.isdigit() else TOKENS.get(name)


def said(*messages: Message) -> list[Recorded]:
    events = [pack(each, 1) for each in messages]
    return [Recorded("requests", n, each.at_ns, each.type, each.payload) for n, each in enumerate(events, 1)]


def folded(*messages: Message) -> Wanted:
    wanted = Wanted()
    fold(wanted, said(*messages))
    return wanted


def subscribe(*instruments: str, key: str = "") -> Subscribe:
    return Subscribe(instruments=list(instruments), key=key)


def unsubscribe(*instruments: str, key: str = "") -> Unsubscribe:
    return Unsubscribe(instruments=list(instruments), key=key)


# What is wanted


def test_the_watchlist_comes_first_then_what_was_asked_for_each_once() -> None:
    wanted = folded(subscribe("1", "2"), subscribe("2", "NSE:INFY"))
    assert chosen(wanted, ["NSE:RELIANCE", "2"], token_of) == [738561, 2, 1, 408065]


def test_the_last_word_counts_however_the_instrument_is_spelt() -> None:
    wanted = folded(unsubscribe("408065"), subscribe("NSE:INFY"))
    assert chosen(wanted, ["NSE:INFY"], token_of) == [408065]
    fold(wanted, said(unsubscribe("408065")))
    assert chosen(wanted, ["NSE:INFY"], token_of) == []
    fold(wanted, said(subscribe("408065")))
    assert chosen(wanted, ["NSE:INFY"], token_of) == [408065]


def test_what_is_not_known_is_left_out_until_it_is() -> None:
    assert chosen(folded(subscribe("NSE:NEW")), ["NSE:OTHER", "5"], token_of) == [5]


def test_a_repeated_key_is_dropped() -> None:
    wanted = folded(subscribe("1", key="k"), unsubscribe("1", key="u"), subscribe("1", key="k"))
    assert chosen(wanted, [], token_of) == []
    assert chosen(folded(subscribe("1"), unsubscribe("1"), subscribe("1")), [], token_of) == [1]


def test_requests_of_others_and_broken_ones_are_passed_over() -> None:
    broken = Recorded("requests", 9, 1, "request.subscribe.v1", b"{}")
    wanted = Wanted()
    (refused,) = fold(wanted, [*said(Sync(what="instruments"), TokenChanged(broker="kite", version=1)), broken])
    assert "requests 9" in refused.found
    fold(wanted, said(subscribe("1")))
    assert chosen(wanted, [], token_of) == [1]


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    wanted = folded(subscribe("1", "2", key="k"), unsubscribe("1"))
    wanted.positions["requests"] = 2
    assign(wanted, [2, 7], TODAY)
    requests.keep(path, wanted)
    again = requests.load(path, Wanted)
    assert again == wanted
    assert not again.is_new("k")
    path.write_text("{")
    with pytest.raises(SettingError, match="delete it"):
        requests.load(path, Wanted)


# Where it is held


def test_connections_are_filled_one_after_the_other() -> None:
    wanted = Wanted()
    places, left_out = assign(wanted, list(range(LIMIT + 5)), TODAY)
    assert {number: len(tokens) for number, tokens in places.items()} == dict.fromkeys((1, 2, 3), 3_000)
    assert left_out == list(range(LIMIT, LIMIT + 5))


def test_an_instrument_stays_where_it_is_for_the_day() -> None:
    wanted = Wanted()
    assign(wanted, list(range(4_000)), TODAY)
    places, _ = assign(wanted, [3_999, 5_000], TODAY)
    assert places == {2: [3_999, 5_000]}, "the place of 0 stays its own while there are others"
    places, _ = assign(wanted, [0, 3_999, 5_000], TODAY)
    assert 0 in places[1]
    assert 3_999 in places[2]
    places, _ = assign(wanted, [3_999, 5_000], TODAY + timedelta(days=1))
    assert set(wanted.assigned) == {3_999, 5_000}, "a new day forgets what is not held"


def test_one_that_comes_back_never_overfills_its_connection() -> None:
    wanted = Wanted()
    full = list(range(LIMIT))
    assign(wanted, full, TODAY)
    others = [*full[1:], LIMIT]
    places, left_out = assign(wanted, others, TODAY)
    assert (left_out, wanted.assigned[LIMIT]) == ([], 1), "the place of one that was given up may be used"
    places, left_out = assign(wanted, [*others, 0], TODAY)
    assert left_out == [0]
    assert max(map(len, places.values())) == CONNECTION_INSTRUMENTS_MAX


@given(st.lists(st.lists(st.integers(0, 12_000), max_size=30).map(lambda each: [n * 300 for n in each]), max_size=6))
def test_assignment_is_bounded_and_steady(days: list[list[int]]) -> None:
    wanted, before = Wanted(), dict[int, int]()
    for bases in days:
        tokens = [base + i for base in bases for i in range(300)]
        places, left_out = assign(wanted, tokens, TODAY)
        now = {token: number for number, each in places.items() for token in each}
        assert sorted([*now, *left_out]) == sorted(set(tokens))
        assert all(len(each) <= CONNECTION_INSTRUMENTS_MAX for each in places.values())
        assert all(before.get(token, number) == number for token, number in now.items())
        assert not left_out or len(set(tokens)) > CONNECTION_INSTRUMENTS_MAX
        before |= now
