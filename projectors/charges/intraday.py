"""What of a day's delivery orders was undone on the same day, and so is charged as intraday.

Shares that are bought and sold on one day on one exchange never reach the account, whatever product their orders had:
the exchange nets them, taxes the netted quantity as intraday, and the broker charges its intraday brokerage on it.
"""

from collections.abc import Sequence
from decimal import Decimal

from projectors.charges.rate import ZERO, Side


def matched(orders: Sequence[tuple[Side, Decimal]]) -> list[Decimal]:
    """Give how much of each order was undone, in the same order: orders of one account, scrip, exchange and day.

    The smaller side is undone whole, of the other its first orders, in the order given.
    """
    sides: dict[Side, Decimal] = {"BUY": ZERO, "SELL": ZERO}
    for side, quantity in orders:
        sides[side] += quantity
    left = dict.fromkeys(sides, min(sides.values()))
    undone = []
    for side, quantity in orders:
        undone.append(min(quantity, left[side]))
        left[side] -= undone[-1]
    return undone
