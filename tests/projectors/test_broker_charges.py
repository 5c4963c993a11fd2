"""What the broker says that orders cost, against our table of charges: from its answer to a divergence and back."""

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from events.accounts import Known, TariffSet
from ops.sandbox.accounts import charges, shown
from projectors.accounts.dispute import COMPONENTS
from projectors.accounts.projector import ACCOUNTS
from runtime.tariffs import shipped
from tests.account_log import DAY, AccountLog, noted, order, position, positions
from tests.loops import Desk

NEXT_DAY = "2026-04-14"
BUY = noted(order("1"), quantity=10, average_price=1500)
SELL = noted(order("2"), transaction_type="SELL", tradingsymbol="TCS", product="MIS", quantity=5, average_price=3000)
FUTURE = noted(order("3"), exchange="NFO", tradingsymbol="NIFTY26APRFUT", product="NRML", quantity=75)
ORDERS = [BUY, SELL, {**FUTURE, "average_price": 24000}]
# Of delivery: what our table has is twice what is charged.
WRONG = shipped().text.replace('sides = ["BUY", "SELL"]\npercent = 0.1\n', 'sides = ["BUY", "SELL"]\npercent = 0.2\n')
assert shipped().text != WRONG


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


def note_of(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give Kite's answer about orders of April 2026, as the sandbox reckons it."""
    orders = [
        charges.Asked(
            **{**each, "quantity": Decimal(each["quantity"]), "average_price": Decimal(each["average_price"])}
        )
        for each in asked
    ]
    day = date.fromisoformat(DAY)
    return [shown.virtual_note(each, charges.virtual_note(each, day)) for each in orders]


def tariff(text: str, *, is_shipped: bool = False) -> TariffSet:
    return TariffSet(broker="kite", text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), shipped=is_shipped)


def begun() -> AccountLog:
    log = AccountLog()
    log.add(Known(account="main", broker="kite", user="AB1234"))
    log.add(tariff(shipped().text, is_shipped=True))
    return log


async def disputed(desk: Desk) -> list[tuple[Any, ...]]:
    rows = await desk.rows("select * from divergences where type = 'charge' and not settling order by 2, 3, 4")
    return [(row["exchange"], row["tradingsymbol"], row["product"], row["ours"], row["theirs"]) for row in rows]


async def state(desk: Desk) -> list[list[dict[str, Any]]]:
    return [
        await desk.rows(f"select * from {table} order by 1, 2, 3, 4, 5") for table in ("broker_charges", "divergences")
    ]


async def test_what_the_broker_says_stands_in_the_table_and_agrees(desk: Desk) -> None:
    log = begun()
    told = note_of(ORDERS)
    log.charges("main", ORDERS, told)
    await desk.project(ACCOUNTS, log.events)
    rows = await desk.rows("select * from broker_charges order by order_id")
    assert [(row["order_id"], row["tradingsymbol"], row["side"], row["quantity"]) for row in rows] == [
        ("1", "INFY", "BUY", 10),
        ("2", "TCS", "SELL", 5),
        ("3", "NIFTY26APRFUT", "BUY", 75),
    ]
    assert {row["day"].isoformat() for row in rows} == {DAY}
    for row, each in zip(rows, told, strict=True):
        said = each["charges"]
        assert row["raw"] == each
        assert [float(row[name]) for name in ("brokerage", "transaction_tax", "stamp", "total")] == pytest.approx(
            [said["brokerage"], said["transaction_tax"], said["stamp_duty"], said["total"]]
        )
        assert float(row["exchange_charge"]) == pytest.approx(said["exchange_turnover_charge"])
        assert [float(row["sebi"]), float(row["gst"])] == pytest.approx(
            [said["sebi_turnover_charge"], said["gst"]["total"]]
        )
    assert await disputed(desk) == []


async def test_a_wrong_row_of_the_tariff_is_a_divergence_until_it_is_right(desk: Desk) -> None:
    log = begun()
    log.charges("main", ORDERS, note_of(ORDERS))
    log.decide(tariff(WRONG), 1)
    await desk.project(ACCOUNTS, log.events)
    ((*line, ours, theirs),) = await disputed(desk)
    assert (line, ours - theirs) == (["NSE", "INFY", "CNC"], 15)
    ((evidence,),) = [tuple(row.values()) for row in await desk.rows("select evidence from divergences")]
    assert evidence["components"]["transaction_tax"] == {"ours": 30, "theirs": 15}
    others = set(COMPONENTS) - {"transaction_tax"}
    assert all(
        float(evidence["components"][name]["ours"]) == pytest.approx(float(evidence["components"][name]["theirs"]))
        for name in others
    )
    (one,) = evidence["orders"]
    assert (one["order_id"], one["side"], one["quantity"], one["average_price"]) == ("1", "BUY", 10, 1500)
    assert (evidence["day"], evidence["orders_count"], evidence["settling"]) == (DAY, 1, False)

    seen = len(log.events)
    log.snapshot("main", "positions", positions([position(10)]), "09:30:00", NEXT_DAY)
    await desk.project(ACCOUNTS, log.events[seen:])
    assert len(await disputed(desk)) == 1, "another answer says nothing of it"
    seen = len(log.events)
    log.decide(tariff(""), 2)
    await desk.project(ACCOUNTS, log.events[seen:])
    assert await disputed(desk) == []
    assert await desk.rows("select ours from broker_charges where ours is not null") == []


