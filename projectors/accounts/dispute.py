"""Which charges of the newest day the broker reckons otherwise than our table of charges does.

Promise: a table whose rows are those by which the broker reckons disputes nothing. Each order is reckoned as Kite's
virtual contract note reckons: by itself, unrounded but for stamp duty. What no table of ours is about is disputed by
nobody.

    shares, one side only    an order for delivery is delivery; an intraday one is shown as delivery until it is closed
    shares, both sides       what was bought and sold on the day is intraday, whatever its product; which part of which
                             order Kite takes for that is not documented
    all else                 by its product and symbol

So an order of shares may lie anywhere between two readings of it, and is disputed where it lies outside.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple, cast

import msgspec

from money.charges import Charges, Fill, Order, Rounding, Segment, Tariff, name_of, note, segment_of
from money.charges.amounts import Part
from money.charges.rate import RUPEE
from money.charges.segment import Exchange
from projectors.accounts.charging import Multipliers, parsed
from projectors.accounts.compared import ZERO, Divergence, Key
from projectors.accounts.parameters import text
from projectors.accounts.touched import Touched
from runtime.errors import BahiError
from sql.store import Rows

# Kite's figures are doubles of some ten digits. A paisa is what brokers show of a delivery order without brokerage, as
# Kite did in 2022, and more than what is lost where amounts are rounded.
TOLERANCE = Decimal("0.01")
STAMP_TOLERANCE = TOLERANCE + RUPEE / 2  # Kite rounds it to the rupee
ORDERS_SHOWN_MAX = 20  # in the evidence of a line: a wrong rate is wrong for each
# What the note shows as one, of ours.
COMPONENTS: Mapping[str, tuple[Part, ...]] = {
    "brokerage": ("brokerage",),
    "transaction_tax": ("transaction_tax",),
    "exchange_charge": ("exchange", "ipft", "clearing"),
    "sebi": ("sebi",),
    "stamp": ("stamp",),
    "gst": ("gst",),
}
DELIVERY: Segment = "equity_delivery"
INTRADAY: Segment = "equity_intraday"


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the broker was asked about it, and what it says that it costs; None where it does not say.

    n: orders with the same one were asked about together.
    """

    day: date
    order_id: str
    exchange: str
    tradingsymbol: str
    product: str
    side: str
    quantity: Decimal
    average_price: Decimal
    brokerage: Decimal | None
    transaction_tax: Decimal | None
    exchange_charge: Decimal | None
    sebi: Decimal | None
    stamp: Decimal | None
    gst: Decimal | None
    n: int

    @property
    def theirs(self) -> dict[str, Decimal]:
        """Give what the broker says, by component."""
        told = {name: getattr(self, name) for name in COMPONENTS}
        return {name: amount for name, amount in told.items() if amount is not None}

    @property
    def line(self) -> Key:
        """Name its instrument and product."""
        return self.exchange, self.tradingsymbol, self.product


class Disputed(Noted, frozen=True, kw_only=True):
    """One that we reckon otherwise. ours: by component, as JSON."""

    ours: str
    answered_at: datetime


class Read(NamedTuple):
    """One reading of an order: what it costs exactly, and as the note would show it."""

    exact: Mapping[str, Decimal]
    shown: Mapping[str, Decimal]


class Sides(msgspec.Struct):
    """What was bought and sold of a scrip, of all that was asked about together."""

    bought: Decimal = ZERO
    sold: Decimal = ZERO


async def dispute(rows: Rows, touched: Touched, multipliers: Multipliers) -> None:
    """Compare the newest note of each account that was touched."""
    if not touched.notes:
        return
    told = await rows.run("read_tariffs", {"accounts": sorted(touched.notes)})
    tariffs = {row["account_id"]: (row["sha256"], row["text"]) for row in told}
    for account in sorted(touched.notes):
        about = {"account": account}
        noted = [msgspec.convert(row, Noted) for row in await rows.run("read_note", about)]
        await rows.run("drop_disputes", about)
        found = disputes(noted, tariffs.get(account), multipliers)
        if found:
            listed = [{"order_id": order_id, "ours": ours} for order_id, ours in found.items()]
            await rows.run("keep_disputes", {**about, "day": noted[0].day, "rows": text(listed)})


