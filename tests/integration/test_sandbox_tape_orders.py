"""Orders while a tape plays: each of its ticks counts, at any speed, and the books' day turns by the clock."""

import asyncio
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from ops.sandbox import csv_tape
from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.order import Order
from ops.sandbox.playback import Playback
from ops.sandbox.server import Exchange
from tests.exchange import Client, client, exchange, log_in
from tests.patience import PATIENCE_SECONDS

USER = "AB1234"
PRICES = ("100", "101", "99", "103", "97", "105", "100")
FORM = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "quantity": "10", "transaction_type": "BUY"}
NOON_NS = 1_776_061_800 * 10**9  # 2026-04-13 12:00 IST
HOUR_NS = 3600 * 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a tape of two symbols that are traded at PRICES."""
    target = tmp_path / "tape"
    target.mkdir()
    rows = "".join(f"2021-04-20 09:15:{n:02},{price},{n}\n" for n, price in enumerate(PRICES))
    for symbol in ("INFY", "TCS"):
        (target / f"{symbol}.csv").write_text(f"timestamp,ltp,volume\n{rows}")
    return target


async def play(running: Exchange, one: Client) -> None:
    """Let the whole tape play to a client."""
    assert isinstance(running.feed, Playback)
    await one.subscribe("full", list(running.feed.tape.places))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await running.feed.done.wait()


def filled(running: Exchange, order_id: str) -> list[str]:
    """Give the prices of an order's trades."""
    return [str(each.price) for each in running.desk.book(USER).trades if each.order_id == order_id]


async def test_every_tick_of_a_tape_can_fill_an_order_also_at_full_speed(tmp_path: Path, folder: Path) -> None:
    async with exchange(tmp_path, tape=folder, speed="max") as running, client(running, await log_in(running)) as one:

        def place(**terms: str) -> str:
            return running.desk.place(USER, "regular", {**FORM, **terms})

        market = place(order_type="MARKET")
        low = place(order_type="LIMIT", price="98")
        high = place(order_type="LIMIT", price="104", transaction_type="SELL")
        stop = place(order_type="SL-M", trigger_price="102")
        never = place(order_type="LIMIT", price="90")
        assert not running.desk.book(USER).trades, "nothing has a price before the tape plays"
        await play(running, one)
    assert [filled(running, each) for each in (market, low, high, stop, never)] == [
        ["100"],
        ["97"],
        ["105"],
        ["103"],
        [],
    ]


async def test_a_gtt_is_met_by_a_tick_between_two_batches(tmp_path: Path, folder: Path) -> None:
    async with exchange(tmp_path, tape=folder, speed="max") as running, client(running, await log_in(running)) as one:
        order_wanted = {"transaction_type": "BUY", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": 98}
        form = {
            "type": "single",
            "condition": '{"exchange": "NSE", "tradingsymbol": "INFY", "trigger_values": [103]}',
            "orders": json.dumps([order_wanted]),
        }
        running.triggers.place(USER, form)
        await play(running, one)
        (trigger,) = running.triggers.all(USER)
    (order,) = running.desk.book(USER).orders.values()
    assert (trigger.status, trigger.legs[0].order_id) == ("triggered", order.order_id)
    assert [str(each.price) for each in running.desk.book(USER).trades] == ["97"]


async def test_seeded_traders_trade_on_a_tape(tmp_path: Path, folder: Path) -> None:
    async with exchange(tmp_path, tape=folder, speed="max", traders=1) as running:
        running.traders.act("TR0001")
        assert not running.desk.book("TR0001").orders
        async with client(running, await log_in(running)) as one:
            await play(running, one)
        for _ in range(20):
            running.traders.act("TR0001")
        assert len(running.desk.book("TR0001").trades) > 3


def test_the_day_of_the_books_turns_by_the_clock_while_a_tape_goes_on(tmp_path: Path, folder: Path) -> None:
    now_ns = NOON_NS

    def nobody(_user: str, _order: Order) -> None:
        return None

    tape = csv_tape.read(folder)
    desk = Desk(tmp_path / "books", tape, nobody, lambda: now_ns)
    tape.part(0, len(tape))
    desk.place(USER, "regular", {**FORM, "order_type": "MARKET"})
    desk.place(USER, "regular", {**FORM, "order_type": "MARKET", "product": "CNC"})
    now_ns += 12 * HOUR_NS
    desk.tick(np.array([0]))
    assert desk.day == date(2026, 4, 13), "the evening came late, and the day a moment later"
    assert len(desk.book(USER).trades) == 3
    now_ns += HOUR_NS
    for day in range(1, 3):
        book = desk.book(USER)
        assert (desk.day, book.day) == (date(2026, 4, 13) + timedelta(day), date(2026, 4, 13) + timedelta(day))
        assert (book.orders, [each.quantity + each.t1_quantity for each in book.holdings.values()]) == ({}, [10])
        now_ns += 24 * HOUR_NS
        desk.tick(np.array([0]))
