"""Charges of a whole shared out over its parts: a note's over its orders, an order's over its trades.

Each part gets its share by turnover, cut at `unit`; what was cut from one is given to the next, so that the shares are
always the whole again and the last part takes what remains. No share is off by a unit or more.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal, localcontext

from money.charges.amounts import EXACT, PARTS, Charges
from money.charges.rate import PAISA, ZERO


def apportion(charges: Charges, turnovers: Sequence[Decimal], unit: Decimal = PAISA) -> list[Charges]:
    """Give each turnover its charges, in the same order; their sums are the whole's, exactly.

    unit: rupees, what each share is a multiple of, but for the last one's. Turnovers of nothing share evenly.
    """
    assert turnovers, "charges are of something"
    weights = list(turnovers) if any(turnovers) else [Decimal(1)] * len(turnovers)
    shares = {part: shared(getattr(charges, part), weights, unit) for part in PARTS}
    return [
        Charges(**{part: shares[part][at] for part in PARTS}, transaction_tax_type=charges.transaction_tax_type)
        for at in range(len(weights))
    ]


def shared(amount: Decimal, weights: Sequence[Decimal], unit: Decimal = PAISA) -> list[Decimal]:
    """Give each weight its part of an amount, in the same order; their sum is the amount, exactly."""
    given, seen, shares = ZERO, ZERO, []
    with localcontext(EXACT):
        whole = sum(weights, ZERO)
        for weight in weights[:-1]:
            seen += weight
            due = (amount * seen / whole / unit).to_integral_value(ROUND_FLOOR) * unit
            shares.append(due - given)
            given = due
        return [*shares, amount - given]
