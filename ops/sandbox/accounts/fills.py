"""What the market gives an order at this moment: fills against five levels of depth, and triggers.

The depth is not used up by an order: the next tick brings the market's own again.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from ops.sandbox.accounts.order import LIMIT, MARKET, SL, Order, Terms


class Level(NamedTuple):
    """A price of the book, and how much there is."""

    price: Decimal
    quantity: int


class Depth(NamedTuple):
    """The book of one instrument: best levels first, and the last traded price."""

    bids: Sequence[Level]
    asks: Sequence[Level]
    last_price: Decimal


def triggers(terms: Terms, last_price: Decimal) -> bool:
    """Tell whether a stop order comes alive at this price: a buy at or above its trigger, a sell at or below it."""
    return last_price >= terms.trigger_price if terms.is_buy else last_price <= terms.trigger_price


def fills(order: Order, depth: Depth) -> list[Level]:
    """Give what of an order that is alive can be filled now, one trade for each level of the other side."""
    terms, left, found = order.terms, order.pending, []
    for level in depth.asks if terms.is_buy else depth.bids:
        if left <= 0 or not _takes(terms, level.price):
            break
        if level.quantity > 0 and level.price > 0:
            found.append(Level(level.price, min(left, level.quantity)))
            left -= found[-1].quantity
    return found


def _takes(terms: Terms, price: Decimal) -> bool:
    if terms.order_type not in (LIMIT, SL):
        return True
    return price <= terms.price if terms.is_buy else price >= terms.price


def is_stop(terms: Terms) -> bool:
    """Tell whether an order waits for a trigger first."""
    return terms.order_type not in (MARKET, LIMIT)
