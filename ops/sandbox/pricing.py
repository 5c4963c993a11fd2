"""What a derivative is worth when its underlying stands at S: a monotone function of S, so that history can map bars.

Futures carry RATE; options are Black-76 on that forward, with a smile that is fixed by the strike's distance from a
reference price. Time to expiry counts in whole minutes: within a minute a derivative moves with its underlying only.
"""

import datetime
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ops.sandbox.instruments import Instrument
from runtime.calendar import IST_SECONDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATE = 0.065  # a year, continuous
YEAR_MINUTES = 365 * 24 * 60
IST_MINUTES = IST_SECONDS // 60
EXPIRY_MINUTE = 15 * 60 + 30  # of the IST day, when contracts expire
DAY_MINUTES = 24 * 60
BASE_VOLATILITY = 0.13
SMILE, SKEW = 3.0, -0.5
SPOT, FUTURE, CALL, PUT = 0, 1, 2, 3
KINDS = {"EQ": SPOT, "FUT": FUTURE, "CE": CALL, "PE": PUT}
EPOCH = datetime.date(1970, 1, 1)


class Pricing:
    """The derivatives among some instruments; everything else is worth its spot."""

    def __init__(self, instruments: Sequence[Instrument], reference: Floats) -> None:
        """Take contract terms; `reference` is a price of each spot, the middle of the smile."""
        self.spot = np.array([i.spot for i in instruments], np.int64)
        self.kind = np.array([KINDS[i.instrument_type] for i in instruments], np.int64)
        self.expiry = np.array([_expiry_minute(i.expiry) for i in instruments], np.int64)
        strike = np.array([i.strike or 1.0 for i in instruments])
        away = np.where(self.kind >= CALL, np.log(strike / reference[self.spot]), 0.0)
        self._strike = strike
        self._volatility = BASE_VOLATILITY * (1 + SMILE * away**2 + SKEW * away)

    def prices(self, rows: Ints, spot_prices: Floats, minute: Ints | int) -> Floats:
        """Give unrounded prices of instruments `rows` whose spots stand at `spot_prices` in `minute` since 1970."""
        kind = self.kind[rows]
        years = np.maximum(self.expiry[rows] - minute, 1) / YEAR_MINUTES
        forward = spot_prices * np.exp(RATE * years)
        prices = np.where(kind == SPOT, spot_prices, forward)
        options = np.flatnonzero(kind >= CALL)
        if options.size:
            which = rows[options]
            sign = np.where(kind[options] == CALL, 1.0, -1.0)
            prices[options] = black(
                forward[options], self._strike[which], self._volatility[which], years[options], sign
            )
        return prices


def black(forward: Floats, strike: Floats, volatility: Floats, years: Floats, sign: Floats) -> Floats:
    """Give Black-76 values; `sign` is 1 for calls and -1 for puts."""
    deviation = volatility * np.sqrt(years)
    d1 = np.log(forward / strike) / deviation + deviation / 2
    value: Floats = sign * (forward * normal(sign * d1) - strike * normal(sign * (d1 - deviation)))
    discounted: Floats = value * np.exp(-RATE * years)
    return discounted


def normal(x: Floats) -> Floats:
    """Give the normal distribution function (Abramowitz and Stegun 26.2.17, error below 1e-7)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * series
    share: Floats = np.where(x >= 0, 1 - tail, tail)
    return share


def _expiry_minute(expiry: datetime.date | None) -> int:
    return 0 if expiry is None else (expiry - EPOCH).days * DAY_MINUTES + EXPIRY_MINUTE - IST_MINUTES
