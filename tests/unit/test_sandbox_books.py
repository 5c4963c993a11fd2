"""Books of the sandbox: money and shares add up over trades and days, whatever was traded."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ops.sandbox.accounts import margin, shown
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.desk import OPENING_CASH, Desk
from ops.sandbox.accounts.ledger import Entered, Filled, Opening, Placed
from ops.sandbox.accounts.order import CNC, MIS, NRML, OPEN, REJECTED, Terms
from ops.sandbox.envelope import Refusal
from ops.sandbox.market import Market
from tests.books import wealth

USER = "SB0001"
MONDAY = date(2026, 4, 13)
DAY_NS = 86_400 * 10**9
NOON_NS = 1_776_061_800 * 10**9  # 2026-04-13 12:00 IST
LISTED = {
    1: ("NSE", "INFY", CNC),
    2: ("NSE", "TCS", MIS),
    3: ("NFO", "NIFTY26APRFUT", NRML),
    4: ("NFO", "NIFTY26APR24000CE", NRML),
    5: ("MCX", "GOLD26JUNFUT", NRML),
}
Prices = dict[int, Decimal]
Wish = tuple[int, bool, int, Decimal]  # token, whether it is bought, quantity, price
PRICES = st.decimals(min_value="0.05", max_value="5000", places=2)
TRADES = st.lists(st.tuples(st.sampled_from(sorted(LISTED)), st.booleans(), st.integers(1, 50), PRICES), max_size=12)
DAYS = st.lists(st.tuples(TRADES, st.fixed_dictionaries(dict.fromkeys(LISTED, PRICES))), min_size=1, max_size=4)


def trade(book: Book, number: int, token: int, quantity: int, price: Decimal, *, is_buy: bool) -> None:
    """Let an order be placed and filled."""
    exchange, symbol, product = LISTED[token]
    terms = Terms(exchange, symbol, token, "BUY" if is_buy else "SELL", quantity, product, "MARKET")
    order_id = f"order {number}"
    for entry in (
        Placed(USER, number, order_id, f"x{number}", terms),
        Entered(USER, number, order_id, OPEN),
        Filled(USER, number, order_id, f"t{number}", quantity, price),
    ):
        book.apply(entry)


def flatten(book: Book, number: int, prices: Prices) -> None:
    """Close what is intraday, as the desk does in the evening."""
    for position in [each for each in book.positions.values() if each.product == MIS and each.quantity]:
        is_buy, token = position.quantity < 0, position.instrument_token
        trade(book, number, token, abs(position.quantity), prices[token], is_buy=is_buy)


def days(*trades: tuple[int, bool, int]) -> list[tuple[list[Wish], Prices]]:
    """Give one day at one price."""
    return [([(*each, Decimal(1)) for each in trades], dict.fromkeys(LISTED, Decimal(1)))]


@given(DAYS)
@example(days((1, True, 1), (1, False, 1), (1, False, 1)))
@example([*days((1, True, 3)), *days((1, True, 10), (1, False, 5)), *days((1, False, 8))])
def test_nothing_is_made_or_lost_over_night(played: list[tuple[list[Wish], Prices]]) -> None:
    book, number = Book(USER), 0
    book.apply(Opening(USER, 0, MONDAY, Decimal(1000)))
    for place, (trades, closes) in enumerate(played):
        for token, is_buy, quantity, price in trades:
            if LISTED[token][2] == CNC and not is_buy and book.sellable("NSE", "INFY") < quantity:
                continue
            number += 1
            before = wealth(book, closes.__getitem__)
            trade(book, number, token, quantity, price, is_buy=is_buy)
            units = book.position(*LISTED[token], token).multiplier
            gained = (closes[token] - price) * quantity * units * (1 if is_buy else -1)
            assert wealth(book, closes.__getitem__) == before + gained
        number += 1
        flatten(book, number, closes)
        before = wealth(book, closes.__getitem__)
        shares = sum(holding.quantity + holding.t1_quantity for holding in book.holdings.values())
        moved = sum(each.quantity for each in book.positions.values() if each.product == CNC)
        book.apply(book.next_opening(MONDAY + timedelta(place + 1), 0, closes, set(LISTED)))
        assert wealth(book, closes.__getitem__) == pytest.approx(before, abs=Decimal("0.0001"))
        assert sum(each.quantity + each.t1_quantity for each in book.holdings.values()) == shares + moved


@given(TRADES, st.fixed_dictionaries(dict.fromkeys(LISTED, PRICES)))
def test_kites_figures_of_a_position_add_up(trades: list[Wish], prices: Prices) -> None:
    book = Book(USER)
    book.apply(Opening(USER, 0, MONDAY, Decimal(0)))
    for number, (token, is_buy, quantity, price) in enumerate(trades):
        trade(book, number, token, quantity, price, is_buy=is_buy)
    for each in _net(book, prices):
        last = each["last_price"] * each["quantity"] * each["multiplier"]
        assert each["quantity"] == each["buy_quantity"] - each["sell_quantity"]
        assert each["value"] == pytest.approx(each["sell_value"] - each["buy_value"], abs=0.01)
        assert each["pnl"] == pytest.approx(each["value"] + last, abs=0.01)
        assert each["buy_value"] == pytest.approx(
            each["buy_price"] * each["buy_quantity"] * each["multiplier"], abs=0.01
        )


def _net(book: Book, prices: Prices) -> list[dict[str, Any]]:
    found = shown.positions(book, lambda token: prices[token])["net"]
    assert isinstance(found, list)
    return found


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now_ns = NOON_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_desk(tmp_path: Path, clock: Clock) -> Callable[[], Desk]:
    return lambda: Desk(tmp_path / "books", Market(1, clock.now_ns), lambda _user, _order: None, clock)


FORM = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "MARKET", "quantity": "10"}


def test_the_next_day_begins_with_what_was_settled(open_desk: Callable[[], Desk], clock: Clock) -> None:
    desk = open_desk()
    desk.place(USER, "regular", {**FORM, "product": "CNC"})
    desk.place(USER, "regular", {**FORM, "product": "MIS", "tradingsymbol": "TCS"})
    desk.place(USER, "regular", {**FORM, "product": "CNC", "order_type": "LIMIT", "price": "100"})
    future = next(i.tradingsymbol for i in Market(1, clock.now_ns).instruments if i.segment == "NFO-FUT")
    lot = next(i.lot_size for i in Market(1, clock.now_ns).instruments if i.tradingsymbol == future)
    desk.place(
        USER, "regular", {**FORM, "exchange": "NFO", "tradingsymbol": future, "product": "NRML", "quantity": str(lot)}
    )
    book = desk.book(USER)
    paid = sum(each.quantity * each.price for each in book.trades if each.terms.product == CNC)
    clock.now_ns += DAY_NS
    desk.follow(Market(1, clock.now_ns))
    book = desk.book(USER)
    (holding,) = book.holdings.values()
    (carried,) = book.positions.values()
    assert (book.day, book.orders, book.trades) == (MONDAY + timedelta(1), {}, [])
    assert (holding.tradingsymbol, holding.quantity, holding.t1_quantity) == ("INFY", 0, 10)
    assert holding.average_price * 10 == paid
    assert (carried.tradingsymbol, carried.quantity, carried.product) == (future, lot, NRML)
    assert book.cash < OPENING_CASH - paid + 10_000
    clock.now_ns += DAY_NS
    desk.follow(Market(1, clock.now_ns))
    (holding,) = desk.book(USER).holdings.values()
    assert (holding.quantity, holding.t1_quantity) == (10, 0)


def test_a_line_that_a_kill_cut_short_never_counted(open_desk: Callable[[], Desk], tmp_path: Path) -> None:
    desk = open_desk()
    desk.place(USER, "regular", {**FORM, "product": "CNC"})
    orders = dict(desk.book(USER).orders)
    desk.close()
    (path,) = (tmp_path / "books").glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"kind":"filled","user":"SB')
    desk = open_desk()
    assert desk.book(USER).orders == orders
    desk.place(USER, "regular", {**FORM, "product": "CNC"})
    desk.close()
    assert len(open_desk().book(USER).orders) == 2


def test_shares_are_offered_once(open_desk: Callable[[], Desk]) -> None:
    desk = open_desk()
    desk.place(USER, "regular", {**FORM, "product": "CNC"})
    sale = {**FORM, "product": "CNC", "transaction_type": "SELL", "order_type": "LIMIT", "price": "9000"}
    offered = desk.place(USER, "regular", {**sale, "quantity": "6"})
    again = desk.place(USER, "regular", {**sale, "quantity": "5"})
    assert (desk.order(USER, offered).status, desk.order(USER, again).status) == (OPEN, REJECTED)
    with pytest.raises(Refusal, match="Available quantity is 10"):
        desk.modify(USER, offered, {"quantity": "11"})
    assert desk.order(USER, desk.modify(USER, offered, {"quantity": "10"})).terms.quantity == 10


def test_an_order_is_not_made_larger_than_the_money(open_desk: Callable[[], Desk]) -> None:
    desk = open_desk()
    order_id = desk.place(USER, "regular", {**FORM, "product": "CNC", "order_type": "LIMIT", "price": "1000"})
    with pytest.raises(Refusal, match=r"available margin is 10000000\.00"):
        desk.modify(USER, order_id, {"quantity": "10001"})
    assert desk.order(USER, desk.modify(USER, order_id, {"quantity": "10000"})).terms.quantity == 10_000


def blocked(desk: Desk, *, commodity: bool) -> Decimal:
    """Give the margin that a user's positions and orders block."""
    found = margin.segments(desk.book(USER), desk.floor.last_price)[commodity]
    return found.span + found.exposure + found.premium


def test_a_share_is_no_option_whatever_its_name_ends_in(open_desk: Callable[[], Desk]) -> None:
    desk = open_desk()
    desk.place(USER, "regular", {**FORM, "tradingsymbol": "RELIANCE", "product": "MIS"})
    (position,) = desk.book(USER).positions.values()
    assert blocked(desk, commodity=False) == 10 * desk.floor.last_price(position.instrument_token) / 5


def test_a_commodity_blocks_its_contract_and_is_refused_beyond_the_money(
    open_desk: Callable[[], Desk], clock: Clock
) -> None:
    desk = open_desk()
    gold = next(i for i in Market(1, clock.now_ns).instruments if i.tradingsymbol.startswith("GOLD"))
    form = {**FORM, "exchange": "MCX", "tradingsymbol": gold.tradingsymbol, "product": "NRML"}
    desk.place(USER, "regular", {**form, "quantity": "1", "order_type": "LIMIT", "price": "100000"})
    assert blocked(desk, commodity=True) == 100 * 100_000 / 8
    order_id = desk.place(USER, "regular", {**form, "quantity": "9", "order_type": "LIMIT", "price": "100000"})
    assert desk.order(USER, order_id).message.startswith("Insufficient funds. Required margin is 11250000.00")
