"""Positions under another product: who may, and that nothing is made or lost by it."""

import random
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from ops.sandbox.accounts import charges
from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.gains import gains
from ops.sandbox.accounts.order import Order
from ops.sandbox.accounts.trader import Trader
from ops.sandbox.envelope import Refusal
from ops.sandbox.market import Market
from tests.books import wealth

USER = "TR0001"
NOON_NS = 1_776_061_800 * 10**9  # 2026-04-13 12:00 IST
DAY_NS = 86_400 * 10**9
BUY = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "MARKET"}
SELL = {**BUY, "transaction_type": "SELL"}
CONVERT = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "position_type": "day"}
TO_CNC = {"old_product": "MIS", "new_product": "CNC"}
TO_MIS = {"old_product": "CNC", "new_product": "MIS"}


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now_ns = NOON_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(1, NOON_NS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(tmp_path: Path, market: Market, clock: Clock) -> Desk:
    def nobody(_user: str, _order: Order) -> None:
        return None

    return Desk(tmp_path, market, nobody, clock)


def order(desk: Desk, form: dict[str, str], quantity: int, product: str) -> None:
    desk.place(USER, "regular", {**form, "quantity": str(quantity), "product": product})


def open_quantities(desk: Desk) -> dict[str, int]:
    return {key[2]: position.quantity for key, position in desk.book(USER).positions.items()}


def test_what_was_bought_for_the_day_is_kept_and_the_other_way_round(desk: Desk) -> None:
    order(desk, BUY, 10, "MIS")
    (price,) = {trade.price for trade in desk.book(USER).trades}
    desk.convert(USER, {**CONVERT, **TO_CNC, "quantity": "4"})
    assert open_quantities(desk) == {"MIS": 6, "CNC": 4}
    assert {position.average_price for position in desk.book(USER).positions.values()} == {price}
    desk.convert(USER, {**CONVERT, **TO_MIS, "quantity": "1"})
    assert open_quantities(desk) == {"MIS": 7, "CNC": 3}


def conversion(**fields: str) -> dict[str, str]:
    return {**CONVERT, **TO_CNC, "quantity": "1", **fields}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (conversion(quantity="11"), "more than the open quantity"),
        (conversion(transaction_type="SELL"), "more than the open quantity"),
        (conversion(position_type="overnight"), "more than the open quantity"),
        (conversion(new_product="NRML"), "cannot be converted from MIS to NRML"),
        (conversion(new_product="MIS"), "cannot be converted from MIS to MIS"),
        (conversion(position_type="weekly"), "position_type"),
        (conversion(transaction_type="HOLD"), "transaction_type"),
        (conversion(tradingsymbol="NOSUCH"), "does not exist"),
        (conversion(quantity="-1"), "quantity"),
    ],
)
def test_what_cannot_be_converted_is_refused(desk: Desk, asked: dict[str, str], said: str) -> None:
    order(desk, BUY, 10, "MIS")
    with pytest.raises(Refusal, match=said):
        desk.convert(USER, asked)
    assert open_quantities(desk)["MIS"] == 10


def test_shares_on_offer_and_shares_that_must_be_delivered_are_not_converted(desk: Desk, clock: Clock) -> None:
    order(desk, BUY, 10, "CNC")
    order(desk, {**SELL, "order_type": "LIMIT", "price": "9000"}, 8, "CNC")
    with pytest.raises(Refusal, match="more than the open quantity"):
        desk.convert(USER, {**CONVERT, **TO_MIS, "quantity": "3"})
    clock.now_ns += DAY_NS
    desk.follow(Market(1, clock.now_ns))
    order(desk, SELL, 5, "CNC")
    with pytest.raises(Refusal, match="more than the open quantity"):
        desk.convert(USER, {**CONVERT, **TO_MIS, "transaction_type": "SELL", "quantity": "5"})
    order(desk, SELL, 6, "MIS")
    with pytest.raises(Refusal, match="Insufficient stock holding"):
        desk.convert(USER, {**CONVERT, **TO_CNC, "transaction_type": "SELL", "quantity": "6"})
    desk.convert(USER, {**CONVERT, **TO_CNC, "transaction_type": "SELL", "quantity": "5"})
    assert open_quantities(desk) == {"CNC": -10, "MIS": -1}


