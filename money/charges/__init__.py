"""Charges by a dated tariff: pure, without a database.

tariff = Tariff.parse(shipped().text)
exact = tariff.order_charges(Order(day=..., exchange="NSE", segment="equity_intraday", side="BUY", fills=...))
of_trades = apportion(exact, order.turnovers)
evening = note([exact, ...], Rounding.CONTRACT_NOTE, tariff.on(day, segment, exchange))
left = tariff.dp_charge(day, "NSE", value=...)
"""

from money.charges.amounts import Charges, total
from money.charges.intraday import matched, tax_on_shares, taxed_by_exchange
from money.charges.order import Fill, Order
from money.charges.rounding import Rounding, note
from money.charges.segment import COLUMNS, Column, Exchange, Segment, name_of, segment_of
from money.charges.share import apportion
from money.charges.tariff import DpCharge, Tariff

__all__ = [
    "COLUMNS",
    "Charges",
    "Column",
    "DpCharge",
    "Exchange",
    "Fill",
    "Order",
    "Rounding",
    "Segment",
    "Tariff",
    "apportion",
    "matched",
    "name_of",
    "note",
    "segment_of",
    "tax_on_shares",
    "taxed_by_exchange",
    "total",
]
