"""An executed order, as far as charges ask: its fills of one trading day, and what they come to."""

from datetime import date
from decimal import Decimal

import msgspec

from money.charges.rate import ZERO, Side
from money.charges.segment import Exchange, Segment


class Fill(msgspec.Struct, frozen=True):
    """One trade of an order. quantity: as the broker counts it, positive. price: rupees for one unit of the price."""

    quantity: Decimal
    price: Decimal


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What one order executed on one day.

    name: of the underlying, by which the tariff tells commodities and indices apart (`segment.name_of`).
    multiplier: how many units of the price one unit of quantity is, as the broker's positions say.
    intraday: of a delivery order, how much of it was undone on the same day (`intraday.matched`), and so is charged as
    intraday.
    """

    day: date
    exchange: Exchange
    segment: Segment
    side: Side
    fills: tuple[Fill, ...]
    name: str = ""
    multiplier: Decimal = Decimal(1)
    intraday: Decimal = ZERO

    @property
    def quantity(self) -> Decimal:
        """Give the whole quantity that was executed."""
        return sum((fill.quantity for fill in self.fills), ZERO)

    @property
    def turnovers(self) -> list[Decimal]:
        """Give what each fill came to, in rupees: of an option its premium."""
        return [fill.quantity * fill.price * self.multiplier for fill in self.fills]
