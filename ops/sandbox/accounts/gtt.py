"""GTT, an order that is kept until a price is met: what it is, and how it is read from Kite's form.

single: one price, which is met from the side on which the last price stood when it was set
two-leg: a lower and an upper price around it, an order for each; the first that is met ends the other
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from ops.sandbox.accounts.order import LIMIT
from ops.sandbox.envelope import input_refused
from ops.sandbox.instruments import Instrument

SINGLE, TWO_LEG = "single", "two-leg"
PRICES = {SINGLE: 1, TWO_LEG: 2}
ACTIVE, TRIGGERED, DELETED, EXPIRED = "active", "triggered", "deleted", "expired"


class Leg(msgspec.Struct, frozen=True):
    """The order of one price. order_id, problem: what became of it; met: the price that was."""

    transaction_type: str
    quantity: int
    order_type: str
    product: str
    price: Decimal
    order_id: str = ""
    problem: str = ""
    met: Decimal | None = None
    met_ns: int = 0


class Trigger(msgspec.Struct, frozen=True):
    """One GTT. last_price: as the market had it when this was set; times are UTC ns."""

    trigger_id: int
    type: str
    exchange: str
    tradingsymbol: str
    instrument_token: int
    last_price: Decimal
    values: list[Decimal]
    legs: list[Leg]
    created_ns: int
    updated_ns: int
    expires_ns: int
    status: str = ACTIVE

    @property
    def is_active(self) -> bool:
        """Tell whether it waits."""
        return self.status == ACTIVE

    def met_by(self, last_price: Decimal) -> int | None:
        """Give which of its prices this one meets; None where it meets none."""
        if self.type == TWO_LEG:
            lower, upper = self.values
            return 0 if last_price <= lower else 1 if last_price >= upper else None
        (value,) = self.values
        met = last_price >= value if value >= self.last_price else last_price <= value
        return 0 if met else None


class _Condition(msgspec.Struct):
    exchange: str
    tradingsymbol: str
    trigger_values: list[Decimal]


class _Order(msgspec.Struct):
    transaction_type: str
    quantity: int
    order_type: str
    product: str
    price: Decimal


T = TypeVar("T")


def condition(form: Mapping[str, str]) -> _Condition:
    """Read what a GTT waits for. Raises Refusal."""
    return _read(form, "condition", _Condition)


def legs(form: Mapping[str, str]) -> list[Leg]:
    """Read the orders of a GTT. Raises Refusal."""
    found = _read(form, "orders", list[_Order])
    if form.get("type") not in PRICES:
        raise input_refused("Invalid `type`.")
    if len(found) != PRICES[form["type"]]:
        raise input_refused("Invalid number of `orders` for the type of GTT.")
    if any(order.order_type != LIMIT for order in found):
        raise input_refused("Only LIMIT orders are allowed in a GTT.")
    return [Leg(o.transaction_type, o.quantity, o.order_type, o.product, o.price) for o in found]


def values(asked: list[Decimal], kind: str, last_price: Decimal, instrument: Instrument) -> list[Decimal]:
    """Check the prices of a GTT. Raises Refusal."""
    if len(asked) != PRICES[kind] or any(value <= 0 for value in asked):
        raise input_refused("Invalid `trigger_values` for the type of GTT.")
    if kind == TWO_LEG and not asked[0] < last_price < asked[1]:
        raise input_refused("The last price has to lie between the two trigger values.")
    if last_price in asked:
        raise input_refused(f"The trigger value of {instrument.tradingsymbol} is its last price.")
    return asked


def _read(form: Mapping[str, str], name: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(form.get(name, ""), type=kind)
    except msgspec.DecodeError as error:
        raise input_refused(f"Invalid `{name}`: {error}") from error
