"""The rows of a tariff: one struct for each kind of charge, all dated, all with their source.

Percentages are of the turnover: quantity times price times multiplier, which for an option is its premium. Amounts are
rupees. A row is in force from its first day until the next row of the same kind, segment, exchange and name begins.
"""

from datetime import date
from decimal import Decimal
from typing import ClassVar, Literal, TypeAlias

import msgspec

from money.charges.segment import Exchange, Segment

ZERO = Decimal(0)
RUPEE = Decimal(1)
PAISA = Decimal("0.01")
NO_SOURCE = "none found"

Side = Literal["BUY", "SELL"]
TaxType = Literal["stt", "ctt", ""]
Taxed = Literal["brokerage", "exchange", "sebi", "ipft", "clearing", "dp"]


class Row(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"first_day": "from"},
    tag_field="kind",
):
    """What every row says.

    exchanges: all of its segments where none is named. names: of commodities or indices that the row is for; where none
    is named, all that have no row of their own. confirmed: false where it is not certain that this rate was charged.
    """

    KIND: ClassVar[str]

    segments: tuple[Segment, ...]
    first_day: date
    source: str
    exchanges: tuple[Exchange, ...] = ()
    names: tuple[str, ...] = ()
    note: str = ""
    confirmed: bool = True


class Brokerage(Row, frozen=True, kw_only=True, tag="brokerage"):
    """Of one executed order: `flat`, or `percent` of its turnover but at most `cap`.

    note_least: what a contract note shows at least, because exchanges allow no note without brokerage.
    """

    KIND = "brokerage"

    percent: Decimal = ZERO
    cap: Decimal | None = None
    flat: Decimal | None = None
    note_least: Decimal = ZERO


class TransactionTax(Row, frozen=True, kw_only=True, tag="transaction_tax"):
    """STT or CTT, on the sides named.

    The buyer of an option that is exercised pays `exercise_percent` of its intrinsic value, or of the settlement price.
    note_unit: rupees, to which a contract note rounds the day's sum.
    """

    KIND = "transaction_tax"

    tax: TaxType
    sides: tuple[Side, ...]
    percent: Decimal
    base: Literal["turnover", "premium"] = "turnover"
    exercise_percent: Decimal = ZERO
    exercise_base: Literal["intrinsic", "settlement"] = "intrinsic"
    note_unit: Decimal = RUPEE


class ExchangeCharge(Row, frozen=True, kw_only=True, tag="exchange"):
    """The exchange's own charge, on both sides."""

    KIND = "exchange"

    percent: Decimal


class Sebi(Row, frozen=True, kw_only=True, tag="sebi"):
    """The regulator's turnover fee, on both sides."""

    KIND = "sebi"

    percent: Decimal


class Stamp(Row, frozen=True, kw_only=True, tag="stamp"):
    """Stamp duty, on the sides named. note_unit: rupees, to which contract notes and Kite round it."""

    KIND = "stamp"

    percent: Decimal
    sides: tuple[Side, ...] = ("BUY",)
    note_unit: Decimal = RUPEE


class Ipft(Row, frozen=True, kw_only=True, tag="ipft"):
    """The exchange's investor protection fund, on both sides."""

    KIND = "ipft"

    percent: Decimal


class Clearing(Row, frozen=True, kw_only=True, tag="clearing"):
    """The clearing member's charge, on both sides."""

    KIND = "clearing"

    percent: Decimal


class Gst(Row, frozen=True, kw_only=True, tag="gst"):
    """Goods and services tax on the charges named in `on`; Kite's virtual contract note left some of them out."""

    KIND = "gst"

    percent: Decimal
    on: tuple[Taxed, ...]
    virtual_without: tuple[Taxed, ...] = ()


class Dp(Row, frozen=True, kw_only=True, tag="dp"):
    """The depository's charge with the broker's, for each scrip and day on which shares leave the account.

    `amount` is without GST. Nothing is charged where what leaves is worth less than `free_below`.
    """

    KIND = "dp"

    amount: Decimal
    free_below: Decimal = ZERO


Rate: TypeAlias = Brokerage | TransactionTax | ExchangeCharge | Sebi | Stamp | Ipft | Clearing | Gst | Dp


class InForce(msgspec.Struct, frozen=True):
    """The rows of one segment on one exchange on one day, one of each kind that an order meets."""

    brokerage: Brokerage
    transaction_tax: TransactionTax
    exchange: ExchangeCharge
    sebi: Sebi
    stamp: Stamp
    ipft: Ipft
    clearing: Clearing
    gst: Gst

    @property
    def confirmed(self) -> bool:
        """Say whether every row is certain."""
        return all(getattr(self, field).confirmed for field in self.__struct_fields__)
