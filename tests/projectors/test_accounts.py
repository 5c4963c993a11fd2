"""The accounts' tables: what the newest answers say, what was ever said of orders and trades, and what changed."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from events.accounts import KINDS, Known, Pulled, RuleSet, SnapshotPart
from projectors.accounts import kite
from projectors.accounts.projector import ACCOUNTS
from tests.account_log import DAY, AccountLog, holding, order, position, positions, trade
from tests.loops import Desk

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


async def test_a_day_of_one_account(desk: Desk) -> None:
    log = AccountLog()
    log.add(Known(account="main", broker="kite", user="AB1234", name="Family"))
    opened: dict[str, Any] = {"status": "OPEN", "filled_quantity": 0, "pending_quantity": 10, "average_price": 0}
    log.snapshot("main", "orders", [order(**opened, tag="strat7")], "09:16:00")
    log.snapshot("main", "trades", [], "09:16:00")
    log.snapshot("main", "orders", [order(tag="strat7", tags=["strat7", "autoslice:1"])], "09:21:00")
    log.snapshot("main", "trades", [trade("1"), trade("2")], "09:21:00")
    log.run("main", "09:21:01", kinds={"orders": Pulled(ok=True, rows=1), "trades": Pulled(ok=True, rows=2)})
    await desk.project(ACCOUNTS, log.events)

    (account,) = await desk.rows("select * from trading_accounts")
    assert (account["broker_user"], account["name"], account["last_sync_status"]) == ("AB1234", "Family", "ok")
    assert (account["orders_count"], account["trades_count"]) == (1, 2)
    assert account["last_sync_at"] == datetime(2026, 4, 13, 3, 51, 1, tzinfo=UTC)
    (kept,) = await desk.rows("select * from orders")
    assert kept["created_at"] == datetime(2026, 4, 13, 3, 45, 2, tzinfo=UTC)
    assert kept["updated_at"] == datetime(2026, 4, 13, 3, 45, 3, tzinfo=UTC)
    assert (kept["day"], kept["status"], kept["side"]) == (date(2026, 4, 13), "COMPLETE", "BUY")
    assert (kept["price"], kept["average_price"]) == (Decimal("1500.5"), Decimal("1500.25"))
    assert kept["tags"] == ["strat7", "autoslice:1"]
    assert kept["raw"]["guid"] == "x"
    seen = await desk.rows("select status, filled_quantity from order_history order by n")
    assert [(each["status"], each["filled_quantity"]) for each in seen] == [("OPEN", 0), ("COMPLETE", 10)]
    trades = await desk.rows("select trade_id, quantity, price, time from trades order by trade_id")
    assert [(each["trade_id"], each["quantity"]) for each in trades] == [("1", 5), ("2", 5)]  # in one second
    changes = await desk.rows("select cursor, kind, key, change, before, after from account_changes order by cursor")
    assert [(each["kind"], each["change"]) for each in changes] == [
        ("orders", "added"),
        ("orders", "changed"),
        ("trades", "added"),
        ("trades", "added"),
    ]
    assert [each["cursor"] for each in changes] == [2 << 20, 4 << 20, 5 << 20, (5 << 20) + 1]
    assert (changes[1]["before"]["status"], changes[1]["after"]["status"]) == ("OPEN", "COMPLETE")
    (run,) = await desk.rows("select * from sync_runs")
    assert (run["success"], run["counts"]) == (True, {"orders": 1, "trades": 2})


async def test_positions_and_holdings_stand_as_told_last_and_prices_are_no_change(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "positions", positions([position(10)], [position(10)]), "10:00:00")
    log.snapshot("main", "holdings", [holding(3), holding(4, tradingsymbol="TCS")], "10:00:00")
    moved = position(10, last_price=1510, pnl=97.5, m2m=97.5, unrealised=97.5)
    log.snapshot("main", "positions", positions([moved], [moved]), "10:05:00")
    log.snapshot("main", "holdings", [holding(3, last_price=1510, pnl=330)], "10:05:00")
    await desk.project(ACCOUNTS, log.events)

    (held,) = await desk.rows("select quantity, last_price, pnl, day_pnl from positions")
    assert held == {
        "quantity": 10,
        "last_price": 1510,
        "pnl": Decimal("97.5"),
        "day_pnl": Decimal("97.5"),
    }
    assert len(await desk.rows("select n from day_positions")) == 1
    assert [each["tradingsymbol"] for each in await desk.rows("select * from holdings")] == ["INFY"]
    changes = await desk.rows("select kind, key, change from account_changes order by cursor")
    assert [(each["kind"], each["key"], each["change"]) for each in changes] == [
        ("positions", "NSE:INFY MIS", "added"),
        ("holdings", "NSE:INFY", "added"),
        ("holdings", "NSE:TCS", "added"),
        ("holdings", "NSE:TCS", "removed"),
    ]


async def test_an_unchanged_snapshot_of_a_thousand_orders_writes_nothing(desk: Desk) -> None:
    log = AccountLog()
    book = [order(f"2604130000{number:05}") for number in range(1000)]
    log.snapshot("main", "orders", book, "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    written = await desk.rows("select xmin::text, ctid::text from orders order by order_id")

    known = len(log.events)
    log.again("main", "orders", "10:05:00")
    log.snapshot("main", "orders", [dict(reversed(each.items())) for each in book], "10:10:00")  # in other words
    await desk.project(ACCOUNTS, log.events[known:])
    assert await desk.rows("select xmin::text, ctid::text from orders order by order_id") == written
    assert len(await desk.rows("select cursor from account_changes")) == 1000
    assert len(await desk.rows("select n from order_history")) == 1000
    (kept,) = await desk.rows("select asked_at, n from account_snapshots")
    assert (kept["asked_at"], kept["n"]) == (datetime(2026, 4, 13, 4, 40, tzinfo=UTC), 3)


async def test_what_comes_late_changes_nothing_that_is_newer(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "orders", [order(), order("260413000000002")], "10:10:00")
    log.snapshot("main", "positions", positions([position(10)]), "10:10:00")
    log.snapshot("main", "orders", [order(status="OPEN"), order("260413000000003")], "10:05:00")
    log.snapshot("main", "positions", positions([]), "10:05:00")
    log.snapshot("main", "orders", [order(), order("260413000000002")], "10:10:00")  # and again
    await desk.project(ACCOUNTS, log.events)
    kept = await desk.rows("select order_id, status from orders order by order_id")
    assert [(each["order_id"][-1], each["status"]) for each in kept] == [
        ("1", "COMPLETE"),
        ("2", "COMPLETE"),
        ("3", "COMPLETE"),  # nobody knew it
    ]
    assert len(await desk.rows("select n from positions")) == 1
    assert len(await desk.rows("select cursor from account_changes")) == 3
    assert len(await desk.rows("select n from order_history")) == 2


async def test_an_empty_answer_takes_no_order_and_no_trade_away(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "trades", [trade("1")], "10:00:00")
    log.snapshot("main", "orders", [order()], "10:00:00")
    log.snapshot("main", "trades", [], "10:05:00")
    log.snapshot("main", "orders", [], "10:05:00")
    await desk.project(ACCOUNTS, log.events)
    for table in ("trades", "orders"):
        (kept,) = await desk.rows(f"select absent_since from {table}")
        assert kept["absent_since"] is not None
    known = len(log.events)
    log.snapshot("main", "trades", [trade("1")], "10:10:00")
    log.snapshot("main", "orders", [order()], "10:10:00")
    await desk.project(ACCOUNTS, log.events[known:])
    for table in ("trades", "orders"):
        (kept,) = await desk.rows(f"select absent_since from {table}")
        assert kept["absent_since"] is None
    changes = await desk.rows("select change from account_changes where kind = 'trades' order by cursor")
    assert [each["change"] for each in changes] == ["added", "removed", "added"]


async def test_the_brokers_clear_their_books_overnight(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "orders", [order()], "15:40:00")
    log.snapshot("main", "orders", [order()], "00:10:00", day="2026-04-14")  # still yesterday's book
    log.snapshot("main", "orders", [], "09:00:00", day="2026-04-14")
    await desk.project(ACCOUNTS, log.events)
    (kept,) = await desk.rows("select day, absent_since from orders")
    assert kept == {"day": date(2026, 4, 13), "absent_since": None}
    assert [each["change"] for each in await desk.rows("select change from account_changes")] == ["added"]


async def test_an_order_that_waits_for_the_morning_is_one_order(desk: Desk) -> None:
    log = AccountLog()
    waiting: dict[str, Any] = {"status": "AMO REQ RECEIVED", "filled_quantity": 0, "exchange_timestamp": None}
    waiting["exchange_update_timestamp"] = None
    log.snapshot("main", "orders", [order(order_timestamp=f"{DAY} 20:00:00", **waiting)], "20:05:00")
    times = dict.fromkeys(("order_timestamp", "exchange_timestamp", "exchange_update_timestamp"), "2026-04-14 09:15:01")
    log.snapshot("main", "orders", [order(**{**waiting, **times, "status": "OPEN"})], "09:16:00", day="2026-04-14")
    log.snapshot("main", "orders", [order(**times)], "09:21:00", day="2026-04-14")
    filled = trade("1", fill_timestamp="2026-04-14 09:15:02")
    log.snapshot("main", "trades", [filled], "09:21:00", day="2026-04-14")
    log.decide(RuleSet(rule="hand", strategy="7", kind="order", pattern=f"{DAY} NSE 260413000000001"), 1)
    log.snapshot("main", "orders", [order("260413000000002", order_timestamp=f"{DAY} 20:00:00")], "20:06:00")  # late
    await desk.project(ACCOUNTS, log.events)
    kept = await desk.rows("select day, status, created_at from orders where order_id = '260413000000001'")
    assert [(each["day"], each["status"]) for each in kept] == [(date(2026, 4, 13), "COMPLETE")]
    assert kept[0]["created_at"] == datetime(2026, 4, 13, 14, 30, tzinfo=UTC)
    assert [each["orders_count"] for each in await desk.rows("select orders_count from trading_accounts")] == [2]
    assert len(await desk.rows("select n from order_history where day = '2026-04-13'")) == 3
    (fill,) = await desk.rows("select day, strategy_id from trades")
    assert fill == {"day": date(2026, 4, 14), "strategy_id": "7"}, "a trade takes its order's"


async def test_an_id_that_comes_again_after_weeks_is_another_order(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "orders", [order()], "10:00:00")
    log.snapshot("main", "orders", [order(order_timestamp="2026-05-13 09:15:02")], "10:00:00", day="2026-05-13")
    await desk.project(ACCOUNTS, log.events)
    assert [each["day"].month for each in await desk.rows("select day from orders order by day")] == [4, 5]


async def test_a_row_that_cannot_be_read_is_kept_aside_and_the_others_count(desk: Desk) -> None:
    log = AccountLog()
    odd = [trade("2", average_price="what"), "nonsense", trade("3", transaction_type="HOLD"), trade("4", quantity=None)]
    fine = trade("1", average_price="1500.25", quantity="5", fill_timestamp=None, exchange_timestamp="")
    log.snapshot("main", "trades", [fine, *odd], "10:00:00")
    log.snapshot("main", "trades", [fine, *odd, trade("5")], "10:05:00")  # the same odd ones are not kept twice
    await desk.project(ACCOUNTS, log.events)
    kept = await desk.rows("select trade_id, price, quantity, time from trades order by trade_id")
    assert [each["trade_id"] for each in kept] == ["1", "5"]
    assert kept[0]["time"] == datetime(2026, 4, 13, 3, 45, 2, tzinfo=UTC)  # of order_timestamp, which has no day
    assert (kept[0]["price"], kept[0]["quantity"]) == (Decimal("1500.25"), 5)
    parked = await desk.rows("select n, part, error from parked_events order by n, part")
    assert [(each["n"], each["part"]) for each in parked] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert "average_price" in parked[0]["error"]


async def test_types_that_drift_are_no_change(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "orders", [order(tags=None)], "10:00:00")
    log.snapshot("main", "orders", [order(price="1500.50", quantity="10", tags=[])], "10:05:00")
    log.snapshot("main", "orders", [order(status="GONE FISHING")], "10:10:00")
    await desk.project(ACCOUNTS, log.events)
    assert [each["change"] for each in await desk.rows("select change from account_changes order by cursor")] == [
        "added",
        "changed",
    ]
    assert (await desk.rows("select status from orders"))[0]["status"] == "GONE FISHING"


NO_ANSWERS = (
    b"<html>Bad Gateway</html>",
    b'{"data": [{"order_id": "\xff"}]}',  # no UTF-8
    b'{"data": [{"order_id": "\\ud800"}]}',  # half of a character
    b'{"data": "none"}',
    b"[]",
    b'{"data": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",  # newer Pythons go down some ten thousand
)


@pytest.mark.parametrize("body", NO_ANSWERS)
async def test_an_answer_that_is_none_is_kept_aside_and_all_else_goes_on(desk: Desk, body: bytes) -> None:
    log = AccountLog()
    log.snapshot("main", "orders", [order()], "09:55:00")
    bad = log.snapshot("main", "orders", body, "10:00:00")
    log.again("main", "orders", "10:05:00")
    log.snapshot("other", "orders", [order()], "10:05:00")
    log.snapshot("main", "orders", [order(), order("260413000000002")], "10:10:00")
    await desk.project(ACCOUNTS, log.events)
    assert len(await desk.rows("select n from orders where account_id = 'main' and absent_since is null")) == 2
    assert len(await desk.rows("select n from orders where account_id = 'other'")) == 1
    parked = await desk.rows("select n, error, payload from parked_events order by n")
    assert [each["n"] for each in parked] == [bad, bad + 1]  # the second one says that it is as that one
    assert bytes(parked[0]["payload"]) == body


async def test_no_rows_at_all_come_as_null_too(desk: Desk) -> None:
    log = AccountLog()
    for kind in KINDS:
        log.snapshot("main", kind, None, "10:00:00")
    log.snapshot("main", "positions", {"net": None, "day": None}, "10:05:00")
    await desk.project(ACCOUNTS, log.events)
    assert await desk.rows("select n from parked_events") == []
    assert {each["rows"] for each in await desk.rows("select rows from account_snapshots")} == {0}


HUGE = b"1" + b"0" * 30
ODD_TRADES = (
    *(b'"quantity": 1e400', b'"quantity": 1e-12', b'"quantity": -5', b'"quantity": "NaN"', b'"quantity": ' + HUGE),
    *(b'"average_price": 1e9999999999999999999', b'"average_price": "Infinity"', b'"average_price": 1e12'),
    b'"average_price": 999999999999.9999999999',
    *(b'"trade_id": "' + b"9" * 5000 + b'"', b'"tradingsymbol": "' + b"A" * 3000 + b'"', b'"product": "a\\u0000b"'),
    *(b'"instrument_token": ' + HUGE, b'"x": 1e999999', b'"x": {"a\\u0000": 1}', b'"transaction_type": "\\u0000"'),
    *(b'"fill_timestamp": "9999-12-31T23:59:59-05:00", "exchange_timestamp": null, "order_timestamp": null',),
    *(b'"x": ' + b"[" * 200 + b"]" * 200, b'"x": ' + b'{"a":' * 200 + b"1" + b"}" * 200),
)


@pytest.mark.parametrize("odd", ODD_TRADES)
async def test_a_trade_that_no_book_can_hold_is_kept_aside(desk: Desk, odd: bytes) -> None:
    log = AccountLog()
    body = json.dumps({"data": [trade("1"), trade("2")]}).encode()
    log.snapshot("main", "trades", body[:-3] + b", " + odd + b"}]}", "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    assert [each["trade_id"] for each in await desk.rows("select trade_id from trades")] == ["1"]
    assert [each["sum"] for each in await desk.rows("select sum(quantity) from books")] == [5]
    assert len(await desk.rows("select error from parked_events")) == 1


async def test_rows_of_nonsense_hold_up_no_others(desk: Desk) -> None:
    log = AccountLog()
    log.add(Known(account="main", broker="kite", user="A\0", name="\0"))  # as a broker, or a file, may have it
    odd: list[dict[str, Any]] = [
        *({"multiplier": each} for each in (-1, 1e-9, 1e30)),
        *({"overnight_quantity": each, "buy_value": 9e11} for each in (1e12, 1e-12)),
        {"last_price": 1e300},
    ]
    listed = [position(3, product="NRML", tradingsymbol=f"ODD{at}26APRFUT", **each) for at, each in enumerate(odd)]
    log.snapshot("main", "positions", positions([position(10), *listed]), "10:00:00")
    log.snapshot("main", "holdings", [holding(3), holding(10**15, tradingsymbol="TCS")], "10:00:00")
    log.snapshot("main", "margins", {"equity": {"net": 5}, "a\0": {"net": 5}, "b" * 5000: {}, "c": 7}, "10:00:00")
    tags = ["strategy_" + "a" * 5000, None, 7]
    worded = order(status_message="x" * 100_000, tags=tags, product="b" * 5000)
    log.snapshot("main", "orders", [order(tags=tags), {**worded, "order_id": "2"}], "10:00:00")
    refused: dict[str, Any] = {"outcome": "failed", "error": "a\0b"}
    log.run("main", "10:00:01", **refused, kinds={"orders": Pulled(ok=False, error="a\0b")})
    await desk.project(ACCOUNTS, log.events)
    held = {each["tradingsymbol"] for each in await desk.rows("select tradingsymbol from positions")}
    assert held == {"INFY", "ODD4" + "26APRFUT"}  # so little is nothing
    assert [each["tradingsymbol"] for each in await desk.rows("select * from holdings")] == ["INFY"]
    assert [each["segment"] for each in await desk.rows("select segment from margins")] == ["equity"]
    (kept,) = await desk.rows("select tags, strategy_id from orders")
    assert (kept["tags"][1:], kept["strategy_id"]) == (["7"], None)
    (run,) = await desk.rows("select error from sync_runs")
    assert run["error"] == "a\ufffdb"


async def test_parts_of_a_body_that_was_cut_short_hold_nothing_back(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "orders", [order()], "10:00:00")
    log.add(SnapshotPart(account="main", kind="trades", sha256="0" * 64, part=1, body=b"x"))
    log.run("main", "10:05:00")
    await desk.project(ACCOUNTS, log.events)
    (stands,) = await desk.rows("select n from projection_checkpoints where projector = 'accounts'")
    assert stands["n"] == 3, "what is in the tables is behind the checkpoint"
    assert [each["n"] for each in await desk.rows("select n from sync_runs")] == [3]


async def test_a_body_in_parts_is_one_body(desk: Desk) -> None:
    log = AccountLog()
    book = [order(f"2604130000{number:05}") for number in range(50)]
    log.snapshot("main", "orders", book, "10:00:00", parts=3)
    await desk.write(log.events)
    async with desk.running(ACCOUNTS, "accounts") as running:
        await running.reached(4)
    assert len(await desk.rows("select n from orders")) == 50
    assert [each["n"] for each in await desk.rows("select distinct n from orders")] == [4]


MOCKS = {
    "kite-mocks": {"holdings": "holdings.json", "margins": "margins.json", "trades": "order_trades.json"},
    "kite-mocks-older": {
        "orders": "orders.json",
        "trades": "trades.json",
        "positions": "positions.json",
        "holdings": "holdings.json",
        "margins": "margins.json",
    },
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real data is not here")
@pytest.mark.parametrize(("folder", "kind"), [(folder, kind) for folder, kinds in MOCKS.items() for kind in kinds])
async def test_every_real_answer_comes_whole_into_the_tables(desk: Desk, folder: str, kind: Any) -> None:
    body = (SHARED / folder / MOCKS[folder][kind]).read_bytes()
    log = AccountLog()
    log.snapshot("main", kind, body)
    await desk.project(ACCOUNTS, log.events)
    assert await desk.rows("select n from parked_events") == []
    sheets = kite.sheets(kind, body)
    assert any(sheet.items for sheet in sheets.values())
    for table, sheet in sheets.items():
        kept = await desk.rows(f"select raw from {table}")
        assert sorted(map(comparable, (each["raw"] for each in kept))) == sorted(
            comparable(item["funds"] if kind == "margins" else item) for item in sheet.items.values()
        )


def comparable(value: Any) -> str:
    """Give a row as text, whatever kind of number its figures came back as."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {comparable(each)}" for name, each in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(comparable, value)) + "]"
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return str(float(value)) if is_number else repr(value)
