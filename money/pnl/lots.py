"""One book of lots: the fills of one key in order, folded into what is open, what was realised, and the cash between.

A key is an account, strategy, exchange, tradingsymbol and product; who folds keeps a book for each. First-in-first-out
lots and average cost are kept side by side from the same fills. Buying is positive, selling negative, all through: a
short lot has a negative quantity and a negative value, and one formula does for both directions.

What is promised, for any history:

- realised + unrealised = cash flow + market value - opening value, exactly, by both methods, at any price; with charges
  taken off on both sides as well.
- quantity = opening + bought - sold + what corporate actions added; the lots add up to it.
- The lots' values add up to the open value; what a partial close takes from a lot and what it leaves add up to the lot.
- A book can be put away after any entry, and gone on with from there.

How no paisa gets lost: a lot keeps what it cost in total, not a price by unit. A partial close takes its share of that
total, rounded to VALUE_STEP; the rest stays in the lot, and with it what was rounded, until the lot is closed. All else
is sums and products, made in a context that refuses to round.

What stops it: an entry that does not come after the last one (BadEvent; a repeat would count twice, and one that comes
late belongs between others: fold again from the beginning), and another multiplier while something is open. A book that
refused an entry is what it was before.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from typing import Literal, TypeAlias

import msgspec

from money.pnl.entry import ONE, PLACES_MAX, WHOLE_DIGITS_MAX, Action, Charge, Entry, EntryId, Fill, Opening, place
from runtime.errors import BadEvent

ZERO = Decimal(0)
PAISA = Decimal("0.01")
# What a partial close takes from a lot is rounded to this, in rupees: finer than any price.
VALUE_STEP = Decimal(1).scaleb(-PLACES_MAX)
# Digits of a sum of amounts: a quantity times a price times a multiplier, and room for a million million of them. What
# needs more raises decimal.Inexact; nothing is rounded unseen.
DIGITS = 3 * (WHOLE_DIGITS_MAX + PLACES_MAX) + 12
EXACT = Context(prec=DIGITS, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
ROUNDED = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])

Method: TypeAlias = Literal["fifo", "average"]


class Lot(msgspec.Struct, frozen=True):
    """What is left open of one fill. quantity and value (rupees, with the multiplier in it) are negative when short."""

    opened: EntryId
    opened_at: datetime
    quantity: Decimal
    value: Decimal


class Match(msgspec.Struct, frozen=True):
    """A part of a lot and what closed it. quantity and both values have the lot's sign; values in rupees, gross.

    trip: which round trip of the book it belongs to, from 1; one lasts from flat to flat, or to a flip. average_value:
    what so much of the book had cost by average, where open_value is what this lot had.
    """

    trip: int
    quantity: Decimal
    open_value: Decimal
    average_value: Decimal
    close_value: Decimal
    opened: EntryId
    opened_at: datetime
    closed: EntryId
    closed_at: datetime

    @property
    def realised(self) -> Decimal:
        """Give what was won first in first out, before charges."""
        with localcontext(EXACT):
            return self.close_value - self.open_value

    @property
    def realised_average(self) -> Decimal:
        """Give what was won by average cost, before charges."""
        with localcontext(EXACT):
            return self.close_value - self.average_value


class Statement(msgspec.Struct, frozen=True):
    """A book at a price, in rupees: realised + unrealised - charges = cash flow - charges + market - opening value."""

    realised: Decimal
    unrealised: Decimal
    charges: Decimal
    cash_flow: Decimal
    market_value: Decimal
    opening_value: Decimal

    @property
    def net(self) -> Decimal:
        """Give realised and unrealised together, less charges."""
        with localcontext(EXACT):
            return self.realised + self.unrealised - self.charges

    def in_paise(self) -> "Statement":
        """Round every amount to the paisa so that the equation still holds.

        What is unrealised takes up the difference: all others are amounts that were paid, and it moves with each tick.
        """
        amounts = (self.realised, self.charges, self.cash_flow, self.market_value, self.opening_value)
        realised, charges, cash, market, opening = (ROUNDED.quantize(amount, PAISA) for amount in amounts)
        with localcontext(EXACT):
            return Statement(realised, cash + market - opening - realised, charges, cash, market, opening)


class Book(msgspec.Struct):
    """The state of the fold; all of it is data, so that it can be kept and gone on with. Amounts are in rupees.

    average_value: what `quantity` cost by the average method. bought_*, sold_*: of fills alone, quantities as on their
    day. adjusted_quantity: what corporate actions added. trip: how many round trips began. last: the newest entry.
    """

    multiplier: Decimal = ONE
    lots: list[Lot] = []
    quantity: Decimal = ZERO
    average_value: Decimal = ZERO
    realised_fifo: Decimal = ZERO
    realised_average: Decimal = ZERO
    cash_flow: Decimal = ZERO
    charges: Decimal = ZERO
    opening_quantity: Decimal = ZERO
    opening_value: Decimal = ZERO
    bought_quantity: Decimal = ZERO
    bought_value: Decimal = ZERO
    sold_quantity: Decimal = ZERO
    sold_value: Decimal = ZERO
    adjusted_quantity: Decimal = ZERO
    trip: int = 0
    last: Entry | None = None

    def takes(self, entry: Entry) -> bool:
        """Tell whether an entry comes after all that are folded."""
        return self.last is None or place(entry) > place(self.last)

    def apply(self, entry: Entry) -> list[Match]:
        """Fold one entry and give what it closed, oldest lot first.

        Raises BadEvent where it does not come after the last one, or has another multiplier than what is open.
        """
        if not self.takes(entry):
            raise BadEvent(f"an entry after {self.last}", f"{entry}", "fold the book again from its entries in order")
        with localcontext(EXACT):
            if isinstance(entry, Charge):
                self.charges += entry.amount
                closed = []
            else:
                closed = self._adjust(entry) if isinstance(entry, Action) else self._trade(entry)
        self.last = entry
        return closed

    def _trade(self, entry: Fill | Opening) -> list[Match]:
        """Close what stands against the entry and open what is left of it."""
        if self.quantity and entry.multiplier != self.multiplier:
            wanted = f"the multiplier {self.multiplier} of what is open"
            raise BadEvent(wanted, f"{entry.multiplier} in {entry.id}", "correct the instrument's multiplier")
        self.multiplier, unit, signed = entry.multiplier, entry.price * entry.multiplier, entry.signed
        self._count(entry, signed * unit)
        closing = min(abs(signed), abs(self.quantity)) if self.quantity * signed < 0 else ZERO
        closed = self._close(closing, unit, entry) if closing else []
        rest = signed + closing if signed < 0 else signed - closing
        if not rest:
            return closed
        self.trip += not self.quantity
        self.lots.append(Lot(entry.id, entry.time, rest, rest * unit))
        self.quantity += rest
        self.average_value += rest * unit
        return closed

    def _count(self, entry: Fill | Opening, value: Decimal) -> None:
        """Add an entry's quantity and signed value to the sums that do not depend on lots."""
        if isinstance(entry, Opening):
            self.opening_quantity += entry.signed
            self.opening_value += value
            return
        self.cash_flow -= value
        if entry.side == "BUY":
            self.bought_quantity += entry.quantity
            self.bought_value += value
        else:
            self.sold_quantity += entry.quantity
            self.sold_value -= value

    def _close(self, closing: Decimal, unit: Decimal, entry: Fill | Opening) -> list[Match]:
        """Close so much of what is open, at a value for one of quantity; closing: without sign, at most all."""
        whole = abs(self.quantity)
        sign = self.quantity.copy_sign(ONE) / self.quantity
        cost = share(self.average_value, closing, whole)
        self.quantity -= sign * closing
        parts, left = [], closing
        while left:
            parts.append(take(self.lots, min(left, abs(self.lots[0].quantity))))
            left -= abs(parts[-1].quantity)
        return self._matches(parts, cost, unit, entry)

    def _matches(self, parts: list[Lot], cost: Decimal, unit: Decimal, entry: Entry) -> list[Match]:
        """Book parts of lots as realised. cost: of all of them by average; the last one takes what the others leave."""
        closed, left = [], sum((abs(part.quantity) for part in parts), ZERO)
        for part in parts:
            own, got = share(cost, abs(part.quantity), left), part.quantity * unit
            cost, left = cost - own, left - abs(part.quantity)
            self.average_value -= own
            self.realised_fifo += got - part.value
            self.realised_average += got - own
            values = (part.quantity, part.value, own, got)
            closed.append(Match(self.trip, *values, part.opened, part.opened_at, entry.id, entry.time))
        return closed

    def _adjust(self, action: Action) -> list[Match]:
        """Change the quantities by an action. The value stays, unless not one whole share is left to carry it."""
        self.lots, lost = converted(self.lots, action)
        quantity = sum((lot.quantity for lot in self.lots), ZERO)
        self.adjusted_quantity += quantity - self.quantity
        self.quantity = quantity
        return self._matches(lost, self.average_value, ZERO, action) if lost else []

    def open_value(self, method: Method) -> Decimal:
        """Give what the open quantity cost, in rupees; negative when short."""
        if method == "average":
            return self.average_value
        with localcontext(EXACT):
            return sum((lot.value for lot in self.lots), ZERO)

    def average_price(self, method: Method) -> Decimal | None:
        """Give the price at which what is open was opened, to VALUE_STEP; None when nothing is."""
        if not self.quantity:
            return None
        units = ROUNDED.multiply(self.quantity, self.multiplier)
        return ROUNDED.quantize(ROUNDED.divide(self.open_value(method), units), VALUE_STEP)

    def statement(self, last_price: Decimal, method: Method) -> Statement:
        """Give the book at a price for one unit."""
        with localcontext(EXACT):
            market = self.quantity * last_price * self.multiplier
            realised = self.realised_fifo if method == "fifo" else self.realised_average
            unrealised = market - self.open_value(method)
        return Statement(realised, unrealised, self.charges, self.cash_flow, market, self.opening_value)


