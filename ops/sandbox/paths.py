"""Prices as a function of a seed and the time, so that live ticks, history and a restart tell one story.

Each spot's log price is base + beta * market + sector + its own noise. Each of the three is a sum of octaves: at
every multiple of an octave's period stands a random number made by hashing (seed, who, octave, multiple), between
them is a straight line, and amplitudes grow with the root of the period, so that it moves like a price but never
runs away. Octaves of a minute and more make the value at each whole minute. Within a minute lie SLOTS slots of half
a second: a line from minute to minute plus the spot's own fine octaves.
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from ops.sandbox.instruments import Spot

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

SLOTS = 120
SLOT_NS = 500_000_000
MINUTE_NS = SLOTS * SLOT_NS
# Periods grow by 4 up to 45 days of minutes.
COARSE_MINUTES = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
FINE_SLOTS = (1, 8, 32)
# With these octaves the change over a day of 1,440 minutes then has a standard deviation of about 1.
COARSE_UNIT = 1 / 56
FINE_UNIT = COARSE_UNIT / SLOTS**0.5
MARKET_VOLATILITY, SECTOR_VOLATILITY = 0.007, 0.005
UNIFORM_UNIT = 12**0.5  # a uniform number of width 1 has this inverse standard deviation


class Paths:
    """The prices of some spots at any time."""

    def __init__(self, spots: list[Spot], seed: int) -> None:
        """Take the parameters of `spots`; rows below are places in this list."""
        self._base = np.log([spot.price for spot in spots])
        self._beta = np.array([spot.beta for spot in spots])
        self._volatility = np.array([spot.volatility for spot in spots])
        self._ids = identities([spot.key for spot in spots], seed)
        names = sorted({spot.sector for spot in spots})
        self._sector_ids = identities(names, seed)
        self._sector = np.array([names.index(spot.sector) for spot in spots])
        self._has_sector = np.array([float(bool(spot.sector)) for spot in spots])
        self._market_id = identities(["*"], seed)

    def __len__(self) -> int:
        """Give the number of spots."""
        return len(self._base)

    def minutes(self, rows: Ints, minutes: Ints) -> Floats:
        """Give log prices (rows, minutes) at the start of these rising whole minutes since 1970."""
        market = MARKET_VOLATILITY * coarse(self._market_id, minutes)
        kinds, place = np.unique(self._sector[rows], return_inverse=True)
        sector = SECTOR_VOLATILITY * coarse(self._sector_ids[kinds], minutes)[place]
        own = self._volatility[rows, None] * coarse(self._ids[rows], minutes)
        common: Floats = self._beta[rows, None] * market + self._has_sector[rows, None] * sector
        return self._base[rows, None] + common + own

    def at(self, rows: Ints, slots: Ints) -> Floats:
        """Give log prices (rows, slots) in these rising slots since 1970."""
        minutes, part = np.divmod(slots, SLOTS)
        start, end = self.minutes(rows, minutes), self.minutes(rows, minutes + 1)
        return start + (end - start) * (part / SLOTS) + self.fine(rows, slots)

    def fine(self, rows: Ints, slots: Ints) -> Floats:
        """Give what own noise adds (rows, slots) in these rising slots since 1970."""
        return self._volatility[rows, None] * octaves(self._ids[rows], slots, FINE_SLOTS, FINE_UNIT)


def coarse(ids: Hashes, minutes: Ints) -> Floats:
    """Give the noise (ids, minutes) at rising whole minutes, of about unit change a day."""
    return octaves(ids, minutes, COARSE_MINUTES, COARSE_UNIT)


def octaves(ids: Hashes, at: Ints, periods: tuple[int, ...], unit: float) -> Floats:
    """Add up the octaves of these periods for (ids, at); `at` rises."""
    total = np.zeros((len(ids), len(at)))
    for number, period in enumerate(periods):
        cell, rest = np.divmod(at, period)
        left, right = _ends(ids[:, None] + np.uint64(number), cell)
        total += unit * UNIFORM_UNIT * period**0.5 * (left + (right - left) * (rest / period))
    return total


def _ends(ids: Hashes, cell: Ints) -> tuple[Floats, Floats]:
    """Give the numbers at both ends of these rising cells; what cells share is hashed once where they lie densely."""
    first, last = int(cell[0]), int(cell[-1])
    if last - first > len(cell):
        return uniform(ids, cell), uniform(ids, cell + 1)
    lattice = uniform(ids, np.arange(first, last + 2))
    return lattice[:, cell - first], lattice[:, cell - first + 1]


def uniform(ids: Hashes, at: Ints) -> Floats:
    """Give a number of -0.5..0.5 for each (id, at), the same one for ever (splitmix64)."""
    mixed = (ids ^ (at.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53 - 0.5


def identities(names: list[str], seed: int) -> Hashes:
    """Give each name its 64-bit number; the lowest byte is free for a use's own counting."""
    high = np.array([zlib.crc32(name.encode()) for name in names], np.uint64)
    low = np.array([zlib.crc32(f"{seed}/{name}".encode()) for name in names], np.uint64)
    return (high << np.uint64(32)) ^ (low << np.uint64(8))
