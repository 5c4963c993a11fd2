"""The generated market: what each instrument's newest packet is, as a function of seed and time.

Once in a slot of half a second every price moves (`paths`), derivatives with their underlying (`pricing`). Between,
`tick` refreshes chosen instruments: time, cumulative volume, quantities and depth go on; the row that it writes on
the `board` is the packet that clients get, and the quote that REST gives.
"""

import datetime
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ops.sandbox import contracts, instruments, wire
from ops.sandbox.activity import Activity, day_start
from ops.sandbox.instruments import Instrument, Spot
from ops.sandbox.paths import MINUTE_NS, SLOT_NS, SLOTS, Paths
from ops.sandbox.pricing import DAY_MINUTES, EPOCH, EXPIRY_MINUTE, IST_MINUTES, SPOT, Pricing
from ops.sandbox.wire import Field, IndexField

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SECOND_NS = 1_000_000_000
DRAW_NS = 10_000_000  # quantities change at most this often
HIGH_LOW_STEP_MINUTES = 15  # the day's range before the start is taken from so coarse a grid
FRIDAY = 4
# Rows of random quantities, in units of the instrument; more would repeat later and fall out of the cache.
DRAWS, DEPTH_SIDES = 4096, 2 * wire.DEPTH_LEVELS
QUANTITY_MAX = 400
TOTAL_PER_LEVEL = 60  # the book behind the five levels that are shown
UNITS_PER_DAY = 200_000  # an equity's quantities come in day volume / this


