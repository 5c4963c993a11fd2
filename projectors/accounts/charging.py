"""Reckons what the trades of a day cost, as the day's contract note does, and gives each trade its share.

A note adds up the orders of one account, day and column (`charges.COLUMNS`) and rounds the sums; what that adds or
takes is shared out again, each kind of charge by what it was for each order, and an order's by its trades' turnover.
So the charges of the trades add up to the notes, to the paisa. What the depository takes of a scrip is shared by the
quantities sold.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, cast

from money.charges import (
    COLUMNS,
    Charges,
    Column,
    Fill,
    Order,
    Rounding,
    Tariff,
    apportion,
    matched,
    name_of,
    note,
    segment_of,
    tax_on_shares,
)
from money.charges.amounts import PARTS
from money.charges.rate import PAISA
from money.charges.segment import Exchange, Segment
from money.charges.share import shared
from money.charges.tariff import DP_SEGMENTS
from money.pnl.entry import exact, natural
from projectors.accounts.parameters import text
from projectors.accounts.touched import Touched
from runtime.errors import BahiError
from sql.store import Rows

TARIFFS_MAX = 8  # read and kept: a user has one or two brokers
ZERO = Decimal(0)
Row = Mapping[str, Any]
Multipliers = Mapping[tuple[str, str], Decimal]


class Executed(NamedTuple):
    """One order's trades of the day, in order, and where they stand in the tariff."""

    segment: Segment
    exchange: str
    symbol: str
    side: Any
    trades: list[Row]

    @property
    def quantity(self) -> Decimal:
        """Give what was executed."""
        return sum((exact(row["quantity"]) for row in self.trades), ZERO)


class Reckoned(NamedTuple):
    """An order, and what it is charged before anything is rounded."""

    executed: Executed
    order: Order
    exact: Charges


@lru_cache(TARIFFS_MAX)
def parsed(_: str, text: str) -> Tariff:
    """Read a table of charges; its checksum comes first. Raises SettingError."""
    return Tariff.parse(text)


async def charge(rows: Rows, touched: Touched, multipliers: Multipliers) -> None:
    """Reckon the days that were touched anew. A day that cannot be reckoned says so in `uncharged`."""
    if not touched.days:
        return
    told = await rows.run("read_tariffs", {"accounts": sorted(touched.days)})
    tariffs = {row["account_id"]: (row["sha256"], row["text"]) for row in told}
    for account, days in sorted(touched.days.items()):
        for day in sorted(days):
            about = {"account": account, "day": day}
            trades = await rows.run("day_trades", about)
            await rows.run("drop_charges", about)
            await rows.run("drop_uncharged", about)
            found, errors = day_charges(day, trades, tariffs.get(account), multipliers)
            if found:
                await rows.run("keep_charges", {**about, "rows": text(found)})
            if errors:
                listed = [{"exchange": exchange, "error": error} for exchange, error in sorted(errors.items())]
                await rows.run("keep_uncharged", {**about, "rows": text(listed)})


