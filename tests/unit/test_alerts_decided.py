"""What is told of accounts and feeds, when, and how often: the decision alone, without a clock, a disk or a network."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.accounts import KINDS, Known, Outcome, Pulled, SyncRun
from events.messages import LOGIN_MISSING, LOGIN_REFUSED, MARKETS_CLOSED, Beat
from producers.alerts.seen import Moment, Seen, Terms
from producers.alerts.telling import ITEMS_MAX, Book, Letter, decide
from runtime.clock import NS_PER_SECOND

START_NS = 1_795_000_000 * NS_PER_SECOND
TERMS = Terms(stale=900.0)
FEED = "ticks-kite-1"


def run(outcome: Outcome, at: float = 0.0, account: str = "ravi", kinds: int = len(KINDS)) -> SyncRun:
    return SyncRun(
        account=account,
        broker="kite",
        run="r",
        trigger="schedule",
        started_ns=ns(at),
        finished_ns=ns(at),
        outcome=outcome,
        kinds={kind: Pulled(ok=outcome == "ok") for kind in KINDS[:kinds]},
        error="" if outcome == "ok" else "wanted orders; found 502",
    )


def beat(down: str = "") -> Beat:
    said = down or msgspec.UNSET
    return Beat(run="r", frames=0, packets=0, bytes=0, heartbeats=0, texts=0, last_message_ns=0, down=said)


def ns(at: float) -> int:
    return START_NS + round(at * NS_PER_SECOND)


class Watch:
    """Looks at moments of the test's choice."""

    def __init__(self, terms: Terms = TERMS) -> None:
        self.seen, self.book, self.terms = Seen(), Book(mark="m"), terms
        self.letters: list[tuple[float, Letter]] = []

    def look(self, at: float, **moment: Any) -> str:
        """Give the title of the letter that is due, empty without one."""
        fields = {"open": True, "pulls": True, "watching_ns": START_NS, **moment}
        letter = decide(self.seen, self.book, Moment(now_ns=ns(at), **fields), self.terms)
        if letter:
            self.letters.append((at, letter))
        return letter.title if letter else ""


def test_a_refused_token_is_told_at_once_with_what_to_do_and_once_until_it_heals() -> None:
    watch = Watch()
    watch.seen.run(run("refused"))
    assert watch.look(1) == "Bahi: ravi: log in, its token is refused"
    text = watch.letters[0][1].text
    assert "Do: bahi login kite ravi" in text
    assert "IST" in text
    watch.seen.run(run("refused", 100))
    assert not watch.look(100)
    watch.seen.run(run("ok", 200))
    assert not watch.look(200), "it may be refused again in a moment"
    assert watch.look(270) == "Bahi: well again: ravi: log in, its token is refused"
    assert not watch.look(10_000 - 9_000)


def test_what_lasts_is_told_again_after_a_named_time_and_only_in_market_hours() -> None:
    watch = Watch()
    watch.seen.run(run("refused"))
    assert not watch.look(1, open=False)
    assert watch.look(2)
    assert not watch.look(TERMS.repeat)
    assert not watch.look(TERMS.repeat + 3, open=False)
    assert watch.look(TERMS.repeat + 4)


def test_three_runs_in_a_row_that_fail_are_told_and_two_are_not() -> None:
    watch = Watch()
    for at, outcome in enumerate(("failed", "partial", "ok", "partial", "failed")):
        watch.seen.run(run(outcome, at))  # type: ignore[arg-type]  # each is an Outcome
        assert not watch.look(at)
    watch.seen.run(run("ok", 5, kinds=3))  # tells nothing of the other kinds
    watch.seen.run(run("failed", 6))
    assert watch.look(6) == "Bahi: ravi: its pulls fail"
    assert "found 502" in watch.letters[0][1].text


def test_an_account_that_is_not_pulled_is_told_in_market_hours_and_not_before_it_could_have_been_pulled() -> None:
    watch = Watch()
    watch.seen.run(run("ok", -50_000))  # yesterday
    assert not watch.look(800), "the pulls of this start are on their way"
    assert not watch.look(1_000, pulls=False)
    assert watch.look(1_001) == "Bahi: ravi: it is not pulled"
    watch.seen.run(run("refused", 1_100))
    assert watch.look(1_200) == "Bahi: ravi: log in, its token is refused", "one cause, one message"


def test_an_account_that_is_pulled_no_more_is_not_spoken_of_again() -> None:
    watch = Watch()
    watch.seen.run(run("refused"))
    assert watch.look(1)
    watch.seen.known(Known(account="ravi", broker="kite", active=False), ns(2))
    assert not watch.look(500)
    assert not watch.book.raised


@pytest.mark.parametrize("down", [LOGIN_MISSING, LOGIN_REFUSED])
def test_a_feed_that_wants_a_login_is_told_after_half_a_minute(down: str) -> None:
    watch = Watch()
    for at in range(0, 40, 5):
        watch.seen.feed(FEED, ns(at), beat(down), ns(at))
        assert bool(watch.look(at)) == (at == 35)
    assert watch.letters[0][1].title == f"Bahi: {FEED}: log in for prices"
    assert "Do: bahi login kite\n" in watch.letters[0][1].text


