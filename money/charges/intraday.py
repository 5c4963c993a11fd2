"""What of a day's shares was undone on the same day, and so is charged as intraday.

Shares that are bought and sold on one day on one exchange never reach the account, whatever product their orders had:
the exchange nets them, taxes the netted quantity as intraday, and the broker charges its intraday brokerage on it.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal, localcontext

from money.charges.amounts import EXACT, PERCENT
from money.charges.order import Order
from money.charges.rate import ZERO, Side, TransactionTax
from money.charges.tariff import DP_SEGMENTS, Tariff


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


def tax_on_shares(orders: Sequence[Order], tariff: Tariff) -> Decimal:
    """Give the exact tax on a day's orders in shares of one account, as the exchanges reckon it: scrip by scrip.

    Intraday orders of a scrip that is still open are taxed by themselves: what is open will be closed before the day
    ends.
    """
    scrips: dict[tuple[str, str, bool], list[Order]] = defaultdict(list)
    for order in orders:
        scrips[order.exchange, order.name, order.segment in DP_SEGMENTS].append(order)
    tax = ZERO
    for (_, _, delivers), of_scrip in scrips.items():
        left = sum((order.quantity if order.side == "BUY" else -order.quantity for order in of_scrip), ZERO)
        if left and not delivers:
            tax += sum((tariff.order_charges(order).transaction_tax for order in of_scrip), ZERO)
            continue
        day, exchange = of_scrip[0].day, of_scrip[0].exchange
        delivery = tariff.on(day, "equity_delivery", exchange).transaction_tax
        intraday = tariff.on(day, "equity_intraday", exchange).transaction_tax
        tax += taxed_by_exchange(of_scrip, delivery, intraday)
    return tax