class Market:
    """All instruments of one day with their state, a `Stage`; `board` is (n, 184) bytes, a newest packet for each."""

    gives_snapshots = True

    def __init__(self, seed: int, now_ns: int, count: int | None = None) -> None:
        """List the IST day of `now_ns`, `count` instruments or the usual ones, and set them to that time."""
        self.seed = seed
        self.resized = count is not None
        minute = now_ns // MINUTE_NS
        spots = instruments.spots()
        if count is not None:
            spots += instruments.synthetic(max(0, count - len(spots)), seed)
        self.paths = Paths(spots, seed)
        self._everything = np.arange(len(spots))
        self.day = day_start(minute)
        reference = self._spots_at(self.day * SLOTS)
        self.instruments = self._list(spots, count)
        self.pricing = Pricing(self.instruments, reference)
        self.activity = Activity(self.instruments, spots, reference, seed)
        self.places = {i.instrument_token: place for place, i in enumerate(self.instruments)}
        self._rows = np.arange(len(self.instruments))
        self._measure(seed)
        self._begin(now_ns)

    def _list(self, spots: list[Spot], count: int | None) -> Sequence[Instrument]:
        """List the day's instruments: spots first, so that a small `count` leaves no derivative without its own."""
        tokens = instruments.Tokens()
        found = instruments.listed(spots, tokens)
        own = [i for i in found if not i.tradingsymbol.startswith("SYN")]
        extra = found[len(own) :]
        today = _date(self.day)
        own += contracts.futures(spots, today, tokens) + contracts.options(spots, self._price_on, today, tokens)
        return own if count is None else (own + extra)[:count]

    def _price_on(self, spot: int, date: datetime.date) -> float:
        slot = ((date - EPOCH).days * DAY_MINUTES - IST_MINUTES) * SLOTS
        return float(np.exp(self.paths.at(np.array([spot]), np.array([slot]))[0, 0]))

    def _measure(self, seed: int) -> None:
        """Set what stays the same for the day."""
        tokens = np.array([i.instrument_token for i in self.instruments], np.int64)
        self.is_index = np.array([i.is_index for i in self.instruments])
        self._divisor = np.array([wire.divisor(int(token)) for token in tokens], np.int64)
        # An index has no tick size in the dump; it moves in paise of five.
        tick_sizes = np.array([i.tick_size or 0.05 for i in self.instruments])
        self._step = np.rint(tick_sizes * self._divisor).astype(np.int64)
        self._lot = np.array([max(i.lot_size, 1) for i in self.instruments], np.int64)
        equity = (self.pricing.kind == SPOT) & ~self.is_index
        self._unit = np.where(equity, np.maximum(self.activity.day_volume // UNITS_PER_DAY, 1), self._lot).astype(
            np.uint32
        )
        self._latent = np.zeros((len(tokens), wire.WORDS), np.uint32)
        self._latent[:, Field.TOKEN] = tokens
        random = np.random.default_rng(seed)
        self._draws = random.integers(1, QUANTITY_MAX, (DRAWS, DEPTH_SIDES + 3), np.uint32)
        self._phase = tokens * 7919 % DRAWS
        orders = random.integers(1, 60, (len(tokens), DEPTH_SIDES), np.uint32) << np.uint32(16)
        self._orders = np.where(self.is_index[:, None], np.uint32(0), orders)
        self._has_level = np.ones((len(tokens), DEPTH_SIDES), np.uint32)

    def _begin(self, now_ns: int) -> None:
        """Work out the day so far, then let every instrument tick once."""
        minute = now_ns // MINUTE_NS
        self._minute = -1
        self._slot = -1
        self._volume = self._this_minute = np.zeros(len(self.instruments))
        self._open = self._prices_at(self.day * SLOTS)
        self._close = self._prices_at(_last_close(self.day) * SLOTS - 1)
        self._high, self._low = self._open.copy(), self._open.copy()
        for sample in range(self.day, minute, HIGH_LOW_STEP_MINUTES):
            self._widen(self._prices_at(sample * SLOTS))
        self._oi_high = self._oi_low = self._open_interest(self.day)
        self.board = np.zeros((len(self.instruments), wire.FULL_BYTES), np.uint8)
        self.tick(self._rows, now_ns)

    def tick(self, which: Ints, now_ns: int) -> wire.Bytes:
        """Refresh instruments `which` (places in `instruments`) to this time; give their rows of the board."""
        self._advance(now_ns // SLOT_NS)
        rows = self._latent[which]
        drawn = self._draws[(self._phase[which] + now_ns // DRAW_NS) % DRAWS] * self._unit[which, None]
        rows[:, Field.DEPTH :: 3] = drawn[:, :DEPTH_SIDES] * self._has_level[which]
        rows[:, Field.LAST_QUANTITY] = drawn[:, DEPTH_SIDES]
        rows[:, [Field.BUY_QUANTITY, Field.SELL_QUANTITY]] = drawn[:, DEPTH_SIDES + 1 :] * np.uint32(TOTAL_PER_LEVEL)
        part = now_ns % MINUTE_NS / MINUTE_NS
        volume = (self._volume[which] + self._this_minute[which] * part).astype(np.int64)
        rows[:, Field.VOLUME] = volume - volume % self._lot[which]
        rows[:, [Field.TIME, Field.LAST_TRADE_TIME]] = now_ns // SECOND_NS
        indices = np.flatnonzero(self.is_index[which])
        if indices.size:
            rows[indices, IndexField.HIGH : IndexField.TIME] = self._latent[
                which[indices], IndexField.HIGH : IndexField.TIME
            ]
            rows[indices, IndexField.TIME] = now_ns // SECOND_NS
        packets = wire.rows(rows)
        self.board[which] = packets
        return packets

    def divisor(self, place: int) -> int:
        """Give what the prices of one instrument are multiplied by on the wire."""
        return int(self._divisor[place])

    def over(self, now_ns: int) -> bool:
        """Tell whether the IST day of these instruments has ended."""
        return day_start(now_ns // MINUTE_NS) != self.day

    def _advance(self, slot: int) -> None:
        """Move every price to `slot`; time that goes back leaves them where they are."""
        if slot <= self._slot:
            return
        minute, part = divmod(slot, SLOTS)
        if minute != self._minute:
            self._turn(minute)
        self._slot = slot
        log_prices = self._from + (self._to - self._from) * (part / SLOTS)
        log_prices += self.paths.fine(self._everything, np.array([slot]))[:, 0]
        prices = self._rounded(np.exp(log_prices), minute)
        self._widen(prices)
        self._draft(prices)

    def _turn(self, minute: int) -> None:
        """Begin a minute: the ends of its lines, its volume, its open interest."""
        ends = self.paths.minutes(self._everything, np.array([minute, minute + 1]))
        self._from, self._to = ends[:, 0], ends[:, 1]
        follows = minute == self._minute + 1
        self._volume = self._volume + self._this_minute if follows else self.activity.volume_before(self._rows, minute)
        self._this_minute = self.activity.minute_volume(self._rows, np.array([minute]))[:, 0]
        self._oi = self._open_interest(minute)
        self._oi_high, self._oi_low = np.maximum(self._oi_high, self._oi), np.minimum(self._oi_low, self._oi)
        self._minute = minute

    def _draft(self, prices: Ints) -> None:
        """Write what the prices of this slot decide."""
        words = self._latent
        ohlc = np.stack([self._open, self._high, self._low, self._close], axis=1)
        words[:, Field.LTP] = prices
        words[:, Field.AVERAGE] = ohlc.mean(axis=1)
        words[:, Field.OPEN : Field.CLOSE + 1] = ohlc
        words[:, Field.OI], words[:, Field.OI_HIGH], words[:, Field.OI_LOW] = self._oi, self._oi_high, self._oi_low
        self._draft_depth(prices)
        index = self.is_index
        words[index, IndexField.HIGH : IndexField.CHANGE] = ohlc[index][:, [1, 2, 0, 3]]
        words[index, IndexField.CHANGE] = (prices - self._close)[index].astype(np.int32).view(np.uint32)

    def _draft_depth(self, prices: Ints) -> None:
        """Lay five bids and five asks a tick apart around the price; the last trade was at the best bid or ask."""
        levels = np.arange(wire.DEPTH_LEVELS)
        at_bid = (prices // self._step + self._slot) % 2
        bids = (prices - (1 - at_bid) * self._step)[:, None] - levels * self._step[:, None]
        asks = (prices + at_bid * self._step)[:, None] + levels * self._step[:, None]
        depth = np.maximum(np.hstack([bids, asks]), 0)
        self._has_level = (depth > 0).astype(np.uint32)
        self._latent[:, Field.DEPTH + 1 :: 3] = depth
        self._latent[:, Field.DEPTH + 2 :: 3] = self._orders * self._has_level

    def _widen(self, prices: Ints) -> None:
        self._high, self._low = np.maximum(self._high, prices), np.minimum(self._low, prices)

    def _open_interest(self, minute: int) -> Ints:
        oi = self.activity.open_interest(self._rows, np.array([minute]))[:, 0].astype(np.int64)
        return oi - oi % self._lot

    def _prices_at(self, slot: int) -> Ints:
        return self._rounded(self._spots_at(slot), slot // SLOTS)

    def _spots_at(self, slot: int) -> Floats:
        return np.exp(self.paths.at(self._everything, np.array([slot]))[:, 0])

    def _rounded(self, spot_prices: Floats, minute: int) -> Ints:
        return self.on_wire(self._rows, self.pricing.prices(self._rows, spot_prices[self.pricing.spot], minute))

    def on_wire(self, rows: Ints, prices: Floats) -> Ints:
        """Round prices of instruments `rows` to their tick, at least one, and give them as integers of the wire."""
        steps = np.rint(prices * (self._divisor[rows] / self._step[rows]))
        return np.maximum(steps, 1).astype(np.int64) * self._step[rows]


def _last_close(day: int) -> int:
    """Give the minute at whose start the session of the weekday before `day` ended."""
    date = _date(day) - datetime.timedelta(days=1)
    back = max(0, date.weekday() - FRIDAY)
    return day - (1 + back) * DAY_MINUTES + EXPIRY_MINUTE


def _date(day: int) -> datetime.date:
    return EPOCH + datetime.timedelta(days=(day + IST_MINUTES) // DAY_MINUTES)
