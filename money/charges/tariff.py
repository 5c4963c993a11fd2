"""A tariff: the dated rows of one broker, read from a text in TOML, and what an order costs by them.

What is promised of every tariff that was read: for each kind of charge, each segment and each exchange exactly one row
is in force on each day from `begins` on. So a text is refused that leaves a kind out, that begins a row too late, or
that has two rows of the same day for the same; and a day before `begins` is refused, because "as it was later" is as
wrong as "nothing". All refusals are SettingError: the text is a user's, or ours.

A row may be for some `names` only (commodities, indices). Such a name follows its own rows from the first of them on,
and all others the rows without names.
"""

import tomllib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import TypeAlias, TypeVar

import msgspec

from money.charges.amounts import PERCENT, Charges, charge
from money.charges.order import Order
from money.charges.rate import (
    NO_SOURCE,
    ZERO,
    Brokerage,
    Clearing,
    Dp,
    ExchangeCharge,
    Gst,
    InForce,
    Ipft,
    Rate,
    Row,
    Sebi,
    Stamp,
    TransactionTax,
)
from money.charges.segment import EXCHANGES, OPTIONS, SEGMENTS, Exchange, Segment
from runtime.errors import SettingError

ORDER_KINDS: tuple[type[Row], ...] = (
    Brokerage,
    TransactionTax,
    ExchangeCharge,
    Sebi,
    Stamp,
    Ipft,
    Clearing,
    Gst,
)
# The depository is asked for shares that leave the account, never for what was sold again on the same day.
DP_SEGMENTS: tuple[Segment, ...] = ("equity_delivery", "equity_mtf")

# What any charge could be, with room: today's highest are 18 % and 20 rupees, and the finest has 7 decimals.
PERCENT_MAX, AMOUNT_MAX, PLACES_MAX = Decimal(100), Decimal(1_000_000), 12
FOUND_CHARACTERS_MAX = 200  # of what a reader of TOML says: it may repeat the text

_Key: TypeAlias = tuple[str, Segment, Exchange, str]
_R = TypeVar("_R", bound=Row)


class DpCharge(msgspec.Struct, frozen=True):
    """What shares leaving the account cost for one scrip and day, in rupees."""

    amount: Decimal
    gst: Decimal

    @property
    def total(self) -> Decimal:
        """Give both together."""
        return self.amount + self.gst


class _Sheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    broker: str
    begins: date
    rate: tuple[Rate, ...]


class Tariff:
    """The rows of one broker, each in force from its day until the next of its kind, segment, exchange and name."""

    def __init__(self, broker: str, begins: date, rates: tuple[Rate, ...]) -> None:
        """Take rows; raise SettingError where they leave a day without one, or give it two."""
        self.broker = broker
        self.begins = begins
        self.rates = rates
        self._rows: Mapping[_Key, list[Rate]] = _in_order(rates)
        self._found: dict[tuple[date, Segment, Exchange, str], InForce] = {}
        for kind, segment, exchange in wanted():
            self._first_is_in_time(kind, segment, exchange)

    @classmethod
    def parse(cls, text: str) -> "Tariff":
        """Read a tariff's text; raise SettingError that says which row is wrong, and why."""
        try:
            sheet = msgspec.convert(tomllib.loads(text, parse_float=Decimal), _Sheet)
        except msgspec.ValidationError as error:
            raise SettingError("a tariff with the rows of docs/charges.md", str(error), "correct the row") from error
        except (ValueError, ArithmeticError, RecursionError) as error:  # also numbers and nests too large to be read
            raise SettingError("a tariff in TOML", str(error)[:FOUND_CHARACTERS_MAX], "correct the file") from error
        return cls(sheet.broker, sheet.begins, sheet.rate)

    def on(self, day: date, segment: Segment, exchange: Exchange, name: str = "") -> InForce:
        """Give the rows in force on an IST trading day.

        Raise SettingError for a day before the tariff begins, and for a segment that the exchange does not have.
        """
        key = (day, segment, exchange, name)
        if key not in self._found:
            self._found[key] = InForce(
                brokerage=self._row(Brokerage, *key),
                transaction_tax=self._row(TransactionTax, *key),
                exchange=self._row(ExchangeCharge, *key),
                sebi=self._row(Sebi, *key),
                stamp=self._row(Stamp, *key),
                ipft=self._row(Ipft, *key),
                clearing=self._row(Clearing, *key),
                gst=self._row(Gst, *key),
            )
        return self._found[key]

    def order_charges(self, order: Order) -> Charges:
        """Give the exact charges of an order, unrounded; raise as `on` does."""
        rates = self.on(order.day, order.segment, order.exchange, order.name)
        undone = self.on(order.day, "equity_intraday", order.exchange, order.name) if order.intraday else None
        return charge(order, rates, undone)

    def exercise_tax(
        self, day: date, segment: Segment, exchange: Exchange, *, intrinsic: Decimal, settlement: Decimal
    ) -> Decimal:
        """Give the tax that the buyer of an option pays when it is exercised, in rupees.

        intrinsic: what it was worth; settlement: the underlying's closing price times the quantity, both in rupees.
        """
        tax = self.on(day, segment, exchange).transaction_tax
        return (intrinsic if tax.exercise_base == "intrinsic" else settlement) * tax.exercise_percent * PERCENT

    def dp_charge(
        self, day: date, exchange: Exchange, *, value: Decimal | None = None, segment: Segment = "equity_delivery"
    ) -> DpCharge:
        """Give what one scrip costs on a day on which shares of it leave the account, however many.

        value: of all that leave, in rupees, where it is known. Raise as `on` does.
        """
        row = self._row(Dp, day, segment, exchange, "")
        gst = self._row(Gst, day, segment, exchange, "")
        if value is not None and value < row.free_below:
            return DpCharge(ZERO, ZERO)
        return DpCharge(row.amount, row.amount * gst.percent * PERCENT if "dp" in gst.on else ZERO)

    def _row(self, kind: type[_R], day: date, segment: Segment, exchange: Exchange, name: str) -> _R:
        if day < self.begins:
            raise SettingError(
                f"charges of {day.isoformat()} by the tariff of {self.broker}",
                f"rows from {self.begins.isoformat()} on",
                "set a tariff with rows for that time (docs/charges.md)",
            )
        for called in dict.fromkeys((name, "")):
            rows = self._rows.get((kind.KIND, segment, exchange, called), [])
            at = bisect_right(rows, day, key=_first_day)
            if at:
                found = rows[at - 1]
                assert isinstance(found, kind)
                return found
        raise SettingError(f"a segment of {exchange}", segment, f"its exchanges are {', '.join(EXCHANGES[segment])}")

    def _first_is_in_time(self, kind: type[Row], segment: Segment, exchange: Exchange) -> None:
        rows = self._rows.get((kind.KIND, segment, exchange, ""), [])
        if not rows or rows[0].first_day > self.begins:
            raise SettingError(
                f"a row of {kind.KIND} for {segment} on {exchange} from {self.begins.isoformat()} on",
                f"the first from {rows[0].first_day.isoformat()}" if rows else "none",
                "add the row, or begin the tariff later",
            )


