"""What of a day's shares was undone on the same day, and so is charged as intraday.

Shares that are bought and sold on one day on one exchange never reach the account, whatever product their orders had:
the exchange nets them, taxes the netted quantity as intraday, and the broker charges its intraday brokerage on it.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext

from money.charges.amounts import EXACT, PERCENT
from money.charges.order import Order
from money.charges.rate import ZERO, Side, TransactionTax


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


def taxed_by_exchange(orders: Sequence[Order], delivery: TransactionTax, intraday: TransactionTax) -> Decimal:
    """Give the exact tax on all orders of one account, scrip, exchange and day, as the exchange reckons it.

    It taxes quantities at one price: the average of everything bought and sold. Each order's own price, by which
    `charge` goes, gives about the same, and may be a rupee off once rounded.
    """
    with localcontext(EXACT):
        bought = sum((order.quantity for order in orders if order.side == "BUY"), ZERO)
        sold = sum((order.quantity for order in orders if order.side == "SELL"), ZERO)
        if not bought + sold:
            return ZERO
        average = sum((sum(order.turnovers, ZERO) for order in orders), ZERO) / (bought + sold)
        undone = min(bought, sold) * len(intraday.sides) * intraday.percent
        kept = abs(bought - sold) * delivery.percent
        return average * (undone + kept) * PERCENT
