"""The accounts' tables held against the sandbox's own books, to the paisa.

The books are those of the sandbox's day. What a line has brought is compared where its books began on that day: over
midnight in India the sandbox begins anew, and the tables go on.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.stack import Stack

PNL_PRECISION = Decimal("0.01")
"""Kite gives a position's gain as a binary fraction: it is right to the paisa, and no further."""

NS_PER_SECOND = 1_000_000_000
Book = dict[str, Any]


def differences(stack: Stack) -> list[str]:
    """Return what differs; nothing where all tables say what the books say."""
    users = [user for (user,) in stack.query("select account_id from trading_accounts order by 1")]
    # One by one: the books of hundreds are hundreds of megabytes.
    books = (book for user in users for book in stack.ask_sandbox(f"/sandbox/books?user_id={user}"))
    return [said for book in books for said in _of_user(stack, book)]


def _of_user(stack: Stack, book: Book) -> Iterator[str]:
    user, day = book["user_id"], book["day"]
    ((began,),) = stack.query("select coalesce(min(day), %s) from trades where account_id = %s", day, user)
    for what, wanted, found in (
        ("orders", _orders(book), _kept_orders(stack, user, day)),
        ("trades", _trades(book), _kept_trades(stack, user, day)),
        ("positions", _positions(book), _kept_positions(stack, user)),
        ("holdings", _holdings(book), _kept_holdings(stack, user)),
        ("cash", {"equity": Decimal(book["cash"])}, _kept_cash(stack, user)),
        ("charges", Decimal(book["charges"]["total"]), _kept_charges(stack, user, day)),
        *((("lines", _lines(book), _kept_lines(stack, user)),) if str(began) == day else ()),
    ):
        if wanted != found:
            yield f"{user}: {what}: wanted {_apart(wanted, found)}; found {_apart(found, wanted)}"
    yield from _gains(stack, user)


def _apart(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {key: value for key, value in one.items() if other.get(key) != value}
    return one


def _orders(book: Book) -> dict[str, tuple[Any, ...]]:
    return {
        each["order_id"]: (
            each["status"],
            each["side"],
            Decimal(each["quantity"]),
            Decimal(each["filled"]),
            round(Decimal(each["average"]), 4),
            tuple(each["tags"]),
        )
        for each in book["orders"]
    }


def _kept_orders(stack: Stack, user: str, day: str) -> dict[str, tuple[Any, ...]]:
    rows = stack.query(
        "select order_id, status, side, quantity, filled_quantity, average_price, tags from orders"
        " where account_id = %s and day = %s and absent_since is null",
        user,
        day,
    )
    return {row[0]: (*row[1:5], round(row[5], 4), tuple(row[6])) for row in rows}


def _trades(book: Book) -> dict[tuple[str, ...], tuple[Any, ...]]:
    return {
        (each["exchange"], each["order_id"], each["trade_id"]): (
            each["tradingsymbol"],
            each["product"],
            each["side"],
            Decimal(each["quantity"]),
            Decimal(each["price"]),
            each["at_ns"] // NS_PER_SECOND,
        )
        for each in book["trades"]
    }


def _kept_trades(stack: Stack, user: str, day: str) -> dict[tuple[str, ...], tuple[Any, ...]]:
    rows = stack.query(
        "select exchange, order_id, trade_id, tradingsymbol, product, side, quantity, price,"
        " extract(epoch from time)::bigint from trades where account_id = %s and day = %s and absent_since is null",
        user,
        day,
    )
    found = {tuple(row[:3]): tuple(row[3:]) for row in rows}
    assert len(found) == len(rows), "a trade stands once"
    return found


def _positions(book: Book) -> dict[tuple[str, ...], Decimal]:
    return {
        (each["exchange"], each["tradingsymbol"], each["product"]): Decimal(each["quantity"])
        for each in book["positions"]
    }


def _kept_positions(stack: Stack, user: str) -> dict[tuple[str, ...], Decimal]:
    rows = stack.query("select exchange, tradingsymbol, product, quantity from positions where account_id = %s", user)
    return {tuple(row[:3]): row[3] for row in rows}


def _holdings(book: Book) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    return {
        (each["exchange"], each["tradingsymbol"]): (Decimal(each["quantity"]), Decimal(each["t1_quantity"]))
        for each in book["holdings"]
    }


def _kept_holdings(stack: Stack, user: str) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    rows = stack.query(
        "select exchange, tradingsymbol, quantity, t1_quantity from holdings where account_id = %s", user
    )
    return {tuple(row[:2]): (row[2], row[3]) for row in rows}


def _kept_cash(stack: Stack, user: str) -> dict[str, Decimal]:
    rows = stack.query(
        "select segment, (available ->> 'cash')::numeric from margins where account_id = %s and segment = 'equity'",
        user,
    )
    return dict(rows)


def _kept_charges(stack: Stack, user: str, day: str) -> Decimal:
    ((total,),) = stack.query(
        "select coalesce(sum(total), 0) from trade_charges where account_id = %s and day = %s", user, day
    )
    return Decimal(total)


def _lines(book: Book) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    """Give of each instrument and product what is open, and the cash that moved: the same whoever matches what."""
    worth = {
        (each["exchange"], each["tradingsymbol"], each["product"]): Decimal(each["last_price"]) * each["multiplier"]
        for each in book["positions"]
    }
    worth |= {
        (each["exchange"], each["tradingsymbol"], "CNC"): Decimal(each["last_price"]) for each in book["holdings"]
    }
    found: dict[tuple[str, ...], tuple[Decimal, Decimal]] = {}
    for each in book["gains"]:
        key = (each["exchange"], each["tradingsymbol"], each["product"])
        gain = Decimal(each["realised"]) + Decimal(each["unrealised"])
        found[key] = (Decimal(each["quantity"]), round(gain - each["quantity"] * worth[key], 6))
    return found


def _kept_lines(stack: Stack, user: str) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    rows = stack.query(
        "select exchange, tradingsymbol, product, sum(quantity), sum(realised_fifo - fifo_value) from books"
        " where account_id = %s and not draft group by 1, 2, 3",
        user,
    )
    return {tuple(row[:3]): (row[3], round(row[4], 6)) for row in rows}


def _gains(stack: Stack, user: str) -> Iterator[str]:
    """Hold what the strategies won together, at the broker's last price, against the broker's own figure.

    Not of shares that were held when the day began: the broker's position of those that are sold knows no cost.
    """
    rows = stack.query(
        "select exchange, tradingsymbol, product, sum(realised_fifo + unrealised_fifo), max(positions.pnl)"
        " from strategy_positions join positions using (account_id, exchange, tradingsymbol, product)"
        " where account_id = %s and not draft and overnight_quantity = 0 and (product <> 'CNC'"
        " or (account_id, exchange, tradingsymbol) not in (select account_id, exchange, tradingsymbol from holdings))"
        " group by 1, 2, 3",
        user,
    )
    for exchange, symbol, product, ours, theirs in rows:
        if abs(ours - theirs) > PNL_PRECISION:
            yield f"{user}: gain of {exchange}:{symbol} {product}: wanted {theirs}; found {ours}"
