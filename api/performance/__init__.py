"""How well was traded: pure figures of closed round trips, of daily results, and of how either spread. No database.

A figure that is not defined is None, never 0 or infinity: a profit factor without a loss, a deviation of one day, a
return without capital. Amounts are rupees; losses are negative throughout.
"""

from api.performance.days import Daily, Day, Drawdown, EquityPoint, calendar, daily, equity_curve, of_days
from api.performance.histogram import Bin, histogram
from api.performance.trips import Trips, of_trips

__all__ = [
    "Bin",
    "Daily",
    "Day",
    "Drawdown",
    "EquityPoint",
    "Trips",
    "calendar",
    "daily",
    "equity_curve",
    "histogram",
    "of_days",
    "of_trips",
]
