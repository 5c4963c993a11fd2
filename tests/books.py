"""What a book of the sandbox is worth, counted from what was paid and not from what the book says of gains."""

from collections.abc import Callable
from decimal import Decimal

from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.position import EQUITY


def wealth(book: Book, last_price: Callable[[int], Decimal]) -> Decimal:
    """Give the money, with everything sold at these prices."""
    worth = book.cash
    for position in book.positions.values():
        last = last_price(position.instrument_token) * position.multiplier
        worth += position.flow + position.quantity * last
        if position.exchange not in EQUITY and not position.is_option:  # futures were settled at the close
            worth -= position.overnight_quantity * position.close_price * position.multiplier
    for holding in book.holdings.values():
        worth += (holding.quantity + holding.t1_quantity) * last_price(holding.instrument_token)
    return worth
