"""How exact charges become the amounts of a paper: of a contract note, of Kite's virtual one, of the calculator.

A contract note adds up the orders of one account, day, segment and exchange first and rounds the sums; so what its
parts come to for one order is not what the order alone would be. Some rules are known from examples alone.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import StrEnum

import msgspec

from projectors.charges.amounts import EXACT, Charges, goods_tax, total
from projectors.charges.rate import Gst

RUPEE = Decimal(1)
PAISA = Decimal("0.01")


class Rounding(StrEnum):
    """Who rounds, by name."""

    NONE = "none"  # nothing is rounded: what order_charges gives, added up
    VIRTUAL_NOTE = "virtual_note"  # Kite's virtual contract note: see _virtual
    CONTRACT_NOTE = "contract_note"  # the evening's note: STT, CTT and stamp duty to the rupee, all else to the paisa
    CALCULATOR = "calculator"  # the brokerage calculator: STT to the rupee, CTT and all else to the paisa


def note(charges: Sequence[Charges], rounding: Rounding, gst: Gst) -> Charges:
    """Add up the charges of the orders of one account, day, segment and exchange, and round the sums as is named."""
    exact = total(charges)
    if rounding is Rounding.NONE:
        return exact
    if rounding is Rounding.VIRTUAL_NOTE:
        return _virtual(exact, gst)
    taxed_in_paise = rounding is Rounding.CALCULATOR and exact.transaction_tax_type == "ctt"
    tax_unit = PAISA if taxed_in_paise else RUPEE
    return _printed(exact, gst, tax_unit, RUPEE if rounding is Rounding.CONTRACT_NOTE else PAISA)


def _virtual(exact: Charges, gst: Gst) -> Charges:
    """Leave all as it is but for stamp duty, in whole rupees, and GST, which leaves the protection fund out."""
    without = msgspec.structs.replace(gst, on=tuple(part for part in gst.on if part != "ipft"))
    return msgspec.structs.replace(exact, stamp=_round(exact.stamp, RUPEE), gst=goods_tax(exact, without))


def _printed(exact: Charges, gst: Gst, tax_unit: Decimal, stamp_unit: Decimal) -> Charges:
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
    return msgspec.structs.replace(rounded, gst=_round(goods_tax(rounded, gst)))


def _round(amount: Decimal, unit: Decimal = PAISA) -> Decimal:
    """Round half up, to a multiple of the unit in its own digits."""
    with localcontext(EXACT):
        return amount.quantize(unit, ROUND_HALF_UP)
