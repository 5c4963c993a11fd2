"""The broker's virtual contract note: what each executed order of a day costs by its own reckoning.

It is asked for with the orders themselves, and its rows name none of them, so question and answer are kept together.
Kite charges shares that were bought and sold on one day as intraday, by the orders that one note has
(support.zerodha.com, "What is the virtual contract note"): all orders of a scrip are asked about in one call.
"""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from events.accounts import BODY_BYTES_MAX, ChargesTold
from producers.accounts.snapshots import packed
from producers.kite.calls import Answer, CallFailed
from runtime.errors import BadInput

WHAT = "charges"
# The same page: "up to 500 executed orders". The API's own documentation tells no limit.
ORDERS_MAX = 500
QUANTITY_MAX = 2**63  # Kite's documentation has it as an int64
ZERO = Decimal(0)

_json = msgspec.json.Encoder(decimal_format="number")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What Kite wants to know of an executed order (Kite Connect v3, "Virtual contract note").

    quantity: what was filled; average_price: above 0, in rupees.
    """

    order_id: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    variety: str
    product: str
    order_type: str
    quantity: int
    average_price: Decimal


class _Listed(msgspec.Struct):
    """An order as Kite lists it."""

    order_id: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    product: str
    variety: str | None = None
    order_type: str | None = None
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None


class Told(msgspec.Struct, frozen=True):
    """One call that was answered. asked: the body that was sent."""

    asked: bytes
    answer: Answer

    def event(self, account: str, broker: str, run: str) -> ChargesTold:
        """Give its event."""
        return ChargesTold(
            account=account,
            broker=broker,
            run=run,
            asked_ns=self.answer.asked_ns,
            answered_ns=self.answer.answered_ns,
            asked=packed(self.asked),
            body=packed(self.answer.body),
        )


def questions(orders: Answer) -> Iterator[tuple[bytes, int]]:
    """Give the body of each call about an answer's orders that filled, and of how many orders it is."""
    scrips: dict[tuple[str, str], list[Order]] = defaultdict(list)
    for each in _filled(orders):
        scrips[each.exchange, each.tradingsymbol].append(each)
    asked: list[Order] = []
    for scrip in scrips.values():
        if asked and len(asked) + len(scrip) > ORDERS_MAX:
            yield _json.encode(asked), len(asked)
            asked = []
        asked += scrip
        while len(asked) > ORDERS_MAX:  # of one scrip alone
            yield _json.encode(asked[:ORDERS_MAX]), ORDERS_MAX
            asked = asked[ORDERS_MAX:]
    if asked:
        yield _json.encode(asked), len(asked)


def rows_in(number: int, answer: Answer) -> int:
    """Count the rows of a note that was asked for with so many orders.

    Raises CallFailed where it has not one for each, and BadInput where it is too large for an event.
    """
    try:
        found = len(msgspec.json.decode(answer.data, type=list[msgspec.Raw] | None) or ())
    except msgspec.DecodeError as error:
        raise CallFailed("unreadable", WHAT, str(error)) from error
    if found != number:
        raise CallFailed("unreadable", WHAT, f"{found} rows for {number} orders")
    if (size := len(packed(answer.body))) > BODY_BYTES_MAX // 2:  # the other half is for what was asked
        wanted = f"{WHAT} in at most {BODY_BYTES_MAX // 2} bytes, compressed"
        raise BadInput(wanted, f"{size}", "see what answers at KITE_API_ROOT")
    return found


def _filled(orders: Answer) -> Iterator[Order]:
    """Give the orders that were filled; one that cannot be read is left to the projections, which say so."""
    for listed in msgspec.json.decode(orders.data, type=list[msgspec.Raw] | None) or ():
        try:
            order = msgspec.json.decode(listed, type=_Listed, strict=False)
        except msgspec.DecodeError:
            continue
        quantity, price = order.filled_quantity or ZERO, order.average_price or ZERO
        if not (quantity.is_finite() and price.is_finite() and 0 < quantity < QUANTITY_MAX and price > 0):
            continue
        yield Order(
            order_id=order.order_id,
            exchange=order.exchange,
            tradingsymbol=order.tradingsymbol,
            transaction_type=order.transaction_type,
            variety=order.variety or "regular",
            product=order.product,
            order_type=order.order_type or "MARKET",
            quantity=int(quantity),
            average_price=price,
        )