def share(value: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Give the part of a value that falls to a part of its quantity, to VALUE_STEP; all of it for all."""
    if part == whole:
        return value
    return ROUNDED.quantize(ROUNDED.divide(ROUNDED.multiply(value, part), whole), VALUE_STEP)


def take(lots: list[Lot], quantity: Decimal, *, newest: bool = False) -> Lot:
    """Take so much (without sign) off the oldest lot, or the newest; at most all of it. Give what was taken."""
    place = -1 if newest else 0
    lot = lots[place]
    assert 0 < quantity <= abs(lot.quantity)
    value = share(lot.value, quantity, abs(lot.quantity))
    taken = msgspec.structs.replace(lot, quantity=quantity.copy_sign(lot.quantity), value=value)
    if quantity == abs(lot.quantity):
        del lots[place]
    else:
        lots[place] = msgspec.structs.replace(lot, quantity=lot.quantity - taken.quantity, value=lot.value - value)
    return taken


def converted(lots: list[Lot], action: Action) -> tuple[list[Lot], list[Lot]]:
    """Give what lots of one sign become by an action, and, where no whole share is left, the lots that are lost.

    Whole shares, rounded towards 0 over all lots together: a depository credits them for the holding, not for each
    purchase, and pays for the fraction in cash. Lots of which none is left hand their value to the next one.
    """
    kept: list[Lot] = []
    before = credited = carried = ZERO
    for lot in lots:
        before += lot.quantity
        carried += lot.value
        quantity = (before * action.becomes) // action.old - credited
        if quantity:
            kept.append(msgspec.structs.replace(lot, quantity=quantity, value=carried))
            credited += quantity
            carried = ZERO
    if not kept:
        return [], lots
    kept[-1] = msgspec.structs.replace(kept[-1], value=kept[-1].value + carried)
    return kept, []


def fold(entries: Iterable[Entry], book: Book | None = None) -> tuple[Book, list[Match]]:
    """Fold entries, given in any order, into a new book or one that stands before them all; give it and its matches.

    Raises BadEvent as Book.apply does; the book has then taken what comes before the refused entry.
    """
    book = Book() if book is None else book
    closed: list[Match] = []
    for entry in sorted(entries, key=place):
        closed += book.apply(entry)
    return book, closed
