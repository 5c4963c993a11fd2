"""A position of one day, from what stayed overnight and what was traded, in the figures that Kite gives of it.

Kite's `net` counts what stayed overnight as bought or sold at its average price, `m2m` at the last close; `day` knows
the day's trades alone. `value` is what came in less what went out; with what is open at the last price it is `pnl`.
"""

from decimal import Decimal
from functools import cache

import msgspec

from money.charges import name_of

ZERO = Decimal(0)
EQUITY = ("NSE", "BSE")

# What one unit of quantity is worth, times its price, where that is not 1: contract sizes of the MCX (GOLD 1 kg quoted
# for 10 g, SILVER 30 kg for 1 kg, CRUDEOIL 100 barrels, NATURALGAS 1,250 mmBtu; mcxindia.com, contract specifications,
# 2025) and 1,000 units of a currency on the CDS (nseindia.com, the same, 2025). Their quantities are lots.
MULTIPLIERS = {"GOLD": 100, "SILVER": 30, "CRUDEOIL": 100, "NATURALGAS": 1250}
CURRENCY_UNITS = 1000


@cache
def multiplier(exchange: str, tradingsymbol: str) -> int:
    """Give how many units of the price one unit of quantity is."""
    if exchange in ("CDS", "BCD"):
        return CURRENCY_UNITS
    if exchange != "MCX":
        return 1
    return MULTIPLIERS.get(name_of(tradingsymbol), 1)


def is_option(exchange: str, tradingsymbol: str) -> bool:
    """Tell an option by its symbol; among shares an ending says nothing: RELIANCE."""
    return exchange not in EQUITY and tradingsymbol.endswith(("CE", "PE"))


class Side(msgspec.Struct):
    """Quantity and value of what was bought, or sold. value: without the multiplier."""

    quantity: int = 0
    value: Decimal = ZERO

    def add(self, quantity: int, price: Decimal) -> None:
        """Add a trade."""
        self.quantity += quantity
        self.value += quantity * price

    @property
    def price(self) -> Decimal:
        """Give the average, 0 for nothing."""
        return self.value / self.quantity if self.quantity else ZERO


class Position(msgspec.Struct):
    """One instrument under one product. overnight_*: of what stayed; close_price: at which it was settled."""

    exchange: str
    tradingsymbol: str
    instrument_token: int
    product: str
    multiplier: int
    overnight_quantity: int = 0
    overnight_price: Decimal = ZERO
    close_price: Decimal = ZERO
    bought: Side = msgspec.field(default_factory=Side)
    sold: Side = msgspec.field(default_factory=Side)

    @property
    def is_option(self) -> bool:
        """Tell an option from a future or a share."""
        return is_option(self.exchange, self.tradingsymbol)

    @property
    def quantity(self) -> int:
        """Give what is open: positive when long."""
        return self.overnight_quantity + self.bought.quantity - self.sold.quantity

    def totals(self, overnight_price: Decimal) -> tuple[Side, Side]:
        """Give all that was bought and all that was sold, what stayed overnight at this price."""
        bought, sold = Side(self.bought.quantity, self.bought.value), Side(self.sold.quantity, self.sold.value)
        side = bought if self.overnight_quantity > 0 else sold
        side.add(abs(self.overnight_quantity), overnight_price)
        return bought, sold

    def move(self, to: "Position", quantity: int, value: Decimal, *, is_overnight: bool) -> None:
        """Give a part of what is open, of this value, to the same instrument's position under another product."""
        if is_overnight:
            whole = abs(to.overnight_quantity) * to.overnight_price + value
            self.overnight_quantity -= quantity
            to.overnight_quantity += quantity
            to.overnight_price = whole / abs(to.overnight_quantity)
            to.close_price = self.close_price
            return
        mine, theirs = (self.bought, to.bought) if quantity > 0 else (self.sold, to.sold)
        mine.quantity, mine.value = mine.quantity - abs(quantity), mine.value - value
        theirs.quantity, theirs.value = theirs.quantity + abs(quantity), theirs.value + value

    @property
    def average_price(self) -> Decimal:
        """Give the price at which the open side was made; 0 where nothing is open."""
        bought, sold = self.totals(self.overnight_price)
        if self.quantity == 0:
            return ZERO
        return bought.price if self.quantity > 0 else sold.price

    def gain(self, last_price: Decimal, *, since_close: bool) -> Decimal:
        """Give profit or loss at this price: since the position was made, or since the last close."""
        bought, sold = self.totals(self.close_price if since_close else self.overnight_price)
        return (sold.value - bought.value + self.quantity * last_price) * self.multiplier

    @property
    def flow(self) -> Decimal:
        """Give the money of the day's trades: in less out."""
        return (self.sold.value - self.bought.value) * self.multiplier
