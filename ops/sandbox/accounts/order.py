"""An order as Kite keeps it: what was asked for, what became of it, and every state that it went through."""

from decimal import Decimal

import msgspec

BUY, SELL = "BUY", "SELL"
MARKET, LIMIT, SL, SLM = "MARKET", "LIMIT", "SL", "SL-M"
CNC, MIS, NRML = "CNC", "MIS", "NRML"
DAY, IOC, TTL = "DAY", "IOC", "TTL"

RECEIVED = "PUT ORDER REQ RECEIVED"
VALIDATING = "VALIDATION PENDING"
OPENING = "OPEN PENDING"
OPEN = "OPEN"
TRIGGER_PENDING = "TRIGGER PENDING"
MODIFYING = "MODIFY PENDING"
MODIFIED = "MODIFIED"
CANCELLING = "CANCEL PENDING"
COMPLETE, CANCELLED, REJECTED = "COMPLETE", "CANCELLED", "REJECTED"
ENDED = frozenset({COMPLETE, CANCELLED, REJECTED})


class Terms(msgspec.Struct, frozen=True):
    """What was asked for. Prices are 0 where the type of order has none; validity_ttl in minutes."""

    exchange: str
    tradingsymbol: str
    instrument_token: int
    transaction_type: str
    quantity: int
    product: str
    order_type: str
    variety: str = "regular"
    price: Decimal = Decimal(0)
    trigger_price: Decimal = Decimal(0)
    validity: str = DAY
    validity_ttl: int = 0
    disclosed_quantity: int = 0
    tag: str | None = None
    guid: str | None = None

    @property
    def is_buy(self) -> bool:
        """Tell its side."""
        return self.transaction_type == BUY


class State(msgspec.Struct, frozen=True):
    """One row of an order's history. at_ns: when it came into this state, UTC."""

    status: str
    at_ns: int
    message: str
    terms: Terms
    filled: int
    value: Decimal


class Order(msgspec.Struct):
    """An order now. value: of all that was filled, quantity times price; cancelled: the quantity that never will be."""

    order_id: str
    exchange_order_id: str
    terms: Terms
    placed_ns: int
    app: str = ""
    status: str = RECEIVED
    message: str = ""
    changed_ns: int = 0
    is_triggered: bool = False
    is_modified: bool = False
    filled: int = 0
    value: Decimal = Decimal(0)
    cancelled: int = 0
    history: list[State] = []

    @property
    def pending(self) -> int:
        """Give the quantity that may still be filled."""
        return 0 if self.status in ENDED else self.terms.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        """Give the average price of what was filled, 0 for nothing."""
        return self.value / self.filled if self.filled else Decimal(0)

    @property
    def is_working(self) -> bool:
        """Tell whether the market may fill or trigger it."""
        return self.status in (OPEN, TRIGGER_PENDING)

    @property
    def is_delivery_sale(self) -> bool:
        """Tell whether shares are offered that must be delivered."""
        return self.terms.product == CNC and not self.terms.is_buy

    def enter(self, status: str, at_ns: int, message: str = "") -> None:
        """Come into a state, and remember it."""
        self.status, self.changed_ns, self.message = status, at_ns, message
        if status == CANCELLED:
            self.cancelled = self.terms.quantity - self.filled
        self.history.append(State(status, at_ns, message, self.terms, self.filled, self.value))


class Trade(msgspec.Struct, frozen=True):
    """One fill. at_ns: UTC."""

    trade_id: str
    order_id: str
    exchange_order_id: str
    terms: Terms
    quantity: int
    price: Decimal
    at_ns: int
