"""Our books against the broker: each kind of divergence in a story that shows it, and one close by that does not."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.accounts import ActionSet, FillSet, Known
from projectors.accounts.projector import ACCOUNTS
from tests.account_log import DAY, AccountLog, at_ns, holding, order, position, positions, trade
from tests.loops import Desk

NEXT_DAY = "2026-04-14"
Row = dict[str, Any]
Told = tuple[Any, ...]


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


class Broker:
    """What the broker answers, pull by pull: orders and trades, then positions and holdings."""

    def __init__(self) -> None:
        self.log, self._projected = AccountLog(), 0
        self.log.add(Known(account="main", broker="kite", user="AB1234"))

    def pull(
        self,
        clock: str,
        *,
        day: str = DAY,
        orders: list[Row] | None = None,
        trades: list[Row] | None = None,
        net: list[Row] | None = None,
        held: list[Row] | None = None,
    ) -> None:
        """Answer all four kinds; the sides are asked for in the same second."""
        self.log.snapshot("main", "orders", orders or [], clock, day)
        self.log.snapshot("main", "trades", trades or [], clock, day)
        self.log.snapshot("main", "positions", positions(net or []), clock, day)
        self.log.snapshot("main", "holdings", held or [], clock, day)

    async def told(self, desk: Desk, *, settled: bool = True) -> list[Told]:
        """Project what is new, and give what does not agree."""
        await desk.project(ACCOUNTS, self.log.events[self._projected :])
        self._projected = len(self.log.events)
        rows = await desk.rows("select * from divergences where not settling or not %s order by 3, 4, 5", settled)
        return [(row["tradingsymbol"], row["product"], row["type"], row["ours"], row["theirs"]) for row in rows]


def bought(trade_id: str, quantity: int, price: float = 100, **told: Any) -> Row:
    usual = {"quantity": quantity, "average_price": price, "transaction_type": "BUY", "product": "MIS"}
    return trade(trade_id, **{**usual, **told})


def sold(trade_id: str, quantity: int, price: float = 100, **told: Any) -> Row:
    return bought(trade_id, quantity, price, **{"transaction_type": "SELL", **told})


def net(quantity: int, **told: Any) -> Row:
    """Give a position of today at 100, long or short, from one side of trades."""
    bought, sold = max(0, quantity), max(0, -quantity)
    usual = {"average_price": 100, "last_price": 100, "pnl": 0, "buy_quantity": bought, "sell_quantity": sold}
    return position(quantity, **{**usual, "buy_value": 100 * bought, "sell_value": 100 * sold, **told})


FUTURE: Row = {"exchange": "NFO", "tradingsymbol": "NIFTY26APRFUT", "product": "NRML"}
WEEKLY: Row = {"exchange": "NFO", "tradingsymbol": "NIFTY2641324000CE", "product": "NRML"}
SHARES: Row = {"product": "CNC"}


async def test_what_agrees_is_no_divergence(desk: Desk) -> None:
    broker = Broker()
    broker.pull(
        "10:00:00",
        orders=[order("1", filled_quantity=10)],
        trades=[bought("1", 10, order_id="1"), bought("2", 75, **FUTURE), sold("3", 4, **SHARES)],
        net=[net(10), net(75, **FUTURE), net(-4, **SHARES)],
        held=[holding(6, opening_quantity=10, used_quantity=4)],
    )
    assert await broker.told(desk, settled=False) == []


@pytest.mark.parametrize(("filled", "wanted"), [(10, []), (15, [("INFY", "MIS", "missing_fill", 10, 15)])])
async def test_an_order_that_filled_more_than_its_trades_misses_fills(desk: Desk, filled: int, wanted: object) -> None:
    broker = Broker()
    listed = [order("1", product="MIS", filled_quantity=filled, quantity=20)]
    for clock in ("10:00:00", "10:05:00"):
        broker.pull(clock, orders=listed, trades=[bought("1", 10, order_id="1")], net=[net(filled)])
    assert await broker.told(desk) == wanted
    rows = await desk.rows("select evidence from divergences")
    for row in rows:
        (told,) = row["evidence"]["orders"]
        assert (told["order_id"], told["filled_quantity"], told["traded_quantity"]) == ("1", 15, 10)
        assert row["evidence"]["settling"] is False
    rest = [bought("2", filled - 10, order_id="1")] if filled > 10 else []
    broker.log.snapshot("main", "trades", [bought("1", 10, order_id="1"), *rest], "10:10:00")
    assert await broker.told(desk, settled=False) == []


async def test_a_fill_between_two_answers_of_one_pull_is_settling_until_the_next(desk: Desk) -> None:
    broker = Broker()
    listed = [order("1", product="MIS", filled_quantity=10)]
    broker.pull("10:00:00", orders=listed, net=[net(10)])
    assert await broker.told(desk) == []
    assert len(await desk.rows("select type from divergences where settling")) == 1
    broker.pull("10:05:00", orders=listed, trades=[bought("1", 10, order_id="1")], net=[net(10)])
    assert await broker.told(desk, settled=False) == []


@pytest.mark.parametrize("kind", ["trades", "positions"])
async def test_what_still_differs_after_both_sides_were_asked_again_counts(desk: Desk, kind: Any) -> None:
    """Either side may be the one that is short; an answer that is as before is an answer."""
    broker = Broker()
    fills, stand = [bought("1", 10), bought("2", 5)], [net(10)]
    broker.pull("10:00:00", trades=fills if kind == "positions" else fills[:1], net=[net(10)])
    if kind == "trades":
        stand = [net(15)]
        broker.log.snapshot("main", "positions", positions(stand), "10:00:01")
    broker.log.again("main", "positions" if kind == "trades" else "trades", "10:00:02")
    assert await broker.told(desk) == []
    broker.log.again("main", kind, "10:05:00")
    ((*_, type_, ours, theirs),) = await broker.told(desk)
    assert (type_, ours, theirs) == ("quantity", *((10, 15) if kind == "trades" else (15, 10)))


async def test_one_side_that_is_not_asked_for_long_settles_nothing(desk: Desk) -> None:
    broker = Broker()
    broker.pull("10:00:00", trades=[bought("1", 10)], net=[net(10)])
    broker.log.snapshot("main", "positions", positions([net(15)]), "10:05:00")
    broker.log.again("main", "positions", "10:15:01")
    assert await broker.told(desk) == [("INFY", "MIS", "quantity", 10, 15)]


async def test_what_no_fill_and_no_first_lot_is_about_was_traded_elsewhere(desk: Desk) -> None:
    broker = Broker()
    broker.pull("10:00:00", trades=[bought("1", 10)], net=[net(10)], held=[holding(7)])
    listed = [holding(7), holding(5, tradingsymbol="TCS")]
    for clock in ("10:05:00", "10:10:00"):
        broker.pull(clock, trades=[bought("1", 10)], net=[net(10), net(75, **FUTURE)], held=listed)
    assert await broker.told(desk) == [
        ("NIFTY26APRFUT", "NRML", "manual_trade", 0, 75),
        ("TCS", "CNC", "manual_trade", 0, 5),
    ]


@pytest.mark.parametrize(("placed_by", "wanted"), [("AB1234", []), ("RMS", [("INFY", "MIS", "manual_trade", 0, -10)])])
async def test_an_order_that_somebody_else_placed_is_said(desk: Desk, placed_by: str, wanted: object) -> None:
    broker = Broker()
    placed = order("9", product="MIS", transaction_type="SELL", placed_by=placed_by)
    broker.pull("10:00:00", orders=[placed], trades=[sold("1", 10, order_id="9")], net=[net(-10)])
    assert await broker.told(desk) == wanted
    for row in await desk.rows("select evidence from divergences"):
        assert row["evidence"]["orders"][0]["placed_by"] == "RMS"


@pytest.mark.parametrize("place", [0, 1])
async def test_shares_in_the_ratio_of_a_split_call_for_it_and_either_action_mends_it(desk: Desk, place: int) -> None:
    broker = Broker()
    broker.pull("10:00:00", held=[holding(10, average_price=1000), holding(10, tradingsymbol="TCS")])
    after = [holding(50, average_price=200), holding(17, tradingsymbol="TCS")]
    for clock in ("09:20:00", "09:25:00"):
        broker.pull(clock, day=NEXT_DAY, held=after)
    assert await broker.told(desk) == [
        ("INFY", "CNC", "corporate_action", 10, 50),
        ("TCS", "CNC", "quantity", 10, 17),
    ]
    (row,) = await desk.rows("select evidence from divergences where type = 'corporate_action'")
    told = row["evidence"]
    assert (told["ratio"], told["cost_is_kept"], told["day"]) == ("5:1", True, NEXT_DAY)
    assert told["actions"] == [
        {"kind": "split", "ratio_old": 1, "ratio_new": 5},
        {"kind": "bonus", "ratio_old": 1, "ratio_new": 5},
    ]
    split: Row = {"exchange": "NSE", "tradingsymbol": "INFY", "day": told["day"], **told["actions"][place]}
    broker.log.decide(ActionSet(action="a", **split), 1)
    assert await broker.told(desk) == [("TCS", "CNC", "quantity", 10, 17)]


async def test_a_bonus_drops_fractions_and_fills_that_explain_a_ratio_are_no_bonus(desk: Desk) -> None:
    broker = Broker()
    broker.pull("10:00:00", held=[holding(7), holding(10, tradingsymbol="TCS")])
    fill = bought("1", 10, tradingsymbol="TCS", fill_timestamp=f"{NEXT_DAY} 09:16:00", **SHARES)
    for clock in ("09:20:00", "09:25:00"):
        broker.pull(
            clock,
            day=NEXT_DAY,
            trades=[fill],
            net=[net(10, tradingsymbol="TCS", **SHARES)],
            held=[holding(10), holding(10, tradingsymbol="TCS")],
        )
    assert await broker.told(desk) == [("INFY", "CNC", "corporate_action", 7, 10)]


async def test_a_position_under_another_product_was_converted(desk: Desk) -> None:
    broker = Broker()
    fills = [bought("1", 10), bought("2", 5, **{**FUTURE, "product": "MIS"})]
    for clock in ("10:00:00", "10:05:00"):
        broker.pull(clock, trades=fills, net=[net(0), net(10, **SHARES), net(3, **FUTURE)])
    assert await broker.told(desk) == [
        ("INFY", "CNC", "conversion", 0, 10),
        ("INFY", "MIS", "conversion", 10, 0),
        ("NIFTY26APRFUT", "MIS", "quantity", 5, 0),  # three and five are no conversion of one another
        ("NIFTY26APRFUT", "NRML", "manual_trade", 0, 3),
    ]


async def test_a_contract_that_is_over_expired_and_one_that_is_not_is_short(desk: Desk) -> None:
    broker = Broker()
    put = {**WEEKLY, "tradingsymbol": "NIFTY2641324000PE"}
    broker.pull("10:00:00", trades=[bought("1", 75, **WEEKLY), bought("2", 75, **FUTURE), bought("3", 75, **put)])
    for clock in ("09:20:00", "09:25:00"):
        broker.pull(clock, day=NEXT_DAY, net=[net(0, **put)])  # listed: it was closed by a trade
    assert await broker.told(desk) == [
        ("NIFTY2641324000CE", "NRML", "expired", 75, 0),
        ("NIFTY2641324000PE", "NRML", "quantity", 75, 0),
        ("NIFTY26APRFUT", "NRML", "quantity", 75, 0),
    ]
    (row,) = await desk.rows("select evidence from divergences where type = 'expired'")
    assert row["evidence"]["expiry_from"] == row["evidence"]["expiry_to"] == DAY


async def test_an_intraday_position_that_is_gone_overnight_was_closed_by_fills_that_are_missing(desk: Desk) -> None:
    broker = Broker()
    broker.pull("15:25:00", trades=[bought("1", 10), bought("2", 5, tradingsymbol="TCS")])
    broker.pull("15:25:01", trades=[bought("1", 10), bought("2", 5, tradingsymbol="TCS")], net=[net(10)])
    broker.log.again("main", "trades", "15:30:00")
    broker.log.again("main", "positions", "15:30:00")
    assert await broker.told(desk) == [("TCS", "MIS", "quantity", 5, 0)]  # of the same day it may be anything
    for clock in ("09:20:00", "09:25:00"):
        broker.pull(clock, day=NEXT_DAY)
    assert await broker.told(desk) == [("INFY", "MIS", "missing_fill", 10, 0), ("TCS", "MIS", "missing_fill", 5, 0)]


@pytest.mark.parametrize(
    ("average", "wanted"), [(101, []), (101.25, [("INFY", "MIS", "average_price", 101, Decimal("101.25"))])]
)
async def test_the_average_of_what_was_bought_today_is_that_of_all_purchases(
    desk: Desk, average: float, wanted: object
) -> None:
    broker = Broker()
    fills = [bought("1", 10), bought("2", 10, 102), sold("3", 5, 101)]
    told: Row = {"buy_quantity": 20, "sell_quantity": 5, "pnl": 2020 * -1 + 505 + 15 * 100}
    broker.pull("10:00:00", trades=fills)
    broker.pull("10:00:01", trades=fills, net=[net(15, average_price=average, **told)])
    broker.log.again("main", "trades", "10:05:00")
    assert await broker.told(desk) == wanted


async def test_averages_are_compared_where_every_method_gives_the_same(desk: Desk) -> None:
    """Shares bought on two days; once some were sold it depends on which, and nobody is wrong."""
    broker = Broker()
    broker.pull("10:00:00", trades=[bought("1", 10, 100, **SHARES)], net=[net(10, **SHARES)])
    later = bought("2", 10, 110, fill_timestamp=f"{NEXT_DAY} 10:00:00", **SHARES)
    day_two = [net(10, average_price=110, last_price=110, buy_value=1100, **SHARES)]
    broker.pull("10:05:00", day=NEXT_DAY, trades=[later], net=day_two, held=[holding(10, average_price=100)])
    assert await broker.told(desk) == []
    for clock in ("10:00:00", "10:05:00"):
        broker.pull(clock, day="2026-04-15", held=[holding(20, average_price=104)])
    assert await broker.told(desk) == [("INFY", "CNC", "average_price", 105, 104)]
    sale = sold("3", 5, fill_timestamp="2026-04-15 10:06:00", **SHARES)
    for clock in ("10:10:00", "10:15:00"):
        broker.pull(clock, day="2026-04-15", trades=[sale], net=[net(-5, **SHARES)], held=[holding(20)])
    for clock in ("10:10:00", "10:15:00"):
        broker.pull(clock, day="2026-04-16", held=[holding(15, average_price=104)])
    assert await broker.told(desk) == []


@pytest.mark.parametrize(("pnl", "wanted"), [(70, []), (70.5, [("INFY", "MIS", "pnl", 70, Decimal("70.5"))])])
async def test_the_days_profit_is_that_of_its_trades_at_the_last_price(desk: Desk, pnl: float, wanted: object) -> None:
    broker = Broker()
    fills = [bought("1", 10), sold("2", 5, 106)]
    told: Row = {"buy_quantity": 10, "sell_quantity": 5, "average_price": 100, "last_price": 108, "pnl": pnl}
    broker.pull("10:00:00", trades=fills)
    broker.pull("10:00:01", trades=fills, net=[net(5, **told)])
    broker.log.again("main", "trades", "10:05:00")
    assert await broker.told(desk) == wanted


async def test_shares_on_the_other_exchange_and_on_margin_are_found(desk: Desk) -> None:
    broker = Broker()
    margin = {"quantity": 30, "used_quantity": 0, "average_price": 90}
    held = [holding(20, mtf=margin)]
    broker.pull("10:00:00", held=held)
    sale = sold("1", 20, exchange="BSE", **SHARES)
    for clock in ("10:05:00", "10:10:00"):
        broker.pull(clock, trades=[sale], net=[net(-20, exchange="BSE", **SHARES)], held=held)
    assert await broker.told(desk) == []
    books = await desk.rows("select product, exchange, quantity from books order by 1, 2")
    assert [tuple(row.values()) for row in books] == [("CNC", "BSE", -20), ("CNC", "NSE", 20), ("MTF", "NSE", 30)]


async def test_what_the_broker_never_told_is_not_compared(desk: Desk) -> None:
    broker = Broker()
    broker.log.snapshot("main", "trades", [bought("1", 10), bought("2", 10, **SHARES)], "10:00:00")
    assert await broker.told(desk, settled=False) == []
    broker.log.snapshot("main", "positions", positions([net(10), net(10, **SHARES)]), "10:00:00")
    assert await broker.told(desk, settled=False) == []
    broker.log.snapshot("main", "positions", positions([]), "10:00:00", NEXT_DAY)  # the shares went to the holdings
    assert [each[1] for each in await broker.told(desk, settled=False)] == ["MIS"]


async def test_a_fill_that_is_told_by_hand_closes_what_expired_and_can_be_taken_back(desk: Desk) -> None:
    broker = Broker()
    broker.pull("10:00:00", trades=[bought("1", 75, 12, **WEEKLY)])
    for clock in ("09:20:00", "09:25:00"):
        broker.pull(clock, day=NEXT_DAY)
    assert [each[2] for each in await broker.told(desk)] == ["expired"]
    expiry = FillSet(
        fill="e", account="main", **WEEKLY, side="SELL", quantity="75", price="20.5", time_ns=at_ns("15:30:00")
    )
    broker.log.decide(expiry, 1)
    assert await broker.told(desk) == []
    (book,) = await desk.rows("select quantity, realised_fifo from books")
    assert (book["quantity"], book["realised_fifo"]) == (0, Decimal("637.5"))
    assert await desk.rows("select closed_trade_id from closed_lots") == [{"closed_trade_id": "correction:e"}]
    broker.log.decide(msgspec.structs.replace(expiry, removed=True), 2)
    assert [each[2] for each in await broker.told(desk)] == ["expired"]


async def test_a_fill_told_by_hand_of_its_order_is_missed_no_more_and_belongs_to_whom_it_says(desk: Desk) -> None:
    broker = Broker()
    listed = [order("1", product="MIS", filled_quantity=15, quantity=20)]
    for clock in ("10:00:00", "10:05:00"):
        broker.pull(clock, orders=listed, trades=[bought("1", 10, order_id="1")], net=[net(15)])
    assert [each[2] for each in await broker.told(desk)] == ["missing_fill"]
    about: Row = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "side": "BUY", "order_id": "1"}
    told = FillSet(
        fill="f", account="main", **about, quantity="5", price="100", time_ns=at_ns("09:15:02"), strategy="7"
    )
    broker.log.decide(told, 1)
    assert await broker.told(desk, settled=False) == []
    books = await desk.rows("select strategy_id, quantity from books order by 1")
    assert [tuple(row.values()) for row in books] == [("7", 5), ("none", 10)]
    elsewhere = msgspec.structs.replace(told, tradingsymbol="TCS", order_id="")
    broker.log.decide(elsewhere, 2)  # the same name told otherwise: both lines are folded again
    assert [each[:3] for each in await broker.told(desk)] == [
        ("INFY", "MIS", "missing_fill"),
        ("TCS", "MIS", "quantity"),
    ]
