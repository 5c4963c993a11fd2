"""The charges of one order, as amounts in rupees, and how they are reckoned from the rows in force.

Nothing is rounded here: an order's charges are exact, and `rounding.py` says what a contract note makes of them.
"""

from collections.abc import Iterable
from decimal import Context, Decimal, localcontext
from typing import Literal

import msgspec

from money.charges.order import Order
from money.charges.rate import ZERO, Brokerage, Gst, InForce, TaxType

# Digits of a product of quantity, price, multiplier and two percentages: more than any real order has, so that all is
# exact. 28, which is usual, ends at a crore of shares at a price of seven decimals.
EXACT = Context(prec=60)
PERCENT = Decimal("0.01")

Part = Literal["brokerage", "transaction_tax", "exchange", "sebi", "stamp", "ipft", "clearing", "gst"]
PARTS: tuple[Part, ...] = ("brokerage", "transaction_tax", "exchange", "sebi", "stamp", "ipft", "clearing", "gst")


class Charges(msgspec.Struct, frozen=True, kw_only=True):
    """What was charged, in rupees, by its kinds. transaction_tax_type: stt, ctt, or empty where there is none.

    exchange: without the investor protection fund and clearing, which brokers show as one with it.
    """

    brokerage: Decimal = ZERO
    transaction_tax: Decimal = ZERO
    transaction_tax_type: TaxType = ""
    exchange: Decimal = ZERO
    sebi: Decimal = ZERO
    stamp: Decimal = ZERO
    ipft: Decimal = ZERO
    clearing: Decimal = ZERO
    gst: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """Give the sum of all of them."""
        with localcontext(EXACT):
            return sum((getattr(self, part) for part in PARTS), ZERO)

    def __add__(self, other: "Charges") -> "Charges":
        with localcontext(EXACT):
            parts = {part: getattr(self, part) + getattr(other, part) for part in PARTS}
        return Charges(**parts, transaction_tax_type=self.transaction_tax_type or other.transaction_tax_type)


def total(charges: Iterable[Charges]) -> Charges:
    """Add up charges; none of them is no charge."""
    return sum(charges, Charges())


def charge(order: Order, rates: InForce, intraday: InForce | None = None) -> Charges:
    """Reckon the charges of one order by the rows of its segment, and of what was undone on the day by `intraday`."""
    with localcontext(EXACT):
        turnover, quantity = sum(order.turnovers, ZERO), order.quantity
        if not order.intraday or intraday is None:
            return _charge(order, turnover, rates)
        # At the day's average price of the order, as the exchange taxes it.
        undone = turnover if order.intraday == quantity else turnover * order.intraday / quantity
        undone = undone.quantize(_PRECISE)
        kept = turnover - undone
        if not kept:
            return _charge(order, undone, intraday)
        return _charge(order, kept, rates) + _charge(order, undone, intraday)


# A share of a turnover may have no end; this is below what any of its charges shows.
_PRECISE = Decimal("1e-12")


def _charge(order: Order, turnover: Decimal, rates: InForce) -> Charges:
    def share(percent: Decimal, sides: tuple[str, ...] = ("BUY", "SELL")) -> Decimal:
        return turnover * percent * PERCENT if order.side in sides else ZERO

    tax = rates.transaction_tax
    untaxed = Charges(
        brokerage=brokerage(turnover, rates.brokerage),
        transaction_tax=share(tax.percent, tax.sides),
        transaction_tax_type=tax.tax,
        exchange=share(rates.exchange.percent),
        sebi=share(rates.sebi.percent),
        stamp=share(rates.stamp.percent, rates.stamp.sides),
        ipft=share(rates.ipft.percent),
        clearing=share(rates.clearing.percent),
    )
    return msgspec.structs.replace(untaxed, gst=goods_tax(untaxed, rates.gst))


def brokerage(turnover: Decimal, row: Brokerage) -> Decimal:
    """Give the brokerage of one executed order; of nothing none."""
    if not turnover:
        return ZERO
    if row.flat is not None:
        return row.flat
    with localcontext(EXACT):
        asked = turnover * row.percent * PERCENT
    return asked if row.cap is None else min(asked, row.cap)


def goods_tax(charges: Charges, row: Gst) -> Decimal:
    """Give the GST on what of these charges the row names."""
    with localcontext(EXACT):
        taxed = sum((getattr(charges, part) for part in row.on if part != "dp"), ZERO)
        return taxed * row.percent * PERCENT
