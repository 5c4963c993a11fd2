"""All books over one stage: takes orders, lets the market fill them, and closes the day.

place, modify, cancel -> entries of the ledger -> the user's book
tick                  -> triggers and fills of the orders that wait for these instruments
the next day's stage  -> what is intraday is closed at the last price, open orders end, every book opens anew
"""

import time
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from ops.sandbox import wire
from ops.sandbox.accounts import asked, ledger, margin
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.fills import Depth, Level, fills, is_stop, triggers
from ops.sandbox.accounts.ledger import Amended, AnyEntry, Entered, Filled, Ledger, Opening, Placed, Triggered
from ops.sandbox.accounts.order import (
    BUY,
    CANCELLED,
    CANCELLING,
    CNC,
    IOC,
    MARKET,
    MIS,
    MODIFIED,
    MODIFYING,
    OPEN,
    OPENING,
    REJECTED,
    SELL,
    TRIGGER_PENDING,
    TTL,
    VALIDATING,
    Order,
    Terms,
)
from ops.sandbox.envelope import Refusal
from ops.sandbox.stage import Stage
from ops.sandbox.wire import Field, Ints
from runtime.calendar import IST

OPENING_CASH = Decimal(10_000_000)
CHANGES_MAX = 25  # of one order, as at Kite
FIRST_NUMBER, FIRST_TRADE = 1, 70_000_000  # of a day; trades have numbers of eight digits, as at the exchange
MINUTE_NS = 60 * 10**9
UNLIMITED = 10**9  # where a tape has no depth, its last price takes any quantity

Heard = Callable[[str, Order], None]  # user and order, after each change


