"""The generated market: the same for a seed, moving together, and one story in ticks and history."""

import csv
import datetime
import io
import itertools

import numpy as np
import pytest

from ops.sandbox import contracts, history, instruments
from ops.sandbox.envelope import Refusal
from ops.sandbox.market import Market
from ops.sandbox.paths import MINUTE_NS, SLOT_NS
from ops.sandbox.wire import Field, IndexField
from runtime.calendar import IST

SECOND_NS = 1_000_000_000
# A Thursday, 11:00:00 IST.
NOON = datetime.datetime(2026, 11, 19, 11, 0, tzinfo=IST)
NOW_NS = int(NOON.timestamp()) * SECOND_NS


@pytest.fixture(scope="module")
def market() -> Market:
    """Give a market that is only read, or ticks to times of its own."""
    return Market(5, NOW_NS)


def place(market: Market, key: str) -> int:
    return next(n for n, i in enumerate(market.instruments) if i.key == key)


def words(market: Market) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return market.board.view(">u4").astype(np.int64)


def test_a_seed_gives_the_same_market_and_another_seed_another() -> None:
    one, two, other = Market(5, NOW_NS), Market(5, NOW_NS), Market(6, NOW_NS)
    assert (one.board == two.board).all()
    assert [i.instrument_token for i in one.instruments][:50] == [i.instrument_token for i in other.instruments][:50]
    assert (words(one)[:50, Field.LTP] != words(other)[:50, Field.LTP]).mean() > 0.9


def test_a_restart_finds_the_prices_volumes_and_closes_where_they_would_be() -> None:
    early, late = Market(5, NOW_NS), Market(5, NOW_NS + 10 * MINUTE_NS)
    every = np.arange(len(early.instruments))
    for at in range(NOW_NS, NOW_NS + 10 * MINUTE_NS + 1, MINUTE_NS):
        early.tick(every, at)
    for field in (Field.LTP, Field.OI):
        assert (words(early)[:, field] == words(late)[:, field]).all()
    tradable = ~early.is_index
    assert (words(early)[tradable, Field.CLOSE] == words(late)[tradable, Field.CLOSE]).all()
    volume = words(early)[tradable, Field.VOLUME], words(late)[tradable, Field.VOLUME]
    assert np.abs(volume[0] - volume[1]).max() <= max(i.lot_size for i in early.instruments)


def test_the_usual_list_has_equities_indices_futures_chains_and_every_divisor_but_the_rare_ones(market: Market) -> None:
    kinds = {(i.exchange, i.instrument_type, i.segment) for i in market.instruments}
    assert kinds == {
        ("NSE", "EQ", "NSE"),
        ("NSE", "EQ", "INDICES"),
        ("NFO", "FUT", "NFO-FUT"),
        ("NFO", "CE", "NFO-OPT"),
        ("NFO", "PE", "NFO-OPT"),
        ("MCX", "FUT", "MCX-FUT"),
        ("CDS", "FUT", "CDS-FUT"),
    }
    assert sum(i.segment == "NSE" for i in market.instruments) >= 25
    assert len(market.places) == len(market.instruments)
    assert market.instruments[place(market, "NSE:INFY")].instrument_token == 408065
    assert market.instruments[place(market, "NSE:NIFTY 50")].instrument_token == 256265
    for i in market.instruments:
        assert i.instrument_token >> 8 == i.exchange_token
        assert i.instrument_token < 2**31


def test_the_dump_has_kites_columns(market: Market) -> None:
    rows = list(csv.DictReader(io.StringIO(instruments.dump(market.instruments).decode())))
    assert tuple(rows[0]) == instruments.COLUMNS
    assert len(rows) == len(market.instruments)
    option = next(row for row in rows if row["instrument_type"] == "CE")
    assert datetime.date.fromisoformat(option["expiry"]) >= NOON.date()
    assert float(option["strike"]) % 50 == 0


