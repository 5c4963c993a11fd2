"""The sandbox's accounts from outside: books in full, seeded traders, and what both say of one another."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kiteconnect import KiteConnect

from ops.sandbox.accounts.desk import Desk
from ops.sandbox.market import Market
from ops.sandbox.server import Exchange
from tests.exchange import call, exchange, root
from tests.patience import PATIENCE_SECONDS

DAY_NS = 86_400 * 10**9
FORM = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "MARKET", "quantity": "10"}


async def kite(running: Exchange, user: str) -> KiteConnect:
    """Give a user's client."""
    _, answer = await call(running, "POST", f"/sandbox/login?user_id={user}")
    found = KiteConnect("sandbox", root=root(running))
    await asyncio.to_thread(found.generate_session, answer["data"]["request_token"], "sandbox-secret")
    return found


async def books(running: Exchange, query: str = "") -> list[dict[str, Any]]:
    status, answer = await call(running, "GET", f"/sandbox/books{query}")
    assert status == 200, answer
    return list(answer["data"])


async def traders(running: Exchange, **wish: object) -> list[dict[str, Any]]:
    status, answer = await call(running, "POST", "/sandbox/traders", json=wish)
    assert status == 200, answer
    return list(answer["data"])


async def test_traders_trade_and_come_to_rest_and_kite_shows_what_the_books_have(tmp_path: Path) -> None:
    async with exchange(tmp_path) as running:
        await traders(running, users=2, orders_per_second=200)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while min(each["trades"] for each in (await call(running, "GET", "/sandbox/traders"))[1]["data"]) < 50:
                pass  # each look lets the sandbox go on
        await traders(running, orders_per_second=0, cancel=True)
        (book,) = await books(running, "?user_id=TR0002")
        client = await kite(running, "TR0002")
        orders, trades = await asyncio.to_thread(client.orders), await asyncio.to_thread(client.trades)
        net = (await asyncio.to_thread(client.positions))["net"]
    assert [(each["order_id"], each["status"], each["filled_quantity"]) for each in orders] == [
        (each["order_id"], each["status"], each["filled"]) for each in book["orders"]
    ]
    assert {each["status"] for each in orders} <= {"COMPLETE", "CANCELLED", "REJECTED"}
    assert [(each["trade_id"], each["quantity"], Decimal(str(each["average_price"]))) for each in trades] == [
        (each["trade_id"], each["quantity"], Decimal(each["price"])) for each in book["trades"]
    ]
    assert [(each["tradingsymbol"], each["quantity"]) for each in net] == [
        (each["tradingsymbol"], each["quantity"]) for each in book["positions"]
    ]


async def test_the_figures_of_a_book_add_up(tmp_path: Path) -> None:
    async with exchange(tmp_path, driven=False, traders=3) as running:
        for _ in range(300):
            for name in ("TR0001", "TR0002", "TR0003"):
                running.traders.act(name)
        found = await books(running)
    assert [each["user_id"] for each in found] == ["TR0001", "TR0002", "TR0003"]
    for book in found:
        value = sum(each["quantity"] * Decimal(each["last_price"]) * each["multiplier"] for each in book["positions"])
        assert Decimal(book["realised"]) + Decimal(book["unrealised"]) == Decimal(book["cash_flow"]) + value
        assert len(book["trades"]) > 100


async def test_the_books_of_an_earlier_day_can_be_read(tmp_path: Path) -> None:
    past_ns = time.time_ns() - DAY_NS
    desk = Desk(tmp_path / "books", Market(1, past_ns), lambda _user, _order: None, lambda: past_ns)
    desk.place("AB1234", "regular", {**FORM, "product": "MIS"})
    day = desk.day.isoformat()
    desk.close()
    async with exchange(tmp_path, driven=False) as running:
        (today,) = await books(running)
        (before,) = await books(running, f"?user_id=AB1234&day={day}")
        status, answer = await call(running, "GET", "/sandbox/books?day=1999-01-01")
    assert (today["day"] > day, today["orders"]) == (True, [])
    assert [each["side"] for each in before["trades"]] == ["BUY", "SELL"], "what is intraday is closed"
    assert [each["tags"] for each in before["orders"]] == [[], ["squareoff"]]
    assert before["unrealised"] is None
    assert status == 400
    assert day in answer["message"]


