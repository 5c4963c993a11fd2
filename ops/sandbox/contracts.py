"""Futures and options, with expiries counted from the day.

NSE derivatives expire on Tuesdays: index futures and options on the month's last one, NIFTY's options weekly as
well. MCX and CDS futures expire on the 19th and on the month's last Wednesday, which is near enough here. A holiday
does not move an expiry in the sandbox: its market never closes.
"""

import calendar
import datetime
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ops.sandbox.instruments import Instrument, Spot, Tokens

TUESDAY, WEDNESDAY = 1, 2
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKLY_MONTHS = "123456789OND"  # Kite's letter of the month in the symbol of a weekly option
FUTURES_MONTHS = 3
MCX_DAY = 19
UNDERLYINGS = {"NIFTY 50": "NIFTY", "NIFTY BANK": "BANKNIFTY"}
OPTION_TICK = 0.05
SIDES = ("CE", "PE")
DERIVATIVES = {"INDICES": "NFO", "NSE": "NFO", "MCX": "MCX", "CDS": "CDS"}


class Chain(NamedTuple):
    """How the options of one index are laid out: every `distance`, `side` strikes each way, `listed_days` before."""

    distance: int
    side: int
    weekly: bool
    expiries: int
    listed_days: int


CHAINS = (
    ("NIFTY 50", Chain(50, 12, weekly=True, expiries=1, listed_days=8)),
    ("NIFTY 50", Chain(100, 15, weekly=False, expiries=1, listed_days=36)),
    ("NIFTY BANK", Chain(200, 10, weekly=False, expiries=1, listed_days=36)),
)
# Gives the price of the spot at this place as the day began.
Middle = Callable[[int, datetime.date], float]


def futures(spots: list[Spot], today: datetime.date, tokens: Tokens) -> list[Instrument]:
    """List three months of futures of each spot that has them."""
    return [
        _future(spot, place, expiry, tokens)
        for place, spot in enumerate(spots)
        if spot.futures
        for expiry in itertools.islice(monthly(DERIVATIVES[spot.exchange], today), FUTURES_MONTHS)
    ]


def options(spots: list[Spot], middle: Middle, today: datetime.date, tokens: Tokens) -> list[Instrument]:
    """List the option chains around where their index stood when they were first listed, so that strikes stay."""
    found = []
    places = {spot.tradingsymbol: place for place, spot in enumerate(spots)}
    for index, kind in CHAINS:
        if index not in places:
            continue
        place = places[index]
        dates = weekly(today) if kind.weekly else monthly("NFO", today)
        for expiry in itertools.islice((date for date in dates if is_monthly(date) != kind.weekly), kind.expiries):
            centre = round(middle(place, expiry - datetime.timedelta(days=kind.listed_days)) / kind.distance)
            strikes = [(centre + step) * kind.distance for step in range(-kind.side, kind.side + 1)]
            found += [
                _option(spots[place], place, expiry, *terms, tokens) for terms in itertools.product(strikes, SIDES)
            ]
    return found


def is_monthly(expiry: datetime.date) -> bool:
    """Tell whether a Tuesday is the month's last."""
    return expiry == next(monthly("NFO", expiry))


def monthly(exchange: str, today: datetime.date) -> Iterator[datetime.date]:
    """Give the monthly expiries from `today` on, without end."""
    for ahead in itertools.count():
        if (expiry := _of_month(exchange, today.year * 12 + today.month - 1 + ahead)) >= today:
            yield expiry


def weekly(today: datetime.date) -> Iterator[datetime.date]:
    """Give the Tuesdays from `today` on, without end."""
    first = today + datetime.timedelta(days=(TUESDAY - today.weekday()) % 7)
    return (first + datetime.timedelta(weeks=week) for week in itertools.count())


def _of_month(exchange: str, months: int) -> datetime.date:
    year, month = divmod(months, 12)
    last = datetime.date(year, month + 1, calendar.monthrange(year, month + 1)[1])
    weekday = TUESDAY if exchange == "NFO" else WEDNESDAY
    return (
        last.replace(day=MCX_DAY)
        if exchange == "MCX"
        else last - datetime.timedelta(days=(last.weekday() - weekday) % 7)
    )


def _future(spot: Spot, place: int, expiry: datetime.date, tokens: Tokens) -> Instrument:
    exchange = DERIVATIVES[spot.exchange]
    name = UNDERLYINGS.get(spot.tradingsymbol, spot.tradingsymbol)
    symbol = f"{name}{expiry:%y}{MONTHS[expiry.month - 1]}FUT"
    token, exchange_token = tokens.take(exchange, symbol)
    return Instrument(
        token,
        exchange_token,
        symbol,
        name,
        expiry,
        0.0,
        spot.tick_size,
        spot.lot_size,
        "FUT",
        f"{exchange}-FUT",
        exchange,
        place,
    )


def _option(spot: Spot, place: int, expiry: datetime.date, strike: int, kind: str, tokens: Tokens) -> Instrument:
    name = UNDERLYINGS[spot.tradingsymbol]
    month = MONTHS[expiry.month - 1] if is_monthly(expiry) else f"{WEEKLY_MONTHS[expiry.month - 1]}{expiry:%d}"
    symbol = f"{name}{expiry:%y}{month}{strike}{kind}"
    token, exchange_token = tokens.take("NFO", symbol)
    return Instrument(
        token,
        exchange_token,
        symbol,
        name,
        expiry,
        float(strike),
        OPTION_TICK,
        spot.lot_size,
        kind,
        "NFO-OPT",
        "NFO",
        place,
    )
