"""How much is traded and held: day volumes with a curve, open interest, both as functions of seed and time.

NSE's session takes most of a day's volume in a U; outside it trade goes on thinly, because the sandbox never closes.
Cumulative volume starts from 0 at midnight IST.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ops.sandbox import paths
from ops.sandbox.instruments import Instrument, Spot
from ops.sandbox.pricing import DAY_MINUTES, IST_MINUTES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SESSION_FIRST, SESSION_END = 9 * 60 + 15, 15 * 60 + 30  # minutes of the IST day
U_DEPTH = 2.5  # the first and last minute carry 3.5 times the middle one
THIN = 0.25  # a minute outside the session against the middle of it
SPREAD = 0.6  # of the logarithm of one minute's volume
FUTURE_SHARE, LATER_MONTH_SHARE = 0.4, 0.15
INDEX_FUTURE_VOLUME = 6_000_000.0
OPTION_VOLUME, OPTION_WIDTH = 60_000_000.0, 0.015
OI_PER_VOLUME, OI_SPREAD = 2.0, 0.1
VOLUME_USE, OI_USE = np.uint64(0x40), np.uint64(0x80)  # beside the octaves' numbers in an identity's low byte
CHUNK_MINUTES = 64


def curve() -> Floats:
    """Give each minute of the IST day its share of the day's volume."""
    minute = np.arange(DAY_MINUTES)
    inside = (minute >= SESSION_FIRST) & (minute < SESSION_END)
    x = 2 * (minute - SESSION_FIRST) / (SESSION_END - SESSION_FIRST - 1) - 1
    weight = np.where(inside, 1 + U_DEPTH * x**4, THIN)
    share: Floats = weight / weight.sum()
    return share


class Activity:
    """Volume and open interest of some instruments."""

    def __init__(self, instruments: Sequence[Instrument], spots: Sequence[Spot], reference: Floats, seed: int) -> None:
        """Size each instrument by its spot; `reference` is a price of each spot, the money of the option chains."""
        months = _months(instruments)
        self._ids = paths.identities([i.key for i in instruments], seed)
        self.day_volume = np.array(
            [_day_volume(i, spots[i.spot], float(reference[i.spot]), months[n]) for n, i in enumerate(instruments)]
        )
        derivative = np.array([i.instrument_type != "EQ" for i in instruments])
        self._oi = np.where(derivative, self.day_volume * OI_PER_VOLUME, 0.0)
        self._curve = curve()

    def minute_volume(self, rows: Ints, minutes: Ints) -> Floats:
        """Give the volume (rows, minutes) traded in each of these rising minutes since 1970."""
        spread = np.exp(SPREAD * paths.UNIFORM_UNIT * paths.uniform(self._ids[rows, None] + VOLUME_USE, minutes))
        return self.day_volume[rows, None] * self._curve[(minutes + IST_MINUTES) % DAY_MINUTES] * spread

    def volume_before(self, rows: Ints, minute: int) -> Floats:
        """Give the cumulative volume of the IST day at the start of `minute`."""
        first = day_start(minute)
        total = np.zeros(len(rows))
        for chunk in range(first, minute, CHUNK_MINUTES):
            total += self.minute_volume(rows, np.arange(chunk, min(chunk + CHUNK_MINUTES, minute))).sum(axis=1)
        return total

    def open_interest(self, rows: Ints, minutes: Ints) -> Floats:
        """Give the open interest (rows, minutes) at the start of these rising minutes; 0 where there is none."""
        return self._oi[rows, None] * np.exp(OI_SPREAD * paths.coarse(self._ids[rows] + OI_USE, minutes))


def day_start(minute: int) -> int:
    """Give the minute since 1970 in which the IST day of `minute` began."""
    return minute - (minute + IST_MINUTES) % DAY_MINUTES


def _months(instruments: Sequence[Instrument]) -> list[int]:
    """Give for each instrument how many contracts of its kind and underlying expire before it."""
    expiries: dict[tuple[int, str], list[object]] = {}
    found = []
    for i in instruments:
        seen = expiries.setdefault((i.spot, i.instrument_type), [])
        if i.expiry not in seen:
            seen.append(i.expiry)
        found.append(seen.index(i.expiry))
    return found


def _day_volume(instrument: Instrument, spot: Spot, money: float, month: int) -> float:
    if instrument.instrument_type == "EQ":
        return spot.volume
    later = LATER_MONTH_SHARE**month
    if instrument.instrument_type == "FUT":
        near = INDEX_FUTURE_VOLUME if spot.exchange == "INDICES" else spot.volume
        return later * (FUTURE_SHARE * near if spot.exchange == "NSE" else near)
    away = float(np.log(instrument.strike / money)) / OPTION_WIDTH
    return max(OPTION_VOLUME * later * float(np.exp(-(away**2) / 2)), 20.0 * instrument.lot_size)
