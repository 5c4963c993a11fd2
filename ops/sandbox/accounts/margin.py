"""What an order or a position blocks, and what is left: a plain model, in the shape of Kite's answer.

Delivery blocks the whole value, intraday a fifth of it, a future or a sold option an eighth of the contract (SPAN and
exposure are flat shares here), a bought option its premium. Real margins depend on volatility and hedges; these do not.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.ledger import Converted
from ops.sandbox.accounts.order import CNC, MIS, Order
from ops.sandbox.accounts.position import ZERO, Position, is_option, multiplier

INTRADAY_SHARE = Decimal("0.2")
SPAN_SHARE, EXPOSURE_SHARE = Decimal("0.1"), Decimal("0.025")
COMMODITY = frozenset({"MCX", "NCO"})

LastPrice = Callable[[int], Decimal]  # by instrument_token


class Funds(NamedTuple):
    """One segment of an account."""

    cash: Decimal
    delivery: Decimal
    span: Decimal
    exposure: Decimal
    premium: Decimal
    realised: Decimal
    unrealised: Decimal

    @property
    def debits(self) -> Decimal:
        """Give what is used up."""
        return self.delivery + self.span + self.exposure + self.premium - self.realised - min(self.unrealised, ZERO)

    @property
    def net(self) -> Decimal:
        """Give what is left for orders."""
        return self.cash - self.debits


def blocked(product: str, *, is_option: bool, is_buy: bool, value: Decimal) -> dict[str, Decimal]:
    """Give what so much of an instrument blocks, by the name of the part of `Funds`."""
    if product == CNC:
        return {"delivery": value if is_buy else ZERO}
    if is_option and is_buy:
        return {"premium": value}
    if product == MIS:
        return {"span": value * INTRADAY_SHARE}
    return {"span": value * SPAN_SHARE, "exposure": value * EXPOSURE_SHARE}


class _Sum:
    """One segment, being added up."""

    def __init__(self) -> None:
        self.parts = {"delivery": ZERO, "span": ZERO, "exposure": ZERO, "premium": ZERO}
        self.realised = self.unrealised = ZERO

    def block(self, more: dict[str, Decimal]) -> None:
        for name, value in more.items():
            self.parts[name] += value

    def count(self, position: Position, last: Decimal) -> None:
        if not position.quantity:
            is_paid = position.product == CNC or position.is_option
            self.realised += position.flow if is_paid else position.gain(last, since_close=True)
        elif position.product != CNC and not position.is_option:
            self.unrealised += position.gain(last, since_close=True)

    def funds(self, cash: Decimal) -> Funds:
        return Funds(cash, **self.parts, realised=self.realised, unrealised=self.unrealised)


def segments(book: Book, last_price: LastPrice) -> tuple[Funds, Funds]:
    """Add up equity and commodity. All of the cash is in equity: the sandbox has no transfers."""
    equity, commodity = _Sum(), _Sum()
    for position in book.positions.values():
        of = commodity if position.exchange in COMMODITY else equity
        last = last_price(position.instrument_token)
        of.block(_of(position, last))
        of.count(position, last)
    for order in book.pending.values():
        of = commodity if order.terms.exchange in COMMODITY else equity
        of.block(required(order, book, last_price(order.terms.instrument_token)))
    return equity.funds(book.cash), commodity.funds(ZERO)


def required(order: Order, book: Book, last_price: Decimal) -> dict[str, Decimal]:
    """Give what the rest of an order blocks beyond what closes a position."""
    terms = order.terms
    position = book.positions.get((terms.exchange, terms.tradingsymbol, terms.product))
    open_quantity = position.quantity if position else 0
    closes = max(0, -open_quantity) if terms.is_buy else max(0, open_quantity)
    opens = max(0, order.pending - closes)
    price = terms.price or terms.trigger_price or last_price
    what = (terms.exchange, terms.tradingsymbol)
    value = opens * price * multiplier(*what)
    return blocked(terms.product, is_option=is_option(*what), is_buy=terms.is_buy, value=value)


def more(conversion: Converted) -> Decimal:
    """Give what a part of a position blocks under its new product beyond what it does under the old one."""
    what = (conversion.exchange, conversion.tradingsymbol)
    value = conversion.value * multiplier(*what)
    old, new = (
        sum(blocked(product, is_option=is_option(*what), is_buy=conversion.quantity > 0, value=value).values(), ZERO)
        for product in (conversion.old_product, conversion.new_product)
    )
    return new - old


def _of(position: Position, last: Decimal) -> dict[str, Decimal]:
    is_long = position.quantity > 0
    if position.product == CNC:
        return {"delivery": max(ZERO, -position.flow)}
    if position.is_option and is_long:
        return {"premium": max(ZERO, -position.flow)}
    value = abs(position.quantity) * last * position.multiplier
    return blocked(position.product, is_option=position.is_option, is_buy=is_long, value=value)
