"""Each way in which a broker fails an account: what is tried again, what is kept, and what the run says of it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from events.accounts import KINDS, Kind, Pulled, SyncRun
from events.budget import Budget, Haste
from events.event import Recorded
from events.messages import unpack
from ops.sandbox.server import Exchange
from producers.accounts import note
from producers.accounts.pull import Asked, Puller, Run
from producers.accounts.snapshots import Snapshots
from producers.kite import calls
from producers.kite.address import Address
from producers.kite.calls import REST_RATE, Calls
from runtime.clock import SystemClock
from runtime.settings import Settings
from tests.account_log import order
from tests.certificates import self_signed, server_context
from tests.exchange import call, exchange, fault, log_in
from tests.patience import PATIENCE_SECONDS
from tests.pollers import OWN
from tests.ports import free_port

SHORT_SECONDS = (0.01, 0.01)  # between tries: the waits are no part of the story
ONE = Asked(account=OWN, broker="sandbox")


@contextlib.asynccontextmanager
async def pulling(settings: Settings, seconds_max: float = PATIENCE_SECONDS) -> AsyncIterator[Puller]:
    """Give a puller that may call as fast as it can."""
    clock = SystemClock()
    assert settings.redis_url is not None
    made, budget = Calls(clock, seconds_max), Budget(settings.redis_url, REST_RATE, clock)
    try:
        yield Puller(made, budget, clock, SHORT_SECONDS)
    finally:
        await made.close()
        await budget.close()


def at(port: int, scheme: str = "http") -> Address:
    return Address("sandbox", f"{scheme}://127.0.0.1:{port}", "", "sandbox")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Exchange]:
    async with exchange(tmp_path, driven=False, instruments=30) as made:
        yield made


def wrong(run: Run) -> dict[Kind, tuple[str, int]]:
    """Give what did not come: why, and after how many tries."""
    return {kind: (got.error_type, got.tries) for kind, got in run.got.items() if got.error}


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("too_many", {}, ("throttled", 3)),
        ("server_error", {"status": 500}, ("server", 3)),
        ("server_error", {"status": 503}, ("server", 3)),
        ("html", {"status": 502}, ("server", 3)),
        ("html", {"status": 200}, ("unreadable", 3)),
        ("html", {"status": 403}, ("refused", 1)),
        ("half", {}, ("cut", 3)),
        ("refuse_token", {"status": 403}, ("refused", 1)),
        ("refuse_token", {"status": 401}, ("refused", 1)),
    ],
)
async def test_what_fails_for_one_kind_leaves_the_others(
    settings: Settings, running: Exchange, name: str, more: dict[str, object], told: tuple[str, int]
) -> None:
    token = await log_in(running)
    await fault(running, name, kind="margins", count=99, **more)
    async with pulling(settings) as puller:
        run = await puller.pull(ONE, at(running.port), token)
    assert wrong(run) == {"margins": told}
    assert run.outcome == ("refused" if told[0] == "refused" else "partial")
    assert {kind for kind, got in run.got.items() if got.answer} == set(KINDS) - {"margins"}
    end = run.events(Snapshots())[-1]
    assert end.type == "account.sync.v1"


@pytest.mark.parametrize(
    ("name", "more", "told"),
    [
        ("server_error", {"status": 503}, ("server", 3)),
        ("refuse_token", {"status": 403}, ("refused", 1)),
        ("half", {}, ("cut", 3)),
        ("empty", {}, ("unreadable", 3)),
    ],
)
async def test_charges_that_do_not_come_leave_the_run_as_it_is(
    settings: Settings, running: Exchange, name: str, more: dict[str, object], told: tuple[str, int]
) -> None:
    token = await log_in(running)
    headers = {"Authorization": f"token sandbox:{token}"}
    of_day = msgspec.structs.replace(ONE, charges=date(2026, 4, 13))
    async with pulling(settings) as puller:
        nothing = await puller.pull(of_day, at(running.port), token)
        share = next(each for each in running.hub.stage.instruments if each.segment == "NSE")
        form = {"exchange": "NSE", "tradingsymbol": share.tradingsymbol, "transaction_type": "BUY", "product": "CNC"}
        form |= {"order_type": "MARKET", "quantity": "3"}
        assert (await call(running, "POST", "/orders/regular", data=form, headers=headers))[0] == 200
        asked = await puller.pull(of_day, at(running.port), token)
        await fault(running, name, kind="charges", count=99, **more)
        failed = await puller.pull(of_day, at(running.port), token)
        unasked = await puller.pull(ONE, at(running.port), token)
    assert (nothing.charges, unasked.charges) == (None, None), "nothing was filled, nothing was asked"
    assert asked.charges is not None
    assert [each.type for each in asked.events(Snapshots())][-2:] == ["account.charges.v1", "account.sync.v1"]
    assert failed.charges is not None
    assert (failed.charges.last.error_type, failed.charges.last.tries) == told
    assert (failed.outcome, wrong(failed)) == ("ok", {})
    *_, end = failed.events(Snapshots())
    run = unpack(Recorded("accounts", 1, end.at_ns, end.type, end.payload), SyncRun)
    assert isinstance(run.charges, Pulled)
    assert (run.charges.ok, run.charges.error_type, set(run.kinds)) == (False, told[0], set(KINDS))


async def test_charges_of_calls_before_one_that_failed_are_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(note, "ORDERS_MAX", 1)
    asked: list[bytes] = []

    async def orders(_: web.Request) -> web.Response:
        listed = [order(str(number), tradingsymbol=symbol) for number, symbol in enumerate(("INFY", "TCS", "SBIN"))]
        return web.json_response({"status": "success", "data": listed})

    async def charges(request: web.Request) -> web.Response:
        asked.append(await request.read())
        rows = {"status": "success", "data": [{"charges": {}}]}
        return web.json_response(rows, status=200 if b"INFY" in asked[-1] else 503)

    app = web.Application()
    app.router.add_get("/orders", orders)
    app.router.add_post("/charges/orders", charges)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    of_day = Asked(account=OWN, broker="sandbox", kinds=("orders",), charges=date(2026, 4, 13))
    try:
        async with pulling(settings) as puller:
            run = await puller.pull(of_day, at(port), "token")
    finally:
        await runner.cleanup()
    assert run.charges is not None
    assert [each.asked for each in run.charges.told] == asked[:1]
    assert (run.charges.last.error_type, run.charges.last.rows, run.outcome) == ("server", 1, "ok")
    assert len(asked) == 1 + 3, "the third order was not asked about any more"


@pytest.mark.parametrize("name", ["too_many", "server_error", "half"])
async def test_what_passes_within_three_tries_is_no_failure(settings: Settings, running: Exchange, name: str) -> None:
    token = await log_in(running)
    await fault(running, name, kind="trades", count=2)
    async with pulling(settings) as puller:
        run = await puller.pull(ONE, at(running.port), token)
    assert run.outcome == "ok"
    assert {kind: got.tries for kind, got in run.got.items()} == {**dict.fromkeys(KINDS, 1), "trades": 3}


async def test_an_answer_that_does_not_come_in_time_is_given_up(settings: Settings, running: Exchange) -> None:
    token = await log_in(running)
    await fault(running, "latency", kind="orders", count=99, delay=60.0)
    async with pulling(settings, seconds_max=2.0) as puller:
        run = await puller.pull(ONE, at(running.port), token)
    assert wrong(run) == {"orders": ("timeout", 3)}


async def test_a_refused_token_is_not_shown_again_in_the_same_run(settings: Settings, running: Exchange) -> None:
    where = at(running.port)
    async with pulling(settings) as puller:
        for _ in range(REST_RATE.calls - 1):  # so that one call leaves now, and the others a second later
            await puller.turn(where, Haste())
        run = await puller.pull(ONE, where, "of yesterday")
    assert run.outcome == "refused"
    assert {why for why, _ in wrong(run).values()} == {"refused"}
    assert sum(tries for _, tries in wrong(run).values()) == 1


@pytest.mark.parametrize("token", ["two\nlines", "a\x00b", "\u0967\u0968"])
async def test_a_token_that_no_header_holds_is_a_refused_one(settings: Settings, running: Exchange, token: str) -> None:
    async with pulling(settings) as puller:
        run = await puller.pull(ONE, at(running.port), token)
    assert run.outcome == "refused"


async def test_a_broker_that_is_not_there_is_tried_three_times(settings: Settings) -> None:
    async with pulling(settings) as puller:
        run = await puller.pull(ONE, at(free_port()), "token")
    assert (run.outcome, wrong(run)) == ("failed", dict.fromkeys(KINDS, ("network", 3)))


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@contextlib.asynccontextmanager
async def saying(body: bytes, length: int | None = None, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer everything with these bytes, and then say nothing; `length` is what they are said to be."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    said = len(body) if length is None else length
                    writer.write(HEAD + b"content-length: %d\r\n\r\n" % said + body)
                    await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"status": "success", "data": {"net": 5}}', "unreadable"),
        (b'{"status": "success", "data": "none"}', "unreadable"),
        (b'["a", "list"]', "unreadable"),
        (b"", "unreadable"),
        (b'{"status": "success", "data": {"net": ["\xff"]}}', "unreadable"),
        (b'{"status": "success", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "unreadable"),
        (b'{"status": "error", "error_type": "TokenException", "message": "m"}', "refused"),
        (b'{"status": "error", "error_type": "PermissionException", "message": "m"}', "refused"),
        (b'{"status": "error", "error_type": "NetworkException", "message": "m"}', "server"),
        (b'{"status": "error", "error_type": "InputException", "message": "m"}', "input"),
        (b'{"status": "error", "error_type": "NobodyKnows", "message": "m"}', "input"),
    ],
)
async def test_what_is_no_answer_of_this_kind_is_no_snapshot(settings: Settings, body: bytes, told: str) -> None:
    asked = Asked(account=OWN, broker="sandbox", kinds=("positions",))
    async with saying(body) as port, pulling(settings) as puller:
        run = await puller.pull(asked, at(port), "token")
    assert {why for why, _ in wrong(run).values()} == {told}


@pytest.mark.parametrize("kind", KINDS)
async def test_no_data_is_an_answer_without_rows(settings: Settings, kind: Kind) -> None:
    body = b'{"status": "success", "data": null}'
    async with saying(body) as port, pulling(settings) as puller:
        run = await puller.pull(Asked(account=OWN, broker="sandbox", kinds=(kind,)), at(port), "token")
    got = run.got[kind]
    assert got.answer is not None
    assert (got.answer.body, got.rows) == (body, 0)


async def test_a_body_that_never_ends_is_given_up(settings: Settings) -> None:
    asked = Asked(account=OWN, broker="sandbox", kinds=("orders",))
    async with saying(b'{"status": ', length=1000) as port, pulling(settings, seconds_max=0.2) as puller:
        run = await puller.pull(asked, at(port), "token")
    assert wrong(run) == {"orders": ("timeout", 3)}


async def test_a_body_over_the_limit_is_refused_and_not_asked_for_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "BODY_BYTES_MAX", 100)
    asked = Asked(account=OWN, broker="sandbox", kinds=("orders",))
    async with saying(b" " * 101) as port, pulling(settings) as puller:
        run = await puller.pull(asked, at(port), "token")
    assert wrong(run) == {"orders": ("input", 1)}


async def test_a_token_follows_no_redirection(settings: Settings) -> None:
    asked = Asked(account=OWN, broker="sandbox", kinds=("orders",))
    heard: list[bytes] = []

    async def lead_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                heard.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")
                heard.append(await reader.readuntil(b"\r\n\r\n"))
        finally:
            writer.close()

    server = await asyncio.start_server(lead_away, "127.0.0.1", 0)
    async with server, pulling(settings) as puller:
        run = await puller.pull(asked, at(server.sockets[0].getsockname()[1]), "token")
    assert wrong(run) == {"orders": ("input", 1)}
    assert len(heard) == 1


async def test_a_certificate_of_somebody_else_is_not_trusted(settings: Settings, tmp_path: Path) -> None:
    context = server_context(self_signed(tmp_path, "127.0.0.1"))
    asked = Asked(account=OWN, broker="sandbox", kinds=("orders",))
    async with saying(b'{"data": []}', context=context) as port, pulling(settings) as puller:
        run = await puller.pull(asked, at(port, "https"), "token")
    assert wrong(run) == {"orders": ("network", 3)}


async def test_a_run_that_somebody_comes_to_wait_for_goes_before_the_others(
    settings: Settings, running: Exchange
) -> None:
    token, ended = await log_in(running), list[str]()

    async def pull(puller: Puller, asked: Asked) -> None:
        run = await puller.pull(asked, at(running.port), token)
        assert run.outcome == "ok"
        ended.append(asked.account)

    asked = [Asked(account=str(number), broker="sandbox") for number in range(6)]  # 30 calls, of which 10 leave at once
    async with pulling(settings) as puller:
        waiting = [asyncio.ensure_future(pull(puller, each)) for each in asked]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        asked[-1].haste.urgent = True
        await asyncio.gather(*waiting)
    assert ended.index("5") <= 2, "before those whose calls had not left yet"
