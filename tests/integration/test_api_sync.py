"""What users and brokers ask of the poller over HTTP: pulls, accounts, tokens, postbacks, order updates."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.accounts.postback import BODY_BYTES_MAX
from api.updates import order_update
from events.accounts import STREAM, AccountSet, OrderUpdated, PullAccounts
from events.event import Event, Recorded
from projectors.accounts.projector import ACCOUNTS
from runtime.clock import SystemClock
from runtime.settings import Settings
from runtime.vault import Vault, account_secret, customer_secret
from tests.account_log import a_day
from tests.api_server import Api, feeding, serving
from tests.exchange import call
from tests.loops import Desk
from tests.pollers import OWN, syncing, told, until_runs, whole
from tests.tickers import Watcher, bring_token, market

pytestmark = pytest.mark.anyio

SECRET = "the-apps-secret"
USER = "AB1234"


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


async def send(
    api: Api, method: str, path: str, body: object = None, key: str = "", raw: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Send a request; give status and JSON."""
    headers = {"idempotency-key": key} if key else {}
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    async with api.client.request(method, path, data=data, headers=headers) as answer:
        return answer.status, msgspec.json.decode(await answer.read())


async def asked(watcher: Watcher, number: int = 1) -> list[Recorded]:
    """Wait until so many requests are in the log behind its beginning; give them."""
    return (await watcher.until(lambda heard: len(heard) > number, "requests"))[1:]


@pytest.fixture
async def account(settings: Settings, tmp_path: Path) -> str:
    """Give an account that the tables know."""
    assert settings.database_url is not None
    await Desk(settings.database_url, tmp_path).project(ACCOUNTS, a_day().events)
    return "main"


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("/sync/trades/main", ["trades"]),
        ("/sync/orders/main", ["orders"]),
        ("/sync/positions/main", ["positions"]),
        ("/sync/holdings/main", ["holdings"]),
        ("/sync/margins/main", ["margins"]),
        ("/sync/all/main", []),
        ("/accounts/main/sync", []),
    ],
)
async def test_a_pull_is_a_request_in_the_log(
    settings: Settings, watcher: Watcher, account: str, path: str, kinds: list[str]
) -> None:
    async with serving(settings) as api:
        status, answer = await send(api, "POST", path, key="a")
        again = await send(api, "POST", path, key="a")
        (request,) = await asked(watcher)
    assert (status, answer["request"], answer["stream"], answer["checked"]) == (202, request.n, "requests", True)
    assert again == (status, answer)
    assert told([request], PullAccounts) == [PullAccounts(accounts=[account], kinds=kinds, key="a")]  # type: ignore[arg-type]  # each is a Kind


@pytest.mark.parametrize("path", ["/sync/trades/nobody", "/accounts/nobody/sync"])
async def test_a_pull_of_an_unknown_account_is_refused(settings: Settings, account: str, path: str) -> None:
    async with serving(settings) as api:
        assert (await send(api, "POST", path))[0] == 404


async def test_a_pull_of_an_unknown_kind_is_refused(settings: Settings, account: str) -> None:
    async with serving(settings) as api:
        assert (await send(api, "POST", "/sync/everything/main"))[0] == 400


async def test_an_account_is_added_with_its_secrets_in_the_vault_and_pulled(
    settings: Settings, watcher: Watcher
) -> None:
    async with market(settings) as exchange, syncing(settings), serving(settings) as api:
        await until_runs(watcher, 1)
        _, token = await bring_user(exchange, "CD0001")
        body = {"account": "second", "broker": "sandbox", "user": "CD0001", "api_secret": SECRET, "access_token": token}
        status, answer = await send(api, "POST", "/accounts", body)
        assert (status, answer.get("secrets")) == (202, ["api_secret", "access_token"]), answer
        await until_runs(watcher, 1, lambda run: run.account == "second" and whole(run))
        heard = b"".join(each.payload for each in [*await watcher.all("requests"), *await watcher.all(STREAM)])
        vault = Vault(settings.bahi_data_dir)
        assert vault.get(account_secret("second", "access_token")) is not None
        assert vault.get(customer_secret("sandbox", "CD0001")) == (SECRET, 1)
    assert token.encode() not in heard
    assert SECRET.encode() not in heard


async def bring_user(exchange: Any, user: str) -> tuple[str, str]:
    """Log a user of the sandbox in; give its code and token."""
    _, answer = await call(exchange, "POST", f"/sandbox/login?user_id={user}")
    request_token = answer["data"]["request_token"]
    checksum = hashlib.sha256(f"sandbox{request_token}sandbox-secret".encode()).hexdigest()
    form = {"api_key": "sandbox", "request_token": request_token, "checksum": checksum}
    _, answer = await call(exchange, "POST", "/session/token", data=form)
    return user, answer["data"]["access_token"]


@pytest.mark.parametrize(
    "body",
    [
        {"account": "../a", "broker": "sandbox"},
        {"account": "a", "broker": "kite"},
        {"account": "a", "broker": "sandbox", "access_token": "two words"},
        {"account": "a", "broker": "sandbox", "api_key": "x" * 1000},
        {"account": "a", "broker": "sandbox", "access_token": "\0"},
        {"account": "a", "broker": "sandbox", "name": "a\0b"},
        {"account": "a", "broker": "sandbox", "user": "a\0b"},
        {"account": "a", "broker": "sandbox", "pin": "1"},
        {"broker": "sandbox"},
    ],
)
async def test_an_account_that_cannot_be_is_refused_and_nothing_kept(settings: Settings, body: dict[str, str]) -> None:
    async with serving(settings) as api:
        status, _ = await send(api, "POST", "/accounts", body)
    assert status == 400
    assert Vault(settings.bahi_data_dir).get(account_secret("a", "access_token")) is None