async def test_a_sandbox_has_so_many_traders_as_it_is_told(tmp_path: Path) -> None:
    async with exchange(tmp_path, driven=False, traders=2) as running:
        assert [each["user_id"] for each in await traders(running)] == ["TR0001", "TR0002"]
        shown = await traders(running, users=["TR0002"], orders_per_second=5)
        assert [each["orders_per_second"] for each in shown] == [0.02, 5]
        assert len(await traders(running, users=4)) == 4
        assert await traders(running, users=0) == []


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ({"users": 501}, "found 501"),
        ({"users": ["TR0009"]}, "found TR0009"),
        ({"orders_per_second": -1}, "found -1"),
        ({"rate": 1}, "rate"),
    ],
)
async def test_a_wrong_wish_for_traders_is_refused(tmp_path: Path, wish: dict[str, object], found: str) -> None:
    async with exchange(tmp_path, driven=False, traders=1) as running:
        status, answer = await call(running, "POST", "/sandbox/traders", json=wish)
    assert status == 400
    assert found in answer["message"]


async def test_the_first_traders_have_a_past_and_it_is_lived_once(tmp_path: Path) -> None:
    async with exchange(tmp_path, driven=False, traders=3, past=True) as running:
        now = await books(running)
        days = sorted(path.stem for path in (tmp_path / "books").iterdir())
        before = await books(running, f"?day={days[-2]}")
        client = await kite(running, "TR0001")
        holdings, positions = await asyncio.to_thread(client.holdings), await asyncio.to_thread(client.positions)
    assert len(days) == 3
    assert all(
        book["trades"] and not [p for p in book["positions"] if p["product"] == "MIS" and p["quantity"]]
        for book in before
    )
    assert all(not book["orders"] and Decimal(book["cash"]) != 10_000_000 for book in now)
    assert any(each["quantity"] for book in now for each in book["holdings"])
    assert any(each["t1_quantity"] for book in now for each in book["holdings"])
    assert any(each["overnight_quantity"] for book in now for each in book["positions"])
    assert len(holdings) + len(positions["net"]) == len(now[0]["holdings"]) + len(now[0]["positions"]) > 0
    assert positions["day"] == []
    async with exchange(tmp_path, driven=False, traders=5, past=True) as running:
        again = [book for book in await books(running) if book["user_id"] < "TR0004"]
    assert [(book["cash"], len(book["holdings"]), len(book["positions"])) for book in again] == [
        (book["cash"], len(book["holdings"]), len(book["positions"])) for book in now
    ]


async def test_gains_since_the_morning_count_from_what_was_there(tmp_path: Path) -> None:
    async with exchange(tmp_path, driven=False, traders=3, past=True) as running:
        for _ in range(100):
            for name in ("TR0001", "TR0002", "TR0003"):
                running.traders.act(name)
        found = await books(running)
    for book in found:
        value = sum(
            Decimal(each["overnight_price"]) * each["overnight_quantity"] * -each["multiplier"]
            for each in book["positions"]
        )
        value += sum(each["quantity"] * Decimal(each["last_price"]) * each["multiplier"] for each in book["positions"])
        for each in book["holdings"]:
            value += each["opening_quantity"] * (Decimal(each["last_price"]) - Decimal(each["average"]))
        gained = Decimal(book["realised"]) + Decimal(book["unrealised"])
        assert gained == pytest.approx(Decimal(book["cash_flow"]) + value, abs=Decimal("1e-6"))
