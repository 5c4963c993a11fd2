"""When an account is pulled by itself: at the worker's start, again and again in market hours, and twice after them.

An account trades on any exchange, so its hours are those of all that the calendar knows: until commodities close. What
is not asked for in time is gone, so a day that the calendar does not know counts as one of trading.
"""

from datetime import date, datetime, time, timedelta

import msgspec

from events.accounts import Trigger
from producers import market_hours
from producers.kite.address import SANDBOX
from runtime.calendar import IST, book_day, exchanges, has_known_hours, session, trading_day
from runtime.clock import NS_PER_SECOND
from runtime.errors import SettingError
from runtime.settings import Settings

# Zerodha begins Kite's new day with closing balances at about 05:00 IST (tradingqna.com, "Why is closing balance
# different on Q Ledger and Kite in the nights"), and ends its tokens at about 06:00; orders and trades are of one day
# only. Half an hour before is late enough for what the exchanges say at night, and leaves time for tries.
LAST_CHANCE = time(4, 30)
# Where no market closes, a day's trading is over from here on: the sandbox's books close at midnight IST, and what is
# intraday there has been closed by now (`ops/sandbox/accounts/hours.py`).
EVENING = time(23, 50)


class Begun(msgspec.Struct, frozen=True):
    """When the last run over all kinds began (UTC epoch ns), and whether markets were open then."""

    at_ns: int
    open: bool


class Moment(msgspec.Struct, frozen=True):
    """Now, as the schedule sees it. chance_ns: the last LAST_CHANCE of a day on which there was trading.

    day: the IST day that brokers tell of now; over: whether its trading is.
    """

    at_ns: int
    open: bool
    chance_ns: int
    day: date
    over: bool


class Timetable:
    """The times of one process; the same for all accounts."""

    def __init__(self, settings: Settings) -> None:
        """Heed SYNC_INTERVAL_SECONDS and MARKET_HOURS_ONLY; the sandbox is never closed."""
        self._interval_ns = settings.sync_interval_seconds * NS_PER_SECOND
        self._always = not settings.market_hours_only or settings.broker[0] == SANDBOX

    def moment(self, at_ns: int) -> Moment:
        """Look at the calendar once for all accounts; a year that it does not cover is open."""
        chance_ns, is_open = _last_chance(at_ns), self._is_open(at_ns)
        now = datetime.fromtimestamp(at_ns // NS_PER_SECOND, IST).time()
        over = now >= EVENING if is_open is None else not is_open
        traded_ns = chance_ns if _traded_before(chance_ns) else 0
        return Moment(at_ns, is_open is not False, traded_ns, book_day(at_ns), over)

    def due(self, last: Begun | None, now: Moment) -> Trigger | None:
        """Say why an account is due now whose last run is this one (None: it had none yet), or None."""
        if last is None:
            return "start"
        if now.open:
            return "schedule" if now.at_ns - last.at_ns >= self._interval_ns else None
        return "close" if last.open or last.at_ns < now.chance_ns else None

    def next_ns(self, last: Begun | None, now: Moment) -> int:
        """Say when (UTC epoch ns) such an account is due next, now if it is; a close before then makes it sooner."""
        if last is None or self.due(last, now):
            return now.at_ns
        if now.open:
            return last.at_ns + self._interval_ns
        opens_ns = market_hours.closed_until(exchanges(), now.at_ns) or now.at_ns
        chance_ns = _last_chance(now.at_ns + market_hours.DAY_NS)
        return min(opens_ns, chance_ns) if _traded_before(chance_ns) else opens_ns

    def _is_open(self, at_ns: int) -> bool | None:
        """Say whether any exchange is open; None where that is not asked, or not known."""
        if self._always:
            return None
        try:
            return market_hours.closed_until(exchanges(), at_ns) is None
        except SettingError:
            return None


def _last_chance(now_ns: int) -> int:
    """Give the last LAST_CHANCE that is not after `now_ns`."""
    today = trading_day(now_ns)
    at_ns = _moment(today)
    return at_ns if at_ns <= now_ns else _moment(today - timedelta(days=1))


def _moment(day: date) -> int:
    return round(datetime.combine(day, LAST_CHANCE, IST).timestamp()) * NS_PER_SECOND


def _traded_before(chance_ns: int) -> bool:
    """Say whether any exchange traded, or may have, on the day before that night."""
    day = trading_day(chance_ns) - timedelta(days=1)
    try:
        return any(session(each, day) or not has_known_hours(each, day) for each in exchanges())
    except SettingError:
        return True
