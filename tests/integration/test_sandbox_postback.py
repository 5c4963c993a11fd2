"""Postbacks: an app's receiver hears of its orders, as from Kite, with a checksum that can be checked."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ops.sandbox.accounts.order import Order, Terms
from ops.sandbox.accounts.postback import QUEUE_MAX, Postbacks, Target
from ops.sandbox.envelope import Refusal
from ops.sandbox.server import Exchange, own_postback
from ops.sandbox.session import API_SECRET
from runtime.settings import load
from tests.exchange import call, exchange, log_in
from tests.patience import PATIENCE_SECONDS

FORM = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "5", "product": "MIS"}
SHALLOW = "BRITANNIA"  # whose best price can be paid for
FAR = {**FORM, "order_type": "LIMIT", "price": "100"}


class Receiver:
    """An app's server; `status` is what it answers."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.status = 200
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        await self.heard.put(await request.json())
        return web.Response(status=self.status)

    async def next(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many postbacks."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [await self.heard.get() for _ in range(count)]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/postback/kite", found.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/postback/kite"
    yield found
    await runner.cleanup()


@contextlib.asynccontextmanager
async def posting(tmp_path: Path, url: str) -> AsyncIterator[tuple[Exchange, Callable[..., Any]]]:
    """Run a sandbox that posts there, and give what asks it as an app's user."""
    async with exchange(tmp_path) as running:
        status, _ = await call(running, "POST", "/sandbox/postback", json={"url": url})
        assert status == 200
        headers = {"Authorization": f"token sandbox:{await log_in(running)}"}

        async def ask(method: str, path: str, form: dict[str, str] | None = None) -> str:
            status, answer = await call(running, method, path, data=form, headers=headers)
            assert status == 200, answer
            return str(answer["data"]["order_id"])

        yield running, ask


async def test_an_app_hears_what_became_of_its_orders(tmp_path: Path, receiver: Receiver) -> None:
    async with posting(tmp_path, receiver.url) as (_, ask):
        done = await ask("POST", "/orders/regular", {**FORM, "order_type": "MARKET", "tag": "strat1"})
        waiting = await ask("POST", "/orders/regular", FAR)
        await ask("PUT", f"/orders/regular/{waiting}", {"quantity": "6"})
        await ask("DELETE", f"/orders/regular/{waiting}")
        heard = await receiver.next(3)
    assert sorted((each["order_id"], each["status"]) for each in heard) == [
        (done, "COMPLETE"),
        (waiting, "CANCELLED"),
        (waiting, "UPDATE"),
    ]
    for each in heard:
        signed = each["order_id"] + each["order_timestamp"] + API_SECRET
        assert each["checksum"] == hashlib.sha256(signed.encode()).hexdigest()
        assert (each["user_id"], each["unfilled_quantity"]) == ("SB0001", 0 if each["order_id"] == done else 6)
        assert {"app_id", "guid", "placed_by", "exchange_timestamp"} <= each.keys()


async def test_other_apps_and_the_brokers_own_orders_are_not_posted(tmp_path: Path, receiver: Receiver) -> None:
    async with posting(tmp_path, receiver.url) as (running, ask):
        running.desk.place("AB1234", "regular", {**FORM, "order_type": "MARKET"}, app="other")
        running.desk.place("AB1234", "regular", {**FORM, "order_type": "MARKET"})
        mine = await ask("POST", "/orders/regular", {**FORM, "order_type": "MARKET"})
        assert [each["order_id"] for each in await receiver.next(1)] == [mine]


async def test_a_part_that_was_filled_is_an_update(tmp_path: Path, receiver: Receiver) -> None:
    async with posting(tmp_path, receiver.url) as (running, _):
        token = running.desk.floor.listed[f"NSE:{SHALLOW}"].instrument_token
        depth = running.desk.floor.depth(token)
        assert depth
        price, quantity = depth.asks[0]
        wanted = {**FORM, "tradingsymbol": SHALLOW, "quantity": str(quantity + 1)}
        running.desk.place("AB1234", "regular", {**wanted, "order_type": "LIMIT", "price": str(price)}, app="sandbox")
        (first,) = await receiver.next(1)
    assert (first["status"], first["filled_quantity"], first["unfilled_quantity"]) == ("UPDATE", quantity, 1)


async def test_a_failing_receiver_is_counted_and_never_asked_again(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 500
    async with posting(tmp_path, receiver.url) as (running, ask):
        await ask("POST", "/orders/regular", {**FORM, "order_type": "MARKET"})
        await receiver.next(1)
        receiver.status = 200
        await ask("POST", "/orders/regular", {**FORM, "order_type": "MARKET"})
        await receiver.next(1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while running.postbacks.counts["sent"] < 1:
                await call(running, "GET", "/sandbox/postback")
        _, answer = await call(running, "POST", "/sandbox/postback", json={"url": None})
    assert answer["data"] == {"urls": {}, "waiting": 0, "sent": 1, "failed": 1, "dropped": 0}
    assert receiver.heard.empty()


@pytest.mark.parametrize("url", ["http://example.com/postback", "ftp://127.0.0.1/", "http://10.0.0.1/", "nothing"])
async def test_no_other_machine_is_posted_to(url: str) -> None:
    with pytest.raises(Refusal, match="of this machine"):
        Postbacks().aim(Target(url))


async def test_what_nobody_takes_is_dropped_oldest_first() -> None:
    postbacks = Postbacks()
    postbacks.aim(Target("http://127.0.0.1:1/"))
    for number in range(QUEUE_MAX + 3):
        postbacks.post("sandbox", {"number": number})
    assert (postbacks.state()["waiting"], postbacks.state()["dropped"]) == (QUEUE_MAX, 3)
    order = Order("1", "x", Terms("NSE", "INFY", 1, "BUY", 1, "CNC", "MARKET"), 0, "other", status="COMPLETE")
    assert not postbacks.wants(order)


async def test_a_sandbox_posts_to_the_api_beside_it_from_the_start(tmp_path: Path, receiver: Receiver) -> None:
    async with exchange(tmp_path, postback_url=receiver.url) as running:
        running.desk.place("AB1234", "regular", {**FORM, "order_type": "MARKET"}, app="sandbox")
        (heard,) = await receiver.next(1)
    assert heard["user_id"] == "AB1234"


@pytest.mark.parametrize(
    ("api_host", "wanted"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/postback/kite"),
        ("localhost", "http://localhost:8000/postback/kite"),
        ("0.0.0.0", None),
        ("10.0.0.7", None),
    ],
)
def test_an_api_that_other_machines_reach_is_not_posted_to_by_itself(api_host: str, wanted: str | None) -> None:
    assert own_postback(load({"API_HOST": api_host})) == wanted
