"""All books over one stage: takes orders, lets the market fill them, and closes the day.

place, modify, cancel -> entries of the ledger -> the user's book
tick                  -> triggers and fills of the orders that wait for these instruments
the evening           -> open orders end, what is intraday is closed at the last price; until midnight all can see it
the next day          -> the same for what was opened since, then every book opens anew; it comes with the next day's
                         stage, and by the clock alone on a tape, which goes on
"""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec

from ops.sandbox.accounts import asked, charges, margin
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.conversion import conversion
from ops.sandbox.accounts.fills import Depth, fills, is_stop, triggers
from ops.sandbox.accounts.floor import Floor
from ops.sandbox.accounts.hours import MINUTE_NS, Hours
from ops.sandbox.accounts.ledger import Amended, Entered, Filled, Opening, Placed, Triggered
from ops.sandbox.accounts.order import (
    BUY,
    CANCELLED,
    CANCELLING,
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
from ops.sandbox.accounts.position import Position
from ops.sandbox.accounts.register import Heard, Register
from ops.sandbox.envelope import Refusal, input_refused
from ops.sandbox.stage import Stage
from ops.sandbox.wire import Ints

OPENING_CASH = Decimal(10_000_000)
CHANGES_MAX = 25  # of one order, as at Kite
ORDERS_MAX = 5_000  # of one user in a day, as at Kite
FIRST_TRADE = 70_000_000  # trades have numbers of eight digits, as at the exchange


class Desk:
    """The books of all users, and the floor on which they trade."""

    def __init__(
        self,
        folder: Path,
        stage: Stage,
        heard: Heard,
        now_ns: Callable[[], int] = time.time_ns,
        *,
        orders_max: int | None = ORDERS_MAX,
    ) -> None:
        """Take up the books that `folder` keeps. heard: asked at each change of an order what there is to tell.

        orders_max: of a user in a day; None for no limit.
        """
        self._now_ns, self._orders_max, self._hours = now_ns, orders_max, Hours(now_ns)
        self._working: dict[int, dict[str, tuple[str, Order]]] = {}  # place -> order_id -> user, order
        self.floor = Floor(stage)
        self.register = Register(folder, self._hours.today(), heard)
        self.follow(stage)

    def follow(self, stage: Stage) -> None:
        """Go over to another stage; where it is another day's, the books' day ends on the prices of the one before."""
        with self.together():
            self._turn(set(stage.places))
            self.floor = Floor(stage)
            self._working = {}
            for user, book in self.register.books.items():
                for order in list(book.pending.values()):
                    self._take_up(user, order)

    @property
    def day(self) -> date:
        """Give the day of the books, in IST."""
        return self.register.day

    @property
    def is_evening(self) -> bool:
        """Tell whether the day is about to end."""
        return self._hours.is_evening

    def together(self) -> AbstractContextManager[None]:
        """Write in one go what comes of several requests."""
        return self.register.together()

    def close(self) -> None:
        """Write no more."""
        self.register.close()

    # ---- what users ask -------------------------------------------------------------------------------------------

    def book(self, user: str) -> Book:
        """Give a user's book of today; a new user's opens now."""
        if self._hours.is_over:
            with self.together():
                self._turn(set(self.floor.places))
        book = self.register.book(user)
        if book.day != self.register.day:
            with self.together():
                self.register.write(Opening(user, self._now_ns(), self.register.day, OPENING_CASH))
        return book

    def books(self) -> dict[str, Book]:
        """Give all books, by user."""
        return {user: self.book(user) for user in sorted(self.register.books)}

    def place(self, user: str, variety: str, form: Mapping[str, str], app: str = "") -> str:
        """Take an order that an app places; give its id. What the market refuses is an order too. Raises Refusal."""
        book = self.book(user)
        if self._orders_max is not None and len(book.orders) >= self._orders_max:
            raise Refusal(429, "NetworkException", f"Maximum allowed orders of a day exceeded: {self._orders_max}.")
        terms = asked.terms(form, variety, self.floor.listed)
        with self.together():
            return self._place(book, terms, app)

    def modify(self, user: str, order_id: str, form: Mapping[str, str]) -> str:
        """Change an order that works. Raises Refusal."""
        order = self._working_order(user, order_id)
        changes = sum(state.status == MODIFIED for state in order.history)
        if changes >= CHANGES_MAX:
            raise _order_refused("Maximum allowed order modifications exceeded.")
        key = f"{order.terms.exchange}:{order.terms.tradingsymbol}"
        terms = asked.amended(order, form, self.floor.listed[key])
        if problem := self._problem(self.book(user), order, terms):
            raise _order_refused(problem)
        now_ns = self._now_ns()
        with self.together():
            self._enter(user, order, MODIFYING, now_ns)
            self.register.write(Amended(user, now_ns, order_id, terms))
            self._enter(user, order, MODIFIED, now_ns)
            waits = is_stop(terms) and not order.is_triggered
            self._enter(user, order, TRIGGER_PENDING if waits else OPEN, now_ns)
            self._work(user, order, self.floor.depth(terms.instrument_token))
        return order_id

    def cancel(self, user: str, order_id: str) -> str:
        """Cancel the rest of an order that works. Raises Refusal."""
        order = self._working_order(user, order_id)
        with self.together():
            self._enter(user, order, CANCELLING, self._now_ns())
            self._enter(user, order, CANCELLED, self._now_ns())
        return order_id

    def convert(self, user: str, form: Mapping[str, str]) -> None:
        """Put a part of a position under another product. Raises Refusal."""
        book = self.book(user)
        instrument = self.floor.listed.get(f"{form.get('exchange')}:{form.get('tradingsymbol')}")
        if instrument is None:
            raise input_refused("The instrument has either expired or does not exist.")
        entry = conversion(form, book, instrument, self._now_ns())
        needed = margin.more(entry)
        if needed > (free := self._free(book)):
            raise input_refused(
                f"Insufficient funds. Required margin is {needed:.2f} but available margin is {free:.2f}."
            )
        with self.together():
            self.register.write(entry)

    def order(self, user: str, order_id: str) -> Order:
        """Give an order of today. Raises Refusal for an unknown one."""
        order = self.book(user).orders.get(order_id)
        if order is None:
            raise Refusal(404, "GeneralException", "Couldn't find that `order_id`.")
        return order

    # ---- what the market does -------------------------------------------------------------------------------------

    def tick(self, which: Ints) -> None:
        """Let the orders on these instruments be triggered and filled."""
        with self.together():
            for place in self._working.keys() & set(which.tolist()):
                depth = self.floor.depth(self.floor.instruments[place].instrument_token)
                for user, order in list(self._working[place].values()):
                    self._work(user, order, depth)
            if self._hours.is_over:
                self._turn(set(self.floor.places))
            elif self._hours.evening_comes():
                self._end_day()

    def awaited(self) -> Collection[int]:
        """Give the places of the instruments that orders wait for."""
        return self._working.keys()

    def _place(self, book: Book, terms: Terms, app: str) -> str:
        now_ns = self._now_ns()
        order = self._receive(book, terms, now_ns, app)
        self._enter(book.user, order, VALIDATING, now_ns)
        if problem := self._problem(book, order, terms):
            self._enter(book.user, order, REJECTED, now_ns, problem)
            return order.order_id
        self._enter(book.user, order, OPENING, now_ns)
        self._enter(book.user, order, TRIGGER_PENDING if is_stop(terms) else OPEN, now_ns)
        self._work(book.user, order, self.floor.depth(terms.instrument_token))
        return order.order_id

    def _receive(self, book: Book, terms: Terms, now_ns: int, app: str) -> Order:
        number = self.register.number()
        order_id = f"{self.register.day:%y%m%d}{number:09}"
        self.register.write(Placed(book.user, now_ns, order_id, f"1{number:015}", terms, app))
        return book.orders[order_id]

    def _problem(self, book: Book, order: Order, terms: Terms) -> str:
        """Say why the exchange or risk management does not take an order on these terms; nothing where it does.

        The order is in the book already, on the terms that it has now.
        """
        last = self.floor.last_price(terms.instrument_token)
        wanted = msgspec.structs.replace(order, terms=terms)
        if order.is_delivery_sale:
            sellable = book.sellable(terms.exchange, terms.tradingsymbol) + order.pending
            if wanted.pending > sellable:
                return f"Insufficient stock holding. Available quantity is {sellable}, required is {wanted.pending}."
        before, needed = (sum(margin.required(each, book, last).values(), Decimal(0)) for each in (order, wanted))
        free = self._free(book) + before
        if needed > free:
            return f"Insufficient funds. Required margin is {needed:.2f} but available margin is {free:.2f}."
        return ""

    def _free(self, book: Book) -> Decimal:
        """Give the money that is left in both segments."""
        return sum((funds.net for funds in margin.segments(book, self.floor.last_price)), Decimal(0))

    def _work(self, user: str, order: Order, depth: Depth | None) -> None:
        """Trigger and fill an order as far as the market lets it now."""
        terms = order.terms
        if depth is None or not order.is_working:
            return
        now_ns = self._now_ns()
        if order.status == TRIGGER_PENDING and triggers(terms, depth.last_price):
            self.register.write(Triggered(user, now_ns, order.order_id))
            self._enter(user, order, OPEN, now_ns)
        found = fills(order, depth) if order.status == OPEN else []
        for price, quantity in found:
            self.register.write(Filled(user, now_ns, order.order_id, self._trade_id(), quantity, price))
        if found:
            self._watch(user, order)
            self.register.tell(user, order)
        is_late = terms.validity == TTL and now_ns >= order.placed_ns + terms.validity_ttl * MINUTE_NS
        if order.pending and (terms.validity == IOC or is_late):
            self._enter(user, order, CANCELLED, now_ns)

    def _watch(self, user: str, order: Order) -> None:
        place = self.floor.places.get(order.terms.instrument_token, -1)
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
        today = self._hours.today()
        self._hours.begin()
        if today <= self.register.day:
            return
        self._end_day()
        books, now_ns = self.register.books.values(), self._now_ns()
        tokens = {p.instrument_token for book in books for p in book.positions.values()}
        tokens |= {h.instrument_token for book in books for h in book.holdings.values()}
        closes = {token: price for token in tokens if (price := self.floor.last_price(token))}
        openings = [book.next_opening(today, now_ns, closes, listed, charges.of_day(book)) for book in books]
        self.register.turn(today)
        self.register.write(*openings)

    def _end_day(self) -> None:
        for user, book in self.register.books.items():
            for order in [each for each in book.pending.values() if each.is_working]:
                self._enter(user, order, CANCELLED, self._now_ns())
            for position in [each for each in book.positions.values() if each.product == MIS and each.quantity]:
                self._square_off(book, position)

    def _square_off(self, book: Book, position: Position) -> None:
        """Close what is intraday."""
        now_ns = self._now_ns()
        side = SELL if position.quantity > 0 else BUY
        what = (position.exchange, position.tradingsymbol, position.instrument_token)
        terms = Terms(*what, side, abs(position.quantity), MIS, MARKET, tag="squareoff")
        order = self._receive(book, terms, now_ns, app="")
        price = self.floor.last_price(position.instrument_token) or position.average_price
        self.register.write(Filled(book.user, now_ns, order.order_id, self._trade_id(), terms.quantity, price))
        self.register.tell(book.user, order)

    # ---- entries --------------------------------------------------------------------------------------------------

    def _enter(self, user: str, order: Order, status: str, now_ns: int, message: str = "") -> None:
        self.register.write(Entered(user, now_ns, order.order_id, status, message))
        self._watch(user, order)
        self.register.tell(user, order)

    def _take_up(self, user: str, order: Order) -> None:
        """Let an order wait on this stage; one that a kill left on its way never got there."""
        if order.is_working:
            self._watch(user, order)
        else:
            self._enter(user, order, REJECTED, self._now_ns(), "The exchange was not reached.")

    def _working_order(self, user: str, order_id: str) -> Order:
        order = self.order(user, order_id)
        if not order.is_working:
            raise _order_refused(f"Order cannot be changed any more: it is {order.status}.")
        return order

    def _trade_id(self) -> str:
        return str(FIRST_TRADE + self.register.number())


def _order_refused(message: str) -> Refusal:
    return Refusal(400, "OrderException", message)