async def test_only_the_newest_day_is_compared_and_what_comes_late_changes_nothing_newer(desk: Desk) -> None:
    log = begun()
    log.decide(tariff(WRONG), 1)
    log.charges("main", [BUY], note_of([BUY]))
    log.charges("main", [SELL], note_of([SELL]), day=NEXT_DAY)
    await desk.project(ACCOUNTS, log.events)
    assert await disputed(desk) == []
    seen = len(log.events)
    log.charges("main", [BUY], note_of([BUY]), "23:56:00")
    log.charges("main", [{**SELL, "quantity": 4}], note_of([SELL]), "23:54:00", day=NEXT_DAY)
    await desk.project(ACCOUNTS, log.events[seen:])
    assert await disputed(desk) == []
    rows = await desk.rows("select day, quantity from broker_charges order by day")
    assert [(row["day"].isoformat(), row["quantity"]) for row in rows] == [(DAY, 10), (NEXT_DAY, 5)]


async def test_at_night_the_broker_tells_of_the_day_before(desk: Desk) -> None:
    log = begun()
    log.charges("main", [BUY], note_of([BUY]), "04:31:00", NEXT_DAY)
    await desk.project(ACCOUNTS, log.events)
    (row,) = await desk.rows("select day from broker_charges")
    assert row["day"].isoformat() == DAY


@pytest.mark.parametrize("first", [DAY, NEXT_DAY])
async def test_orders_say_of_which_day_a_note_is_that_comes_at_night(desk: Desk, first: str) -> None:
    """The sandbox's day begins at midnight; Kite's does some hours later."""
    log = begun()
    log.snapshot("main", "orders", [order("1", order_timestamp=f"{first} 00:10:00")], "00:30:00", NEXT_DAY)
    log.charges("main", [BUY], note_of([BUY]), "00:30:01", NEXT_DAY)
    await desk.project(ACCOUNTS, log.events)
    (row,) = await desk.rows("select day from broker_charges")
    assert row["day"].isoformat() == first


async def test_an_account_without_a_tariff_has_no_such_divergence(desk: Desk) -> None:
    log = AccountLog()
    log.charges("main", [BUY], note_of([BUY]))
    await desk.project(ACCOUNTS, log.events)
    assert await disputed(desk) == []
    assert len(await desk.rows("select order_id from broker_charges")) == 1


async def test_rows_that_cannot_be_read_are_kept_aside_and_the_others_count(desk: Desk) -> None:
    log, told = begun(), note_of(ORDERS)
    log.charges("main", ORDERS, [{**told[0], "tradingsymbol": "WIPRO"}, {**told[1], "charges": None}, told[2]])
    log.charges("main", ORDERS, told[:2])
    log.charges("main", ORDERS, b"<html>")
    log.charges("main", [BUY], [{**told[0], "meta": "a\x00b"}])
    await desk.project(ACCOUNTS, log.events)
    rows = await desk.rows("select order_id from broker_charges order by 1")
    assert [row["order_id"] for row in rows] == ["3"]
    parked = await desk.rows("select n, part, error from parked_events order by n, part")
    assert [(row["n"], row["part"]) for row in parked] == [(3, 1), (3, 2), (4, 1), (5, 1), (6, 1)]
    assert "the charges of main" in parked[0]["error"]
    assert await disputed(desk) == []


async def test_however_the_events_are_cut_the_tables_are_the_same(desk: Desk) -> None:
    log = begun()
    gold = noted(
        order("9"), exchange="MCX", tradingsymbol="GOLD26JUNFUT", product="NRML", quantity=1, average_price=95000
    )
    log.charges("main", [BUY], note_of([BUY]))
    log.charges("main", [SELL, gold], note_of([SELL, gold]), day=NEXT_DAY)
    log.decide(tariff(WRONG), 1)
    log.charges("main", [BUY], note_of([BUY]), "23:56:00", day=NEXT_DAY)
    futures = position(1, exchange="MCX", tradingsymbol="GOLD26JUNFUT", product="NRML", multiplier=100)
    log.snapshot("main", "positions", positions([futures]), "23:57:00", NEXT_DAY)
    await desk.project(ACCOUNTS, log.events)
    at_once = await state(desk)
    assert {row["tradingsymbol"] for row in at_once[1] if row["type"] == "charge"} == {"INFY"}, "a lot is 100"

    await desk.rows(f"truncate {', '.join((*ACCOUNTS.tables, 'projection_checkpoints', 'parked_events'))}")
    desk.log = type(desk.log)()
    for event in log.events:
        await desk.project(ACCOUNTS, [event])
    assert await state(desk) == at_once
