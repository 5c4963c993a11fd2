"""One line of an account, or one share on all exchanges, as our books and the broker have it: what is compared.

Shares are one over both exchanges: what is bought on one may be sold on the other, and holdings name only one.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from projectors.accounts.first_lots import SHARES, in_the_morning, on_margin

Type = Literal[
    "missing_fill",
    "manual_trade",
    "corporate_action",
    "conversion",
    "expired",
    "quantity",
    "average_price",
    "pnl",
    "charge",
]
SHARE_EXCHANGES = ("NSE", "BSE")
ZERO = Decimal(0)
Key = tuple[str, str, str]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument and product, as `reconciled_lines` gives it; what is None was not told.

    books: how many of ours there are; closes: whether anything in them was ever closed. bought..sold_value: our trades
    of the day, prices without the multiplier. has_net, has_held: whether the broker lists it. mtf: bought on margin.
    """

    exchange: str
    tradingsymbol: str
    product: str
    books: int = 0
    quantity: Decimal = ZERO
    open_value: Decimal = ZERO
    multiplier: Decimal = Decimal(1)
    closes: bool | None = False
    last_at: datetime | None = None
    bought: Decimal | None = None
    bought_value: Decimal | None = None
    sold: Decimal | None = None
    sold_value: Decimal | None = None
    has_net: bool = False
    net_quantity: Decimal | None = None
    overnight_quantity: Decimal | None = None
    average_price: Decimal | None = None
    last_price: Decimal | None = None
    pnl: Decimal | None = None
    net_multiplier: Decimal | None = None
    buy_quantity: Decimal | None = None
    sell_quantity: Decimal | None = None
    has_held: bool = False
    held_quantity: Decimal | None = None
    t1_quantity: Decimal | None = None
    collateral_quantity: Decimal | None = None
    opening_quantity: Decimal | None = None
    held_price: Decimal | None = None
    mtf: dict[str, Any] | None = None

    @property
    def owned(self) -> Decimal:
        """Give what the depository had of it in the morning."""
        if self.mtf is not None:
            return on_margin(self.mtf)
        if self.product == "MTF" and not self.has_held:
            return ZERO
        return in_the_morning(self.held_quantity, self.t1_quantity, self.collateral_quantity, self.opening_quantity)

    @property
    def is_traded(self) -> bool:
        """Tell whether we have trades of the day."""
        return self.bought is not None

    @property
    def is_same_day(self) -> bool:
        """Tell whether all that the broker's position has is of our trades of the day."""
        if not self.is_traded or self.overnight_quantity:
            return False
        told = (self.buy_quantity, self.sell_quantity)
        return told in ((self.bought, self.sold), (None, None)) and self.net_quantity == self.traded

    @property
    def traded(self) -> Decimal:
        """Give what our trades of the day come to."""
        return (self.bought or ZERO) - (self.sold or ZERO)


class Missing(msgspec.Struct, frozen=True):
    """An order of which more was filled than its trades come to. observed_at: when it was told so."""

    day: date
    order_id: str
    exchange: str
    tradingsymbol: str
    product: str
    side: str
    filled_quantity: Decimal
    traded_quantity: Decimal
    observed_at: datetime

    @property
    def signed(self) -> Decimal:
        """Give what is missing, negative where it was sold."""
        left = self.filled_quantity - self.traded_quantity
        return left if self.side == "BUY" else -left


class Foreign(msgspec.Struct, frozen=True):
    """An order that somebody else than the account's user placed."""

    day: date
    order_id: str
    exchange: str
    tradingsymbol: str
    product: str
    side: str
    filled_quantity: Decimal
    placed_by: str


class Divergence(msgspec.Struct):
    """What does not agree. evidence: what it was concluded from, as JSON."""

    exchange: str
    tradingsymbol: str
    product: str
    type: Type
    ours: Decimal
    theirs: Decimal
    evidence: dict[str, Any]


class Compared(msgspec.Struct):
    """A line, or one share on all exchanges: what is open in our books, and at the broker."""

    exchange: str
    tradingsymbol: str
    product: str
    lines: list[Line] = []
    missing: list[Missing] = []
    is_answered: bool = False

    @property
    def ours(self) -> Decimal:
        """Give what is open in our books."""
        return sum((line.quantity for line in self.lines), ZERO)

    @property
    def today(self) -> Decimal:
        """Give the broker's net position."""
        return sum((line.net_quantity or ZERO for line in self.lines), ZERO)

    @property
    def theirs(self) -> Decimal:
        """Give what is open at the broker."""
        owned = sum((line.owned for line in self.lines), ZERO) if self.product in SHARES else ZERO
        return self.today + owned

    @property
    def rest(self) -> Decimal:
        """Give by how much they are apart that no missing fill explains."""
        if not self.is_answered or self.theirs == self.ours:
            return ZERO
        return self.theirs - self.ours - sum((each.signed for each in self.missing), ZERO)

    @property
    def instrument(self) -> Key:
        """Name what its products are converted within."""
        is_share = self.exchange in SHARE_EXCHANGES
        return ("" if is_share else self.exchange, self.tradingsymbol, "")

    def found(self, kind: Type, **evidence: object) -> Divergence:
        """Make a divergence of the quantities."""
        return self.priced(kind, self.ours, self.theirs, **evidence)

    def priced(self, kind: Type, ours: Decimal, theirs: Decimal, **evidence: object) -> Divergence:
        """Make a divergence of another figure."""
        return Divergence(self.exchange, self.tradingsymbol, self.product, kind, ours, theirs, dict(evidence))
