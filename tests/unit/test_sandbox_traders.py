"""Seeded traders: the same choices for the same seed, and every kind of them."""

import contextlib
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.gains import Gain
from ops.sandbox.accounts.order import MODIFIED, Order
from ops.sandbox.accounts.trader import Trader
from ops.sandbox.envelope import Refusal
from ops.sandbox.market import Market
from runtime.errors import Unreachable

USER = "TR0001"
NOON_NS = 1_776_061_800 * 10**9  # 2026-04-13 12:00 IST
MINUTE_NS = 60 * 10**9
ACTS = 400
FORM = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "1", "product": "MIS"}


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(1, NOON_NS)


def lived(folder: Path, market: Market, seed: int) -> list[Order]:
    """Let a trader live for a while in a market that stands still; give his orders."""
    desk = Desk(folder, market, lambda _user, _order: None, lambda: NOON_NS)
    trader = Trader(USER, seed, desk)
    for _ in range(ACTS):
        trader.act()
    desk.close()
    return list(desk.book(USER).orders.values())


def test_the_same_seed_gives_the_same_orders(tmp_path: Path, market: Market) -> None:
    one, again, other = (lived(tmp_path / str(n), market, seed) for n, seed in enumerate((1, 1, 2)))
    assert one == again
    assert [order.terms for order in one] != [order.terms for order in other]


def test_a_trader_does_all_that_can_be_done(tmp_path: Path, market: Market) -> None:
    orders = lived(tmp_path, market, 1)
    statuses = Counter(state.status for order in orders for state in order.history)
    for field, wanted in {
        "order_type": {"MARKET", "LIMIT", "SL", "SL-M"},
        "product": {"CNC", "MIS", "NRML"},
        "transaction_type": {"BUY", "SELL"},
        "validity": {"DAY", "IOC", "TTL"},
    }.items():
        assert {getattr(order.terms, field) for order in orders} == wanted
    assert {None, "strat1", "strat7"} <= {order.terms.tag for order in orders}
    assert min(statuses[name] for name in (MODIFIED, "CANCELLED", "COMPLETE", "TRIGGER PENDING")) > 10
    assert any(order.terms.product == "CNC" and not order.terms.is_buy and order.filled for order in orders)


TRADES = st.lists(st.tuples(st.integers(-20, 20).filter(bool), st.decimals("0.05", "500", places=2)), max_size=30)


@given(TRADES, st.decimals("0.05", "500", places=2))
def test_no_gain_comes_from_nowhere(trades: list[tuple[int, Decimal]], last: Decimal) -> None:
    gain, flow = Gain(("MCX", "GOLD26JUNFUT", "NRML"), 5), Decimal(0)
    for quantity, price in trades:
        gain.trade(quantity, price)
        flow -= quantity * price * 100
        assert len({lot.quantity > 0 for lot in gain.lots}) <= 1
    assert gain.quantity == sum(quantity for quantity, _ in trades)
    assert gain.realised + gain.unrealised(last) == flow + gain.quantity * last * 100


def test_the_first_lot_is_closed_first() -> None:
    gain = Gain(("NSE", "INFY", "CNC"), 1)
    for quantity, price in ((10, "100"), (10, "110"), (-15, "120"), (-10, "90")):
        gain.trade(quantity, Decimal(price))
    assert gain.realised == 10 * 20 + 5 * 10 - 5 * 20
    assert list(gain.lots) == [(-5, Decimal(90))]


def test_in_the_evening_the_day_ends_and_everybody_still_sees_it(tmp_path: Path, market: Market) -> None:
    now_ns = NOON_NS
    desk = Desk(tmp_path, market, lambda _user, _order: None, lambda: now_ns)
    desk.place(USER, "regular", {**FORM, "order_type": "MARKET"})
    desk.place(USER, "regular", {**FORM, "order_type": "LIMIT", "price": "100"})
    everything = np.arange(len(market.instruments))
    now_ns = NOON_NS + (11 * 60 + 49) * MINUTE_NS
    desk.tick(everything)
    assert (len(desk.book(USER).trades), desk.is_evening) == (1, False)
    now_ns += MINUTE_NS
    for _ in range(2):
        desk.tick(everything)
        assert [trade.terms.transaction_type for trade in desk.book(USER).trades] == ["BUY", "SELL"]
    assert [order.status for order in desk.book(USER).orders.values()] == ["COMPLETE", "CANCELLED", "COMPLETE"]
    assert desk.is_evening
    assert desk.day == date(2026, 4, 13)


def test_a_user_has_so_many_orders_a_day_and_no_more(tmp_path: Path, market: Market) -> None:
    desk = Desk(tmp_path, market, lambda _user, _order: None, lambda: NOON_NS, orders_max=2)
    for user in (USER, "AB1234"):
        for _ in range(2):
            desk.place(user, "regular", {**FORM, "order_type": "MARKET"})
        with pytest.raises(Refusal, match="exceeded: 2") as caught:
            desk.place(user, "regular", {**FORM, "order_type": "MARKET"})
        assert caught.value.status == 429


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nobody_hears_of_what_is_not_written_before_it_is(tmp_path: Path, market: Market) -> None:
    heard: list[str] = []

    def hear(_user: str, order: Order) -> Callable[[], None]:
        status = order.status
        return lambda: heard.append(status)

    desk = Desk(tmp_path, market, hear, lambda: NOON_NS)
    order_id = desk.place(USER, "regular", {**FORM, "order_type": "LIMIT", "price": "100"})
    heard.clear()
    with (
        full_disk((tmp_path / "2026-04-13.jsonl").stat().st_size + 10),
        pytest.raises(Unreachable, match="free the disk"),
    ):
        desk.cancel(USER, order_id)
    assert heard == []
    desk.book("AB1234")
    assert heard == ["CANCEL PENDING", "CANCELLED"]
    desk.close()
    again = Desk(tmp_path, market, hear, lambda: NOON_NS)
    assert again.books().keys() == {USER, "AB1234"}
    assert again.order(USER, order_id).status == "CANCELLED"


def test_an_order_that_a_kill_left_on_its_way_never_got_there(tmp_path: Path, market: Market) -> None:
    def open_desk() -> Desk:
        return Desk(tmp_path, market, lambda _user, _order: None, lambda: NOON_NS)

    desk = open_desk()
    order_id = desk.place(USER, "regular", {**FORM, "order_type": "LIMIT", "price": "100"})
    desk.close()
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))  # opened, received, validated
    desk = open_desk()
    assert (desk.order(USER, order_id).status, desk.book(USER).pending) == ("REJECTED", {})
    assert desk.place(USER, "regular", {**FORM, "order_type": "LIMIT", "price": "100"}) != order_id
