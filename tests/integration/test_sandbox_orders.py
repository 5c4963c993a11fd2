"""The real KiteConnect client trades on the sandbox: what it asks for, what it reads, what it is refused."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite

from ops.sandbox.envelope import Refusal
from ops.sandbox.limits import Limits
from ops.sandbox.server import Exchange
from tests.exchange import call, client, exchange, log_in, root

OPENING_CASH = 10_000_000
SHALLOW = "BRITANNIA"  # of which a fifth of all five levels can be paid with that


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Exchange]:
    """Give a sandbox whose market stands still until a test lets it tick."""
    async with exchange(tmp_path, driven=False) as opened:
        yield opened


class Trader:
    """One user's client."""

    def __init__(self, client: KiteConnect) -> None:
        self._client = client

    async def ask(self, method: str, *words: object, **named: object) -> Any:
        """Call a method of the client."""
        return await asyncio.to_thread(getattr(self._client, method), *words, **named)

    async def order(self, symbol: str = "INFY", side: str = "BUY", quantity: int = 10, **terms: object) -> str:
        """Place an order, at the market for delivery where not said otherwise; give its id."""
        wanted = {"exchange": "NSE", "product": "CNC", "order_type": "MARKET", **terms}
        placed = await self.ask(
            "place_order", "regular", tradingsymbol=symbol, transaction_type=side, quantity=quantity, **wanted
        )
        return str(placed)

    async def state(self, order_id: str) -> dict[str, Any]:
        """Give an order as the list of orders has it."""
        (found,) = [each for each in await self.ask("orders") if each["order_id"] == order_id]
        return dict(found)


async def trader(running: Exchange, user: str = "") -> Trader:
    _, answer = await call(running, "POST", f"/sandbox/login?api_key=sandbox&user_id={user}")
    client = KiteConnect("sandbox", root=root(running))
    await asyncio.to_thread(client.generate_session, answer["data"]["request_token"], "sandbox-secret")
    return Trader(client)


async def depth(one: Trader, symbol: str = "INFY") -> dict[str, Any]:
    return dict((await one.ask("quote", [f"NSE:{symbol}"]))[f"NSE:{symbol}"])


async def test_a_market_order_is_filled_level_by_level(running: Exchange) -> None:
    one = await trader(running)
    asks = (await depth(one, SHALLOW))["depth"]["sell"]
    quantity = asks[0]["quantity"] + 1
    order = await one.state(await one.order(SHALLOW, quantity=quantity, product="MIS", tag="strat1"))
    trades = await one.ask("trades")
    assert (order["status"], order["filled_quantity"], order["pending_quantity"]) == ("COMPLETE", quantity, 0)
    assert [(each["average_price"], each["quantity"]) for each in trades] == [
        (asks[0]["price"], quantity - 1),
        (asks[1]["price"], 1),
    ]
    value = sum(each["average_price"] * each["quantity"] for each in trades)
    assert order["average_price"] == pytest.approx(value / quantity)
    assert len({each["trade_id"] for each in trades}) == 2
    assert (order["tag"], order["tags"], "tag" in trades[0]) == ("strat1", ["strat1"], False)
    assert isinstance(order["order_timestamp"], datetime.datetime)
    assert isinstance(trades[0]["fill_timestamp"], datetime.datetime)
    assert await one.ask("order_trades", order["order_id"]) == trades


async def test_every_state_of_an_order_is_in_its_history(running: Exchange) -> None:
    one = await trader(running)
    order_id = await one.order()
    states = [each["status"] for each in await one.ask("order_history", order_id)]
    assert states == [
        "PUT ORDER REQ RECEIVED",
        "VALIDATION PENDING",
        "OPEN PENDING",
        "OPEN",
        "UPDATE",
        "COMPLETE",
    ]


