"""GET /quote, /quote/ohlc and /quote/ltp: the newest packet of each instrument as Kite's REST shows it."""

import datetime

import numpy as np

from ops.sandbox import wire
from ops.sandbox.instruments import Instrument
from ops.sandbox.stage import Stage
from ops.sandbox.wire import Field, IndexField
from runtime.calendar import IST

CIRCUIT = 0.1  # of the previous close


def find(stage: Stage, keys: list[str]) -> dict[str, int]:
    """Give the places of keys (EXCHANGE:SYMBOL or a token); unknown ones are absent."""
    by_key = {i.key: place for place, i in enumerate(stage.instruments)}
    found = {}
    for key in keys:
        place = stage.places.get(int(key)) if key.isdigit() else by_key.get(key)
        if place is not None:
            found[key] = place
    return found


def ltp(stage: Stage, place: int) -> dict[str, object]:
    """Give token and last price."""
    words, scale = _words(stage, place)
    return {"instrument_token": stage.instruments[place].instrument_token, "last_price": words[Field.LTP] / scale}


def ohlc(stage: Stage, place: int) -> dict[str, object]:
    """Give token, last price and the day's open, high, low and the last close."""
    words, scale = _words(stage, place)
    fields: type[IndexField | Field] = IndexField if stage.is_index[place] else Field
    day = {name.lower(): words[fields[name]] / scale for name in ("OPEN", "HIGH", "LOW", "CLOSE")}
    return {**ltp(stage, place), "ohlc": day}


def quote(stage: Stage, place: int) -> dict[str, object]:
    """Give all that Kite's full quote has."""
    words, scale = _words(stage, place)
    shown = ohlc(stage, place)
    if stage.is_index[place]:
        time = _time(words[IndexField.TIME])
        change = (words[Field.LTP] - words[IndexField.CLOSE]) / scale
        return {**shown, "timestamp": time, "net_change": change, "depth": _depth([0] * wire.WORDS, scale)}
    close = words[Field.CLOSE] / scale
    return {
        **shown,
        "timestamp": _time(words[Field.TIME]),
        "last_trade_time": _time(words[Field.LAST_TRADE_TIME]),
        "last_quantity": words[Field.LAST_QUANTITY],
        "buy_quantity": words[Field.BUY_QUANTITY],
        "sell_quantity": words[Field.SELL_QUANTITY],
        "volume": words[Field.VOLUME],
        "average_price": words[Field.AVERAGE] / scale,
        "oi": words[Field.OI],
        "oi_day_high": words[Field.OI_HIGH],
        "oi_day_low": words[Field.OI_LOW],
        "net_change": 0,
        "lower_circuit_limit": _limit(stage.instruments[place], close * (1 - CIRCUIT)),
        "upper_circuit_limit": _limit(stage.instruments[place], close * (1 + CIRCUIT)),
        "depth": _depth(words, scale),
    }


def _words(stage: Stage, place: int) -> tuple[list[int], int]:
    words: list[int] = stage.board[place].view(">u4").astype(np.int64).tolist()
    return words, wire.divisor(stage.instruments[place].instrument_token)


def _depth(words: list[int], scale: int) -> dict[str, list[dict[str, float]]]:
    levels = [
        {"price": words[at + 1] / scale, "quantity": words[at], "orders": words[at + 2] >> 16}
        for at in range(Field.DEPTH, wire.WORDS, 3)
    ]
    return {"buy": levels[: wire.DEPTH_LEVELS], "sell": levels[wire.DEPTH_LEVELS :]}


def _limit(instrument: Instrument, price: float) -> float:
    return round(round(price / instrument.tick_size) * instrument.tick_size, 4)


def _time(seconds: int) -> str | None:
    return datetime.datetime.fromtimestamp(seconds, IST).strftime("%Y-%m-%d %H:%M:%S") if seconds else None