@pytest.mark.parametrize("count", [1, 25, 300, 1_000])
def test_a_wished_size_is_kept_and_no_derivative_lacks_its_underlying(count: int) -> None:
    market = Market(5, NOW_NS, count)
    assert len(market.instruments) == len(market.places) == count
    assert (words(market)[:, Field.LTP] > 0).all()


def test_tokens_stay_the_same_in_a_larger_market_and_on_another_day(market: Market) -> None:
    known = {i.key: i.instrument_token for i in market.instruments}
    larger = {i.key: i.instrument_token for i in Market(5, NOW_NS + 86_400 * SECOND_NS, 2_000).instruments}
    gone = {i.expiry for i in market.instruments if i.key not in larger}
    assert gone == {NOON.date()}
    assert all(known[key] == larger[key] for key in known.keys() & larger.keys())


def test_every_packet_makes_sense(market: Market) -> None:
    rows = words(market)[~market.is_index]
    assert (rows[:, Field.LOW] <= rows[:, Field.LTP]).all()
    assert (rows[:, Field.LTP] <= rows[:, Field.HIGH]).all()
    assert (rows[:, Field.LOW] <= rows[:, Field.OPEN]).all()
    assert (rows[:, [Field.TIME, Field.LAST_TRADE_TIME]] == NOW_NS // SECOND_NS).all()
    bids, asks = rows[:, Field.DEPTH + 1 : Field.DEPTH + 15 : 3], rows[:, Field.DEPTH + 16 :: 3]
    assert (np.diff(bids, axis=1) <= 0).all()
    assert (np.diff(asks, axis=1) > 0).all()
    assert (bids[:, 0] <= rows[:, Field.LTP]).all()
    assert (bids[:, 0] < asks[:, 0]).all()
    assert (rows[:, Field.LTP] <= asks[:, 0]).all()
    quantities = rows[:, Field.DEPTH : Field.DEPTH + 15 : 3]
    assert ((quantities > 0) == (bids > 0)).all()
    indices = words(market)[market.is_index]
    assert (indices[:, IndexField.TIME] == NOW_NS // SECOND_NS).all()
    change = indices[:, IndexField.CHANGE].astype(np.uint32).view(np.int32)
    assert (change == indices[:, Field.LTP] - indices[:, IndexField.CLOSE]).all()


def test_cumulative_volume_never_falls_within_a_day_and_open_interest_is_of_derivatives_only() -> None:
    market = Market(5, NOW_NS)
    every = np.arange(len(market.instruments))
    before = words(market)[:, Field.VOLUME]
    for at in range(NOW_NS, NOW_NS + 3 * MINUTE_NS, 7 * SECOND_NS):
        market.tick(every, at)
        after = words(market)[:, Field.VOLUME]
        assert (after[~market.is_index] >= before[~market.is_index]).all()
        before = after
    derivative = np.array([i.instrument_type != "EQ" for i in market.instruments])
    tradable = ~market.is_index
    assert ((words(market)[:, Field.OI] > 0) == derivative)[tradable].all()


def test_prices_move_together(market: Market) -> None:
    minutes = np.arange(NOW_NS // MINUTE_NS - 60 * 24 * 30, NOW_NS // MINUTE_NS, 30)
    equities = np.array([market.pricing.spot[n] for n, i in enumerate(market.instruments) if i.segment == "NSE"])
    moves = np.diff(market.paths.minutes(equities, minutes), axis=1)
    correlation = np.atleast_2d(np.corrcoef(moves))
    assert 0.15 < correlation[~np.eye(len(equities), dtype=bool)].mean() < 0.8
    assert (correlation > 0).mean() > 0.95


def test_derivatives_are_priced_off_their_underlying(market: Market) -> None:
    rows = words(market)
    spot = rows[place(market, "NSE:NIFTY 50"), Field.LTP]
    futures = [n for n, i in enumerate(market.instruments) if i.name == "NIFTY" and i.instrument_type == "FUT"]
    ladder = [spot, *rows[futures, Field.LTP]]
    assert ladder == sorted(ladder)
    assert ladder[-1] < spot * 1.03
    near = market.instruments[futures[0]].expiry
    chain = {
        (i.strike, i.instrument_type): rows[n, Field.LTP]
        for n, i in enumerate(market.instruments)
        if i.name == "NIFTY" and i.expiry == near and i.strike
    }
    strikes = sorted({strike for strike, _ in chain})
    calls, puts = ([chain[strike, kind] for strike in strikes] for kind in ("CE", "PE"))
    assert calls == sorted(calls, reverse=True)
    assert puts == sorted(puts)
    for strike, call, put in zip(strikes, calls, puts, strict=True):
        # Put-call parity on the future, within ticks and a few days' interest.
        assert abs((call - put) - (rows[futures[0], Field.LTP] - strike * 100)) < 0.002 * spot


@pytest.mark.parametrize(
    ("exchange", "today", "expected"),
    [
        ("NFO", "2026-11-19", ["2026-11-24", "2026-12-29", "2027-01-26"]),
        ("NFO", "2026-11-24", ["2026-11-24", "2026-12-29"]),
        ("NFO", "2026-11-25", ["2026-12-29", "2027-01-26"]),
        ("MCX", "2026-12-20", ["2027-01-19", "2027-02-19"]),
        ("CDS", "2026-11-19", ["2026-11-25", "2026-12-30"]),
    ],
)
def test_monthly_expiries(exchange: str, today: str, expected: list[str]) -> None:
    found = contracts.monthly(exchange, datetime.date.fromisoformat(today))
    assert [next(found).isoformat() for _ in expected] == expected


def test_weekly_expiries_are_the_tuesdays_to_come() -> None:
    found = itertools.islice(contracts.weekly(datetime.date(2026, 11, 24)), 3)
    assert [day.isoformat() for day in found] == ["2026-11-24", "2026-12-01", "2026-12-08"]


def test_symbols_are_spelled_as_kite_spells_them(market: Market) -> None:
    keys = {i.key for i in market.instruments}
    assert {"NFO:NIFTY26NOVFUT", "NFO:BANKNIFTY26DECFUT", "MCX:GOLD26DECFUT", "CDS:USDINR26NOVFUT"} <= keys
    chains = {(i.expiry, i.tradingsymbol[: len("NIFTY26D01")]) for i in market.instruments if i.segment == "NFO-OPT"}
    assert (datetime.date(2026, 11, 24), "NIFTY26NOV") in chains
    assert (datetime.date(2026, 12, 1), "NIFTY26D01") in chains


# History


def asked(interval: str, first: str, last: str, oi: str = "0") -> history.Asked:
    return history.asked(interval, {"from": first, "to": last, "oi": oi})


@pytest.mark.parametrize("key", ["NSE:INFY", "NSE:NIFTY 50", "NFO:NIFTY26NOVFUT", "CDS:USDINR26NOVFUT", "chain"])
def test_every_tick_lies_in_its_minutes_candle_and_first_and_last_are_its_ends(key: str) -> None:
    market = Market(5, NOW_NS)
    if key == "chain":
        key = next(i.key for i in market.instruments[::-1] if i.instrument_type == "PE")
    which = np.array([place(market, key)])
    seen = []
    for at in range(NOW_NS, NOW_NS + MINUTE_NS, SLOT_NS):
        market.tick(which, at)
        seen.append(words(market)[which[0], Field.LTP] / market.divisor(which[0]))
    ask = asked("minute", "2026-11-19 11:00:00", "2026-11-19 11:00:00")
    ((time, *ohlc, volume),) = history.of_market(market, int(which[0]), ask, 0, NOW_NS + 5 * MINUTE_NS)
    assert time == "2026-11-19T11:00:00+0530"
    assert ohlc == [seen[0], max(seen), min(seen), seen[-1]]
    assert (volume == 0) == bool(market.is_index[which[0]])


def test_longer_candles_are_made_of_minutes(market: Market) -> None:
    infy = place(market, "NSE:INFY")
    span = "2026-11-18 09:15:00", "2026-11-18 15:29:00"
    minutes = history.of_market(market, infy, asked("minute", *span), NOW_NS, NOW_NS)
    assert len(minutes) == 375
    for interval, length in (("5minute", 5), ("15minute", 15), ("60minute", 60)):
        longer = history.of_market(market, infy, asked(interval, *span), NOW_NS, NOW_NS)
        for number, candle in enumerate(longer):
            part = list(zip(*minutes[number * length : (number + 1) * length], strict=True))
            expected = [part[0][0], part[1][0], max(part[2]), min(part[3]), part[4][-1], sum(part[5])]
            assert candle == expected


def test_before_it_was_opened_the_market_kept_hours_and_since_then_it_never_closes(market: Market) -> None:
    infy = place(market, "NSE:INFY")
    weekend = asked("minute", "2026-11-14", "2026-11-16 09:16:00")
    kept = history.of_market(market, infy, weekend, NOW_NS, NOW_NS)
    assert [candle[0] for candle in kept] == ["2026-11-16T09:15:00+0530", "2026-11-16T09:16:00+0530"]
    assert len(history.of_market(market, infy, weekend, 0, NOW_NS)) == 2 * 1440 + 9 * 60 + 17


def test_nothing_is_told_of_the_future_and_the_running_minute_goes_as_far_as_now(market: Market) -> None:
    infy = place(market, "NSE:INFY")
    now = NOW_NS + 10 * SECOND_NS
    told = history.of_market(market, infy, asked("minute", "2026-11-19 10:58:00", "2026-11-19 12:00:00"), 0, now)
    whole = history.of_market(market, infy, asked("minute", "2026-11-19 11:00:00", "2026-11-19 11:00:00"), 0, 2 * now)
    assert [candle[0] for candle in told] == [f"2026-11-19T{t}:00+0530" for t in ("10:58", "10:59", "11:00")]
    assert 0 < told[-1][5] < whole[0][5]


def test_open_interest_comes_when_asked_for_and_a_contract_has_no_past_before_its_life(market: Market) -> None:
    future = place(market, "NFO:NIFTY26NOVFUT")
    days = history.of_market(market, future, asked("day", "2022-01-01", "2026-11-19", "1"), NOW_NS, NOW_NS)
    assert 60 < len(days) < 120
    assert all(len(day) == 7 and int(str(day[6])) % 75 == 0 for day in days)


@pytest.mark.parametrize(
    ("interval", "query", "message"),
    [
        ("2minute", {}, "Invalid interval"),
        ("minute", {"from": "19-11-2026", "to": "2026-11-19"}, "Invalid `from`"),
        ("minute", {"from": "2026-11-19"}, "Invalid `to`"),
        ("minute", {"from": "2026-11-19", "to": "2026-11-18"}, "after"),
        ("minute", {"from": "2026-09-01", "to": "2026-11-19"}, "60 days"),
        ("day", {"from": "2020-01-01", "to": "2026-11-19"}, "2000 days"),
    ],
)
def test_a_wrong_request_for_history_is_refused(interval: str, query: dict[str, str], message: str) -> None:
    with pytest.raises(Refusal, match=message) as caught:
        history.asked(interval, query)
    assert caught.value.status == 400


def test_the_day_of_a_market_ends_at_midnight_ist() -> None:
    market = Market(5, NOW_NS)
    midnight = int(datetime.datetime(2026, 11, 20, tzinfo=IST).timestamp()) * SECOND_NS
    assert not market.over(midnight - 1)
    assert market.over(midnight)
