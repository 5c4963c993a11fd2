"""How exact charges become the amounts of a paper: of a contract note, of Kite's virtual one, of the calculator.

A contract note has one column for all shares, one for derivatives of shares, one for currencies, and another paper for
commodities (`segment.COLUMNS`). It adds up the orders of one account, day and column first and rounds the sums; so what
its parts come to for one order is not what the order alone would be. Some rules are known from examples alone.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import StrEnum

import msgspec

from money.charges.amounts import EXACT, Charges, goods_tax, total
from money.charges.rate import PAISA, RUPEE, InForce


class Rounding(StrEnum):
    """Who rounds, by name."""

    NONE = "none"  # nothing is rounded: what order_charges gives, added up
    VIRTUAL_NOTE = "virtual_note"  # Kite's virtual contract note: stamp duty alone is rounded
    CONTRACT_NOTE = "contract_note"  # the evening's note: taxes to the rows' units, all else to the paisa
    CALCULATOR = (
        "calculator"  # the brokerage calculator of 2026: STT and stamp duty to the rupee, all else to the paisa
    )


def note(
    charges: Sequence[Charges], rounding: Rounding, rates: InForce, *, transaction_tax: Decimal | None = None
) -> Charges:
    """Add up the charges of the orders of one account, day and column, and round the sums as is named.

    rates: in force for any of them, for the units of rounding and GST. transaction_tax: the exact sum in place of that
    of the orders, where it is known better (`intraday.taxed_by_exchange`).
    """
    exact = total(charges)
    if transaction_tax is not None:
        exact = msgspec.structs.replace(exact, transaction_tax=transaction_tax)
    match rounding:
        case Rounding.NONE:
            return exact
        case Rounding.VIRTUAL_NOTE:
            return _virtual(exact, rates)
        case Rounding.CONTRACT_NOTE:
            shown = max(exact.brokerage, rates.brokerage.note_least) if charges else exact.brokerage
            exact = msgspec.structs.replace(exact, brokerage=shown)
            return _printed(exact, rates, rates.transaction_tax.note_unit, rates.stamp.note_unit)
        case Rounding.CALCULATOR:
            return _printed(exact, rates, PAISA if exact.transaction_tax_type == "ctt" else RUPEE, RUPEE)


def _virtual(exact: Charges, rates: InForce) -> Charges:
    gst = rates.gst
    taxed = msgspec.structs.replace(gst, on=tuple(part for part in gst.on if part not in gst.virtual_without))
    stamp = _round(exact.stamp, rates.stamp.note_unit)
    return msgspec.structs.replace(exact, stamp=stamp, gst=goods_tax(exact, taxed))


def _printed(exact: Charges, rates: InForce, tax_unit: Decimal, stamp_unit: Decimal) -> Charges:
    """Round each line that is printed, and reckon GST on the lines as printed.

    The exchange's charge, the protection fund and clearing are one line, so what rounding adds to or takes from their
    sum lies in the later of them.
    """
    with localcontext(EXACT):
        with_fund = exact.exchange + exact.ipft
        exchange, funded, line = (_round(sum_) for sum_ in (exact.exchange, with_fund, with_fund + exact.clearing))
        rounded = msgspec.structs.replace(
            exact,
            brokerage=_round(exact.brokerage),
            transaction_tax=_round(exact.transaction_tax, tax_unit),
            exchange=exchange,
            ipft=funded - exchange,
            clearing=line - funded,
            sebi=_round(exact.sebi),
            stamp=_round(exact.stamp, stamp_unit),
        )
    return msgspec.structs.replace(rounded, gst=_round(goods_tax(rounded, rates.gst)))


def _round(amount: Decimal, unit: Decimal = PAISA) -> Decimal:
    """Round half up, to a multiple of the unit in its own digits."""
    with localcontext(EXACT):
        return amount.quantize(unit, ROUND_HALF_UP)
