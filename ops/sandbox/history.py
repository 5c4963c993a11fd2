"""GET /instruments/historical: candles of the generated market, worked out from the same paths as its ticks.

A one-minute candle spans the prices of the minute's 120 slots, so that every tick sent in that minute lies within
it; longer ones are made of these, aligned to 09:15 IST and cut at midnight. Only a day's candle takes one price a
minute, as 2,000 days of slots would take too long. Derivatives are monotone in their underlying, so their candles
are the underlying's, mapped. Before the sandbox was first opened its market kept the exchange's hours on weekdays;
since then it never closes, and every minute has its candle. A running candle goes as far as now.
"""

import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ops.sandbox.activity import SESSION_FIRST, day_start
from ops.sandbox.envelope import input_refused
from ops.sandbox.market import Market
from ops.sandbox.paths import MINUTE_NS, SLOT_NS, SLOTS
from ops.sandbox.pricing import DAY_MINUTES, EPOCH, IST_MINUTES, PUT, SPOT
from ops.sandbox.tape import Tape, added_volume
from runtime.calendar import IST

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Kite's intervals: minutes, and the longest span of one request in days.
INTERVALS = {
    "minute": (1, 60),
    "3minute": (3, 100),
    "5minute": (5, 100),
    "10minute": (10, 100),
    "15minute": (15, 200),
    "30minute": (30, 200),
    "60minute": (60, 400),
    "day": (DAY_MINUTES, 2_000),
}
DAY = "day"
# First minute and end of the IST day in which an exchange trades.
HOURS = {"NSE": (555, 930), "NFO": (555, 930), "MCX": (540, 1410), "CDS": (540, 1020)}
SATURDAY = 5
LISTED_MINUTES = 120 * DAY_MINUTES  # a derivative has candles from so long before its expiry
CHUNK_MINUTES = 4_096  # of 120 slots are 4 MB, which stay in the cache

Candle = list[Any]  # JSON: the time, then numbers


class Asked(NamedTuple):
    """One request: interval, first and last minute since 1970 (both included), whether with open interest."""

    interval: str
    first: int
    last: int
    oi: bool


class Bars(NamedTuple):
    """Open, high, low, close of some minutes."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


def asked(interval: str, query: dict[str, str]) -> Asked:
    """Read a request; raise the refusal that Kite would answer."""
    if interval not in INTERVALS:
        raise input_refused(f"Invalid interval: wanted {', '.join(INTERVALS)}, found {interval}")
    first, last = (_minute(name, query.get(name, "")) for name in ("from", "to"))
    if first > last:
        raise input_refused("Invalid date range: `from` is after `to`")
    days = INTERVALS[interval][1]
    if last - first > days * DAY_MINUTES:
        raise input_refused(f"interval exceeds max limit: {days} days")
    return Asked(interval, first, last, query.get("oi") == "1")


def _minute(name: str, text: str) -> int:
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            moment = datetime.datetime.strptime(text, form).replace(tzinfo=IST)
        except ValueError:
            continue
        return int(moment.timestamp()) // 60
    raise input_refused(f"Invalid `{name}`: wanted yyyy-mm-dd hh:mm:ss, found {text!r}")


def of_market(market: Market, place: int, ask: Asked, opened_ns: int, now_ns: int) -> list[Candle]:
    """Give [time, open, high, low, close, volume(, oi)] of an instrument; `opened_ns`: since when it never closes."""
    minutes = _traded(market, place, ask, opened_ns // MINUTE_NS, now_ns // MINUTE_NS)
    if not minutes.size:
        return []
    chunks = [minutes[at : at + CHUNK_MINUTES] for at in range(0, len(minutes), CHUNK_MINUTES)]
    spot_bars = _sampled if ask.interval == DAY else _slotted
    parts = [_derived(market, place, chunk, spot_bars(market, place, chunk, now_ns)) for chunk in chunks]
    bars = Bars(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    oi = _oi(market, place, minutes) if ask.oi else None
    return fold(ask, minutes, bars, _volume(market, place, minutes, now_ns), oi)


def fold(ask: Asked, minutes: Ints, bars: Bars, volume: Ints, oi: Ints | None) -> list[Candle]:
    """Make the candles that were asked for of one-minute ones; minutes rise, none is twice, at least one."""
    starts, groups = _grouped(minutes, INTERVALS[ask.interval][0])
    lasts = np.append(groups[1:], len(minutes)) - 1
    columns = [
        bars.open[groups],
        np.maximum.reduceat(bars.high, groups),
        np.minimum.reduceat(bars.low, groups),
        bars.close[lasts],
        np.add.reduceat(volume, groups),
    ]
    if oi is not None:
        columns.append(oi[lasts])
    rows = zip(starts.tolist(), *(column.tolist() for column in columns), strict=True)
    # Of a candle that began before the span a part only is known: it is left out.
    earliest = day_start(ask.first) if ask.interval == DAY else ask.first
    return [[_stamp(start), *values] for start, *values in rows if start >= earliest]


def of_tape(tape: Tape, place: int, ask: Asked, played: int) -> list[Candle]:
    """Give the candles of the first `played` rows of a tape; a row's volume is what it added to the day's highest."""
    rows = np.flatnonzero(tape.rows.place[:played] == place)
    added = added_volume(tape.rows.seconds[rows], tape.rows.volume[rows])
    of_row = tape.rows.seconds[rows] // 60
    order = np.argsort(of_row, kind="stable")  # within a minute the order of play decides what is first and last
    order = order[(of_row[order] >= ask.first) & (of_row[order] <= ask.last)]
    if not order.size:
        return []
    rows = rows[order]
    minutes, groups = np.unique(of_row[order], return_index=True)
    price = tape.rows.price[rows] / tape.divisor(place)
    lasts = np.append(groups[1:], len(rows)) - 1
    bars = Bars(price[groups], np.maximum.reduceat(price, groups), np.minimum.reduceat(price, groups), price[lasts])
    volume = np.add.reduceat(added[order], groups)
    return fold(ask, minutes, bars, volume, np.zeros(len(minutes), np.int64) if ask.oi else None)


def _traded(market: Market, place: int, ask: Asked, opened: int, now: int) -> Ints:
    """Give the minutes that have a candle, rising."""
    instrument = market.instruments[place]
    first, last = (day_start(ask.first), ask.last) if ask.interval == DAY else (ask.first, ask.last)
    last = min(last + INTERVALS[ask.interval][0] - 1, now)
    if market.pricing.kind[place] != SPOT:
        first = max(first, int(market.pricing.expiry[place]) - LISTED_MINUTES)
    minutes = np.arange(first, last + 1)
    day, of_day = np.divmod(minutes + IST_MINUTES, DAY_MINUTES)
    begin, end = HOURS[instrument.exchange]
    weekday = (day + EPOCH.weekday()) % 7
    return minutes[((of_day >= begin) & (of_day < end) & (weekday < SATURDAY)) | (minutes >= opened)]


def _slotted(market: Market, place: int, minutes: Ints, now_ns: int) -> Bars:
    """Give the underlying's bars over all slots up to now."""
    spot = market.pricing.spot[[place]]
    start = market.paths.minutes(spot, minutes)[0][:, None]
    end = market.paths.minutes(spot, minutes + 1)[0][:, None]
    slots = (minutes[:, None] * SLOTS + np.arange(SLOTS)).ravel()
    path = start + (end - start) * (np.arange(SLOTS) / SLOTS)
    path += market.paths.fine(spot, slots)[0].reshape(path.shape)
    reached = now_ns // SLOT_NS - int(minutes[-1]) * SLOTS
    if reached < SLOTS - 1:
        path[-1, reached + 1 :] = path[-1, reached]
    return Bars(*(np.exp(bar) for bar in (path[:, 0], path.max(axis=1), path.min(axis=1), path[:, -1])))


