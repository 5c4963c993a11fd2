"""How a tick looks to a client: JSON of one decoded packet.

A field that the packet did not carry is null. Times are ISO 8601 in Indian time; `change_percent` is against the close
of the day before. For example, one full packet (without its depth):

    {"instrument_token":408065,"time":"2026-11-20T14:03:11.000+05:30","received_at":"2026-11-20T14:03:11.048213+05:30",
     "last_price":1412.95,"change_percent":0.71,"last_quantity":5,"average_price":1408.2,"volume":6712004, ...
     "bid_price":1412.9,"bid_quantity":310,"ask_price":1412.95,"ask_quantity":44}
"""

from collections.abc import Iterable
from itertools import repeat
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

from events.decode.tick import FULL, INDEX_FULL, INDEX_QUOTE, LTP, QUOTE, Ticks
from runtime.calendar import IST_NS

IST_SUFFIX = "+05:30"

FROM_CANDLES = 0  # a kind of this process alone: what the candles of a day tell, until a tick comes

_OF_THE_DAY = ("last_quantity", "average_price", "volume", "buy_quantity", "sell_quantity")
_OHLC = ("open", "high", "low")
# What each kind of packet carries beside the last price.
_CARRIED = {
    LTP: frozenset[str](),
    INDEX_QUOTE: frozenset({*_OHLC, "close"}),
    INDEX_FULL: frozenset({*_OHLC, "close"}),
    QUOTE: frozenset({*_OF_THE_DAY, *_OHLC, "close"}),
    FULL: frozenset({*_OF_THE_DAY, *_OHLC, "close", "oi", "depth"}),
    FROM_CANDLES: frozenset({*_OHLC, "close", "volume", "oi"}),
}

Column = Iterable[object]
NOTHING: Column = repeat(None)


class Level(msgspec.Struct, frozen=True):
    """One level of the book: price, quantity, and how many orders stand there."""

    price: float
    quantity: int
    orders: int


class Depth(msgspec.Struct, frozen=True):
    """Five levels of the book, the best first; a level without orders is left out."""

    buy: list[Level]
    sell: list[Level]


class Quote(msgspec.Struct, frozen=True):
    """One tick of an instrument. volume: of the day so far. close: of the day before."""

    instrument_token: int
    time: str
    received_at: str
    last_price: float
    change_percent: float | None
    last_quantity: int | None
    average_price: float | None
    volume: int | None
    buy_quantity: int | None
    sell_quantity: int | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    oi: int | None
    last_trade_time: str | None
    bid_price: float | None
    bid_quantity: int | None
    ask_price: float | None
    ask_quantity: int | None


class DeepQuote(Quote, frozen=True):
    """A tick with the five levels of its book; null where the packet has none."""

    depth: Depth | None


_encoder = msgspec.json.Encoder()


def encode(ticks: Ticks, depth: bool) -> list[bytes]:
    """Give the JSON of each tick, in their order; with `depth` as DeepQuote, else as Quote."""
    kinds = ticks["kind"]
    if len(ticks) and bool((kinds == kinds[0]).all()):
        return _encode_kind(ticks, int(kinds[0]), depth)
    encoded: list[bytes] = [b""] * len(ticks)
    for kind in np.unique(kinds).tolist():
        places = np.flatnonzero(kinds == kind)
        for place, one in zip(places.tolist(), _encode_kind(ticks[places], kind, depth), strict=True):
            encoded[place] = one
    return encoded


def _encode_kind(ticks: Ticks, kind: int, depth: bool) -> list[bytes]:
    carried = _CARRIED[kind]
    books = "depth" in carried
    columns: list[Column] = [
        ticks["instrument_token"].tolist(),
        ist(ticks["time_ns"], "ms"),
        ist(ticks["at_ns"], "us"),
        ticks["last_price"].tolist(),
        _change_percent(ticks) if "close" in carried else NOTHING,
        *(ticks[field].tolist() if field in carried else NOTHING for field in (*_OF_THE_DAY, *_OHLC)),
        [close or None for close in ticks["close"].tolist()] if "close" in carried else NOTHING,
        ticks["oi"].tolist() if "oi" in carried else NOTHING,
        _moment(ticks["last_trade_ns"]) if books else NOTHING,
        *(_best(ticks, "bids") if books else (NOTHING, NOTHING)),
        *(_best(ticks, "asks") if books else (NOTHING, NOTHING)),
    ]
    if depth:
        columns.append(map(_depth, ticks["bids"], ticks["asks"]) if books else NOTHING)
    shape = DeepQuote if depth else Quote
    # One call for all: JSON holds no bare newline, so the lines are the ticks.
    return _encoder.encode_lines(list(map(shape, *columns))).split(b"\n")[: len(ticks)]


def _change_percent(ticks: Ticks) -> list[float | None]:
    close = ticks["close"]
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.round((ticks["last_price"] - close) / close * 100, 2)
    return [value if known else None for value, known in zip(change.tolist(), (close > 0).tolist(), strict=True)]


def _best(ticks: Ticks, side: str) -> tuple[Column, Column]:
    """Give the best price and its quantity; null where nobody stands."""
    prices, quantities = ticks[side]["price"][:, 0].tolist(), ticks[side]["quantity"][:, 0].tolist()
    return (
        [price if quantity else None for price, quantity in zip(prices, quantities, strict=True)],
        [quantity or None for quantity in quantities],
    )


def _depth(bids: Ticks, asks: Ticks) -> Depth:
    return Depth(_levels(bids), _levels(asks))


def _levels(side: Ticks) -> list[Level]:
    return [Level(price, quantity, orders) for quantity, price, orders in side.tolist() if quantity]


def _moment(times_ns: npt.NDArray[np.int64]) -> list[str | None]:
    return [text if given else None for text, given in zip(ist(times_ns, "ms"), times_ns.tolist(), strict=True)]


def ist(times_ns: npt.NDArray[np.int64], unit: str) -> list[str]:
    """Give UTC epoch nanoseconds as ISO 8601 in Indian time, to `unit` (s, ms, us)."""
    # A batch holds few different times: one a frame, or one a second.
    different, which = np.unique(times_ns, return_inverse=True)
    moments = (different + IST_NS).view("M8[ns]").astype(f"M8[{unit}]")
    texts = [text + IST_SUFFIX for text in cast(list[str], np.datetime_as_string(moments).tolist())]
    return [texts[place] for place in which.tolist()]


def ist_text(time_ns: int, unit: str = "ms") -> str:
    """Give one time as `ist` gives many."""
    return ist(np.array([time_ns], np.int64), unit)[0]
