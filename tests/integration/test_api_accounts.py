"""The accounts over HTTP: what the lists give, how they filter and page, how old they say they are."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.accounts.wanted import trade_filter
from events.accounts import Known, Pulled
from projectors.accounts.projector import ACCOUNTS
from runtime.settings import Settings
from sql.statements import statements
from tests.account_log import AccountLog, a_day, holding, order, position, positions, trade
from tests.api_server import Api, serving
from tests.loops import Desk

pytestmark = pytest.mark.anyio

Row = dict[str, Any]


async def project(settings: Settings, folder: Path, log: AccountLog) -> Desk:
    """Put a log's events into the tables."""
    assert settings.database_url is not None
    desk = Desk(settings.database_url, folder)
    await desk.project(ACCOUNTS, log.events)
    return desk


async def rows(api: Api, path: str, **query: str | int) -> list[Row]:
    """Give the list of one page."""
    page: Row = await api.get(path, query)
    return next(each for each in page.values() if isinstance(each, list))


async def walk(api: Api, path: str, query: Mapping[str, str | int]) -> list[list[Row]]:
    """Give all pages of a list."""
    pages: list[list[Row]] = []
    cursor: object = ""
    while cursor is not None:
        page: Row = await api.get(path, {**query, **({"cursor": str(cursor)} if cursor else {})})
        pages.append(next(each for each in page.values() if isinstance(each, list)))
        cursor = page["next"]
    return pages


async def test_accounts_tell_their_health(settings: Settings, tmp_path: Path) -> None:
    log = a_day()
    log.add(Known(account="third", broker="kite", user="CD5678", name="Family"))
    log.run("third", "09:20:00")
    log.run("third", "09:25:00", outcome="failed", error="no answer")
    log.run("third", "09:30:00", outcome="refused", error="TokenException: log in")
    await project(settings, tmp_path, log)
    async with serving(settings) as api:
        listed = {each["account_id"]: each for each in await rows(api, "/accounts")}
        assert list(listed) == ["main", "other", "third"]
        main, third = listed["main"], listed["third"]
        assert (main["last_sync_status"], main["failures"], main["remedy"]) == ("ok", 0, None)
        assert (main["orders_count"], main["user"]) == (2, "AB1234")
        assert main["trades_count"] == len(await rows(api, "/accounts/main/trades"))
        assert set(main["kinds"]) == {"orders", "trades", "positions", "holdings", "margins"}
        assert main["kinds"]["orders"]["asked_at"] == "2026-04-13T09:21:00+05:30"
        assert main["age_seconds"] == max(each["age_seconds"] for each in main["kinds"].values())
        assert main["kinds"]["margins"]["age_seconds"] > main["kinds"]["orders"]["age_seconds"]
        assert (third["last_sync_status"], third["failures"]) == ("refused", 2)
        assert (third["remedy"], third["last_sync_error"]) == ("bahi login kite third", "TokenException: log in")
        assert third["last_success_at"] == "2026-04-13T09:20:00+05:30"
        assert (third["age_seconds"], third["kinds"]) == (None, {})
        assert await api.get("/accounts/third") == third
        assert [[each["account_id"] for each in page] for page in await walk(api, "/accounts", {"limit": 2})] == [
            ["main", "other"],
            ["third"],
        ]


@pytest.mark.parametrize("path", ["", "/orders", "/orders/1", "/trades", "/positions", "/holdings", "/margins"])
async def test_an_unknown_account_is_not_there(settings: Settings, path: str) -> None:
    async with serving(settings) as api:
        said = await api.get(f"/accounts/nobody{path}", status=404)
        assert "'nobody'" in str(said["found"])
        assert "GET /accounts" in str(said["remedy"])