async def test_a_limit_order_waits_is_changed_and_is_cancelled(running: Exchange) -> None:
    one = await trader(running)
    best = (await depth(one))["depth"]["buy"][4]["price"]
    order_id = await one.order(order_type="LIMIT", price=best)
    assert (await one.state(order_id))["status"] == "OPEN"
    await one.ask("modify_order", "regular", order_id, quantity=20)
    order = await one.state(order_id)
    assert (order["status"], order["quantity"], order["modified"]) == ("OPEN", 20, True)
    await one.ask("cancel_order", "regular", order_id)
    order = await one.state(order_id)
    assert (order["status"], order["cancelled_quantity"], order["pending_quantity"]) == ("CANCELLED", 20, 0)
    with pytest.raises(kite.OrderException):
        await one.ask("cancel_order", "regular", order_id)
    ask = (await depth(one))["depth"]["sell"][0]["price"]
    order_id = await one.order(order_type="LIMIT", price=best)
    await one.ask("modify_order", "regular", order_id, price=ask)
    assert (await one.state(order_id))["status"] == "COMPLETE"


async def test_a_stop_waits_for_its_trigger(running: Exchange) -> None:
    one = await trader(running)
    last = (await depth(one))["last_price"]
    below = await one.order(side="BUY", product="MIS", order_type="SL-M", trigger_price=last)
    above = await one.order(side="BUY", product="MIS", order_type="SL-M", trigger_price=round(last * 1.05))
    assert (await one.state(below))["status"] == "COMPLETE"
    assert (await one.state(above))["status"] == "TRIGGER PENDING"


async def test_what_waits_is_filled_by_a_later_tick(running: Exchange) -> None:
    one = await trader(running)
    asks = (await depth(one, SHALLOW))["depth"]["sell"]
    everything = sum(level["quantity"] for level in asks)
    terms = {"product": "MIS", "order_type": "LIMIT", "price": asks[4]["price"]}
    order_id = await one.order(SHALLOW, quantity=everything + 5, **terms)
    order = await one.state(order_id)
    assert (order["status"], order["filled_quantity"], order["pending_quantity"]) == ("OPEN", everything, 5)
    running.hub.offer(np.array([running.stage.places[order["instrument_token"]]]))
    assert (await one.state(order_id))["status"] == "COMPLETE"


async def test_immediate_or_cancel_leaves_nothing_open(running: Exchange) -> None:
    one = await trader(running)
    asks = (await depth(one, SHALLOW))["depth"]["sell"]
    quantity = asks[0]["quantity"] + 7
    order_id = await one.order(
        SHALLOW, quantity=quantity, product="MIS", order_type="LIMIT", price=asks[0]["price"], validity="IOC"
    )
    order = await one.state(order_id)
    assert (order["status"], order["filled_quantity"], order["cancelled_quantity"]) == ("CANCELLED", quantity - 7, 7)


async def test_positions_holdings_and_margins_follow_the_trades(running: Exchange) -> None:
    one = await trader(running)
    await one.order(quantity=10)
    await one.order(side="SELL", quantity=4)
    bought, sold = [each["average_price"] for each in await one.ask("trades")]
    positions = await one.ask("positions")
    (net,), (day,) = positions["net"], positions["day"]
    assert (net["quantity"], net["buy_quantity"], net["sell_quantity"], net["overnight_quantity"]) == (6, 10, 4, 0)
    assert net["value"] == pytest.approx(4 * sold - 10 * bought)
    assert net["pnl"] == pytest.approx(4 * sold - 10 * bought + 6 * net["last_price"])
    assert net["average_price"] == bought
    assert day == net
    assert await one.ask("holdings") == []
    margins = await one.ask("margins")
    assert margins["equity"]["available"]["cash"] == OPENING_CASH
    assert margins["equity"]["net"] == pytest.approx(OPENING_CASH - 10 * bought + 4 * sold)
    assert await one.ask("margins", "equity") == margins["equity"]