async def test_an_account_is_taken_out_and_a_token_brought(settings: Settings, watcher: Watcher, account: str) -> None:
    async with serving(settings) as api:
        path = "/accounts/main/token"
        assert await send(api, "PUT", path, {"access_token": " word "}) == (
            200,
            {"account_id": account, "version": 1, "checked": True},
        )
        assert Vault(settings.bahi_data_dir).get(account_secret("main", "access_token")) == ("word", 1)
        assert (await send(api, "PUT", "/accounts/nobody/token", {"access_token": "word"}))[0] == 404
        assert (await send(api, "PUT", path, {"access_token": "two words"}))[0] == 400
        assert (await send(api, "DELETE", "/accounts/nobody"))[0] == 404
        assert (await send(api, "DELETE", "/accounts/main"))[0] == 202
        (request,) = await asked(watcher)
    (said,) = told([request], AccountSet)
    assert (said.account, said.active) == ("main", False)


# ---- postbacks ------------------------------------------------------------------------------------------------------


def postback(secret: str = SECRET, user: str = USER, **more: object) -> bytes:
    """Give a postback as Kite signs it."""
    said = {"order_id": "220303000308932", "order_timestamp": "2022-03-03 09:24:25"}
    checksum = hashlib.sha256("".join([*said.values(), secret]).encode()).hexdigest()
    return json.dumps({**said, "user_id": user, "status": "COMPLETE", "checksum": checksum, **more}).encode()


@pytest.fixture
def signed(settings: Settings) -> Settings:
    """Give the settings of a vault that knows the customer's app."""
    Vault(settings.bahi_data_dir).put(customer_secret("sandbox", USER), SECRET)
    return settings


async def test_a_postback_is_a_request_and_a_replay_of_it_none(signed: Settings, watcher: Watcher) -> None:
    async with serving(signed) as api:
        for _ in range(3):
            async with api.client.post("/postback/kite", data=postback(), headers={"authorization": ""}) as answer:
                assert answer.status == 200, await answer.text()
        await send(api, "POST", "/postback/kite", raw=postback(filled_quantity=1))
        requests = await asked(watcher, 2)
    said = told(requests, OrderUpdated)
    assert [(each.user, each.order_id, each.by, each.broker) for each in said] == [
        (USER, "220303000308932", "postback", "sandbox")
    ] * 2
    assert said[0].body == postback()
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (postback("another secret"), 403),
        (postback(checksum=""), 403),
        (postback(checksum="é"), 403),
        (postback(user="ZZ9999"), 404),
        (postback(user="../../master"), 404),
        (postback(more="x" * BODY_BYTES_MAX), 413),
        (b"", 400),
        (b"nonsense", 400),
        (b"\xff\xfe", 400),
        (b'{"order_id": 5}', 400),
        (postback(user_id=7), 400),
    ],
)
async def test_a_postback_that_proves_nothing_is_refused(
    signed: Settings, watcher: Watcher, body: bytes, status: int
) -> None:
    async with serving(signed) as api:
        found, answer = await send(api, "POST", "/postback/kite", raw=body)
        await send(api, "POST", "/api/instruments/sync")
        requests = await asked(watcher)
    assert found == status
    assert SECRET not in str(answer)
    assert [each.type for each in requests] == ["request.sync.v1"], "nothing of it came into the log"


async def test_the_sandboxs_postback_has_its_account_pulled(settings: Settings, watcher: Watcher) -> None:
    async with market(settings) as exchange, syncing(settings), serving(settings) as api:
        await until_runs(watcher, 1, whole)
        await until_runs(watcher, 1)
        headers = {"Authorization": f"token sandbox:{await bring_token(settings, exchange)}"}
        await call(exchange, "POST", "/sandbox/postback", json={"url": f"{api.url}/postback/kite"})
        symbol = next(each.tradingsymbol for each in exchange.stage.instruments if each.segment == "NSE")
        order = {
            "exchange": "NSE",
            "tradingsymbol": symbol,
            "transaction_type": "BUY",
            "order_type": "MARKET",
            "quantity": "1",
            "product": "CNC",
            "validity": "DAY",
        }
        status, placed = await call(exchange, "POST", "/orders/regular", data=order, headers=headers)
        assert status == 200, placed
        (run, *_) = await until_runs(watcher, 1, lambda run: run.trigger == "update")
    assert run.account == OWN
    assert run.kinds["orders"].rows >= 1


# ---- order updates of the ticker ------------------------------------------------------------------------------------


async def test_what_the_ticker_hears_of_an_order_is_a_request(settings: Settings, watcher: Watcher) -> None:
    text = b'{"type": "order", "id": "", "data": {"user_id": "AB1234", "order_id": "1", "status": "OPEN"}}'
    others = [
        b'{"type": "message", "data": {"user_id": "AB1234"}}',
        b'{"type": "message", "data": "hello"}',
        b"[1]",
        b"\xff",
        b'{"type": "order", "data": {}}',
    ]
    async with serving(settings) as api, feeding(settings) as feed:
        now = SystemClock().now_ns()
        await feed._append([Event("kite.text.v1", now, each) for each in (*others, text)])
        requests = await asked(watcher)
        assert api.parts.live.feeds
    (said,) = told(requests, OrderUpdated)
    assert (said.broker, said.user, said.order_id, said.by, said.body) == ("sandbox", USER, "1", "ticker", text)
    assert len(requests) == 1


def test_a_text_of_a_stream_that_is_no_tickers_is_left_alone() -> None:
    text = b'{"type": "order", "data": {"user_id": "AB1234", "order_id": "1"}}'
    assert order_update(Recorded("requests", 1, 1, "kite.text.v1", text)) is None
