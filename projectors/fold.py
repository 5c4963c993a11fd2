"""Ticks folded into one-minute candles: pure, vectorised, the same for every way in which the log is cut into batches.

A tick's minute is that of its `time_ns`. Open and close are the first and the last in the order of n. What a tick adds
to the volume is max(0, v - the highest v of that instrument in that IST day so far); the day's first tick adds 0, so
the candles of a day add up to the growth of the counter. Ticks without a price (0: nothing was traded yet) make no
candle, and what their counter grew by waits for the next tick with one. A tick is late where its minute was closed by
the watermark before it came.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from events.decode import tick as kinds
from events.decode.tick import TICK, Ticks
from runtime.calendar import IST_NS

MINUTE_NS = 60 * 1_000_000_000
DAY_NS = 86_400 * 1_000_000_000
DAY_BITS = 20  # of a day number beside its instrument's token: enough for the next 2,800 years
DAY_MASK = (1 << DAY_BITS) - 1
PLACE_BITS = 24  # of a tick's place beside its token, a u32 on the wire: a batch is far below 16 million ticks
PLACE_MASK = (1 << PLACE_BITS) - 1
NO_VOLUME = -1  # none known yet
_COUNTER_SPAN = 1 << 33  # above the wire's u32 and the -1 of "none yet": keeps instruments apart in one running maximum

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


# What folding reads of a tick: a sixth of it, so that a second's ticks lie close together.
FOLDED_FIELDS = ("instrument_token", "time_ns", "at_ns", "kind", "last_price", "volume", "oi")
_NARROW = np.dtype([(name, TICK[name]) for name in FOLDED_FIELDS])


class Counters(msgspec.Struct, frozen=True):
    """What the volumes of each instrument's IST day came to, as columns of one length.

    highest: the highest volume so far. seen_number: the IST day on which the newest of its ticks was received.
    """

    instrument_token: Ints
    day_number: Ints
    highest: Ints
    seen_number: Ints

    @property
    def keys(self) -> Ints:
        """Give the key of each instrument and day, rising."""
        return keys(self.instrument_token, self.day_number)


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


def keys(instrument_token: Ints, day_number: Ints) -> Ints:
    """Give one number, the key, for each instrument and IST day since 1970; they sort by instrument, then day."""
    return (instrument_token << DAY_BITS) | day_number


def split(key: Ints) -> tuple[Ints, Ints]:
    """Give instrument tokens and day numbers of keys."""
    return key >> DAY_BITS, key & DAY_MASK


class Highest:
    """The highest volume so far of each instrument and IST day, by key, in order."""

    def __init__(self) -> None:
        """Begin with none."""
        self.keys: Ints = np.empty(0, np.int64)
        self._values: Ints = np.empty(0, np.int64)

    def of(self, wanted: Ints) -> Ints:
        """Give the volumes of keys, NO_VOLUME where none is known."""
        if not len(self.keys):
            return np.full(len(wanted), NO_VOLUME)
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[places] == wanted, self._values[places], NO_VOLUME)

    def keep(self, wanted: Ints, values: Ints) -> None:
        """Set the volumes of keys."""
        fresh = wanted[self.of(wanted) == NO_VOLUME]
        if len(fresh):
            places = np.searchsorted(self.keys, fresh := np.sort(fresh))
            self.keys = np.insert(self.keys, places, fresh)
            self._values = np.insert(self._values, places, NO_VOLUME)
        self._values[np.searchsorted(self.keys, wanted)] = values

    def forget(self, chosen: Flags) -> None:
        """Drop those of `keys` that are chosen."""
        self.keys, self._values = self.keys[~chosen], self._values[~chosen]


def narrowed(ticks: Ticks) -> Ticks:
    """Give ticks with FOLDED_FIELDS alone, as a copy."""
    narrow = np.empty(len(ticks), _NARROW)
    for name in FOLDED_FIELDS:
        narrow[name] = ticks[name]
    return narrow


def days(epoch_ns: Ints) -> Ints:
    """Give the IST day numbers since 1970 of times."""
    numbers: Ints = (epoch_ns + IST_NS) // DAY_NS
    return numbers


def fold(ticks: Ticks, watermark_ns: Ints, highest: Highest) -> Folded:
    """Fold ticks, whole or narrowed, in the order of the log; watermark_ns: the watermark in force at each of them."""
    tokens, minutes, prices = ticks["instrument_token"], ticks["time_ns"] // MINUTE_NS, ticks["last_price"]
    added, fell, counters = _volumes(ticks, tokens, highest)
    order = _ordered(tokens, minutes)
    order = order[prices[order] > 0]
    if not len(order):
        return _nothing(counters)
    tokens, minutes, prices = tokens[order], minutes[order], prices[order]
    starts = _starts(tokens, minutes)
    ends = np.append(starts[1:], len(order)) - 1
    late = (minutes + 1) * MINUTE_NS <= watermark_ns[order]
    return Folded(
        minute_ns=minutes[starts] * MINUTE_NS,
        instrument_token=tokens[starts],
        open=prices[starts],
        high=np.maximum.reduceat(prices, starts),
        low=np.minimum.reduceat(prices, starts),
        close=prices[ends],
        volume=np.add.reduceat(added[order], starts),
        oi=_last_oi(ticks["kind"][order] == kinds.FULL, ticks["oi"], order, starts),
        tick_count=ends - starts + 1,
        late=_count(late, starts),
        falls=_count(fell[order], starts),
        counters=counters,
    )


def _ordered(tokens: Ints, parts: Ints) -> Ints:
    """Give the order by token and part (minute or day), within these that of the log."""
    # Token and place in one number: numpy sorts plain numbers ten times as fast as it finds a stable order.
    order: Ints = np.sort((tokens << PLACE_BITS) | np.arange(len(tokens))) & PLACE_MASK
    in_order, of_token = parts[order], tokens[order]
    if ((in_order[1:] < in_order[:-1]) & (of_token[1:] == of_token[:-1])).any():  # a stamp that went back
        return np.lexsort((parts, tokens))
    return order


def _starts(tokens: Ints, parts: Ints) -> Ints:
    """Give where a new group begins among ticks that stand by token and part; at least one must be there."""
    changes = (tokens[1:] != tokens[:-1]) | (parts[1:] != parts[:-1])
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def _count(flags: Flags, starts: Ints) -> Ints:
    """Give how many are set in each group."""
    if not flags.any():
        return np.zeros(len(starts), np.int64)
    counted: Ints = np.add.reduceat(flags.astype(np.int64), starts)
    return counted


def _volumes(ticks: Ticks, tokens: Ints, highest: Highest) -> tuple[Ints, Flags, Counters]:
    """Give what each tick adds, whether its counter stood below the highest, and the highest after all.

    A tick without a price counts only as the first of its day: no candle could take what it adds.
    """
    added, fell = np.zeros(len(ticks), np.int64), np.zeros(len(ticks), np.bool_)
    day = days(ticks["time_ns"])
    order = _ordered(tokens, day)
    kind = ticks["kind"][order]
    order = order[(kind == kinds.FULL) | (kind == kinds.QUOTE)]
    if not len(order):
        return added, fell, Counters(added[:0], added[:0], added[:0], added[:0])
    tokens, day, volume = tokens[order], day[order], ticks["volume"][order]
    starts = _starts(tokens, day)
    group_tokens, group_days, groups = tokens[starts], day[starts], np.arange(len(starts))
    known = highest.of(keys(group_tokens, group_days))
    counts = ticks["last_price"][order] > 0
    counts[starts[known == NO_VOLUME]] = True
    # One running maximum over all instruments: each one's own span, begun with what was known of it.
    group = groups.repeat(np.diff(starts, append=len(order)))
    places = np.arange(len(order)) + group + 1
    line = np.empty(len(order) + len(starts), np.int64)
    line[places] = group * _COUNTER_SPAN + np.where(counts, volume, NO_VOLUME)
    line[starts + groups] = groups * _COUNTER_SPAN + known
    running = np.maximum.accumulate(line)
    before = running[places - 1] - group * _COUNTER_SPAN
    first = before == NO_VOLUME
    added[order] = np.where(first | ~counts, 0, np.maximum(0, volume - before))
    fell[order] = ~first & counts & (volume < before)
    after = running[places[np.append(starts[1:], len(order)) - 1]] - groups * _COUNTER_SPAN
    seen = days(np.maximum.reduceat(ticks["at_ns"][order], starts))
    return added, fell, Counters(group_tokens, group_days, after, seen)


def _last_oi(carries: Flags, oi: Ints, order: Ints, starts: Ints) -> Ints:
    """Give the newest open interest of each candle, -1 where no packet carried one."""
    place = np.maximum.reduceat(np.where(carries, np.arange(len(order)), -1), starts)
    return np.where(place >= 0, oi[order[place]], -1)


def _nothing(counters: Counters) -> Folded:
    none, no_price = np.empty(0, np.int64), np.empty(0, np.float64)
    return Folded(none, none, no_price, no_price, no_price, no_price, none, none, none, none, none, counters)
