"""When there is something to receive: from a while before an exchange opens to a while after it closes.

The dated calendar tells (`runtime.calendar`). An exchange or a year that it does not know is never taken for closed:
what is not received cannot be received later.
"""

from collections.abc import Collection
from datetime import timedelta

from runtime.calendar import exchanges, session, trading_day
from runtime.clock import NS_PER_SECOND

# NSE collects orders for its opening price from 09:00, 15 minutes before it opens, and sends ticks of it; the rest is
# for a login that fails to be seen in time.
BEFORE_OPEN_SECONDS = 20 * 60
AFTER_CLOSE_SECONDS = 30 * 60  # trading at the closing price, and the day's last figures, come within this
LOOK_DAYS = 15  # no holidays are as long

# The last byte of Kite's instrument_token; of indices there are NSE's and BSE's, which keep the same hours.
EXCHANGES = {1: "NSE", 2: "NFO", 3: "CDS", 4: "BSE", 5: "BFO", 6: "BCD", 7: "MCX", 9: "NSE", 12: "NCO"}


def exchange_of(name: str) -> str:
    """Give the exchange of an instrument: a token, or EXCHANGE:SYMBOL; empty where a token is of none that we know."""
    return EXCHANGES.get(int(name) & 0xFF, "") if name.isdigit() else name.partition(":")[0]


def closed_until(wanted: Collection[str], now_ns: int) -> int | None:
    """Give when one of these exchanges is to be listened to again (UTC epoch ns); None where one is to be now.

    Raises SettingError for a year that the calendar does not cover.
    """
    if not wanted or not set(wanted) <= set(exchanges()):
        return None
    today = trading_day(now_ns)
    for days in range(-1, LOOK_DAYS):  # from yesterday on: commodities close shortly before midnight
        found = [each for exchange in wanted if (each := session(exchange, today + timedelta(days=days)))]
        ahead = [each for each in found if each.close_ns + AFTER_CLOSE_SECONDS * NS_PER_SECOND > now_ns]
        if ahead:
            opens_ns = min(each.open_ns for each in ahead) - BEFORE_OPEN_SECONDS * NS_PER_SECOND
            return opens_ns if opens_ns > now_ns else None
    return None
