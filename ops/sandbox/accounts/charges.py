"""What trades cost: by the tariff that comes with Bahi, as on the evening's contract note and on Kite's virtual one.

The day's charges leave the cash when the day is closed: one note for shares, one for derivatives, one for currencies,
one for commodities, and the depository's fee for each scrip of which shares left the account. An order is charged under
the product that it was placed with, also where its position was converted.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache

import msgspec

from money.charges import (
    COLUMNS,
    Charges,
    Exchange,
    Fill,
    Order,
    Rounding,
    Segment,
    Tariff,
    matched,
    name_of,
    note,
    segment_of,
    tax_on_shares,
)
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.order import CNC, Trade
from ops.sandbox.accounts.position import EQUITY, ZERO, is_option, multiplier
from ops.sandbox.envelope import input_refused
from runtime.errors import BadEvent
from runtime.tariffs import shipped

DELIVERY: Segment = "equity_delivery"


class Asked(msgspec.Struct):
    """One order of POST /charges/orders."""

    exchange: str
    tradingsymbol: str
    transaction_type: str
    product: str
    quantity: Decimal
    average_price: Decimal
    order_type: str = "MARKET"
    variety: str = "regular"
    order_id: str = ""


@cache
def tariff() -> Tariff:
    """Give the tariff; it is read once."""
    return Tariff.parse(shipped().text)


def of_day(book: Book) -> Decimal:
    """Give all that a day costs, in rupees, as it stands now."""
    return sum((charges.total for charges in notes(book).values()), ZERO) + depository(book)


def notes(book: Book) -> Mapping[str, Charges]:
    """Give the contract notes of a day, by column."""
    by_column: dict[str, list[Order]] = defaultdict(list)
    for order in _orders(book):
        by_column[COLUMNS[order.segment]].append(order)
    return {column: _note(orders) for column, orders in by_column.items()}


def depository(book: Book) -> Decimal:
    """Give the depository's fees of a day, in rupees: for each scrip of which shares leave the account."""
    total = ZERO
    for held in book.holdings.values():
        if (sold := -book.traded(held.exchange, held.tradingsymbol)) > 0:
            price = book.position(held.exchange, held.tradingsymbol, CNC, held.instrument_token).sold.price
            total += tariff().dp_charge(book.day, msgspec.convert(held.exchange, Exchange), value=sold * price).total
    return total


def virtual_note(asked: Asked, day: date) -> Charges:
    """Give what one order costs, as Kite's virtual contract note has it. Raises Refusal."""
    if asked.transaction_type not in ("BUY", "SELL") or asked.quantity <= 0 or asked.average_price < 0:
        raise input_refused("Wanted `transaction_type`, a `quantity` above 0 and an `average_price`.")
    trades = (Fill(asked.quantity, asked.average_price),)
    try:
        order = _order(day, (asked.exchange, asked.tradingsymbol), asked.product, asked.transaction_type, trades)
    except BadEvent as error:
        raise input_refused(str(error)) from error
    rates = tariff().on(day, order.segment, order.exchange, order.name)
    return note([tariff().order_charges(order)], Rounding.VIRTUAL_NOTE, rates)


def _note(orders: list[Order]) -> Charges:
    exact = [tariff().order_charges(order) for order in orders]
    first = orders[0]
    rates = tariff().on(first.day, first.segment, first.exchange, first.name)
    tax = tax_on_shares(orders, tariff()) if COLUMNS[first.segment] == "cash" else None
    return note(exact, Rounding.CONTRACT_NOTE, rates, transaction_tax=tax)


def _orders(book: Book) -> list[Order]:
    """Give the day's executed orders; of shares bought and sold on the day, how much of each was undone."""
    trades: dict[str, list[Trade]] = defaultdict(list)
    for trade in book.trades:
        trades[trade.order_id].append(trade)
    found: list[Order] = []
    delivered: dict[tuple[str, str], list[int]] = defaultdict(list)
    for of_order in trades.values():
        terms = of_order[0].terms
        what = (terms.exchange, terms.tradingsymbol)
        fills = tuple(Fill(Decimal(trade.quantity), trade.price) for trade in of_order)
        if terms.product == CNC:
            delivered[what].append(len(found))
        found.append(_order(book.day, what, terms.product, terms.transaction_type, fills))
    for places in delivered.values():
        undone = matched([(found[place].side, found[place].quantity) for place in places])
        for place, quantity in zip(places, undone, strict=True):
            found[place] = msgspec.structs.replace(found[place], intraday=quantity)
    return found


def _order(day: date, what: tuple[str, str], product: str, side: str, fills: tuple[Fill, ...]) -> Order:
    """Make an order of the tariff. Raises BadEvent where no segment follows."""
    # What a tape has no name for is no option.
    kind = "" if what[0] in EQUITY or is_option(*what) else "FUT"
    segment = segment_of(what[0], product, what[1], kind)
    return Order(
        day=day,
        exchange=msgspec.convert(what[0], Exchange),
        segment=segment,
        side="BUY" if side == "BUY" else "SELL",
        fills=fills,
        name=name_of(what[1]),
        multiplier=Decimal(multiplier(*what)),
    )