def test_what_is_kept_must_be_paid_for(desk: Desk) -> None:
    price = desk.floor.last_price(desk.floor.listed["NSE:INFY"].instrument_token)
    quantity = int(3 * 10_000_000 / price)
    order(desk, BUY, quantity, "MIS")
    with pytest.raises(Refusal, match="Insufficient funds"):
        desk.convert(USER, {**CONVERT, **TO_CNC, "quantity": str(quantity)})
    desk.convert(USER, {**CONVERT, **TO_CNC, "quantity": str(quantity // 10)})


def gained(desk: Desk) -> Decimal:
    found = gains(desk.book(USER))
    return sum(
        (each.realised + each.unrealised(desk.floor.last_price(each.instrument_token)) for each in found), Decimal(0)
    )


def convert_some(desk: Desk, choose: random.Random) -> int:
    """Convert a part of each position that can be; give how many could."""
    done = 0
    for (exchange, symbol, product), position in list(desk.book(USER).positions.items()):
        other = {"MIS": "CNC" if exchange == "NSE" else "NRML"}.get(product, "MIS")
        lots = abs(position.quantity) // desk.floor.listed[f"{exchange}:{symbol}"].lot_size
        if not lots:
            continue
        form = {
            "exchange": exchange,
            "tradingsymbol": symbol,
            "transaction_type": "BUY" if position.quantity > 0 else "SELL",
            "position_type": choose.choice(("day", "overnight")),
            "quantity": str(choose.randint(1, lots) * desk.floor.listed[f"{exchange}:{symbol}"].lot_size),
            "old_product": product,
            "new_product": other,
        }
        before = (wealth(desk.book(USER), desk.floor.last_price), gained(desk))
        try:
            desk.convert(USER, form)
        except Refusal:
            continue
        done += 1
        after = (wealth(desk.book(USER), desk.floor.last_price), gained(desk))
        assert after == pytest.approx(before, abs=Decimal("1e-9")), "averages that stayed overnight have no end"
    return done


@pytest.mark.parametrize("seed", range(3))
def test_nothing_but_charges_is_lost_by_conversions_and_over_the_night_after(
    desk: Desk, clock: Clock, seed: int
) -> None:
    choose, done = random.Random(seed), 0
    trader = Trader(USER, seed, desk)
    for _ in range(3):
        for _ in range(60):
            trader.act()
            done += convert_some(desk, choose)
        clock.now_ns += 11 * 3600 * 10**9 + 55 * 60 * 10**9  # the evening, then the next day
        desk.tick(np.arange(len(desk.floor.instruments)))
        before = wealth(desk.book(USER), desk.floor.last_price) - charges.of_day(desk.book(USER))
        clock.now_ns += DAY_NS - (11 * 3600 * 10**9 + 55 * 60 * 10**9)
        prices = {token: desk.floor.last_price(token) for token in desk.floor.places}
        desk.follow(Market(1, clock.now_ns))
        assert wealth(desk.book(USER), prices.__getitem__) == pytest.approx(before, abs=Decimal("0.0001"))
        trader = Trader(USER, seed, desk)
    assert done > 100


def test_a_restart_finds_conversions_as_they_were(desk: Desk, tmp_path: Path, market: Market, clock: Clock) -> None:
    order(desk, BUY, 10, "MIS")
    desk.convert(USER, {**CONVERT, **TO_CNC, "quantity": "4"})
    desk.close()
    again = Desk(tmp_path, market, lambda _user, _order: None, clock)
    assert again.book(USER).positions == desk.book(USER).positions
    assert gains(again.book(USER)) == gains(desk.book(USER))
