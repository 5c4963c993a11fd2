"""How ticks look to a client: each kind of packet gives what it carries, and null for the rest."""

from decimal import Decimal

import msgspec
import numpy as np
import pytest

from api import quotes
from api.prices import FIRST_ROWS, Prices, Still
from events.decode import decode
from events.decode.tick import Ticks
from events.event import Recorded
from tests.api_server import Json, full_frame, ltp_frame

INFY, NIFTY = 408065, 256265
AT = 1_790_000_000 * 10**9


def decoded(*frames: bytes, at_ns: int = AT) -> Ticks:
    """Give the ticks of frames, received a microsecond apart."""
    batch = [
        Recorded("ticks-sandbox-1", n, at_ns + n * 1000, "kite.frame.v1", frame) for n, frame in enumerate(frames, 1)
    ]
    return decode(batch).ticks


def shown(ticks: Ticks, depth: bool = False) -> list[Json]:
    return [msgspec.json.decode(each, type=Json) for each in quotes.encode(ticks, depth)]


def test_a_full_packet_gives_all_there_is() -> None:
    (tick,) = shown(decoded(full_frame(INFY, 1412.95, volume=6712004)))
    assert tick == {
        "instrument_token": INFY,
        "time": "2026-09-21T19:43:20.000+05:30",
        "received_at": "2026-09-21T19:43:20.000001+05:30",
        "last_price": 1412.95,
        "change_percent": 0.71,
        "last_quantity": 5,
        "average_price": 1412.95,
        "volume": 6712004,
        "buy_quantity": 100,
        "sell_quantity": 200,
        "open": 1400.0,
        "high": 1420.0,
        "low": 1390.0,
        "close": 1403.0,
        "oi": 7,
        "last_trade_time": "2026-09-21T19:43:20.000+05:30",
        "bid_price": 1412.9,
        "bid_quantity": 310,
        "ask_price": 1413.0,
        "ask_quantity": 320,
    }


def test_an_ltp_packet_gives_a_price_and_null_for_what_it_does_not_carry() -> None:
    (tick,) = shown(decoded(ltp_frame({INFY: 1412.95})), depth=True)
    assert {name for name, value in tick.items() if value is not None} == {
        "instrument_token",
        "time",
        "received_at",
        "last_price",
    }
    assert tick["time"] == "2026-09-21T19:43:20.000+05:30", "the receive time, as the packet has none"


def test_kinds_mixed_in_a_batch_keep_their_order() -> None:
    ticks = decoded(ltp_frame({1: 1.0, 2: 2.0}), full_frame(INFY, 3.0), ltp_frame({4: 4.0}))
    assert [tick["last_price"] for tick in shown(ticks)] == [1.0, 2.0, 3.0, 4.0]
    assert quotes.encode(ticks[:0], depth=True) == []


def test_levels_without_orders_are_left_out() -> None:
    ticks = decoded(full_frame(INFY, 1412.95))
    ticks["asks"]["quantity"][0, :] = 0
    ticks["bids"]["quantity"][0, 3:] = 0
    (tick,) = shown(ticks, depth=True)
    assert (tick["ask_price"], tick["ask_quantity"]) == (None, None)
    depth = msgspec.convert(tick["depth"], quotes.Depth)
    assert (len(depth.buy), depth.sell) == (3, [])
    assert depth.buy[0] == quotes.Level(1412.9, 310, 3)


def test_an_unknown_close_gives_no_change() -> None:
    ticks = decoded(full_frame(INFY, 1412.95))
    ticks["close"] = 0
    (tick,) = shown(ticks)
    assert (tick["close"], tick["change_percent"]) == (None, None)


@pytest.mark.parametrize(("unit", "text"), [("s", "09:15:00+05:30"), ("ms", "09:15:00.120+05:30")])
def test_times_are_indian(unit: str, text: str) -> None:
    times = np.array([1_763_610_300_120_000_000] * 3, np.int64)
    assert quotes.ist(times, unit) == [f"2025-11-20T{text}"] * 3


def test_the_latest_price_is_the_one_received_last() -> None:
    prices = Prices()
    prices.put(decoded(ltp_frame({INFY: 1.0}), ltp_frame({INFY: 2.0, NIFTY: 5.0})))
    assert b'"last_price":2.0' in (prices.json(INFY) or b"")
    prices.put(decoded(ltp_frame({INFY: 0.5}), at_ns=AT - 10**9))
    assert b'"last_price":2.0' in (prices.json(INFY) or b""), "an older tick of another feed changes nothing"
    prices.put(decoded(ltp_frame({INFY: 3.0}), at_ns=AT + 10**9))
    assert b'"last_price":3.0' in (prices.json(INFY) or b"")
    assert prices.json(1) is None
    assert [msgspec.json.decode(each)["instrument_token"] for each in prices.json_of([NIFTY, 1, INFY])] == [NIFTY, INFY]


def test_the_table_grows_as_far_as_it_must() -> None:
    prices = Prices()
    count = FIRST_ROWS * 3
    for start in range(1, count, 50):
        prices.put(decoded(ltp_frame({token: float(token) for token in range(start, start + 50)})))
    assert len(prices) >= count
    for token in (1, FIRST_ROWS, count):
        assert msgspec.json.decode(prices.json(token) or b"")["last_price"] == token


def test_prices_that_stand_still_are_those_of_the_first_question() -> None:
    prices = Prices()
    prices.put(decoded(ltp_frame({INFY: 1500.05})))
    still = Still(prices)
    before = still.latest(INFY)
    assert still.latest(NIFTY) is None
    prices.put(decoded(ltp_frame({INFY: 1600.1, NIFTY: 25000.0}), at_ns=AT + 10**9))
    assert still.latest(INFY) == before == (Decimal("1500.05"), AT + 1000)
    assert still.latest(NIFTY) is None, "also of one that had none"
    assert Still(prices).latest(INFY) == prices.latest(INFY) != before
