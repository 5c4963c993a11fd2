"""What a book of lots is folded from: fills, lots taken over, corporate actions, charges; and the one order of them.

The order is that of time, then of kind, then of trade id by its numbers ("9" before "10"), then of order id. Time alone
is not enough: exchanges stamp whole seconds, and one order fills several times in one. Trade id alone is not enough
either: who trades with himself has one trade id in two orders.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from runtime.calendar import IST
from runtime.errors import BadEvent

ONE = Decimal(1)
# A quantity, price, multiplier or amount is below a million million and has eight decimals at most: more than any share
# or fee has, and one more than the finest price on Kite's wire (currency, 7). It bounds what sums can come to.
WHOLE_DIGITS_MAX = 12
PLACES_MAX = 8
_STEP = Decimal(1).scaleb(-PLACES_MAX)
_NUMBERS = re.compile(r"([0-9]+)")
_Key: TypeAlias = tuple[tuple[int, int, str], ...]


class EntryId(msgspec.Struct, frozen=True):
    """What an entry is known by for ever. day: the IST day of its time; order_id is empty for what is no trade."""

    day: date
    exchange: str
    order_id: str
    trade_id: str


class Fill(msgspec.Struct, frozen=True, tag="fill"):
    """One trade. quantity: as the broker counts, above 0; price: for one unit; multiplier: units in one of quantity.

    Raises BadEvent for a quantity or multiplier that is not above 0, a price that is no number, a time without zone.
    """

    id: EntryId
    time: datetime
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    price: Decimal
    multiplier: Decimal = ONE

    def __post_init__(self) -> None:
        _check(self, self.quantity > 0 and self.multiplier > 0, (self.quantity, self.price, self.multiplier))

    @property
    def signed(self) -> Decimal:
        """Give the quantity, negative when sold."""
        return self.quantity if self.side == "BUY" else -self.quantity


class Opening(msgspec.Struct, frozen=True, tag="opening"):
    """A lot that was there before the first fill that is known. signed: its quantity, negative when short, never 0.

    price: what it stood at in the first snapshot. No cash moved that we know of. Raises BadEvent as Fill does.
    """

    id: EntryId
    time: datetime
    signed: Decimal
    price: Decimal
    multiplier: Decimal = ONE

    def __post_init__(self) -> None:
        _check(self, self.signed != 0 and self.multiplier > 0, (self.signed, self.price, self.multiplier))


class Action(msgspec.Struct, frozen=True, tag="action"):
    """A split or bonus, in force from the first instant of its ex-day (IST), which is the day of its id.

    split: `new` shares in the place of each `old` ones (1 of Rs 10 into 5 of Rs 2 is 5:1; a consolidation is 1:10).
    bonus: `new` shares beside each `old` ones. Raises BadEvent for a ratio that is not of whole numbers above 0.
    """

    id: EntryId
    kind: Literal["split", "bonus"]
    new: int
    old: int

    def __post_init__(self) -> None:
        if self.new < 1 or self.old < 1:
            raise BadEvent("a ratio of whole numbers above 0", f"{self.new}:{self.old}", f"correct {self.id}")

    @property
    def time(self) -> datetime:
        """Give the first instant of the ex-day, in UTC."""
        return datetime.combine(self.id.day, time(), IST).astimezone(UTC)

    @property
    def becomes(self) -> int:
        """Give how many shares there are for each `old` ones afterwards."""
        return self.new if self.kind == "split" else self.new + self.old


class Charge(msgspec.Struct, frozen=True, tag="charge"):
    """What was paid for trading, in rupees; below 0 when some of it came back."""

    id: EntryId
    time: datetime
    amount: Decimal

    def __post_init__(self) -> None:
        _check(self, True, (self.amount,))


Entry: TypeAlias = Action | Opening | Fill | Charge
# Of one instant: an action is in force before anything else of its day, and a charge follows what it was paid for.
_KINDS: tuple[type[Entry], ...] = (Action, Opening, Fill, Charge)


def _check(entry: Fill | Opening | Charge, has_quantity: bool, numbers: tuple[Decimal, ...]) -> None:
    if entry.time.utcoffset() != timedelta(0):
        raise BadEvent("a time in UTC", repr(entry.time), f"convert the time of {entry.id}")
    for number in numbers:
        if not number.is_finite() or number.adjusted() >= WHOLE_DIGITS_MAX or _places(number) > PLACES_MAX:
            wanted = f"a number below 1e{WHOLE_DIGITS_MAX} with at most {PLACES_MAX} decimals"
            raise BadEvent(wanted, f"{number} in {entry.id}", "look at the broker's payload")
    if not has_quantity:
        raise BadEvent("a quantity and a multiplier above 0", repr(entry), "look at the broker's payload")


def _places(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def of_ratio(known: EntryId, kind: Literal["split", "bonus"], old: int, new: int) -> Action:
    """Give an action that makes `new` shares of each `old` ones, as users tell it. Raises BadEvent as Action does."""
    return Action(known, kind, new - old if kind == "bonus" else new, old)


def exact(number: Decimal) -> Decimal:
    """Give a broker's figure without the digits that its binary form has too many (103.08333333333299)."""
    return round(number, PLACES_MAX) if number != number.quantize(_STEP) else number


def natural(text: str) -> _Key:
    """Give a key that sorts text by the numbers in it: "T9" before "T10"."""
    parts = filter(None, _NUMBERS.split(text))
    return tuple((1, int(part), "") if _NUMBERS.fullmatch(part) else (0, 0, part) for part in parts)


def place(entry: Entry) -> tuple[object, ...]:
    """Give the key that sorts the entries of one book; two entries have one only if they are the same entry twice."""
    known = entry.id
    ids = (natural(known.trade_id), natural(known.order_id), known.trade_id, known.order_id, known.exchange, known.day)
    return (entry.time, _KINDS.index(type(entry)), *ids)
