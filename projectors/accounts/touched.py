"""What a batch of events has touched, and so has to be derived anew when all of it is in the tables."""

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

import msgspec


class Line(NamedTuple):
    """One instrument and product of an account: what books are folded of."""

    exchange: str
    tradingsymbol: str
    product: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Line":
        """Give the line that a row is of."""
        return cls(row["exchange"], row["tradingsymbol"], row["product"])


class Touched(msgspec.Struct):
    """By account: orders and trades told anew (by order id), lines to fold from the beginning, days to charge again.

    answered: accounts of which the broker told something, also that all is as before. openings: accounts whose first
    lots were just told. rules: the user's rules are others now, so that all of the past is attributed again. notes:
    accounts whose charges have to be compared with the broker's again.
    """

    accounts: set[str] = set()
    answered: set[str] = set()
    orders: dict[str, set[str]] = {}
    lines: dict[str, set[Line]] = {}
    days: dict[str, set[date]] = {}
    openings: set[str] = set()
    rules: bool = False
    notes: set[str] = set()

    def order(self, account: str, order_id: str) -> None:
        """Note an order or one of its trades."""
        self.accounts.add(account)
        self.orders.setdefault(account, set()).add(order_id)

    def line(self, account: str, line: Line) -> None:
        """Note a line that has to be folded from its beginning."""
        self.accounts.add(account)
        self.lines.setdefault(account, set()).add(line)

    def note(self, account: str) -> None:
        """Note that what the broker says of an account's charges, or what ours follow from, is another one now."""
        self.accounts.add(account)
        self.notes.add(account)

    def day(self, account: str, day: date) -> None:
        """Note a day whose charges are others now."""
        self.accounts.add(account)
        self.days.setdefault(account, set()).add(day)
