"""A request for an order, read from its form and held against the list of instruments; refused in Kite's words."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from ops.sandbox.accounts.order import (
    BUY,
    CNC,
    DAY,
    IOC,
    LIMIT,
    MARKET,
    MIS,
    NRML,
    SELL,
    SL,
    SLM,
    TTL,
    Order,
    Terms,
)
from ops.sandbox.accounts.position import EQUITY
from ops.sandbox.envelope import input_refused
from ops.sandbox.instruments import Instrument

VARIETIES = ("regular", "amo")  # the market never closes, so an order for after it is like any other
TAG_CHARACTERS_MAX = 20
TTL_MINUTES_MAX = 60
QUANTITY_MAX = 10_000_000
CHOICES = {
    "transaction_type": (BUY, SELL),
    "order_type": (MARKET, LIMIT, SL, SLM),
    "product": (CNC, MIS, NRML),
    "validity": (DAY, IOC, TTL),
}
Form = Mapping[str, str]


def terms(form: Form, variety: str, instruments: Mapping[str, Instrument]) -> Terms:
    """Read a new order. instruments: by EXCHANGE:SYMBOL. Raises Refusal."""
    if variety not in VARIETIES:
        raise input_refused("Invalid `variety`.")
    for name in ("exchange", "tradingsymbol", "transaction_type", "order_type", "product", "quantity"):
        if not form.get(name):
            raise input_refused(f"Missing or empty field `{name}`")
    found = {name: form.get(name) or DAY for name in CHOICES}
    for name, choices in CHOICES.items():
        if found[name] not in choices:
            raise input_refused(f"Invalid `{name}`.")
    instrument = instruments.get(f"{form['exchange']}:{form['tradingsymbol']}")
    if instrument is None or instrument.is_index:
        raise input_refused("The instrument you are placing an order for has either expired or does not exist.")
    if (found["product"] == CNC) is not (instrument.exchange in EQUITY) and found["product"] != MIS:
        raise input_refused(f"{found['product']} is not allowed for {instrument.exchange}.")
    tag = form.get("tag") or None
    if tag is not None and not (tag.isalnum() and tag.isascii() and len(tag) <= TAG_CHARACTERS_MAX):
        raise input_refused("Invalid `tag`. It should be alphanumeric, of at most 20 characters.")
    made = Terms(
        exchange=instrument.exchange,
        tradingsymbol=instrument.tradingsymbol,
        instrument_token=instrument.instrument_token,
        transaction_type=found["transaction_type"],
        quantity=quantity(form, instrument),
        product=found["product"],
        order_type=found["order_type"],
        variety=variety,
        price=_price(form, "price", instrument),
        trigger_price=_price(form, "trigger_price", instrument),
        validity=found["validity"],
        validity_ttl=_whole(form, "validity_ttl", 0, TTL_MINUTES_MAX),
        disclosed_quantity=_whole(form, "disclosed_quantity", 0, QUANTITY_MAX),
        tag=tag,
    )
    return _priced(made)


def amended(order: Order, form: Form, instrument: Instrument) -> Terms:
    """Read a change of an order. Raises Refusal."""
    before = order.terms
    changes: dict[str, object] = {}
    if form.get("order_type"):
        changes["order_type"] = form["order_type"]
    if form.get("validity"):
        changes["validity"] = form["validity"]
    for name, choices in CHOICES.items():
        if name in changes and changes[name] not in choices:
            raise input_refused(f"Invalid `{name}`.")
    if form.get("quantity"):
        changes["quantity"] = quantity(form, instrument)
    for name in ("price", "trigger_price"):
        if form.get(name):
            changes[name] = _price(form, name, instrument)
    if form.get("disclosed_quantity"):
        changes["disclosed_quantity"] = _whole(form, "disclosed_quantity", 0, QUANTITY_MAX)
    made: Terms = msgspec.structs.replace(before, **changes)
    if made.quantity <= order.filled:
        raise input_refused("Quantity cannot be less than or equal to the filled quantity.")
    return _priced(made)


def _priced(made: Terms) -> Terms:
    """See that the prices that a type of order needs are there; forget those that it has no use for."""
    if made.order_type in (LIMIT, SL) and made.price <= 0:
        raise input_refused("Missing or empty field `price`")
    if made.order_type in (SL, SLM) and made.trigger_price <= 0:
        raise input_refused("Missing or empty field `trigger_price`")
    if made.validity == TTL and made.validity_ttl < 1:
        raise input_refused("Missing or empty field `validity_ttl`")
    price = made.price if made.order_type in (LIMIT, SL) else Decimal(0)
    trigger_price = made.trigger_price if made.order_type in (SL, SLM) else Decimal(0)
    return msgspec.structs.replace(made, price=price, trigger_price=trigger_price)


def quantity(form: Form, instrument: Instrument) -> int:
    """Read a quantity in whole lots. Raises Refusal."""
    found = _whole(form, "quantity", 1, QUANTITY_MAX)
    if found % max(1, instrument.lot_size):
        raise input_refused(f"Quantity should be in multiples of lot size. Lot size is {instrument.lot_size}.")
    return found


def _whole(form: Form, name: str, least: int, most: int) -> int:
    text = form.get(name) or str(least)
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
        raise input_refused(f"Invalid `{name}`.")
    return int(text)


def _price(form: Form, name: str, instrument: Instrument) -> Decimal:
    text = form.get(name) or "0"
    try:
        price = Decimal(text)
    except InvalidOperation:
        raise input_refused(f"Invalid `{name}`.") from None
    if not price.is_finite() or price < 0:
        raise input_refused(f"Invalid `{name}`.")
    step = Decimal(str(instrument.tick_size)) if instrument.tick_size else Decimal("0.05")
    if price % step:
        raise input_refused(
            f"Tick size for this script is {step}. Kindly enter price in the multiple of tick size for this script."
        )
    return price