async def test_kite_tells_what_orders_would_cost(running: Exchange) -> None:
    one = await trader(running)
    asked = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "SELL", "variety": "regular"}
    terms = {"product": "MIS", "order_type": "MARKET", "quantity": 10, "average_price": 1500.5, "order_id": "1"}
    (note,) = await one.ask("get_virtual_contract_note", [{**asked, **terms}])
    assert (note["price"], note["quantity"], note["charges"]["transaction_tax_type"]) == (1500.5, 10, "stt")
    assert note["charges"]["brokerage"] == pytest.approx(15005 * 0.0003)
    with pytest.raises(kite.InputException):
        await one.ask("get_virtual_contract_note", [asked])


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"quantity": 5_000_000}, "Insufficient funds. Required margin is"),
        ({"side": "SELL"}, "Insufficient stock holding."),
    ],
)
async def test_what_risk_management_refuses_is_an_order_that_was_rejected(
    running: Exchange, terms: dict[str, Any], message: str
) -> None:
    one = await trader(running)
    order = await one.state(await one.order(**terms))
    assert order["status"] == "REJECTED"
    assert message in order["status_message"]
    assert order["exchange_order_id"] is None
    assert await one.ask("trades") == []


@pytest.mark.parametrize(
    "terms",
    [
        {"symbol": "NOSUCH"},
        {"symbol": "NIFTY 50", "exchange": "NSE"},
        {"quantity": 0},
        {"product": "NRML"},
        {"order_type": "LIMIT"},
        {"order_type": "LIMIT", "price": 1500.013},
        {"order_type": "SL-M"},
        {"tag": "no spaces please"},
        {"validity": "TTL"},
    ],
)
async def test_what_is_no_order_is_an_input_error(running: Exchange, terms: dict[str, Any]) -> None:
    one = await trader(running)
    with pytest.raises(kite.InputException):
        await one.order(**terms)
    assert await one.ask("orders") == []


async def test_users_do_not_see_each_other(running: Exchange) -> None:
    one, other = await trader(running), await trader(running, "AB1234")
    order_id = await one.order()
    assert (await other.ask("profile"))["user_id"] == "AB1234"
    assert (await other.ask("orders"), await other.ask("trades")) == ([], [])
    with pytest.raises(kite.GeneralException):
        await other.ask("order_history", order_id)


async def test_a_restart_finds_every_book_as_it_was(tmp_path: Path) -> None:
    methods = ("orders", "trades", "margins")
    async with exchange(tmp_path, driven=False) as running:
        one = await trader(running)
        best = (await depth(one))["depth"]["buy"][4]["price"]
        await one.order()
        await one.order(order_type="LIMIT", price=best)
        before = [await one.ask(method) for method in methods[:2]]
    async with exchange(tmp_path, driven=False) as running:
        one = await trader(running)
        assert [await one.ask(method) for method in methods[:2]] == before
        await one.ask("cancel_order", "regular", before[0][1]["order_id"])
        assert len({each["order_id"] for each in await one.ask("orders")}) == 2


async def test_a_users_tickers_hear_of_each_change_of_his_orders(running: Exchange) -> None:
    one = await trader(running)
    token, other_token = await log_in(running), await log_in(running, "other-app")
    async with client(running, token) as mine, client(running, other_token, "other-app") as others:
        order_id = await one.order()
        texts = await mine.texts_to(1 + 4)
        await call(running, "POST", "/sandbox/text", data=b'{"type": "message"}')
        assert [each["type"] for each in await others.texts_to(2)] == ["instruments_meta", "message"]
    told = [each["data"] for each in texts if each["type"] == "order"]
    assert {each["order_id"] for each in told} == {order_id}
    assert (told[0]["status"], told[-1]["status"]) == ("VALIDATION PENDING", "COMPLETE")
    assert told[-1]["user_id"] == "SB0001"


def test_the_limits_of_orders_are_those_of_kite() -> None:
    limits = Limits(enforced=True)
    for second in range(40):
        for _ in range(10):
            limits.take("app", "order", second)
        with pytest.raises(Refusal) as caught:
            limits.take("app", "order", second + 0.5)
        assert caught.value.status == 429
    with pytest.raises(Refusal):
        limits.take("app", "order", 41)
    limits.take("app", "order", 60.0)
