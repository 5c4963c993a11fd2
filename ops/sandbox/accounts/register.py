"""All books and the ledger under them: an entry changes its book at once, and is written before anybody hears of it.

    with register.together():     one request, or one tick of the market
        write(entry)              the book has it
        tell(user, order)         what there is to say is put down as the order is now
    -> one write of all the lines to the file, then the news goes out

What the disk did not take stays at the head of what is written next: no line is lost, and none is told before its turn.
"""

import contextlib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from ops.sandbox.accounts import ledger
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.ledger import AnyEntry, Filled, Ledger, Placed
from ops.sandbox.accounts.order import Order

FIRST_NUMBER = 1  # of a day's orders and trades

Telling = Callable[[], None]
Heard = Callable[[str, Order], Telling | None]  # user and order as it is now; gives what to do when that is written


class Register:
    """The books of all users on one day."""

    def __init__(self, folder: Path, today: date, heard: Heard) -> None:
        """Take up the books of the newest day that `folder` has, `today` where it has none."""
        self.books: dict[str, Book] = {}
        self.day = ledger.newest_day(folder) or today
        self._folder, self._heard = folder, heard
        self._numbers, self._depth = FIRST_NUMBER, 0
        self._news: list[Telling] = []
        self._ledger = Ledger(folder, self.day)
        for entry in ledger.read(folder, self.day):
            self._apply(entry)
            self._numbers += isinstance(entry, Placed | Filled)

    def book(self, user: str) -> Book:
        """Give a user's book, which may not have been opened."""
        if user not in self.books:
            self.books[user] = Book(user)
        return self.books[user]

    def number(self) -> int:
        """Give the next number of the day."""
        self._numbers += 1
        return self._numbers - 1

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write in one go what is entered within; the outermost one counts."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self._settle()

    def write(self, *entries: AnyEntry) -> None:
        """Enter into the books; called within `together`."""
        assert self._depth, "entries are written in groups"
        self._ledger.note(*entries)
        for entry in entries:
            self._apply(entry)

    def tell(self, user: str, order: Order) -> None:
        """Put down what there is to say of a change."""
        if telling := self._heard(user, order):
            self._news.append(telling)

    def turn(self, day: date) -> None:
        """Go on in the file of another day; the books stay as they are until they are opened anew."""
        self._settle()
        self._ledger.close()
        self.day, self._numbers = day, FIRST_NUMBER
        self._ledger = Ledger(self._folder, day)

    def close(self) -> None:
        """Write no more."""
        self._ledger.close()

    def _apply(self, entry: AnyEntry) -> None:
        self.book(entry.user).apply(entry)

    def _settle(self) -> None:
        self._ledger.flush()
        news, self._news = self._news, []
        for telling in news:
            telling()