def day_charges(
    day: date, trades: Sequence[Row], tariff: tuple[str, str] | None, multipliers: Multipliers
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Give the charges of an account's trades of a day, and by exchange why some cannot be reckoned.

    tariff: its checksum and text, None where the broker has none.
    """
    if not trades:
        return [], {}
    if tariff is None:
        exchanges = {row["exchange"] for row in trades}
        return [], dict.fromkeys(exchanges, "wanted a table of charges of this broker; found none; set one")
    by_exchange: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(trades, key=lambda each: (each["time"], natural(each["trade_id"]), each["order_id"])):
        by_exchange[row["exchange"]].append(row)
    errors: dict[str, str] = {}
    columns: dict[Column, list[Reckoned]] = defaultdict(list)
    dp: dict[tuple[str, str, str], Decimal] = {}
    for exchange, listed in sorted(by_exchange.items()):
        try:
            sheet = parsed(*tariff)
            orders = _orders(listed)
            undone = _undone(orders)
            dp |= _depository(day, orders, undone, sheet)
            for each, back in zip(orders, undone, strict=True):
                # One that cannot be reckoned leaves out its exchange alone.
                order = _order(day, each, back, multipliers)
                columns[COLUMNS[each.segment]].append(Reckoned(each, order, sheet.order_charges(order)))
        except (BahiError, ArithmeticError) as error:  # kept where users see it; the fills count all the same
            errors[exchange] = _said(error)
    found = []
    for ordered in columns.values():
        kept = [each for each in ordered if each.order.exchange not in errors]
        try:
            found += _note(day, kept, parsed(*tariff), dp) if kept else []
        except (BahiError, ArithmeticError) as error:  # an exchange is in one column only
            errors |= dict.fromkeys((each.order.exchange for each in kept), _said(error))
    return found, errors


def _said(error: BahiError | ArithmeticError) -> str:
    return str(error) or type(error).__name__


def _order(day: date, each: Executed, undone: Decimal, multipliers: Multipliers) -> Order:
    return Order(
        day=day,
        exchange=cast(Exchange, each.exchange),
        segment=each.segment,
        side=each.side,
        fills=tuple(Fill(exact(row["quantity"]), exact(row["price"])) for row in each.trades),
        name=name_of(each.symbol),
        multiplier=multipliers.get((each.exchange, each.symbol), Decimal(1)),
        intraday=undone,
    )


def _note(
    day: date,
    ordered: Sequence[Reckoned],
    tariff: Tariff,
    dp: Mapping[tuple[str, str, str], Decimal],
) -> list[dict[str, Any]]:
    """Reckon one column of the day's note, and share it out over its trades."""
    exact_charges = [each.exact for each in ordered]
    first = ordered[0].order
    rates = tariff.on(day, first.segment, first.exchange)
    tax = tax_on_shares([each.order for each in ordered], tariff) if COLUMNS[first.segment] == "cash" else None
    shares = _shared(note(exact_charges, Rounding.CONTRACT_NOTE, rates, transaction_tax=tax), exact_charges)
    return [
        _columns(row, order.segment, own, dp.get((order.exchange, row["order_id"], row["trade_id"]), ZERO))
        for (each, order, _), charges in zip(ordered, shares, strict=True)
        for row, own in zip(each.trades, apportion(charges, order.turnovers), strict=True)
    ]


def _orders(trades: Sequence[Row]) -> list[Executed]:
    orders: dict[tuple[str, ...], Executed] = {}
    for row in trades:
        key = (row["order_id"], row["tradingsymbol"], row["product"], row["side"])
        if key not in orders:
            segment = segment_of(row["exchange"], row["product"], row["tradingsymbol"])
            orders[key] = Executed(segment, row["exchange"], row["tradingsymbol"], row["side"], [])
        orders[key].trades.append(row)
    return list(orders.values())


def _undone(orders: Sequence[Executed]) -> list[Decimal]:
    """Give how much of each delivery order was undone on the same day, and so is charged as intraday."""
    found = [ZERO] * len(orders)
    for symbol in {each.symbol for each in orders}:
        places = [at for at, each in enumerate(orders) if each.symbol == symbol and each.segment in DP_SEGMENTS]
        for at, quantity in zip(
            places, matched([(orders[at].side, orders[at].quantity) for at in places]), strict=True
        ):
            found[at] = quantity
    return found


def _depository(
    day: date, orders: Sequence[Executed], undone: Sequence[Decimal], tariff: Tariff
) -> dict[tuple[str, str, str], Decimal]:
    """Give what the depository takes for shares that leave the account, by the trade that sold them."""
    sold: dict[tuple[str, Segment], list[tuple[Row, Decimal]]] = defaultdict(list)
    for each, back in zip(orders, undone, strict=True):
        leaves = each.quantity - back
        if each.segment in DP_SEGMENTS and each.side == "SELL" and leaves:
            for row, part in zip(each.trades, shared(leaves, [exact(t["quantity"]) for t in each.trades]), strict=True):
                sold[each.symbol, each.segment].append((row, part))
    found: dict[tuple[str, str, str], Decimal] = {}
    for (_, segment), parts in sold.items():
        exchange = cast(Exchange, parts[0][0]["exchange"])
        value = sum((part * exact(row["price"]) for row, part in parts), ZERO)
        amount = tariff.dp_charge(day, exchange, value=value, segment=segment).total.quantize(PAISA)
        for (row, _), own in zip(parts, shared(amount, [part for _, part in parts]), strict=True):
            found[exchange, row["order_id"], row["trade_id"]] = own
    return found


def _shared(rounded: Charges, exact_charges: Sequence[Charges]) -> list[Charges]:
    """Share a note's rounded sums out over its orders, each kind by what it was for each."""
    parts = {
        part: shared(getattr(rounded, part), _weights([getattr(each, part) for each in exact_charges]))
        for part in PARTS
    }
    return [
        Charges(**{part: parts[part][at] for part in PARTS}, transaction_tax_type=each.transaction_tax_type)
        for at, each in enumerate(exact_charges)
    ]


def _weights(amounts: list[Decimal]) -> list[Decimal]:
    return amounts if any(amounts) else [Decimal(1)] * len(amounts)


def _columns(row: Row, segment: str, own: Charges, dp: Decimal) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("exchange", "order_id", "trade_id")},
        "segment": segment,
        **{part if part != "exchange" else "exchange_charge": getattr(own, part) for part in PARTS},
        "transaction_tax_type": own.transaction_tax_type,
        "dp": dp,
        "total": own.total + dp,
    }