def test_a_feed_that_is_down_is_told_after_two_minutes_in_market_hours_and_its_rest_is_not() -> None:
    watch = Watch()
    for at in range(0, 300, 60):
        watch.seen.feed(FEED, ns(at), beat(f"{MARKETS_CLOSED} until 09:00 IST"), ns(at))
        assert not watch.look(at)
    watch.seen.feed(FEED, ns(300), None, ns(300))
    for at in range(310, 440, 10):
        watch.seen.feed(FEED, ns(at), beat("1006: gone"), ns(at))
        assert not watch.look(at)
    assert not watch.look(440, open=False)
    assert watch.look(441) == f"Bahi: {FEED}: the feed is down"
    watch.seen.feed(FEED, ns(450), beat(f"{MARKETS_CLOSED} until 09:00 IST"), ns(450))
    assert not watch.look(520), "a market that closes heals nothing"
    watch.seen.feed(FEED, ns(530), beat(), ns(530))
    assert not watch.look(531)
    watch.seen.feed(FEED, ns(600), beat(), ns(600))
    assert watch.look(600).startswith("Bahi: well again")


def test_a_ticker_that_says_nothing_is_told_once_for_all_its_connections() -> None:
    watch = Watch()
    for number in (1, 2):
        watch.seen.feed(f"ticks-kite-{number}", ns(0), beat(), ns(0))
    assert not watch.look(110)
    assert watch.look(130) == "Bahi: the ticker does not run"


def test_while_the_log_cannot_be_read_only_that_is_told_and_nothing_heals() -> None:
    watch = Watch()
    watch.seen.run(run("refused"))
    assert watch.look(1)
    watch.seen.run(run("ok", 2))
    assert not watch.look(70, away_ns=ns(2))
    assert watch.look(130, away_ns=ns(2)) == "Bahi: the log cannot be read"
    assert not watch.look(300, away_ns=ns(2))
    assert not watch.look(310)
    assert watch.look(371) == "Bahi: well again: ravi: log in, its token is refused (and 1 more)"


def test_hundreds_of_accounts_with_one_cause_are_one_letter_that_a_telephone_can_show() -> None:
    watch = Watch()
    for number in range(200):
        watch.seen.run(run("refused", account=f"a{number:03}"))
    assert watch.look(1) == "Bahi: a000: log in, its token is refused (and 199 more)"
    assert watch.letters[0][1].text.count("Do: ") == ITEMS_MAX
    assert "And 180 more: bahi status" in watch.letters[0][1].text
    assert not watch.look(1_000)


def test_a_letters_id_is_dense_and_what_is_kept_comes_back_as_it_was() -> None:
    watch = Watch()
    watch.seen.run(run("refused"))
    watch.look(1)
    kept = msgspec.json.decode(msgspec.json.encode((watch.seen, watch.book)), type=tuple[Seen, Book])
    assert kept == (watch.seen, watch.book)
    watch.seen, watch.book = kept
    assert not watch.look(100)
    watch.seen.run(run("ok", 150))
    assert not watch.look(151)
    assert watch.look(300)
    assert [letter.id for _, letter in watch.letters] == ["m-1", "m-2"]


HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ok", "partial", "failed", "refused", "up", "down", "login", "rest", "silent", "known", "gone"]
        ),
        st.sampled_from(["one", "two"]),
        st.integers(0, 2_000) | st.sampled_from([1, 30, 60, 120, 20_000]),  # seconds that go by
        st.booleans() | st.just(value=True),  # market hours
        st.integers(0, 9),  # 0: the log cannot be read
    ),
    max_size=60,
)


@given(HAPPENINGS)
def test_no_history_floods(history: list[tuple[str, str, int, bool, int]]) -> None:
    watch, at, away_ns = Watch(), 0.0, 0
    for what, name, seconds, is_open, reads in history:
        at += seconds
        match what:
            case "ok" | "partial" | "failed" | "refused":
                watch.seen.run(run(what, at, name))
            case "known" | "gone":
                watch.seen.known(Known(account=name, broker="kite", active=what == "known"), ns(at))
            case "up" | "down" | "login" | "rest":
                down = {"down": "1006: gone", "login": LOGIN_REFUSED, "rest": MARKETS_CLOSED}.get(what, "")
                watch.seen.feed(f"ticks-kite-{name}", ns(at), beat(down), ns(at))
        away_ns = 0 if reads else away_ns or ns(at)
        watch.look(at, open=is_open, pulls=is_open, away_ns=away_ns)
    moments = [at for at, _ in watch.letters]
    assert all(later - before >= TERMS.apart for before, later in pairwise(moments))
    told: dict[str, float] = {}
    for at, letter in watch.letters:
        assert len({subject for subject, _ in letter.subjects}) == len(letter.subjects)
        for subject, good in letter.subjects:
            if good:
                assert subject in told, "only what was told is told to be well"
                del told[subject]
            else:
                forgotten = (subject.split(" ")[-1], "gone") in {(name, what) for what, name, *_ in history}
                assert forgotten or at - told.get(subject, -TERMS.repeat) >= TERMS.repeat
                told[subject] = at
