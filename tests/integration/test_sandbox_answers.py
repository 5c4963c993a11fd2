"""Answers of REST go wrong on request, as the real KiteConnect client meets them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite

from ops.sandbox.server import Exchange
from tests.exchange import call, client, exchange, fault, log_in, root

ORDER = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "MARKET"}
LISTS = ("orders", "trades", "positions", "holdings", "margins")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Exchange]:
    async with exchange(tmp_path, driven=False) as opened:
        yield opened


class User:
    """A user with a tagged order, and his client."""

    def __init__(self, running: Exchange, user: str = "AB1234") -> None:
        self._running, self._user = running, user

    async def __aenter__(self) -> Self:
        _, answer = await call(self._running, "POST", f"/sandbox/login?user_id={self._user}")
        self._client = KiteConnect("sandbox", root=root(self._running))
        await self.ask("generate_session", answer["data"]["request_token"], "sandbox-secret")
        await self.ask("place_order", "regular", **ORDER, quantity=1, product="CNC", tag="strat1")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.reqsession.close()

    def hurry(self) -> None:
        """Have little patience from now on."""
        self._client.timeout = 0.5

    async def ask(self, method: str, *words: object, **named: object) -> Any:
        """Call a method of the client."""
        return await asyncio.to_thread(getattr(self._client, method), *words, **named)


REFUSALS: list[tuple[dict[str, Any], type[Exception], int | None]] = [
    ({"name": "refuse_token"}, kite.TokenException, 403),
    ({"name": "refuse_token", "status": 401}, kite.TokenException, 401),
    ({"name": "too_many"}, kite.NetworkException, 429),
    ({"name": "server_error"}, kite.GeneralException, 500),
    ({"name": "server_error", "status": 502}, kite.DataException, 502),
    ({"name": "server_error", "status": 503}, kite.NetworkException, 503),
    ({"name": "server_error", "status": 504}, kite.NetworkException, 504),
    ({"name": "html"}, kite.DataException, None),
    ({"name": "half"}, requests.exceptions.ChunkedEncodingError, None),
    ({"name": "latency", "delay": 5}, requests.exceptions.ReadTimeout, None),
]


@pytest.mark.parametrize(("asked", "error", "code"), REFUSALS, ids=str)
async def test_an_answer_fails_so_often_as_asked_and_then_comes(
    running: Exchange, asked: dict[str, Any], error: type[Exception], code: int | None
) -> None:
    async with User(running) as one:
        await fault(running, **asked, count=2)
        if "delay" in asked:
            one.hurry()
        for method in ("orders", "holdings"):
            with pytest.raises(error) as caught:
                await one.ask(method)
            assert code is None or getattr(caught.value, "code", None) == code
        assert len(await one.ask("orders")) == 1


async def test_a_fault_is_for_one_user_and_one_kind_of_path(running: Exchange) -> None:
    async with User(running) as one, User(running, "CD5678") as other:
        await fault(running, "too_many", user="AB1234", kind="trades")
        for method in ("orders", "positions", "holdings", "margins"):
            await one.ask(method)
        await other.ask("trades")
        _, answer = await call(running, "GET", "/sandbox/faults")
        assert [(each["fault"], each["left"]) for each in answer["data"]["answers"]] == [("too_many", 1)]
        with pytest.raises(kite.NetworkException):
            await one.ask("trades")
        assert len(await one.ask("trades")) == 1


async def test_a_fault_holds_for_some_time_or_until_all_are_ended(running: Exchange) -> None:
    async with User(running) as one:
        await fault(running, "server_error", lasting=3000)
        for _ in range(3):
            with pytest.raises(kite.GeneralException):
                await one.ask("margins")
        await call(running, "DELETE", "/sandbox/faults")
        await one.ask("margins")


async def test_a_token_is_refused_until_the_user_logs_in_again(running: Exchange) -> None:
    async with User(running) as one, User(running, "CD5678") as other:
        await fault(running, "expire_token", user="AB1234")
        for _ in range(2):
            with pytest.raises(kite.TokenException):
                await one.ask("orders")
        await other.ask("orders")
        _, answer = await call(running, "POST", "/sandbox/login?user_id=AB1234")
        await one.ask("generate_session", answer["data"]["request_token"], "sandbox-secret")
        assert len(await one.ask("orders")) == 1


async def test_only_the_sockets_of_a_user_whose_token_ends_are_cut(running: Exchange) -> None:
    token = await log_in(running)
    async with client(running, token) as socket:
        assert (await fault(running, "expire_token", user="AB1234"))["connections"] == 0
        assert (await fault(running, "expire_token", user="SB0001"))["connections"] == 1
        await socket.end()


async def test_an_order_is_placed_of_which_the_client_never_hears(running: Exchange) -> None:
    async with User(running) as one:
        await fault(running, "latency", delay=5, kind="order")
        one.hurry()
        with pytest.raises(requests.exceptions.ReadTimeout):
            await one.ask("place_order", "regular", **ORDER, quantity=2, product="MIS")
        await fault(running, "server_error", kind="order")
        status, _ = await call(running, "POST", "/orders/regular")
        assert status == 500
    (book,) = running.desk.books().values()
    assert [order.terms.quantity for order in book.orders.values()] == [1, 2]


async def test_an_answer_comes_later_and_nothing_else_is_changed(running: Exchange) -> None:
    async with User(running) as one:
        plain = await one.ask("trades")
        await fault(running, "latency", delay=0.05, lasting=1000)
        begun = time.monotonic()
        assert await one.ask("trades") == plain
        assert time.monotonic() - begun >= 0.05


async def test_numbers_come_as_texts(running: Exchange) -> None:
    async with User(running) as one:
        (plain,) = await one.ask("orders")
        await fault(running, "strings", count=5)
        (order,) = await one.ask("orders")
        assert (order["quantity"], order["average_price"]) == ("1", str(plain["average_price"]))
        assert (order["modified"], order["tag"]) == (False, "strat1")
        positions = await one.ask("positions")
        assert positions["net"][0]["overnight_quantity"] == "0"
        assert (await one.ask("margins"))["equity"]["available"]["cash"] == "10000000"


async def test_tags_are_missing_or_null(running: Exchange) -> None:
    async with User(running) as one:
        await fault(running, "no_tags")
        await fault(running, "no_tags", what="null")
        found = [(await one.ask("orders"))[0].get("tags", "missing") for _ in range(3)]
        assert found == ["missing", None, ["strat1"]]


async def test_an_order_has_a_status_that_nobody_knows(running: Exchange) -> None:
    async with User(running) as one:
        await fault(running, "unknown_status", kind="orders")
        assert (await one.ask("orders"))[-1]["status"] == "ON HOLD"
        assert (await one.ask("orders"))[-1]["status"] == "COMPLETE"


async def test_a_list_is_empty_where_there_was_something(running: Exchange) -> None:
    async with User(running) as one:
        before = [await one.ask(method) for method in LISTS]
        await fault(running, "empty", count=len(LISTS))
        found = [await one.ask(method) for method in LISTS]
        assert found == [[], [], {"net": [], "day": []}, [], {}]
        assert before[1] == await one.ask("trades") != []


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"name": "too_many", "kind": "everything"}, "Wanted a kind of order, trades"),
        ({"name": "server_error", "status": 418}, "Wanted a status of (500, 502, 503, 504)"),
        ({"name": "no_tags", "what": "packets"}, "one of missing, null"),
        ({"name": "latency", "delay": 0}, "above 0"),
        ({"name": "too_many", "lasting": 4000}, "up to 3600"),
    ],
)
async def test_a_wrong_fault_is_refused(running: Exchange, asked: dict[str, Any], wanted: str) -> None:
    fields = {"fault": asked["name"], **{name: value for name, value in asked.items() if name != "name"}}
    status, answer = await call(running, "POST", "/sandbox/faults", json=fields)
    assert status == 400
    assert wanted in answer["message"]