class Desk:
    """The books of all users."""

    def __init__(self, folder: Path, stage: Stage, heard: Heard, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Take up the books that `folder` keeps. heard: told of each change of an order."""
        self._folder, self._heard, self._now_ns = folder, heard, now_ns
        self._books: dict[str, Book] = {}
        self._working: dict[int, dict[str, tuple[str, Order]]] = {}  # place -> order_id -> user, order
        self._numbers = FIRST_NUMBER
        self._stage = stage
        day = ledger.newest_day(folder) or self._today()
        self._ledger = Ledger(folder, day)
        for entry in ledger.read(folder, day):
            self._book(entry.user).apply(entry)
            self._numbers += isinstance(entry, Placed | Filled)
        self.follow(stage)

    def follow(self, stage: Stage) -> None:
        """Go over to another stage; where it is another day's, the books' day ends on the prices of the one before."""
        self._turn(set(stage.places))
        self._stage = stage
        self._instruments = {i.key: i for i in stage.instruments}
        self._working = {}
        for user, book in self._books.items():
            for order in book.orders.values():
                self._watch(user, order)

    def close(self) -> None:
        """Write no more."""
        self._ledger.close()

    # ---- what users ask -------------------------------------------------------------------------------------------

    def book(self, user: str) -> Book:
        """Give a user's book of today; a new user's opens now."""
        book = self._book(user)
        if book.day != self._ledger.day:
            self._write(Opening(user, self._now_ns(), self._ledger.day, OPENING_CASH))
        return book

    def place(self, user: str, variety: str, form: Mapping[str, str]) -> str:
        """Take an order; give its id. What the market itself refuses is an order too. Raises Refusal."""
        book = self.book(user)
        terms = asked.terms(form, variety, self._instruments)
        return self._place(book, terms)

    def modify(self, user: str, order_id: str, form: Mapping[str, str]) -> str:
        """Change an order that works. Raises Refusal."""
        order = self._working_order(user, order_id)
        changes = sum(state.status == MODIFIED for state in order.history)
        if changes >= CHANGES_MAX:
            raise _order_refused("Maximum allowed order modifications exceeded.")
        key = f"{order.terms.exchange}:{order.terms.tradingsymbol}"
        terms = asked.amended(order, form, self._instruments[key])
        now_ns = self._now_ns()
        self._enter(user, order, MODIFYING, now_ns)
        self._write(Amended(user, now_ns, order_id, terms))
        self._enter(user, order, MODIFIED, now_ns)
        waits = is_stop(terms) and not order.is_triggered
        self._enter(user, order, TRIGGER_PENDING if waits else OPEN, now_ns)
        self._work(user, order)
        return order_id

    def cancel(self, user: str, order_id: str) -> str:
        """Cancel the rest of an order that works. Raises Refusal."""
        order = self._working_order(user, order_id)
        self._enter(user, order, CANCELLING, self._now_ns())
        self._enter(user, order, CANCELLED, self._now_ns())
        return order_id

    def order(self, user: str, order_id: str) -> Order:
        """Give an order of today. Raises Refusal for an unknown one."""
        order = self.book(user).orders.get(order_id)
        if order is None:
            raise Refusal(404, "GeneralException", "Couldn't find that `order_id`.")
        return order

    def last_price(self, token: int) -> Decimal:
        """Give the last price of an instrument, 0 where it is not on the stage or has not ticked."""
        place = self._stage.places.get(token)
        if place is None:
            return Decimal(0)
        words = self._stage.board[place].view(">u4")
        return Decimal(int(words[Field.LTP])) / wire.divisor(token)

    # ---- what the market does -------------------------------------------------------------------------------------

    def tick(self, which: Ints) -> None:
        """Let the orders on these instruments be triggered and filled."""
        for place in self._working.keys() & set(which.tolist()):
            for user, order in list(self._working.get(place, {}).values()):
                self._work(user, order)

    def _place(self, book: Book, terms: Terms) -> str:
        now_ns = self._now_ns()
        order = self._receive(book, terms, now_ns)
        self._enter(book.user, order, VALIDATING, now_ns)
        if problem := self._problem(book, order):
            self._enter(book.user, order, REJECTED, now_ns, problem)
            return order.order_id
        self._enter(book.user, order, OPENING, now_ns)
        self._enter(book.user, order, TRIGGER_PENDING if is_stop(terms) else OPEN, now_ns)
        self._work(book.user, order)
        return order.order_id

    def _receive(self, book: Book, terms: Terms, now_ns: int) -> Order:
        number = self._number()
        order_id = f"{self._ledger.day:%y%m%d}{number:09}"
        self._write(Placed(book.user, now_ns, order_id, f"1{number:015}", terms))
        return book.orders[order_id]

    def _problem(self, book: Book, order: Order) -> str:
        """Say why the exchange or the broker's risk management does not take an order; nothing where it does."""
        terms = order.terms
        last = self.last_price(terms.instrument_token)
        if terms.product == CNC and not terms.is_buy:
            sellable = book.sellable(terms.exchange, terms.tradingsymbol)
            if terms.quantity > sellable:
                return f"Insufficient stock holding. Available quantity is {sellable}, required is {terms.quantity}."
        needed = sum(margin.required(order, book, last).values(), Decimal(0))
        segments = [margin.funds(book, self.last_price, commodity=commodity).net for commodity in (False, True)]
        free = sum(segments, needed)  # one of them counts the order already
        if needed > free:
            return f"Insufficient funds. Required margin is {needed:.2f} but available margin is {free:.2f}."
        return ""

    def _work(self, user: str, order: Order) -> None:
        """Trigger and fill an order as far as the market lets it now."""
        terms = order.terms
        depth = self._depth(terms.instrument_token)
        if depth is None or not order.is_working:
            return
        now_ns = self._now_ns()
        if order.status == TRIGGER_PENDING and triggers(terms, depth.last_price):
            self._write(Triggered(user, now_ns, order.order_id))
            self._enter(user, order, OPEN, now_ns)
        found = fills(order, depth) if order.status == OPEN else []
        for price, quantity in found:
            self._write(Filled(user, now_ns, order.order_id, self._trade_id(), quantity, price))
        if found:
            self._watch(user, order)
            self._heard(user, order)
        is_late = terms.validity == TTL and now_ns >= order.placed_ns + terms.validity_ttl * MINUTE_NS
        if order.pending and (terms.validity == IOC or is_late):
            self._enter(user, order, CANCELLED, now_ns)

    def _depth(self, token: int) -> Depth | None:
        """Give the book of an instrument; of a tape, which has none, its last price; None before its first tick."""
        place = self._stage.places.get(token)
        if place is None:
            return None
        words = self._stage.board[place].view(">u4").astype(np.int64).tolist()
        scale = wire.divisor(token)
        last = Decimal(words[Field.LTP]) / scale
        if last <= 0:
            return None
        levels = [Level(Decimal(words[at + 1]) / scale, words[at]) for at in range(Field.DEPTH, wire.WORDS, 3)]
        bids, asks = levels[: wire.DEPTH_LEVELS], levels[wire.DEPTH_LEVELS :]
        if not any(level.quantity for level in levels):
            bids = asks = [Level(last, UNLIMITED)]
        return Depth(bids, asks, last)

    def _watch(self, user: str, order: Order) -> None:
        place = self._stage.places.get(order.terms.instrument_token, -1)
        waiting = self._working.setdefault(place, {})
        if order.is_working:
            waiting[order.order_id] = (user, order)
        else:
            waiting.pop(order.order_id, None)
        if not waiting:
            del self._working[place]

    # ---- the day --------------------------------------------------------------------------------------------------

    def _turn(self, listed: set[int]) -> None:
        """Close the day and open the next one, where it has come; listed: the instruments that there are then."""
        today = self._today()
        if today <= self._ledger.day:
            return
        for book in self._books.values():
            self._end_day(book)
        now_ns = self._now_ns()
        tokens = {p.instrument_token for book in self._books.values() for p in book.positions.values()}
        tokens |= {h.instrument_token for book in self._books.values() for h in book.holdings.values()}
        closes = {token: price for token in tokens if (price := self.last_price(token))}
        openings = [book.next_opening(today, now_ns, closes, listed) for book in self._books.values()]
        self._ledger.close()
        self._ledger, self._numbers, self._working = Ledger(self._folder, today), FIRST_NUMBER, {}
        self._write(*openings)

    def _end_day(self, book: Book) -> None:
        """Cancel what is open and close what is intraday."""
        now_ns = self._now_ns()
        for order in [each for each in book.orders.values() if each.is_working]:
            self._enter(book.user, order, CANCELLED, now_ns)
        for position in [each for each in book.positions.values() if each.product == MIS and each.quantity]:
            side = SELL if position.quantity > 0 else BUY
            terms = Terms(
                position.exchange,
                position.tradingsymbol,
                position.instrument_token,
                side,
                abs(position.quantity),
                MIS,
                MARKET,
                tag="squareoff",
            )
            order = self._receive(book, terms, now_ns)
            price = self.last_price(position.instrument_token) or position.average_price
            self._write(Filled(book.user, now_ns, order.order_id, self._trade_id(), terms.quantity, price))
            self._heard(book.user, order)

    # ---- entries --------------------------------------------------------------------------------------------------

    def _enter(self, user: str, order: Order, status: str, now_ns: int, message: str = "") -> None:
        self._write(Entered(user, now_ns, order.order_id, status, message))
        self._watch(user, order)
        self._heard(user, order)

    def _write(self, *entries: AnyEntry) -> None:
        self._ledger.write(*entries)
        for entry in entries:
            self._book(entry.user).apply(entry)

    def _book(self, user: str) -> Book:
        return self._books.setdefault(user, Book(user))

    def _working_order(self, user: str, order_id: str) -> Order:
        order = self.order(user, order_id)
        if not order.is_working:
            raise _order_refused(f"Order cannot be changed any more: it is {order.status}.")
        return order

    def _trade_id(self) -> str:
        return str(FIRST_TRADE + self._number())

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers - 1

    def _today(self) -> date:
        return datetime.fromtimestamp(self._now_ns() / 1e9, IST).date()


def _order_refused(message: str) -> Refusal:
    return Refusal(400, "OrderException", message)
