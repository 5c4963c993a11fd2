"""When each exchange trades: sessions dated in `sessions.toml`, in IST, never computed from rules.

Nothing is supposed. A year that the data does not cover raises an error that says so, because "open, I suppose" and
"closed, I suppose" are both wrong on some day. A special session whose hours were not known has no session, and
`has_known_hours` says that such a day is not simply closed: whoever would stop receiving must ask it as well.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from runtime.clock import NS_PER_SECOND
from runtime.errors import SettingError

IST_SECONDS = 19_800  # India is 5 h 30 min ahead of UTC, without summer time
BOOKS_BEGIN_NS = 5 * 3600 * NS_PER_SECOND  # Kite's new day, about 05:00 IST (source: `producers.accounts.schedule`)
IST_NS = IST_SECONDS * NS_PER_SECOND
IST = timezone(timedelta(seconds=IST_SECONDS), "IST")

SATURDAY = 5
_DATA = Path(__file__).with_name("sessions.toml")


class Session(msgspec.Struct, frozen=True):
    """One stretch of trading of one exchange: from `open_ns` up to, not including, `close_ns` (UTC epoch)."""

    exchange: str
    day: date
    open_ns: int
    close_ns: int
    name: str  # of the holiday or occasion; empty on an ordinary day


class _Hours(msgspec.Struct, frozen=True, rename={"first_day": "from"}, forbid_unknown_fields=True):
    exchanges: tuple[str, ...]
    group: Literal["stocks", "currency", "commodity"]
    first_day: date
    open: time
    close: time


class _Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hours of one day; what is left out is as on an ordinary day."""

    open: time | None = None
    close: time | None = None


_Special: TypeAlias = Literal["closed", "unknown"] | _Span | None


class _Day(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    date: date
    name: str
    stocks: _Special = None
    currency: _Special = None
    commodity: _Special = None


class _Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    covered: tuple[int, ...]
    hours: tuple[_Hours, ...]
    day: tuple[_Day, ...]


def trading_day(at_ns: int) -> date:
    """Give the IST date of a moment in UTC nanoseconds since 1970."""
    return datetime.fromtimestamp(at_ns // NS_PER_SECOND, UTC).astimezone(IST).date()


def book_day(at_ns: int) -> date:
    """Give the IST day whose books Kite shows at a moment in UTC nanoseconds: at night still the day before."""
    return trading_day(at_ns - BOOKS_BEGIN_NS)


def session(exchange: str, day: date) -> Session | None:
    """Give the session of `exchange` (NSE, BSE, NFO, BFO, CDS, BCD, MCX, NCO) on `day`, or None.

    None is a day on which it is closed, or trades at hours that are not known (`has_known_hours`).
    Raise `SettingError` for an exchange or a year that the calendar does not cover.
    """
    usual, named, special = _hours_of(exchange, day)
    if isinstance(special, str) or (special is None and day.weekday() >= SATURDAY):
        return None
    opens, closes = usual.open, usual.close
    if special is not None:
        opens, closes = special.open or opens, special.close or closes
    return Session(exchange, day, _ns(day, opens), _ns(day, closes), named.name if named and special else "")


def has_known_hours(exchange: str, day: date) -> bool:
    """Say whether it is known when `exchange` trades on `day`, be it never; raise as `session` does."""
    return _hours_of(exchange, day)[2] != "unknown"


def is_open(exchange: str, at_ns: int) -> bool:
    """Say whether `exchange` is known to trade at a moment in UTC nanoseconds since 1970; raise as `session` does."""
    found = session(exchange, trading_day(at_ns))
    return found is not None and found.open_ns <= at_ns < found.close_ns


def exchanges() -> tuple[str, ...]:
    """Give the exchanges that the calendar knows."""
    return tuple(dict.fromkeys(name for hours in _calendar().hours for name in hours.exchanges))


def covered_years() -> tuple[int, ...]:
    """Give the years of which the sessions are known."""
    return _calendar().covered


def _hours_of(exchange: str, day: date) -> tuple[_Hours, _Day | None, _Special]:
    """Give the usual hours, the named day, and what it says of this exchange."""
    usual, named = _usual_hours(exchange, day), _named_days().get(day)
    return usual, named, getattr(named, usual.group) if named else None


def _usual_hours(exchange: str, day: date) -> _Hours:
    calendar = _calendar()
    known = [hours for hours in calendar.hours if exchange in hours.exchanges]
    if not known:
        raise SettingError(f"an exchange of {', '.join(exchanges())}", exchange, "correct the exchange's name")
    if day.year not in calendar.covered:
        raise SettingError(
            f"a trading calendar for {day.year}",
            f"one for {', '.join(map(str, calendar.covered))}",
            "install a release with that year's holidays, or set MARKET_HOURS_ONLY=false",
        )
    return max((hours for hours in known if hours.first_day <= day), key=lambda hours: hours.first_day)


def _ns(day: date, at: time) -> int:
    return int(datetime.combine(day, at, IST).timestamp()) * NS_PER_SECOND


@cache
def _calendar() -> _Calendar:
    with _DATA.open("rb") as file:
        return msgspec.convert(tomllib.load(file), _Calendar)


@cache
def _named_days() -> Mapping[date, _Day]:
    days = {day.date: day for day in _calendar().day}
    assert len(days) == len(_calendar().day), "a day is named twice"
    return days
