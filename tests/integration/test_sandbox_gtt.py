"""GTTs by the real KiteConnect client: kept, changed, ended, over night, and placed when their price is met."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite

from ops.sandbox import wire
from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.triggers import Triggers
from ops.sandbox.market import Market
from ops.sandbox.server import Exchange
from ops.sandbox.wire import Field
from tests.exchange import call, exchange, root

DAY_NS = 86_400 * 10**9
Ask = Callable[..., Any]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Exchange]:
    async with exchange(tmp_path, driven=False) as opened:
        yield opened


async def asking(running: Exchange, user: str = "AB1234") -> Ask:
    """Log a user in; give what calls a method of his client."""
    _, answer = await call(running, "POST", f"/sandbox/login?user_id={user}")
    client = KiteConnect("sandbox", root=root(running))

    async def ask(method: str, *words: object, **named: object) -> Any:
        return await asyncio.to_thread(getattr(client, method), *words, **named)

    await ask("generate_session", answer["data"]["request_token"], "sandbox-secret")
    return ask


def last_price(running: Exchange) -> float:
    return float(running.desk.floor.last_price(running.desk.floor.listed["NSE:INFY"].instrument_token))


def trade_at(running: Exchange, price: float) -> None:
    """Let the market trade at a price, with nobody in its book: it takes what comes."""
    token = running.desk.floor.listed["NSE:INFY"].instrument_token
    place = running.stage.places[token]
    words = running.stage.board[place].view(">u4")
    words[Field.LTP] = round(price * wire.divisor(token))
    words[Field.DEPTH :] = 0
    running.hub.offer(np.array([place]))


def single(price: float, value: float, side: str = "BUY", **order: object) -> dict[str, Any]:
    """Give the words of a GTT with one price."""
    wanted = {"transaction_type": side, "quantity": 5, "order_type": "LIMIT", "product": "CNC", "price": value, **order}
    return {
        "trigger_type": "single",
        "tradingsymbol": "INFY",
        "exchange": "NSE",
        "trigger_values": [value],
        "last_price": price,
        "orders": [wanted],
    }


def two_leg(price: float, low: float, high: float) -> dict[str, Any]:
    legs = [single(price, value, "SELL")["orders"][0] for value in (low, high)]
    return {**single(price, low), "trigger_type": "two-leg", "trigger_values": [low, high], "orders": legs}


async def test_a_gtt_is_kept_changed_and_ended(running: Exchange) -> None:
    ask, price = await asking(running), round(last_price(running))
    trigger_id = (await ask("place_gtt", **single(price, price - 50)))["trigger_id"]
    (kept,) = await ask("get_gtts")
    assert (kept["id"], kept["status"], kept["type"]) == (trigger_id, "active", "single")
    assert (kept["condition"]["trigger_values"], kept["orders"][0]["result"]) == ([price - 50], None)
    assert (await ask("modify_gtt", trigger_id, **single(price, price - 60)))["trigger_id"] == trigger_id
    changed = await ask("get_gtt", trigger_id)
    assert (changed["condition"]["trigger_values"], changed["created_at"]) == ([price - 60], kept["created_at"])
    await ask("delete_gtt", trigger_id)
    assert (await ask("get_gtt", trigger_id))["status"] == "deleted"
    for again in ("delete_gtt", "modify_gtt"):
        words = single(price, price - 60) if again == "modify_gtt" else {}
        with pytest.raises(kite.InputException):
            await ask(again, trigger_id, **words)
    assert await (await asking(running, "CD5678"))("get_gtts") == []


@pytest.mark.parametrize("away", [-50, 50])
async def test_its_order_is_placed_when_the_price_is_met_from_either_side(running: Exchange, away: int) -> None:
    ask, price = await asking(running), round(last_price(running))
    trigger_id = (await ask("place_gtt", **single(price, price + away)))["trigger_id"]
    trade_at(running, price + away * 0.9)
    assert await ask("orders") == []
    trade_at(running, price + away)
    trade_at(running, price + away)
    (order,) = await ask("orders")
    assert (order["order_type"], order["price"], order["status"]) == ("LIMIT", price + away, "COMPLETE")
    found = await ask("get_gtt", trigger_id)
    result = found["orders"][0]["result"]
    assert found["status"] == "triggered"
    assert result["order_result"] == {"status": "success", "order_id": order["order_id"], "rejection_reason": ""}
    assert result["triggered_at"] == price + away


async def test_the_first_price_of_two_ends_the_other(running: Exchange) -> None:
    ask, price = await asking(running), round(last_price(running))
    await ask("place_gtt", **two_leg(price, price - 20, price + 20))
    trade_at(running, price + 25)
    trade_at(running, price - 25)
    (order,) = await ask("orders")
    assert (order["transaction_type"], order["price"], order["status"]) == ("SELL", price + 20, "REJECTED")
    (found,) = await ask("get_gtts")
    low, high = found["orders"]
    assert low["result"] is None
    assert high["result"]["order_result"]["status"] == "failed"
    assert "Insufficient stock holding" in high["result"]["order_result"]["rejection_reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"trigger_values": [0]}, "trigger_values"),
        ({"tradingsymbol": "NOSUCH"}, "does not exist"),
        ({"exchange": "NSE", "tradingsymbol": "NIFTY 50"}, "does not exist"),
        ({"orders": []}, "number of `orders`"),
        ({"orders": single(1, 1, order_type="MARKET")["orders"]}, "LIMIT"),
    ],
)
async def test_what_is_no_gtt_is_refused(running: Exchange, words: dict[str, Any], said: str) -> None:
    ask, price = await asking(running), round(last_price(running))
    with pytest.raises(kite.InputException, match=said):
        await ask("place_gtt", **{**single(price, price - 50), **words})
    with pytest.raises(kite.InputException, match="between"):
        await ask("place_gtt", **two_leg(price, price + 10, price + 20))
    assert await ask("get_gtts") == []
    with pytest.raises(kite.GeneralException, match="not found"):
        await ask("get_gtt", 17)


def test_a_gtt_waits_over_the_night_and_ends_after_a_year(tmp_path: Path) -> None:
    now_ns = time.time_ns()
    clock = lambda: now_ns  # noqa: E731  # the desk asks it anew each time

    def open_both() -> tuple[Desk, Triggers]:
        desk = Desk(tmp_path, Market(1, now_ns), lambda _user, _order: None, clock)
        return desk, Triggers(desk, clock)

    desk, triggers = open_both()
    price = desk.floor.last_price(desk.floor.listed["NSE:INFY"].instrument_token)
    form = {
        "type": "single",
        "condition": '{"exchange": "NSE", "tradingsymbol": "INFY", "trigger_values": [1]}',
        "orders": json.dumps(single(float(price), float(price))["orders"]),
    }
    waiting, ended = triggers.place("AB1234", form), triggers.place("AB1234", form)
    triggers.delete("AB1234", ended)
    desk.close()
    now_ns += DAY_NS
    desk, triggers = open_both()
    assert [each.trigger_id for each in triggers.all("AB1234")] == [waiting]
    assert triggers.place("CD5678", form) > ended
    now_ns += 365 * DAY_NS
    triggers.tick(np.arange(len(desk.floor.instruments)))
    assert triggers.find("AB1234", waiting).status == "expired"
