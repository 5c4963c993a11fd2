"""The trading calendar: known days of 2025 and 2026, and what happens where it knows nothing."""

from datetime import UTC, date, datetime, timedelta

import pytest

from runtime import calendar
from runtime.calendar import IST, has_known_hours, is_open, session, trading_day
from runtime.clock import NS_PER_SECOND
from runtime.errors import SettingError

KNOWN = [
    ("NSE", "2025-01-01", "09:15-15:30"),  # New Year is no holiday of stocks
    ("MCX", "2025-01-01", "09:00-17:00"),
    ("NSE", "2025-01-04", "closed"),  # Saturday
    ("NSE", "2025-02-01", "09:15-15:30"),  # Union Budget on a Saturday
    ("CDS", "2025-02-01", "closed"),
    ("NFO", "2025-02-19", "09:15-15:30"),
    ("CDS", "2025-02-19", "closed"),
    ("MCX", "2025-02-26", "17:00-23:55"),
    ("MCX", "2025-03-10", "09:00-23:30"),  # daylight saving time began in the USA
    ("CDS", "2025-09-05", "09:00-17:00"),  # the holiday moved to the 8th
    ("CDS", "2025-09-08", "closed"),
    ("BSE", "2025-10-21", "13:45-14:45"),  # muhurat
    ("MCX", "2025-10-21", "13:45-14:45"),
    ("NSE", "2025-10-22", "closed"),
    ("MCX", "2025-10-22", "17:00-23:30"),
    ("MCX", "2025-11-03", "09:00-23:55"),
    ("NSE", "2026-01-15", "closed"),  # municipal elections, announced three days before
    ("MCX", "2026-01-15", "17:00-23:55"),
    ("NSE", "2026-02-01", "09:15-15:30"),  # Union Budget on a Sunday
    ("MCX", "2026-02-01", "09:00-17:00"),
    ("NSE", "2026-07-31", "09:15-15:30"),
    ("NSE", "2026-08-03", "09:15-15:35"),  # the closing auction begins
    ("BFO", "2026-08-03", "09:15-15:40"),
    ("NSE", "2026-11-10", "closed"),
    ("CDS", "2026-08-26", "closed"),
    ("NSE", "2026-12-25", "closed"),
    ("MCX", "2026-12-25", "closed"),
    ("MCX", "2026-12-31", "09:00-23:55"),
]


def _clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / NS_PER_SECOND, UTC).astimezone(IST).strftime("%H:%M")


@pytest.mark.parametrize(("exchange", "day", "hours"), KNOWN)
def test_a_known_day(exchange: str, day: str, hours: str) -> None:
    found = session(exchange, date.fromisoformat(day))
    assert (f"{_clock(found.open_ns)}-{_clock(found.close_ns)}" if found else "closed") == hours


def test_a_special_session_at_unknown_hours_is_no_session_and_not_closed_either() -> None:
    muhurat = date(2026, 11, 8)
    for exchange in calendar.exchanges():
        assert session(exchange, muhurat) is None
        assert not has_known_hours(exchange, muhurat)
        assert has_known_hours(exchange, date(2026, 11, 7))  # an ordinary Saturday
        assert has_known_hours(exchange, date(2025, 10, 21))  # the muhurat of the year before
    with pytest.raises(SettingError):
        has_known_hours("NSE", date(2031, 11, 8))


def test_the_opening_second_is_inside_and_the_closing_one_outside() -> None:
    found = session("NSE", date(2025, 10, 21))
    assert found is not None
    assert "muhurat" in found.name
    assert not is_open("NSE", found.open_ns - 1)
    assert is_open("NSE", found.open_ns)
    assert is_open("NSE", found.close_ns - 1)
    assert not is_open("NSE", found.close_ns)


@pytest.mark.parametrize("year", [2024, 2027])
def test_a_year_without_data_is_an_error_and_no_guess(year: int) -> None:
    with pytest.raises(SettingError) as refused:
        session("NSE", date(year, 6, 2))
    assert str(year) in refused.value.wanted


def test_an_unknown_exchange_is_an_error() -> None:
    with pytest.raises(SettingError) as refused:
        session("NYSE", date(2026, 6, 2))
    assert "NYSE" in refused.value.found


def test_a_trading_day_is_an_ist_date() -> None:
    midnight = datetime(2026, 1, 2, tzinfo=IST)
    ns = int(midnight.timestamp()) * NS_PER_SECOND
    assert trading_day(ns) == date(2026, 1, 2)
    assert trading_day(ns - 1) == date(2026, 1, 1)


def test_every_day_of_every_covered_year_has_an_answer_for_every_exchange() -> None:
    first, last = date(2025, 1, 1), date(2026, 12, 31)
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    for exchange in calendar.exchanges():
        sessions = [found for day in days if (found := session(exchange, day))]
        assert all(found.open_ns < found.close_ns for found in sessions)
        assert 480 < len(sessions) < 525, f"{exchange} trades on {len(sessions)} days in two years"
