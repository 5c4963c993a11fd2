"""When a contract ends, as far as its symbol says it: the accounts' log holds no list of instruments."""

import re
from calendar import monthrange
from datetime import date, timedelta
from typing import NamedTuple

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKLY_MONTHS = "123456789OND"
CENTURY = 2000  # a symbol has two digits of the year
# Equity and currency: the last Tuesday, Thursday or so of the month, at the earliest seven days before its end, and
# some days earlier where these are holidays. Commodities end on any day of the month; options on them before it begins.
LATE_DAYS = 9
EARLY_DAYS = 10
MONTHLY_LATE = ("NFO", "BFO", "CDS", "BCD")

# NIFTY26APRFUT, CRUDEOIL26APR5000CE by month; NIFTY2641324000CE by year, month (O, N, D from October on) and day.
_MONTHLY = re.compile(rf".+?(?P<year>\d\d)(?P<month>{'|'.join(MONTHS)})(?:FUT|\d+(?:\.\d+)?(?:CE|PE))")
_WEEKLY = re.compile(
    rf".+?(?P<year>\d\d)(?P<month>[{WEEKLY_MONTHS}])(?P<day>0[1-9]|[12]\d|3[01])(?:FUT|\d+(?:\.\d+)?(?:CE|PE))"
)


class Expiry(NamedTuple):
    """The IST days between which it ends, both included."""

    first: date
    last: date


def expiry(exchange: str, tradingsymbol: str) -> Expiry | None:
    """Give when a contract ends; None for what is none, or does not say it.

    `NIFTY2641324000CE` of NFO: 2026-04-13. `NIFTY26APRFUT`: 2026-04-21 to 2026-04-30.
    """
    if exchange in ("NSE", "BSE"):
        return None
    if told := _MONTHLY.fullmatch(tradingsymbol):
        year, month = CENTURY + int(told["year"]), MONTHS.index(told["month"]) + 1
        last = date(year, month, monthrange(year, month)[1])
        is_late = exchange in MONTHLY_LATE
        return Expiry(
            last - timedelta(days=LATE_DAYS) if is_late else last.replace(day=1) - timedelta(days=EARLY_DAYS), last
        )
    if told := _WEEKLY.fullmatch(tradingsymbol):
        try:
            day = date(CENTURY + int(told["year"]), WEEKLY_MONTHS.index(told["month"]) + 1, int(told["day"]))
        except ValueError:  # the 31st of a shorter month: digits of its name
            return None
        return Expiry(day, day)
    return None
