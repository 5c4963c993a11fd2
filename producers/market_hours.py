"""When there is something to receive: from a while before an exchange opens to a while after it closes.

The dated calendar tells (`runtime.calendar`). An exchange, an index, a day or a year whose hours it does not know is
never taken for closed: what is not received cannot be received later.
"""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta

from runtime.calendar import IST, exchanges, has_known_hours, session, trading_day
from runtime.clock import NS_PER_SECOND

# NSE collects orders for its opening price from 09:00, 15 minutes before it opens, and sends ticks of it; the rest is
# for a login that fails to be seen in time.
BEFORE_OPEN_SECONDS = 20 * 60
AFTER_CLOSE_SECONDS = 30 * 60  # trading at the closing price, and the day's last figures, come within this
DAY_NS = 86_400 * NS_PER_SECOND  # in India always: there is no summer time
LOOK_DAYS = 15  # no holidays are as long

# The last byte of Kite's instrument_token, and the one of indices, whose other bytes tell no exchange.
EXCHANGES = {1: "NSE", 2: "NFO", 3: "CDS", 4: "BSE", 5: "BFO", 6: "BCD", 7: "MCX", 12: "NCO"}
INDEX = 9

# The other bytes of the indices that are known to be NSE's or BSE's. GIFT NIFTY (1140) trades nearly around the clock,
# commodities have theirs, and more are listed each year: an index that is not here keeps hours that nobody knows.
INDICES = {1: "BSE", **dict.fromkeys((1001, 1007, 1015, 1016, 1023, 1025, 1029, 1030, 1035), "NSE")}


def exchange_of(name: str) -> str:
    """Give the exchange of an instrument: a token, or EXCHANGE:SYMBOL; empty where a token is of none that we know."""
    if not name.isdigit():
        return name.partition(":")[0]
    number, kind = divmod(int(name), 256)
    return INDICES.get(number, "") if kind == INDEX else EXCHANGES.get(kind, "")


def closed_until(wanted: Collection[str], now_ns: int) -> int | None:
    """Give when one of these exchanges is to be listened to again (UTC epoch ns); None where one is to be now.

    Raises SettingError for a year that the calendar does not cover.
    """
    if not wanted or not set(wanted) <= set(exchanges()):
        return None
    today = trading_day(now_ns)
    for days in range(-1, LOOK_DAYS):  # from yesterday on: commodities close shortly before midnight
        found = [each for exchange in wanted if (each := _stretch(exchange, today + timedelta(days=days)))]
        ahead = [opens_ns for opens_ns, closes_ns in found if closes_ns + AFTER_CLOSE_SECONDS * NS_PER_SECOND > now_ns]
        if ahead:
            listen_ns = min(ahead) - BEFORE_OPEN_SECONDS * NS_PER_SECOND
            return listen_ns if listen_ns > now_ns else None
    return None


def _stretch(exchange: str, day: date) -> tuple[int, int] | None:
    """Give from when to when (UTC epoch ns) an exchange may trade on a day: all of it where its hours are not known."""
    if has_known_hours(exchange, day):
        known = session(exchange, day)
        return (known.open_ns, known.close_ns) if known else None
    begins_ns = round(datetime.combine(day, time(), IST).timestamp()) * NS_PER_SECOND
    return begins_ns, begins_ns + DAY_NS
