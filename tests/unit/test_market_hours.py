"""When there is something to receive: by the dated calendar, a while before the open and after the close."""

from datetime import datetime

import pytest

from producers.market_hours import closed_until, exchange_of
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND
from runtime.errors import SettingError


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp()) * NS_PER_SECOND


def until(now: str, *wanted: str) -> str | None:
    found = closed_until(wanted, ns(now))
    return None if found is None else datetime.fromtimestamp(found / NS_PER_SECOND, IST).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("now", "wanted", "opens"),
    [
        ("2026-11-20T08:54:59", ("NSE",), "2026-11-20 08:55"),
        ("2026-11-20T08:55", ("NSE",), None),
        ("2026-11-20T15:36", ("NSE",), None),
        ("2026-11-20T16:04:59", ("NSE",), None),
        ("2026-11-20T16:05", ("NSE",), "2026-11-23 08:55"),  # over a weekend
        ("2026-11-21T12:00", ("NSE", "NFO"), "2026-11-23 08:55"),
        ("2026-11-20T20:00", ("NSE", "MCX"), None),  # commodities trade in the evening
        ("2026-11-20T08:39", ("NSE", "MCX"), "2026-11-20 08:40"),
        ("2026-11-21T00:20", ("MCX",), None),  # of the day before
        ("2026-11-21T00:26", ("MCX",), "2026-11-23 08:40"),
        ("2026-01-26T10:00", ("NSE",), "2026-01-27 08:55"),  # Republic Day
        ("2026-11-06T16:05", ("NSE",), "2026-11-07 23:40"),  # muhurat trading on the 8th, at hours that are not known
        ("2026-11-07T23:40", ("NSE",), None),
        ("2026-11-08T18:15", ("NSE",), None),
        ("2026-11-08T18:15", ("NFO", "BSE", "BFO"), None),
        ("2026-11-08T18:15", ("CDS", "BCD"), None),
        ("2026-11-08T18:15", ("MCX", "NCO"), None),
        ("2026-11-09T00:29", ("NSE",), None),
        ("2026-11-09T00:30", ("NSE",), "2026-11-09 08:55"),
    ],
)
def test_it_is_closed_until_a_while_before_the_next_open(now: str, wanted: tuple[str, ...], opens: str | None) -> None:
    assert until(now, *wanted) == opens


@pytest.mark.parametrize("wanted", [(), ("NSE", "NYSE"), ("",), ("NSE", "NSEIX")])
def test_what_the_calendar_does_not_know_is_never_taken_for_closed(wanted: tuple[str, ...]) -> None:
    assert until("2026-11-21T12:00", *wanted) is None


def test_a_year_that_is_not_covered_is_said() -> None:
    with pytest.raises(SettingError, match="MARKET_HOURS_ONLY=false"):
        until("2031-05-05T12:00", "NSE")


@pytest.mark.parametrize(
    ("name", "exchange"),
    [
        ("408065", "NSE"),
        ("256265", "NSE"),
        ("NSE:NIFTY 50", "NSE"),
        ("NFO:X", "NFO"),
        (str(77 * 256 + 7), "MCX"),
        ("8", ""),
        ("260105", "NSE"),
        ("265", "BSE"),
        ("291849", ""),  # GIFT NIFTY, which trades from 06:30 to 02:45
        ("NSEIX:GIFT NIFTY", "NSEIX"),
    ],
)
def test_the_exchange_of_an_instrument(name: str, exchange: str) -> None:
    assert exchange_of(name) == exchange
