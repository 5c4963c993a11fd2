"""Ticks folded into one-minute candles: pure, vectorised, the same for every way in which the log is cut into batches.

A tick's minute is that of its `time_ns`. Open and close are the first and the last in the order of n. What a tick adds
to the volume is max(0, v - the highest v of that instrument in that IST day so far); the day's first tick adds 0, so
the candles of a day add up to the growth of the counter. Ticks without a price (0: nothing was traded yet) make no
candle, and what their counter grew by waits for the next tick with one. A tick is late where its minute was closed by
the watermark before it came.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from events.decode import tick as kinds
from events.decode.tick import Ticks

MINUTE_NS = 60 * 1_000_000_000
DAY_NS = 86_400 * 1_000_000_000
IST_NS = 19_800 * 1_000_000_000  # 5 h 30 min
_NO_VOLUME = -1
_COUNTER_SPAN = 1 << 33  # above the wire's u32 and the -1 of "none yet": keeps instruments apart in one running maximum

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Highest = Mapping[tuple[int, int], int]  # (instrument_token, IST day number since 1970) -> highest volume so far


class Counters(msgspec.Struct, frozen=True):
    """What the volumes of each instrument's IST day came to, as columns of one length.

    highest: the highest volume so far. seen_number: the IST day on which the newest of its ticks was received.
    """

    instrument_token: Ints
    day_number: Ints
    highest: Ints
    seen_number: Ints

    def by_day(self) -> dict[tuple[int, int], int]:
        """Give the highest volume of each (instrument_token, IST day number)."""
        keys = zip(self.instrument_token.tolist(), self.day_number.tolist(), strict=True)
        return dict(zip(keys, self.highest.tolist(), strict=True))


class Folded(msgspec.Struct, frozen=True):
    """Candles as columns of one length, and what the day's counters stand at after these ticks."""

    minute_ns: Ints
    instrument_token: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Ints
    oi: Ints  # -1 where no packet of the minute carried it
    tick_count: Ints
    late: Ints
    falls: Ints
    counters: Counters


def days(epoch_ns: Ints) -> Ints:
    """Give the IST day numbers since 1970 of times."""
    numbers: Ints = (epoch_ns + IST_NS) // DAY_NS
    return numbers


def fold(ticks: Ticks, watermark_ns: Ints, highest: Highest) -> Folded:
    """Fold ticks, which stand in the order of the log; watermark_ns: the watermark in force at each of them."""
    added, fell, counters = _volumes(ticks, highest)
    priced = ticks["last_price"] > 0
    chosen = ticks[priced]
    minutes = chosen["time_ns"] // MINUTE_NS
    slots = np.unique(chosen["instrument_token"], return_inverse=True)[1]
    order = np.argsort(slots.astype(np.int64) * (1 << 32) + minutes, kind="stable")
    slots, minutes, chosen = slots[order], minutes[order], chosen[order]
    starts = _starts(slots, minutes)
    if not len(starts):
        return _nothing(counters)
    ends = np.append(starts[1:], len(chosen)) - 1
    prices = chosen["last_price"]
    late = (minutes + 1) * MINUTE_NS <= watermark_ns[priced][order]
    return Folded(
        minute_ns=minutes[starts] * MINUTE_NS,
        instrument_token=chosen["instrument_token"][starts],
        open=prices[starts],
        high=np.maximum.reduceat(prices, starts),
        low=np.minimum.reduceat(prices, starts),
        close=prices[ends],
        volume=np.add.reduceat(added[priced][order], starts),
        oi=_last_oi(chosen, starts),
        tick_count=ends - starts + 1,
        late=np.add.reduceat(late.astype(np.int64), starts),
        falls=np.add.reduceat(fell[priced][order].astype(np.int64), starts),
        counters=counters,
    )


def _starts(slots: Ints, minutes: Ints) -> Ints:
    """Give where a new candle begins among ticks sorted by instrument and minute."""
    if not len(slots):
        return np.empty(0, np.int64)
    changes = (slots[1:] != slots[:-1]) | (minutes[1:] != minutes[:-1])
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def _volumes(ticks: Ticks, highest: Highest) -> tuple[Ints, npt.NDArray[np.bool_], Counters]:
    """Give what each tick adds, whether its counter stood below the highest, and the highest after all.

    A tick without a price counts only as the first of its day: no candle could take what it adds.
    """
    added, fell = np.zeros(len(ticks), np.int64), np.zeros(len(ticks), np.bool_)
    counted = np.flatnonzero((ticks["kind"] == kinds.FULL) | (ticks["kind"] == kinds.QUOTE))
    if not len(counted):
        return added, fell, Counters(added[:0], added[:0], added[:0], added[:0])
    tokens, volume = ticks["instrument_token"][counted], ticks["volume"][counted]
    day = days(ticks["time_ns"])[counted]
    order = np.lexsort((day, tokens))  # stable: the order of the log within an instrument's day
    tokens, day, volume, counted = tokens[order], day[order], volume[order], counted[order]
    starts = _starts(tokens, day)
    keys = list(zip(tokens[starts].tolist(), day[starts].tolist(), strict=True))
    known = np.array([highest.get(key, _NO_VOLUME) for key in keys], np.int64)
    counts = ticks["last_price"][counted] > 0
    counts[starts[known == _NO_VOLUME]] = True
    # One running maximum over all instruments: each one's own span, begun with what was known of it.
    group = np.cumsum(np.isin(np.arange(len(volume)), starts, assume_unique=True)) - 1
    places = np.arange(len(volume)) + group + 1
    line = np.empty(len(volume) + len(starts), np.int64)
    line[places] = group * _COUNTER_SPAN + np.where(counts, volume, _NO_VOLUME)
    line[starts + np.arange(len(starts))] = np.arange(len(starts)) * _COUNTER_SPAN + known
    running = np.maximum.accumulate(line)
    before = running[places - 1] - group * _COUNTER_SPAN
    first = before == _NO_VOLUME
    added[counted] = np.where(first | ~counts, 0, np.maximum(0, volume - before))
    fell[counted] = ~first & counts & (volume < before)
    after = running[places[np.append(starts[1:], len(volume)) - 1]] - np.arange(len(starts)) * _COUNTER_SPAN
    seen = days(np.maximum.reduceat(ticks["at_ns"][counted], starts))
    return added, fell, Counters(tokens[starts], day[starts], after, seen)


def _last_oi(chosen: Ticks, starts: Ints) -> Ints:
    """Give the newest open interest of each candle, -1 where no packet carried one."""
    carries = chosen["kind"] == kinds.FULL
    place = np.maximum.reduceat(np.where(carries, np.arange(len(chosen)), -1), starts)
    return np.where(place >= 0, chosen["oi"][place], -1)


def _nothing(counters: Counters) -> Folded:
    none, no_price = np.empty(0, np.int64), np.empty(0, np.float64)
    return Folded(none, none, no_price, no_price, no_price, no_price, none, none, none, none, none, counters)
