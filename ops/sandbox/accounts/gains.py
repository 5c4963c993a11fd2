"""Realised and unrealised gains of a book by FIFO lots: the sandbox's own truth, kept apart from what Kite shows.

What was there when the day began is the first lot, at its average price: a carried position, or shares held. A trade
closes the oldest lots of the other side and opens a lot with what is left of it. A conversion takes the oldest lots
over to the other product, with their prices.
"""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import msgspec

from ops.sandbox.accounts.book import Book, Key
from ops.sandbox.accounts.ledger import Converted
from ops.sandbox.accounts.order import CNC
from ops.sandbox.accounts.position import ZERO, multiplier


class Lot(NamedTuple):
    """So much at a price; negative when sold."""

    quantity: int
    price: Decimal


class Gain(msgspec.Struct):
    """What one instrument under one product has brought since the day began. opening_*: the lot of the day before."""

    key: Key
    instrument_token: int
    opening_quantity: int = 0
    opening_price: Decimal = ZERO
    realised: Decimal = ZERO
    lots: deque[Lot] = msgspec.field(default_factory=deque)

    @property
    def quantity(self) -> int:
        """Give what is open."""
        return sum(lot.quantity for lot in self.lots)

    def unrealised(self, last_price: Decimal) -> Decimal:
        """Give what the open lots would bring at this price."""
        return sum((lot.quantity * (last_price - lot.price) for lot in self.lots), ZERO) * multiplier(*self.key[:2])

    def release(self, quantity: int) -> list[Lot]:
        """Give away so much of the oldest lots; negative when they were sold."""
        given: list[Lot] = []
        sign, left = (1 if quantity > 0 else -1), abs(quantity)
        while left:
            oldest = self.lots.popleft()
            part = min(left, abs(oldest.quantity))
            given.append(Lot(sign * part, oldest.price))
            left -= part
            if abs(oldest.quantity) > part:
                self.lots.appendleft(Lot(oldest.quantity - sign * part, oldest.price))
        return given

    def trade(self, quantity: int, price: Decimal) -> None:
        """Take a trade; a negative quantity was sold."""
        left = quantity
        while left and self.lots and (self.lots[0].quantity > 0) is not (left > 0):
            oldest = self.lots.popleft()
            closed = min(abs(left), abs(oldest.quantity)) * (1 if oldest.quantity > 0 else -1)
            self.realised += closed * (price - oldest.price) * multiplier(*self.key[:2])
            left += closed
            if oldest.quantity != closed:
                self.lots.appendleft(Lot(oldest.quantity - closed, oldest.price))
        if left:
            self.lots.append(Lot(left, price))


def gains(book: Book) -> list[Gain]:
    """Give the gains of a day, one for each instrument and product that was held or traded."""
    found: dict[Key, Gain] = {}
    for key, token, quantity, price in _opening(book):
        found[key] = Gain(key, token, quantity, price, lots=deque([Lot(quantity, price)] if quantity else []))
    conversions = deque(book.conversions)
    for number, trade in enumerate(book.trades):
        while conversions and conversions[0][0] <= number:
            _convert(found, conversions.popleft()[1])
        terms = trade.terms
        gain = found.setdefault(
            key := (terms.exchange, terms.tradingsymbol, terms.product), Gain(key, terms.instrument_token)
        )
        gain.trade(trade.quantity if terms.is_buy else -trade.quantity, trade.price)
    for _, conversion in conversions:
        _convert(found, conversion)
    return list(found.values())


def _convert(found: dict[Key, Gain], conversion: Converted) -> None:
    """Let the oldest lots of one product go over to the other."""
    what, token = (conversion.exchange, conversion.tradingsymbol), conversion.instrument_token
    new = found.setdefault(key := (*what, conversion.new_product), Gain(key, token))
    for lot in found[(*what, conversion.old_product)].release(conversion.quantity):
        new.trade(lot.quantity, lot.price)


def _opening(book: Book) -> Iterator[tuple[Key, int, int, Decimal]]:
    for each in book.carried:
        key = (each.exchange, each.tradingsymbol, each.product)
        yield key, each.instrument_token, each.quantity, each.average_price
    for held in book.holdings.values():
        key = (held.exchange, held.tradingsymbol, CNC)
        yield key, held.instrument_token, held.quantity + held.t1_quantity, held.average_price
