"""What an account held before the first fill that is known, as its first snapshots tell.

Shares: what the depository had in the morning. `opening_quantity` is that where it is told; else what is there now,
with what has not come yet (T+1) and what is pledged. Contracts: the quantity carried over night, at what it was opened
for; Kite tells the values of all buys and of today's, and the difference is the lot's (Kite Connect v3, "Portfolio").
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from money.pnl.entry import WHOLE_DIGITS_MAX
from projectors.accounts.kite import SMALLEST, Row
from projectors.accounts.reading import Reading

SHARES = ("CNC", "MTF")  # products whose lots lie in the depository overnight: holdings tell of them
ZERO = Decimal(0)


def lots(found: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Give the first lots of an account: exchange, tradingsymbol, product, signed quantity, price."""
    shares = [
        _lot(row, row.columns["product"] or "CNC", _owned(row), row.columns["average_price"])
        for row in found.get("holdings", ())
    ]
    margin = [
        _lot(row, "MTF", on_margin(mtf), Reading(mtf).number("average_price"))
        for row in found.get("holdings", ())
        if row.columns["product"] != "MTF" and (mtf := Reading(row.raw).fields("mtf"))
    ]
    contracts = [
        _lot(row, row.columns["product"], row.columns["overnight_quantity"], _carried_at(row))
        for row in found.get("positions", ())
        if row.columns["product"] not in SHARES
    ]
    return [lot for lot in (*shares, *margin, *contracts) if abs(lot["quantity"]) >= SMALLEST]


def _lot(row: Row, product: str, quantity: Decimal, price: Decimal | None) -> dict[str, Any]:
    what = {name: row.columns[name] for name in ("exchange", "tradingsymbol")}
    return {**what, "product": product, "quantity": quantity, "price": price or ZERO}


def _owned(row: Row) -> Decimal:
    names = ("quantity", "t1_quantity", "collateral_quantity", "opening_quantity")
    return in_the_morning(*(row.columns[name] for name in names))


def in_the_morning(
    quantity: Decimal | None, t1_quantity: Decimal | None, collateral: Decimal | None, opening: Decimal | None
) -> Decimal:
    """Give what the depository had of a share when the day began."""
    return max(opening or ZERO, (quantity or ZERO) + (t1_quantity or ZERO) + (collateral or ZERO))


def on_margin(mtf: Mapping[str, Any]) -> Decimal:
    """Give what of a share was held on margin (MTF) when the day began: what is left, and what of it was sold today.

    Kite keeps it in an object of its own within the holding; that a sale of it lowers `quantity` is as with `used`
    shares, and was not seen.
    """
    told = Reading(dict(mtf))
    return told.amount("quantity") + told.amount("used_quantity")


def _carried_at(row: Row) -> Decimal | None:
    """Give the price at which a carried quantity was opened, for one unit."""
    told, raw = row.columns, Reading(row.raw)
    overnight, side = told["overnight_quantity"], "buy" if told["overnight_quantity"] > 0 else "sell"
    value, today = told[f"{side}_value"], raw.number(f"day_{side}_value")
    price: Decimal | None = told["average_price"] or told["close_price"]
    if overnight and value is not None and today is not None:
        found = (value - today) / (abs(overnight) * told["multiplier"])
        price = found if found.adjusted() < WHOLE_DIGITS_MAX else price
    return price