def wanted() -> Iterator[tuple[type[Row], Segment, Exchange]]:
    """Give each kind of row with each segment and exchange for which a tariff must have one on each day."""
    for segment in SEGMENTS:
        for exchange in EXCHANGES[segment]:
            for kind in (*ORDER_KINDS, *((Dp,) if segment in DP_SEGMENTS else ())):
                yield kind, segment, exchange


def _first_day(row: Rate) -> date:
    return row.first_day


def _in_order(rates: tuple[Rate, ...]) -> Mapping[_Key, list[Rate]]:
    rows: dict[_Key, list[Rate]] = defaultdict(list)
    for number, rate in enumerate(rates, start=1):
        for wrong, remedy in _wrongs(rate):
            raise SettingError(f"a sound row of {rate.KIND}", f"{wrong} in row {number}", remedy)
        for key in _keys(rate):
            rows[key].append(rate)
    for (kind, segment, exchange, name), same in rows.items():
        same.sort(key=_first_day)
        twice = next((b for a, b in pairwise(same) if a.first_day == b.first_day), None)
        if twice:
            raise SettingError(
                f"one row of {kind} for {segment} on {exchange} {name} from each day".replace("  ", " "),
                f"two from {twice.first_day.isoformat()}",
                "take one of them out",
            )
    return rows


def _keys(rate: Rate) -> Iterator[_Key]:
    for segment in rate.segments:
        for exchange in EXCHANGES[segment]:
            if not rate.exchanges or exchange in rate.exchanges:
                yield from ((rate.KIND, segment, exchange, name) for name in rate.names or ("",))


def _wrongs(rate: Rate) -> Iterator[tuple[str, str]]:
    """Say what is wrong with one row by itself, each with its remedy."""
    if not rate.source.strip():
        yield "no source", f'name the circular, law or page, or write "{NO_SOURCE}" and a note'
    if (rate.source == NO_SOURCE or not rate.confirmed) and not rate.note.strip():
        yield "neither a sure source nor a note", "say in `note` what is known"
    if not rate.segments:
        yield "no segment", f"name some of {', '.join(SEGMENTS)}"
    yield from _misplaced(rate)
    amounts = (getattr(rate, field) for field in rate.__struct_fields__)
    if any(isinstance(amount, Decimal) and not (amount.is_finite() and amount >= 0) for amount in amounts):
        yield "a negative amount or percentage", "write it as 0 or more"
    yield from _unlikely(rate)
    if isinstance(rate, Brokerage) and rate.flat is not None and (rate.percent or rate.cap is not None):
        yield "flat and percent", "take one of them out"
    if isinstance(rate, TransactionTax):
        yield from _untaxed(rate)


def _unlikely(rate: Rate) -> Iterator[tuple[str, str]]:
    """Say which numbers no charge has; sums made with such would not fit, long after the text was taken."""
    for field in rate.__struct_fields__:
        number = getattr(rate, field)
        if not isinstance(number, Decimal) or not number.is_finite():
            continue
        most = PERCENT_MAX if field.endswith("percent") else AMOUNT_MAX
        places = number.as_tuple().exponent
        if number > most or (isinstance(places, int) and -places > PLACES_MAX):
            yield f"{field} {str(number)[:40]}", f"write a number up to {most} with at most {PLACES_MAX} decimals"


def _misplaced(rate: Rate) -> Iterator[tuple[str, str]]:
    for exchange in rate.exchanges:
        if not any(exchange in EXCHANGES[segment] for segment in rate.segments):
            yield f"{exchange}, which has none of these segments", "take it out"
    for segment in rate.segments:
        if rate.exchanges and not set(rate.exchanges) & set(EXCHANGES[segment]):
            yield f"{segment}, which none of these exchanges has", "take it out"


def _untaxed(rate: TransactionTax) -> Iterator[tuple[str, str]]:
    if bool(rate.tax) != bool(rate.percent):
        yield f'a tax "{rate.tax}" of {rate.percent} percent', "name stt or ctt with a percentage, or neither"
    options = [segment in OPTIONS for segment in rate.segments]
    if any(is_option != (rate.base == "premium") for is_option in options):
        yield f"{rate.base} as base", "an option is taxed on its premium, all else on its turnover"
    if rate.exercise_percent and not all(options):
        yield "a tax on exercise", "only options are exercised"