def _sampled(market: Market, place: int, minutes: Ints, now_ns: int) -> Bars:
    """Give the underlying's bars from the first and the last slot of each minute, not past now."""
    spot = market.pricing.spot[[place]]
    first = np.exp(market.paths.at(spot, minutes * SLOTS)[0])
    last = np.exp(market.paths.at(spot, np.minimum(minutes * SLOTS + SLOTS - 1, now_ns // SLOT_NS))[0])
    return Bars(first, np.maximum(first, last), np.minimum(first, last), last)


def _derived(market: Market, place: int, minutes: Ints, bars: Bars) -> Bars:
    """Map the underlying's bars to the instrument's, in its prices."""
    rows = np.full(len(minutes), place)
    scale = market.divisor(place)
    mapped = Bars(*(market.on_wire(rows, market.pricing.prices(rows, bar, minutes)) / scale for bar in bars))
    return mapped if market.pricing.kind[place] != PUT else mapped._replace(high=mapped.low, low=mapped.high)


def _volume(market: Market, place: int, minutes: Ints, now_ns: int) -> Ints:
    volume = market.activity.minute_volume(np.array([place]), minutes)[0]
    if minutes[-1] == now_ns // MINUTE_NS:
        volume[-1] *= now_ns % MINUTE_NS / MINUTE_NS
    lot = max(market.instruments[place].lot_size, 1)
    lots: Ints = np.rint(volume / lot).astype(np.int64)
    return lots * lot


def _oi(market: Market, place: int, minutes: Ints) -> Ints:
    oi: Ints = market.activity.open_interest(np.array([place]), minutes)[0].astype(np.int64)
    return oi - oi % max(market.instruments[place].lot_size, 1)


def _grouped(minutes: Ints, length: int) -> tuple[Ints, Ints]:
    """Give the start of each candle of `length` minutes, and the place of its first minute."""
    day, of_day = np.divmod(minutes + IST_MINUTES, DAY_MINUTES)
    if length == DAY_MINUTES:
        starts = day * DAY_MINUTES
    else:
        aligned = SESSION_FIRST + (of_day - SESSION_FIRST) // length * length
        starts = day * DAY_MINUTES + np.maximum(aligned, 0)
    groups = np.flatnonzero(np.diff(starts, prepend=-1))
    return starts[groups] - IST_MINUTES, groups


def _stamp(minute: int) -> str:
    return datetime.datetime.fromtimestamp(minute * 60, IST).strftime("%Y-%m-%dT%H:%M:%S%z")
