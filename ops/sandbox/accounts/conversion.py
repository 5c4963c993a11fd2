"""A part of a position under another product: what is asked for, held against the book; refused in Kite's words."""

from decimal import Decimal

from ops.sandbox.accounts import asked
from ops.sandbox.accounts.asked import Form
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.ledger import Converted
from ops.sandbox.accounts.order import CNC, MIS, NRML
from ops.sandbox.accounts.position import EQUITY, Position
from ops.sandbox.envelope import input_refused
from ops.sandbox.instruments import Instrument

DAY, OVERNIGHT = "day", "overnight"
PAISA_OF_VALUE = Decimal("0.0001")  # what is moved is cut to it; the rest stays, so that nothing is made or lost


def conversion(form: Form, book: Book, instrument: Instrument, now_ns: int) -> Converted:
    """Read a conversion of one user's position. Raises Refusal."""
    exchange, symbol = instrument.exchange, instrument.tradingsymbol
    old_product, new_product = form.get("old_product", ""), form.get("new_product", "")
    if {old_product, new_product} != {MIS, CNC if exchange in EQUITY else NRML}:
        raise input_refused(f"Position cannot be converted from {old_product or None} to {new_product or None}.")
    if form.get("position_type") not in (DAY, OVERNIGHT):
        raise input_refused("Invalid `position_type`.")
    side = form.get("transaction_type")
    if side not in asked.CHOICES["transaction_type"]:
        raise input_refused("Invalid `transaction_type`.")
    is_overnight, is_buy = form["position_type"] == OVERNIGHT, side == "BUY"
    quantity = asked.quantity(form, instrument)
    position = book.position(exchange, symbol, old_product, instrument.instrument_token)
    if quantity > _convertible(book, position, is_buy=is_buy, is_overnight=is_overnight):
        raise input_refused("Quantity to convert is more than the open quantity.")
    if new_product == CNC and not is_buy and quantity > book.sellable(exchange, symbol):
        raise input_refused("Insufficient stock holding.")
    price = position.overnight_price if is_overnight else (position.bought if is_buy else position.sold).price
    return Converted(
        book.user,
        now_ns,
        exchange,
        symbol,
        instrument.instrument_token,
        old_product,
        new_product,
        is_overnight,
        quantity if is_buy else -quantity,
        (quantity * price).quantize(PAISA_OF_VALUE),
    )


def _convertible(book: Book, position: Position, *, is_buy: bool, is_overnight: bool) -> int:
    """Give how much of a position is open on this side, was made then, and is not offered for sale."""
    sign = 1 if is_buy else -1
    today = (position.bought if is_buy else position.sold).quantity
    most = min(sign * position.quantity, sign * position.overnight_quantity if is_overnight else today)
    if position.product != CNC:
        return max(0, most)
    # Shares that were sold out of the depository have to be delivered.
    return max(0, min(most, book.sellable(position.exchange, position.tradingsymbol))) if is_buy else 0