def disputes(
    noted: Sequence[Noted], tariff: tuple[str, str] | None, multipliers: Multipliers
) -> dict[str, Mapping[str, Decimal]]:
    """Give what orders of one day cost by our table where the broker says otherwise, by order and component.

    tariff: its checksum and text, None where the broker has none.
    """
    if tariff is None:
        return {}
    found: dict[str, Mapping[str, Decimal]] = {}
    sides = _sides(noted)
    for each in noted:
        try:
            sheet = parsed(*tariff)
            multiplier = multipliers.get((each.exchange, each.tradingsymbol), Decimal(1))
            segments = _segments(each, sides[each.n, each.exchange, each.tradingsymbol])
            readings = [_read(each, segment, sheet, multiplier) for segment in segments]
        except (BahiError, ArithmeticError):  # its trades are in `uncharged`, which says why
            continue
        if not _agrees(each.theirs, readings):
            found[each.order_id] = min(readings, key=lambda one: _distance(one, each.theirs)).shown
    return found


def _sides(noted: Iterable[Noted]) -> Mapping[tuple[int, str, str], Sides]:
    found: dict[tuple[int, str, str], Sides] = defaultdict(Sides)
    for each in noted:
        of = found[each.n, each.exchange, each.tradingsymbol]
        if each.side == "BUY":
            of.bought += each.quantity
        else:
            of.sold += each.quantity
    return found


def _segments(each: Noted, sides: Sides) -> list[Segment]:
    """Give what the order may be charged as, its own segment first."""
    own = segment_of(each.exchange, each.product, each.tradingsymbol)
    if own == INTRADAY and sides.bought != sides.sold:
        return [own, DELIVERY]
    if own == DELIVERY and sides.bought and sides.sold:
        return [own, INTRADAY]
    return [own]


def _read(each: Noted, segment: Segment, tariff: Tariff, multiplier: Decimal) -> Read:
    order = Order(
        day=each.day,
        exchange=cast(Exchange, each.exchange),
        segment=segment,
        side="BUY" if each.side == "BUY" else "SELL",
        fills=(Fill(each.quantity, each.average_price),),
        name=name_of(each.tradingsymbol),
        multiplier=multiplier,
    )
    exact = tariff.order_charges(order)
    rates = tariff.on(order.day, order.segment, order.exchange, order.name)
    return Read(_components(exact), _components(note([exact], Rounding.VIRTUAL_NOTE, rates)))


def _components(charges: Charges) -> dict[str, Decimal]:
    return {name: sum((getattr(charges, part) for part in parts), ZERO) for name, parts in COMPONENTS.items()}


def _agrees(theirs: Mapping[str, Decimal], readings: Sequence[Read]) -> bool:
    for name, amount in theirs.items():
        ours = [each.exact[name] if name == "stamp" else each.shown[name] for each in readings]
        tolerance = STAMP_TOLERANCE if name == "stamp" else TOLERANCE
        if not min(ours) - tolerance <= amount <= max(ours) + tolerance:
            return False
    return True


def _distance(one: Read, theirs: Mapping[str, Decimal]) -> Decimal:
    return sum((abs(one.shown[name] - amount) for name, amount in theirs.items()), ZERO)


def divergences(disputed: Iterable[Disputed]) -> list[Divergence]:
    """Say it line by line; the orders stand in the order of their lines."""
    return [_divergence(line, list(orders)) for line, orders in groupby(disputed, key=lambda each: each.line)]


def _divergence(line: Key, orders: Sequence[Disputed]) -> Divergence:
    components: dict[str, dict[str, Decimal]] = {}
    listed: list[dict[str, Any]] = []
    for each in orders:
        reckoned, theirs = msgspec.json.decode(each.ours, type=dict[str, Decimal]), each.theirs
        ours = {name: reckoned[name] for name in theirs}
        for name in theirs:
            both = components.setdefault(name, {"ours": ZERO, "theirs": ZERO})
            both["ours"] += ours[name]
            both["theirs"] += theirs[name]
        what = {name: getattr(each, name) for name in ("order_id", "side", "quantity", "average_price")}
        listed.append({**what, "ours": sum(ours.values(), ZERO), "theirs": sum(theirs.values(), ZERO)})
    evidence = {
        "day": orders[0].day,
        "components": components,
        "orders": listed[:ORDERS_SHOWN_MAX],
        "orders_count": len(listed),
        "note_answered_at": max(each.answered_at for each in orders),
    }
    total = {side: sum((both[side] for both in components.values()), ZERO) for side in ("ours", "theirs")}
    return Divergence(*line, "charge", total["ours"], total["theirs"], evidence)
