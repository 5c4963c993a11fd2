"""Folding ticks into candles, against plain Python: every kind of packet, every way to cut the stream into pieces."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.decode import decode
from events.decode.tick import Ticks
from projectors.fold import Folded, Highest, fold
from tests.candle_reference import Candle, Reference
from tests.entries import START_NS
from tests.frames import INFY, NIFTY, RELIANCE, SECOND_NS, USDINR, Packet, frame, recorded

DAY_SECONDS = 86_400
MIDNIGHT = 1_775_932_200  # 2026-04-12 00:00 IST
START = MIDNIGHT - 90
PRICES_OF_PAISE = {USDINR: 1e7}

packets = st.builds(
    Packet,
    kind=st.sampled_from(["ltp", "quote", "full"]),
    token=st.sampled_from([INFY, RELIANCE, USDINR]),
    price=st.sampled_from([0, 1, 100, 101, 4_294_967_280]),
    volume=st.sampled_from([0, 1, 5, 6, 100, 4_294_967_295]),
    oi=st.integers(0, 3),
    seconds=st.one_of(
        st.integers(START, START + 180),
        st.sampled_from([0, 1, 946_684_799, 946_684_800, START - 3 * DAY_SECONDS, START + DAY_SECONDS, 4_294_967_295]),
    ),
)
indices = st.builds(
    Packet,
    kind=st.sampled_from(["index_quote", "index_full"]),
    token=st.just(NIFTY),
    price=st.integers(10, 12),
    seconds=st.integers(START, START + 180),
)
messages = st.lists(st.lists(packets | indices, min_size=1, max_size=4), min_size=1, max_size=25)


def received_ns(place: int) -> int:
    return (START + 7 * place) * SECOND_NS + 123_456_789


def ticks_of(sent: list[list[Packet]], first: int = 0) -> Ticks:
    """Decode messages; the one at place p of the whole stream is n = p + 1."""
    decoded = decode(
        [recorded(first + p + 1, frame(*each), received_ns(first + p)) for p, each in enumerate(sent)],
    )
    assert not decoded.parked
    return decoded.ticks


def expected(sent: list[list[Packet]]) -> dict[tuple[int, int], Candle]:
    reference = Reference()
    for place, each in enumerate(sent):
        reference.hear(received_ns(place), tuple(each))
    return reference.candles


def candles(folded: Folded) -> dict[tuple[int, int], Candle]:
    """Give columns as the reference's candles, prices back in the wire's whole units."""
    found = {}
    for i, token in enumerate(folded.instrument_token.tolist()):
        scale = PRICES_OF_PAISE.get(token, 100)
        columns = (folded.open, folded.high, folded.low, folded.close)
        opened, high, low, closed = (round(float(column[i]) * scale) for column in columns)
        oi = int(folded.oi[i])
        count, late, falls = (int(column[i]) for column in (folded.tick_count, folded.late, folded.falls))
        key = (token, int(folded.minute_ns[i]))
        assert key not in found, "one candle an instrument and minute"
        found[key] = Candle(
            opened, high, low, closed, int(folded.volume[i]), None if oi < 0 else oi, count, late, falls
        )
    return found


def merged(old: Candle | None, new: Candle) -> Candle:
    """Merge as the statement merge_candles does."""
    if old is None:
        return new
    return Candle(
        old.open,
        max(old.high, new.high),
        min(old.low, new.low),
        new.close,
        old.volume + new.volume,
        old.oi if new.oi is None else new.oi,
        old.ticks + new.ticks,
        old.late + new.late,
        old.falls + new.falls,
    )


def no_watermark(ticks: Ticks) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.zeros(len(ticks), np.int64)


@given(messages)
def test_candles_are_those_of_plain_python(sent: list[list[Packet]]) -> None:
    ticks = ticks_of(sent)
    assert candles(fold(ticks, no_watermark(ticks), Highest())) == expected(sent)


@given(messages, st.lists(st.integers(0, 25), max_size=6))
def test_every_cut_into_pieces_gives_the_same(sent: list[list[Packet]], cuts: list[int]) -> None:
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    found: dict[tuple[int, int], Candle] = {}
    highest = Highest()
    for start, stop in itertools.pairwise(edges):
        ticks = ticks_of(sent[start:stop], start)
        folded = fold(ticks, no_watermark(ticks), highest)
        highest.keep(folded.counters.keys, folded.counters.highest)
        for key, candle in candles(folded).items():
            found[key] = merged(found.get(key), candle)
    assert found == expected(sent)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 50)), min_size=1, max_size=60))
def test_the_candles_of_a_day_add_up_to_the_growth_of_the_counter(said: list[tuple[int, int]]) -> None:
    sent = [[Packet("full", price=price, volume=v, seconds=START)] for price, v in said]
    folded = fold(ticks_of(sent), no_watermark(ticks_of(sent)), Highest())
    volumes = [v for _, v in said]
    assert folded.volume.sum() == max(volumes) - volumes[0]
    assert folded.counters.instrument_token.tolist() == [INFY]
    assert folded.counters.day_number.tolist() == [(START + 19_800) // DAY_SECONDS]
    assert folded.counters.highest.tolist() == [max(volumes)]


def test_a_tick_before_midnight_in_india_counts_for_its_own_day() -> None:
    sent = [
        [Packet("full", volume=900, seconds=MIDNIGHT - 1)],
        [Packet("full", volume=10, seconds=MIDNIGHT)],
        [Packet("full", volume=950, seconds=MIDNIGHT - 2)],  # late, and of the day before
        [Packet("full", volume=25, seconds=MIDNIGHT + 1)],
    ]
    found = candles(fold(ticks_of(sent), no_watermark(ticks_of(sent)), Highest()))
    before, after = (MIDNIGHT - 60) * SECOND_NS, MIDNIGHT * SECOND_NS
    assert (found[INFY, before].volume, found[INFY, after].volume) == (50, 15)
    assert not any(candle.falls for candle in found.values())


def test_what_grew_while_there_was_no_price_goes_to_the_next_tick_with_one() -> None:
    sent = [
        [Packet("full", price=0, volume=0)],
        [Packet("full", price=0, volume=40)],
        [Packet("full", price=100, volume=60)],
        [Packet("full", price=0, volume=70)],
        [Packet("full", price=101, volume=75)],
    ]
    (candle,) = candles(fold(ticks_of(sent), no_watermark(ticks_of(sent)), Highest())).values()
    assert candle == Candle(100, 101, 100, 101, volume=75, oi=0, ticks=2)


def test_nothing_but_ticks_without_a_price_makes_no_candle_and_remembers_the_first() -> None:
    sent = [[Packet("quote", price=0, volume=7)], [Packet("quote", price=0, volume=9)]]
    folded = fold(ticks_of(sent), no_watermark(ticks_of(sent)), Highest())
    assert candles(folded) == {}
    assert folded.counters.highest.tolist() == [7]


def test_no_ticks_make_no_candles() -> None:
    none = ticks_of([])
    assert candles(fold(none, no_watermark(none), Highest())) == {}


def test_a_tick_is_late_once_the_watermark_has_reached_its_minutes_end() -> None:
    ticks = ticks_of([[Packet("full", price=100 + i)] for i in range(3)])
    end = (START_NS // (60 * SECOND_NS) + 1) * 60 * SECOND_NS
    (candle,) = candles(fold(ticks, np.array([end - 1, end, end + 1]), Highest())).values()
    assert candle.late == 2


@pytest.mark.parametrize(("kind", "oi"), [("full", 4), ("quote", None), ("ltp", None), ("index_full", None)])
def test_open_interest_is_that_of_the_newest_packet_that_carries_it(kind: str, oi: int | None) -> None:
    token = NIFTY if kind.startswith("index") else INFY
    sent = [[Packet(kind, token, oi=3, seconds=START)], [Packet(kind, token, oi=4, seconds=START)]]
    found = candles(fold(ticks_of(sent), no_watermark(ticks_of(sent)), Highest()))
    assert {candle.oi for candle in found.values()} == {oi}


@hypothesis_settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_thousands_of_ticks_of_many_instruments(seed: int) -> None:
    random = np.random.default_rng(seed)
    sent = [
        [
            Packet(
                "full",
                token=int(256 * random.integers(1, 40) + 1),
                price=int(random.integers(0, 5)),
                volume=int(random.integers(0, 1_000)),
                oi=int(random.integers(0, 9)),
                seconds=START + int(random.integers(0, 200)),
            )
            for _ in range(10)
        ]
        for _ in range(100)
    ]
    ticks = ticks_of(sent)
    assert candles(fold(ticks, no_watermark(ticks), Highest())) == expected(sent)


def test_counters_know_on_which_day_their_newest_tick_was_received() -> None:
    old = Packet("full", volume=5, seconds=START - 3 * DAY_SECONDS)
    batch = [recorded(1, frame(old), START * SECOND_NS), recorded(2, frame(old), MIDNIGHT * SECOND_NS)]
    ticks = decode(batch).ticks
    counters = fold(ticks, no_watermark(ticks), Highest()).counters
    assert counters.seen_number.tolist() == [counters.day_number[0] + 4]