async def test_an_account_that_was_never_asked_has_empty_lists_and_says_so(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    log.add(Known(account="main", broker="kite"))
    await project(settings, tmp_path, log)
    async with serving(settings) as api:
        for kind in ("orders", "trades", "positions", "holdings", "margins"):
            said = await api.get(f"/accounts/main/{kind}")
            assert (said[kind], said["asked_at"], said["synced_at"], said["age_seconds"]) == ([], None, None, None)


async def test_orders_are_filtered(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    told = [
        order("1"),
        order("2", status="OPEN", filled_quantity=0, order_timestamp="2026-04-13 10:00:00"),
        order("3", status="REJECTED", tradingsymbol="TCS", product="MIS", transaction_type="SELL"),
        order("4", exchange="NFO", tradingsymbol="NIFTY26APRFUT", product="NRML"),
    ]
    log.snapshot("main", "orders", told)
    log.snapshot("main", "orders", [order("5", order_timestamp="2026-04-14 09:20:00")], "10:00:00", "2026-04-14")
    desk = await project(settings, tmp_path, log)
    await desk.rows("update orders set strategy_id = 'ladder' where order_id = '4'")
    async with serving(settings) as api:

        async def found(**query: str | int) -> str:
            return "".join(str(each["order_id"]) for each in await rows(api, "/accounts/main/orders", **query))

        assert await found() == "54321"
        assert await found(status="complete") == "541"
        assert await found(status="OPEN,REJECTED") == "32"
        assert await found(open="true") == "2"
        assert await found(tradingsymbol="tcs") == "3"
        assert await found(exchange="NFO", product="nrml") == "4"
        assert await found(side="sell") == "3"
        assert await found(order_id="2") == "2"
        assert await found(strategy_id="ladder") == "4"
        assert await found(strategy_id="none") == "5321"
        assert await found(**{"from": "2026-04-14"}) == "5"
        assert await found(to="2026-04-13") == "4321"
        assert await found(**{"from": "2026-04-13T09:30:00+05:30", "to": "2026-04-13T10:00:00"}) == "2"
        assert await found(**{"from": "2026-04-13T04:30:00Z", "to": "2026-04-13T04:30:00Z"}) == "2"
        for bad in ({"from": "yesterday"}, {"side": "LONG"}, {"limit": 0}, {"cursor": "x!"}, {"open": "maybe"}):
            await api.get("/accounts/main/orders", bad, status=400)
        await api.get("/accounts/main/orders", {"from": "2026-04-14", "to": "2026-04-13"}, status=400)


async def test_pages_stay_in_step_while_newer_rows_come_in(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    log.snapshot("main", "trades", [trade(str(n)) for n in range(1, 8)])  # all in one second
    desk = await project(settings, tmp_path, log)
    async with serving(settings) as api:
        first: Row = await api.get("/accounts/main/trades", {"limit": 3})
        log.snapshot("main", "trades", [trade("99", fill_timestamp="2026-04-13 09:30:00")], "10:05:00")
        await desk.project(ACCOUNTS, log.events[-1:])
        second: Row = await api.get("/accounts/main/trades", {"limit": 3, "cursor": first["next"]})
        third: Row = await api.get("/accounts/main/trades", {"limit": 3, "cursor": second["next"]})
        told = [each["trade_id"] for page in (first, second, third) for each in page["trades"]]
        assert told == ["7", "6", "5", "4", "3", "2", "1"]
        assert third["next"] is None
        assert (await rows(api, "/accounts/main/trades", limit=1))[0]["trade_id"] == "99"


async def test_trades_are_filtered(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    sold = trade("2", "9", transaction_type="SELL", product="MIS", tradingsymbol="TCS")
    log.snapshot("main", "trades", [trade("1"), sold, trade("3", exchange="BSE", fill_timestamp="2026-04-13 15:00:00")])
    await project(settings, tmp_path, log)
    async with serving(settings) as api:

        async def found(**query: str | int) -> str:
            return "".join(str(each["trade_id"]) for each in await rows(api, "/accounts/main/trades", **query))

        assert await found() == "321"
        assert await found(order_id="9") == "2"
        assert await found(trade_id="3") == "3"
        assert await found(tradingsymbol="TCS", side="SELL", product="MIS") == "2"
        assert await found(exchange="bse") == "3"
        assert await found(**{"from": "2026-04-13T14:00"}) == "3"
        assert await found(strategy_id="ladder") == ""


@pytest.mark.parametrize("text", ["\0", "a\0b"])
async def test_a_text_that_no_table_can_hold_is_refused(settings: Settings, tmp_path: Path, text: str) -> None:
    log = AccountLog()
    log.snapshot("main", "trades", [trade("1")])
    await project(settings, tmp_path, log)
    async with serving(settings) as api:
        for path in ("/accounts/main/trades", "/accounts/main/orders"):
            said: Row = await api.get(path, {"order_id": text}, status=400)
            assert "without NUL" in said["detail"]
        await api.get("/accounts/main/orders", {"status": f"OPEN,{text}"}, status=400)
        await api.get("/changes", {"account": text}, status=400)
        await api.get("/api/instruments", {"search": text}, status=400)


async def test_an_order_is_told_with_its_history_and_trades(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    log.snapshot("main", "orders", [order("1", status="OPEN", filled_quantity=0)], "09:16:00")
    log.snapshot("main", "orders", [order("1"), order("2")], "09:21:00")
    log.snapshot("main", "trades", [trade("8", "1"), trade("7", "1"), trade("9", "2")], "09:21:00")
    await project(settings, tmp_path, log)
    async with serving(settings) as api:
        said: Row = await api.get("/accounts/main/orders/1")
        assert said["order"]["status"] == "COMPLETE"
        assert said["order"]["raw"]["guid"] == "x"
        assert [each["status"] for each in said["history"]] == ["OPEN", "COMPLETE"]
        assert [each["trade_id"] for each in said["trades"]] == ["7", "8"]
        assert await api.get("/accounts/main/orders/1", {"day": "2026-04-13"}) | {"age_seconds": 0} == said | {
            "age_seconds": 0
        }
        await api.get("/accounts/main/orders/1", {"day": "2026-04-14"}, status=404)
        assert "an order of main" in str((await api.get("/accounts/main/orders/3", status=404))["wanted"])


async def test_what_stands_is_listed_in_both_views_and_pages(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    net = [position(10), position(-5, tradingsymbol="TCS"), position(0, tradingsymbol="SBIN", product="NRML")]
    log.snapshot("main", "positions", positions(net, [position(7)]), "09:16:00")
    log.snapshot("main", "holdings", [holding(3), holding(4, tradingsymbol="TCS", isin="INE467B01029")], "09:16:00")
    funds = {"enabled": True, "net": 5.25, "available": {"cash": 5.25}, "utilised": {"debits": 0}}
    log.snapshot("main", "margins", {"equity": funds, "commodity": {**funds, "net": 1}}, "09:16:00")
    log.again("main", "holdings", "09:21:00")
    await project(settings, tmp_path, log)
    async with serving(settings) as api:

        async def symbols(path: str, **query: str | int) -> list[object]:
            return [each["tradingsymbol"] for each in await rows(api, path, **query)]

        held = "/accounts/main/positions"
        assert await symbols(held) == ["INFY", "SBIN", "TCS"]
        assert await symbols(held, open="true") == ["INFY", "TCS"]
        assert await symbols(held, side="SELL") == ["TCS"]
        assert await symbols(held, product="NRML") == ["SBIN"]
        (day,) = await rows(api, held, view="day")
        assert day["quantity"] == 7
        await api.get(held, {"view": "gross"}, status=400)
        pages = await walk(api, held, {"limit": 2})
        assert [len(page) for page in pages] == [2, 1]
        assert await symbols("/accounts/main/holdings", isin="ine467b01029") == ["TCS"]
        assert [len(page) for page in await walk(api, "/accounts/main/holdings", {"limit": 1})] == [1, 1]
        said: Row = await api.get("/accounts/main/holdings")
        assert said["asked_at"] == "2026-04-13T09:21:00+05:30"  # unchanged, and as new as the last answer
        (equity,) = await rows(api, "/accounts/main/margins", segment="equity")
        assert (equity["net"], equity["available"], equity["raw"]) == (5.25, {"cash": 5.25}, None)
        assert [len(page) for page in await walk(api, "/accounts/main/margins", {"limit": 1})] == [1, 1]


async def test_money_keeps_the_digits_of_the_broker(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    body = (
        b'{"status":"success","data":[{"trade_id":"1","order_id":"2","exchange":"NSE","tradingsymbol":"INFY",'
        b'"product":"CNC","transaction_type":"BUY","average_price":123456789012.123456789,"quantity":5,'
        b'"fill_timestamp":"2026-04-13 09:15:02","odd":0.12345678901234567891}]}'
    )
    log.snapshot("main", "trades", body)
    await project(settings, tmp_path, log)
    async with serving(settings) as api, api.client.get("/accounts/main/trades?raw=true") as answer:
        (told,) = json.loads(await answer.text(), parse_float=Decimal)["trades"]
        assert told["price"] == Decimal("123456789012.123456789")
        assert told["raw"]["odd"] == Decimal("0.12345678901234567891")
    async with serving(settings) as api:
        schema: Row = await api.get("/schema")
        assert schema["components"]["schemas"]["Trade"]["properties"]["price"] == {"type": "number"}


async def test_the_lists_statements_find_their_rows_by_index(settings: Settings, tmp_path: Path) -> None:
    desk = await project(settings, tmp_path, a_day())
    await desk.rows(
        "insert into trades (account_id, day, exchange, order_id, trade_id, time, tradingsymbol, product, side,"
        " quantity, price, observed_at, raw, n) select 'a' || n %% 20, '2026-04-13', 'NSE', n, n,"
        " now() - n * interval '1 s', 'S' || n %% 500, 'MIS', 'BUY', 1, 1, now(), '{}', n"
        " from generate_series(1, %s) n",
        20_000,
    )
    await desk.rows("analyze trades")
    nothing = dict.fromkeys(("after_time", "after_exchange", "after_order", "after_trade", "from", "to"))
    asked = {**nothing, **trade_filter(), "account": "a1", "raw": False, "limit": 100}
    after = {"after_time": datetime.now(UTC), "after_exchange": "NSE", "after_order": "9", "after_trade": "9"}
    for more, index in (({}, "trades_time"), (after, "trades_time"), ({"tradingsymbol": "S1"}, "trades_traded")):
        with psycopg.connect(desk.database_url) as connection:
            found = connection.execute(f"explain {statements['api_trades']}".encode(), {**asked, **more}).fetchall()
        plan = "\n".join(line for (line,) in found)
        assert index in plan, plan


async def test_the_runs_and_how_they_stand_are_told(settings: Settings, tmp_path: Path) -> None:
    log = a_day()
    cut = Pulled(ok=False, tries=3, error_type="cut", error="an answer that ends half-way")
    kinds = {"orders": Pulled(ok=True, rows=2, unchanged=True), "trades": cut}
    told = {"trigger": "request", "outcome": "partial", "error": cut.error, "kinds": kinds, "asked": [("requests", 7)]}
    last = log.run("main", "09:31:00", **told)
    log.add(Known(account="gone", broker="kite", active=False))
    log.add(Known(account="new", broker="kite"))
    await project(settings, tmp_path, log)
    async with serving(settings) as api:
        status: Row = await api.get("/sync/status")
        assert status["counts"] == {"never": 1, "ok": 1, "partial": 1}
        assert [each["account_id"] for each in status["accounts"]] == ["gone", "main", "new", "other"]
        assert status["unread"] == 2  # a_day has one in each of two accounts
        assert [(each["projector"], each["n"]) for each in status["projectors"]] == [("accounts", len(log.events))]
        newest, *others = await rows(api, "/sync/history")
        assert (newest["n"], newest["account_id"], newest["trigger"], newest["success"]) == (
            last,
            "main",
            "request",
            False,
        )
        assert (newest["counts"], newest["asked"], newest["kinds"]) == (
            {"orders": 2},
            [["requests", 7]],
            ["orders", "trades"],
        )
        assert newest["results"]["trades"]["error_type"] == "cut"
        assert [each["account_id"] for each in others] == ["other", "main"]
        assert [len(page) for page in await walk(api, "/sync/history", {"limit": 2})] == [2, 1]
        assert len(await rows(api, "/sync/history", account_id="main")) == 2
        assert len(await rows(api, "/sync/history", account_id="main", outcome="ok")) == 1
        await api.get("/sync/history", {"account_id": "nobody"}, status=404)
        await api.get("/sync/history", {"outcome": "fine"}, status=400)


async def test_trades_that_are_told_twice_and_otherwise_are_counted(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    log.snapshot("main", "trades", [trade("1"), trade("1"), trade("1", quantity=6), trade("2", quantity="none")])
    log.snapshot("main", "orders", [order("1"), order("1", quantity=11)])
    await project(settings, tmp_path, log)
    async with serving(settings) as api:
        (found,) = await api.parts.tables.ask("doubled_trades", {})
        assert found["trades"] == 1
        assert len(await rows(api, "/accounts/main/trades")) == 1
