"""What follows from fills: whose they are, what was won, what it cost; the same however the events came."""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.accounts import ActionSet, FillSet, Known, RuleRemoved, RuleSet, StrategySet, TariffSet
from projectors.accounts.attribution import Attribution, Rule, Rules, Told, with_drafts
from projectors.accounts.projector import ACCOUNTS, TABLES
from runtime.tariffs import shipped
from tests.account_log import DAY, AccountLog, at_ns, holding, order, position, positions, trade
from tests.loops import Desk

NEXT_DAY = "2026-04-14"
BOOK = ("account_id", "strategy_id", "exchange", "tradingsymbol", "product", "draft")
DERIVED = (
    *("books", "closed_lots", "round_trips", "trade_charges", "opening_lots", "orders", "trades", "positions"),
    *("corrections", "missing_fills", "divergences"),
)


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


def with_tariff() -> AccountLog:
    """Give a log that begins with an account and a tariff."""
    log = AccountLog()
    log.add(Known(account="main", broker="kite"))
    told = shipped()
    log.add(TariffSet(broker="kite", text=told.text, sha256=told.sha256, shipped=True))
    return log


def bought(trade_id: str, quantity: int, price: float, **told: Any) -> dict[str, Any]:
    usual = {"quantity": quantity, "average_price": price, "transaction_type": "BUY", "product": "MIS"}
    return trade(trade_id, **{**usual, **told})


def sold(trade_id: str, quantity: int, price: float, **told: Any) -> dict[str, Any]:
    return bought(trade_id, quantity, price, **{"transaction_type": "SELL", **told})


async def books(desk: Desk, draft: bool = False) -> dict[str, tuple[Any, Any]]:
    """Give quantity and what was realised, by strategy."""
    rows = await desk.rows("select * from books where draft = %s order by strategy_id", draft)
    return {row["strategy_id"]: (row["quantity"], row["realised_fifo"]) for row in rows}


async def test_fills_of_a_day_become_lots_and_what_was_won(desk: Desk) -> None:
    log = with_tariff()
    first = [bought("1", 10, 100), bought("2", 10, 102)]
    log.snapshot("main", "trades", first, "10:00:00")
    log.snapshot("main", "trades", [*first, sold("3", 15, 105, fill_timestamp=f"{DAY} 10:01:00")], "10:05:00")
    log.snapshot("main", "positions", positions([position(5, last_price=104)]), "10:05:00")
    await desk.project(ACCOUNTS, log.events)
    (book,) = await desk.rows("select * from books")
    assert (book["strategy_id"], book["quantity"], book["realised_fifo"]) == ("none", 5, 65)  # 10 x 5 + 5 x 3
    assert (book["fifo_price"], book["average_price"], book["realised_average"]) == (102, 101, 60)
    (now,) = await desk.rows("select * from strategy_positions")
    assert (now["market_value"], now["unrealised_fifo"], now["unrealised_average"]) == (520, 10, 15)
    closed = await desk.rows(
        "select quantity, realised, realised_average, closed_trade_id from closed_lots order by place"
    )
    assert [tuple(each.values()) for each in closed] == [(10, 50, 40, "3"), (5, 15, 20, "3")]
    (day,) = await desk.rows("select * from daily_pnl_by_strategy")
    assert day["realised_average"] == book["realised_average"]
    (performance,) = await desk.rows("select * from account_performance_daily")
    (costs,) = await desk.rows("select sum(total) as total, sum(transaction_tax) as tax from trade_charges")
    assert (day["realised"], day["charges"], day["net"]) == (65, costs["total"], 65 - costs["total"])
    assert (day["day"], day["wins"], performance["largest_win"], performance["unique_symbols"]) == (
        date.fromisoformat(DAY),
        1,
        65,
        1,
    )
    assert costs["tax"] == 0  # 0.025% of 1,575 is 39 paise: the note prints whole rupees
    (hour,) = await desk.rows("select * from hourly_trade_volume where quantity = 15")
    assert hour["hour"].astimezone().strftime("%M") in ("00", "30")


async def test_an_account_without_a_tariff_says_so_and_counts_all_the_same(desk: Desk) -> None:
    log = AccountLog()
    log.snapshot("main", "trades", [bought("1", 10, 100)], "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    assert await books(desk) == {"none": (10, 0)}
    (said,) = await desk.rows("select * from uncharged")
    assert "none; set one" in said["error"]
    known = len(log.events)
    told = shipped()
    log.add(TariffSet(broker="kite", text=told.text, sha256=told.sha256, shipped=True))
    await desk.project(ACCOUNTS, log.events[known:])
    assert await desk.rows("select n from tariffs") != []
    assert await desk.rows("select error from uncharged") == []
    (cost,) = await desk.rows("select * from trade_charges")
    assert cost["segment"] == "equity_intraday"
    assert cost["brokerage"] == Decimal("0.3")  # 0.03% of 1,000


async def test_a_rule_added_later_changes_the_past_and_drafts_stand_beside(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "orders", [order("1", tag="momo"), order("2", tag="strategy_9"), order("3")], "10:00:00")
    fills = [bought("1", 10, 100, order_id="1"), bought("2", 4, 100, order_id="2"), sold("3", 10, 105, order_id="3")]
    log.snapshot("main", "trades", fills, "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    assert await books(desk) == {"9": (4, 0), "none": (0, 50)}

    known = len(log.events)
    log.decide(StrategySet(strategy="7", name="Breakout"), 1)
    log.decide(RuleSet(rule="a", strategy="7", kind="tag", pattern="momo", draft=True), 2)
    await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"9": (4, 0), "none": (0, 50)}
    assert await books(desk, draft=True) == {"7": (10, 0), "9": (4, 0), "none": (-10, 0)}

    known = len(log.events)
    log.decide(RuleSet(rule="a", strategy="7", kind="tag", pattern="momo"), 3)
    log.decide(RuleSet(rule="b", strategy="7", kind="order", pattern=f"{DAY} NSE 3"), 4)
    log.decide(RuleSet(rule="b", strategy="8", kind="order", pattern=f"{DAY} NSE 3"), 3)  # forwarded late: had been
    await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"7": (0, 50), "9": (4, 0)}
    assert await books(desk, draft=True) == {}
    reasons = await desk.rows("select order_id, strategy_id, strategy_reason from trades order by order_id")
    assert [tuple(each.values()) for each in reasons] == [
        ("1", "7", "tag momo (rule a)"),
        ("2", "9", "tag strategy_9"),
        ("3", "7", "by hand, the order (rule b)"),
    ]
    per_strategy = await desk.rows("select sum(realised) as realised, sum(net) as net from daily_pnl_by_strategy")
    account = await desk.rows("select realised, net from account_performance_daily")
    assert per_strategy == account

    known = len(log.events)
    log.decide(RuleRemoved(rule="a"), 5)
    log.decide(RuleRemoved(rule="b"), 6)
    await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"9": (4, 0), "none": (0, 50)}


async def test_a_trade_that_comes_before_its_order_is_attributed_when_it_comes(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "trades", [bought("1", 10, 100, order_id="1")], "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    assert await books(desk) == {"none": (10, 0)}
    known = len(log.events)
    log.snapshot("main", "orders", [order("1", tags=["x", "strat:7"])], "10:00:05")
    await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"7": (10, 0)}


async def test_what_was_there_before_the_first_fill_is_an_opening_lot(desk: Desk) -> None:
    log = with_tariff()
    carried = position(
        75,
        tradingsymbol="NIFTY26APRFUT",
        exchange="NFO",
        product="NRML",
        overnight_quantity=75,
        buy_value=75 * 24_000,
        day_buy_value=0,
        last_price=24_100,
    )
    log.snapshot("main", "holdings", [holding(20, average_price=103.08333333333299)], "09:20:00")
    log.snapshot("main", "positions", positions([carried]), "09:20:00")
    log.snapshot("main", "trades", [sold("1", 5, 110, product="CNC")], "09:20:00")
    log.snapshot("main", "holdings", [holding(15), holding(7, tradingsymbol="TCS")], "09:25:00")  # no first one
    await desk.project(ACCOUNTS, log.events)
    rows = await desk.rows("select tradingsymbol, quantity, opening_quantity, realised_fifo from books order by 1")
    assert [tuple(row.values()) for row in rows] == [
        ("INFY", 15, 20, Decimal("34.58333335")),
        ("NIFTY26APRFUT", 75, 75, 0),
    ]
    (cost,) = await desk.rows("select dp, segment from trade_charges")
    assert cost["segment"] == "equity_delivery"
    assert cost["dp"] > 0


async def test_a_fill_that_comes_late_is_folded_where_it_belongs(desk: Desk) -> None:
    log = with_tariff()
    later = bought("2", 10, 120, fill_timestamp=f"{DAY} 10:02:00")
    sale = sold("3", 10, 130, fill_timestamp=f"{DAY} 10:03:00")
    log.snapshot("main", "trades", [later], "10:05:00")
    await desk.project(ACCOUNTS, log.events)
    for fills in ([later, sale], [bought("1", 10, 100, fill_timestamp=f"{DAY} 10:01:00"), later, sale]):
        known = len(log.events)
        log.snapshot("main", "trades", fills, f"10:{10 + known}:00")
        await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"none": (10, 300)}  # what was bought first was sold first
    closed = await desk.rows("select opened_trade_id, realised from closed_lots")
    assert [tuple(each.values()) for each in closed] == [("1", 300)]


async def test_a_book_goes_on_where_it_stood(desk: Desk) -> None:
    log = with_tariff()
    fills = [bought("1", 30, 100)]
    log.snapshot("main", "trades", fills, "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    for number, price in ((2, 101), (3, 102), (4, 99)):
        known = len(log.events)
        fills = [*fills, sold(str(number), 10, price, fill_timestamp=f"{DAY} 10:0{number}:00")]
        log.snapshot("main", "trades", fills, f"10:0{number}:30")
        await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"none": (0, 20)}
    closed = await desk.rows("select place, realised, trip from closed_lots order by place")
    assert [tuple(each.values()) for each in closed] == [(1, 10, 1), (2, 20, 1), (3, -10, 1)]


async def test_a_trade_that_is_told_otherwise_is_folded_again(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "trades", [bought("1", 10, 100), sold("2", 10, 105)], "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    known = len(log.events)
    log.snapshot("main", "trades", [bought("1", 10, 100), sold("2", 10, 104)], "10:05:00")
    await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"none": (0, 40)}
    known = len(log.events)
    log.snapshot("main", "trades", [bought("1", 10, 100), sold("2", 10, 104, product="CNC")], "10:10:00")
    await desk.project(ACCOUNTS, log.events[known:])
    rows = await desk.rows("select product, quantity from books order by product")
    assert [tuple(row.values()) for row in rows] == [("CNC", -10), ("MIS", 10)]


async def test_a_draft_stands_in_the_place_of_the_rule_that_it_would_change(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "orders", [order("1", tag="momo")], "10:00:00")
    log.snapshot("main", "trades", [bought("1", 10, 100, order_id="1")], "10:00:00")
    log.decide(RuleSet(rule="a", strategy="7", kind="tag", pattern="momo", priority=5), 1)
    log.decide(RuleSet(rule="a", strategy="8", kind="tag", pattern="momo", draft=True), 2)
    await desk.project(ACCOUNTS, log.events)
    assert await books(desk) == {"7": (10, 0)}
    assert await books(desk, draft=True) == {"8": (10, 0)}


async def test_shares_that_were_sold_this_morning_were_there_when_the_day_began(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "holdings", [holding(15, used_quantity=5, opening_quantity=20)], "10:00:00")
    log.snapshot("main", "trades", [sold("1", 5, 1500, product="CNC")], "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    assert await books(desk) == {"none": (15, 500)}


async def test_the_first_answers_of_a_night_tell_of_the_day_before(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "trades", [sold("1", 5, 1500, product="CNC")], "00:10:00", day="2026-04-14")
    held = holding(15, used_quantity=5, opening_quantity=20)
    log.snapshot("main", "holdings", [held], "00:10:00", day="2026-04-14")
    await desk.project(ACCOUNTS, log.events)
    assert await books(desk) == {"none": (15, 500)}


async def test_shares_bought_on_the_other_exchange_were_not_there_before(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "trades", [bought("1", 5, 1500, product="CNC", exchange="BSE")], "10:00:00")
    log.snapshot("main", "holdings", [holding(5)], "10:00:00", day="2026-04-14")  # none came on the first day
    await desk.project(ACCOUNTS, log.events)
    held = await desk.rows("select exchange, quantity from books")
    assert held == [{"exchange": "BSE", "quantity": 5}]


async def test_the_depository_takes_nothing_for_what_was_bought_on_the_same_day(desk: Desk) -> None:
    log = with_tariff()
    fills = [bought("1", 10, 100, product="CNC"), sold("2", 10, 105, product="CNC")]
    log.snapshot("main", "trades", fills, "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    (cost,) = await desk.rows("select sum(dp) as dp, sum(brokerage) as brokerage from trade_charges")
    assert cost["dp"] == 0
    assert cost["brokerage"] > 0  # charged as intraday


async def test_the_charges_of_a_day_add_up_to_its_contract_note(desk: Desk) -> None:
    """Many small orders: what each would be rounded to is not what the note rounds their sum to."""
    log = with_tariff()
    fills = [bought(str(number), 1, 33.35, order_id=str(number)) for number in range(1, 40)]
    log.snapshot("main", "trades", [*fills, sold("40", 39, 33.3, order_id="40")], "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    (cost,) = await desk.rows(
        "select sum(brokerage) as brokerage, sum(transaction_tax) as tax, sum(stamp) as stamp, sum(gst) as gst,"
        " sum(exchange_charge) as exchange, sum(total) as total,"
        " sum(brokerage + transaction_tax + exchange_charge + sebi + stamp + ipft + clearing + gst + dp) as parts"
        " from trade_charges"
    )
    assert cost["brokerage"] == Decimal("0.78")  # 0.03% of 1,300.65 and of 1,298.70
    assert (cost["tax"], cost["stamp"]) == (0, 0)  # 32 and 4 paise, in whole rupees
    assert cost["exchange"] == Decimal("0.08")  # 0.00307% of 2,599.35: its dated row
    assert cost["total"] == cost["parts"]


async def test_a_round_trip_bears_what_its_opening_cost_also_when_that_changes_later(desk: Desk) -> None:
    """The tax of the first day is printed in whole rupees: another fill of that day has its part of them."""
    log = with_tariff()
    log.snapshot("main", "trades", [bought("1", 10, 100, product="CNC")], "10:00:00")
    sale = sold("2", 10, 105, product="CNC", fill_timestamp=f"{NEXT_DAY} 10:00:00")
    log.snapshot("main", "trades", [sale], "10:01:00", day=NEXT_DAY)
    late = bought("3", 4, 100, product="CNC", tradingsymbol="TCS")
    log.snapshot("main", "trades", [bought("1", 10, 100, product="CNC"), late], "10:05:00")
    known = len(log.events) - 1
    told = []
    for events in (log.events[:known], log.events[known:]):
        await desk.project(ACCOUNTS, events)
        (trip,) = await desk.rows("select * from round_trips")
        (cost,) = await desk.rows(
            "select sum(total) as total from trade_charges join trades using (trade_id, day)"
            " where tradingsymbol = 'INFY'"
        )
        assert (trip["realised"], trip["day"], trip["charges"]) == (50, date.fromisoformat(NEXT_DAY), cost["total"])
        told.append(trip["charges"])
    assert told[0] > told[1]


async def test_a_split_changes_the_lots_for_the_past_and_can_be_taken_back(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "trades", [bought("1", 10, 100, product="CNC")], "10:00:00")
    later = {"fill_timestamp": f"{NEXT_DAY} 10:00:00", "product": "CNC"}
    log.snapshot("main", "trades", [sold("2", 30, 25, **later)], "10:05:00", day=NEXT_DAY)
    split = ActionSet(
        action="a", kind="split", exchange="NSE", tradingsymbol="INFY", day=NEXT_DAY, ratio_old=1, ratio_new=5
    )
    log.decide(split, 1)
    await desk.project(ACCOUNTS, log.events)
    assert await books(desk) == {"none": (20, 150)}
    known = len(log.events)
    log.decide(ActionSet(**{name: getattr(split, name) for name in split.__struct_fields__} | {"removed": True}), 2)
    await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"none": (-20, -750)}


async def test_a_multiplier_that_is_learnt_later_counts_for_the_past(desk: Desk) -> None:
    log = with_tariff()
    contract = {"exchange": "MCX", "tradingsymbol": "LEADMINI26APRFUT", "product": "NRML"}
    fills = [bought("1", 1, 161.05, **contract), sold("2", 1, 161.2, **contract)]
    log.snapshot("main", "trades", fills, "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    known = len(log.events)
    log.snapshot("main", "positions", positions([position(0, multiplier=1000, **contract)]), "10:00:05")
    await desk.project(ACCOUNTS, log.events[known:])
    assert await books(desk) == {"none": (0, 150)}
    (cost,) = await desk.rows("select sum(transaction_tax) as tax from trade_charges")
    assert cost["tax"] == 16  # 0.01% of 161,200, in whole rupees


async def test_a_multiplier_of_one_is_nothing_new(desk: Desk) -> None:
    log = with_tariff()
    log.snapshot("main", "trades", [bought("1", 1, 100), sold("2", 1, 101)], "10:00:00")
    await desk.project(ACCOUNTS, log.events)
    written = await desk.rows("select xmin::text from books union all select xmin::text from trade_charges")
    known = len(log.events)
    log.snapshot("main", "positions", positions([position(0)]), "10:00:05")
    await desk.project(ACCOUNTS, log.events[known:])
    assert [each["multiplier"] for each in await desk.rows("select multiplier from multipliers")] == [1]
    assert await desk.rows("select xmin::text from books union all select xmin::text from trade_charges") == written
    known = len(log.events)
    both = [position(0, multiplier=each, product=product) for each, product in ((1, "MIS"), (5, "NRML"))]
    log.snapshot("main", "positions", positions(both), "10:05:00")  # nonsense, but always the same nonsense
    log.snapshot("main", "positions", positions(both[::-1]), "10:10:00")
    await desk.project(ACCOUNTS, log.events[known:])
    assert [each["multiplier"] for each in await desk.rows("select multiplier from multipliers")] == [5]


RULES = [
    Rule("hand", "trade-wins", "trade", f"{DAY} NSE 1 5", "", 0, None, None, False, 1),
    Rule("order", "order", "order", f"{DAY} NSE 1", "", 0, None, None, False, 2),
    Rule("tag", "tag", "tag", "Break*", "", 0, None, None, False, 3),
    Rule("symbol", "symbol", "symbol", "NSE:IN*", "main", 5, date(2026, 4, 1), date(2026, 4, 30), False, 4),
    Rule("symbol2", "newer", "symbol", "NSE:INFY", "", 5, None, None, False, 5),
    Rule("tag", "drafted", "tag", "break*", "", 0, None, None, True, 6),
]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (("main", "1", "5", ["breakout"]), Attribution("trade-wins", "by hand, the trade (rule hand)")),
        (("main", "1", "6", ["breakout"]), Attribution("order", "by hand, the order (rule order)")),
        (("main", "2", "6", ["strat:7", "BREAKOUT"]), Attribution("tag", "tag BREAKOUT (rule tag)")),
        (("main", "2", "6", ["a", "STRATEGY_x-1"]), Attribution("x-1", "tag STRATEGY_x-1")),
        (("main", "2", "6", ["xstrat:7", "stratified"]), Attribution("newer", "symbol NSE:INFY (rule symbol2)")),
        (("main", "2", "6", ["strat12"]), Attribution("12", "tag strat12")),
        (("main", "2", "6", ["Strategy9"]), Attribution("9", "tag Strategy9")),
        (("main", "2", "6", ["strat:None", "strat:7"]), Attribution("7", "tag strat:7")),
    ],
)
def test_what_says_most_exactly_counts_first(told: tuple[str, str, str, list[str]], wanted: Attribution) -> None:
    account, order_id, trade_id, tags = told
    rules = Rules(rule for rule in RULES if not rule.draft)
    about = Told(account, date.fromisoformat(DAY), "NSE", "INFY", order_id, trade_id, tags)
    assert rules.attribute(about) == wanted


def test_a_rule_holds_for_its_account_and_days_and_a_draft_takes_its_namesakes_place() -> None:
    def of(account: str, day: date, rules: list[Rule]) -> str | None:
        return Rules(rules).attribute(Told(account, day, "NSE", "INDIGO", "9", "", ["breakout"])).strategy

    symbol_only = [RULES[3]]
    assert of("main", date(2026, 4, 30), symbol_only) == "symbol"
    assert of("main", date(2026, 5, 1), symbol_only) is None
    assert of("other", date(2026, 4, 30), symbol_only) is None
    assert of("main", date(2026, 4, 30), with_drafts(RULES)) == "drafted"


Story = list[tuple[int, str, int, int, int, str]]  # minute, side, quantity, price, order, product
FILLS = st.tuples(
    st.integers(0, 5),
    st.sampled_from(["BUY", "SELL"]),
    st.integers(1, 20),
    st.integers(90, 110),
    st.integers(1, 4),
    st.sampled_from(["MIS", "CNC"]),
)
TAGS = [None, "momo", "strat:7", "strategy_9"]


@st.composite
def histories(draw: st.DrawFn) -> tuple[AccountLog, list[dict[str, Any]], list[int]]:
    """Give a log, the fills in it, and how many events each batch is to have."""
    story: Story = draw(st.lists(FILLS, min_size=1, max_size=12))
    fills = [
        bought(
            str(number),
            quantity,
            price,
            transaction_type=side,
            order_id=str(of),
            product=product,
            fill_timestamp=f"{DAY} 10:0{minute}:00",
        )
        for number, (minute, side, quantity, price, of, product) in enumerate(story, 1)
    ]
    log = with_tariff()
    cuts = sorted(draw(st.lists(st.integers(0, len(fills)), max_size=4)))
    late = draw(st.booleans())
    for place, cut in enumerate([*(reversed(cuts) if late else cuts), len(fills)]):
        clock = f"11:{59 - place if late else place:02}:00"
        log.snapshot("main", "trades", fills[:cut], clock)
        if draw(st.booleans()):
            log.snapshot("main", "orders", [order(str(of), tag=TAGS[of - 1]) for of in range(1, 5)], clock)
        if draw(st.booleans()):
            net = draw(st.integers(-3, 3))
            log.snapshot("main", "positions", positions([position(net), position(net, product="CNC")]), clock)
            log.snapshot("main", "holdings", [holding(abs(net))], clock)
            if not late:
                log.again("main", "trades", f"11:{place:02}:30")
        if draw(st.booleans()):
            log.decide(
                RuleSet(rule="m", strategy="m", kind="tag", pattern="momo", draft=draw(st.booleans())), place + 1
            )
        if draw(st.booleans()):
            size, removed = str(draw(st.integers(1, 5))), draw(st.booleans())
            told: dict[str, Any] = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "side": "SELL"}
            by_hand = FillSet(fill="f", account="main", **told, quantity=size, price="99", time_ns=at_ns("10:02:30"))
            log.decide(msgspec.structs.replace(by_hand, removed=removed), place + 1, stream="requests-2")
    return log, fills, draw(st.lists(st.integers(1, len(log.events)), min_size=1, max_size=8))


@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(history=histories())
async def test_however_the_events_come_the_books_are_the_same_and_add_up(
    desk: Desk, history: tuple[AccountLog, list[dict[str, Any]], list[int]]
) -> None:
    """Cut into batches at will, snapshots late or twice, rules in between: the tables are those of one go."""
    log, fills, sizes = history
    await forget(desk)
    await desk.project(ACCOUNTS, log.events)
    at_once = await tables(desk)
    check(at_once, fills)

    await forget(desk)
    left = log.events
    for size in (*sizes, len(left)):
        if left:
            await desk.project(ACCOUNTS, left[:size])
            left = left[size:]
    assert await tables(desk) == at_once


async def forget(desk: Desk) -> None:
    """Begin with an empty log and empty tables."""
    desk.log = type(desk.log)()
    await desk.rows(f"truncate {', '.join((*TABLES, 'projection_checkpoints', 'parked_events'))}")


async def tables(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    return {table: await desk.rows(f"select * from {table} order by 1, 2, 3, 4, 5, 6, 7") for table in DERIVED}


def check(found: dict[str, list[dict[str, Any]]], fills: list[dict[str, Any]]) -> None:
    """What was realised and what is open come to the cash that moved, and charges are of each trade once."""
    cash: dict[str, Decimal] = defaultdict(Decimal)
    quantity: dict[str, int] = defaultdict(int)
    for fill in fills:
        sign = 1 if fill["transaction_type"] == "BUY" else -1
        cash[fill["product"]] -= sign * fill["quantity"] * Decimal(fill["average_price"])
        quantity[fill["product"]] += sign * fill["quantity"]
    for lot in found["opening_lots"]:  # taken over, without cash that is known
        cash[lot["product"]] -= lot["quantity"] * lot["price"]
        quantity[lot["product"]] += lot["quantity"]
    for told in found["corrections"]:
        cash[told["product"]] += told["quantity"] * told["price"]
        quantity[told["product"]] -= told["quantity"]
    for product, left in quantity.items():
        own = [row for row in found["books"] if row["product"] == product and not row["draft"]]
        assert sum(row["quantity"] for row in own) == left
        for method in ("fifo", "average"):
            held = sum(row[f"realised_{method}"] - row[f"{method}_value"] for row in own)
            assert held == cash[product], method
    for book in found["books"]:
        lots = [row for row in found["closed_lots"] if all(row[name] == book[name] for name in BOOK)]
        assert sum(row["realised"] for row in lots) == book["realised_fifo"]
        assert sum(row["realised_average"] for row in lots) == book["realised_average"]
    check_round_trips(found)
    assert len(found["trade_charges"]) == len(fills)
    assert all(row["fold"] == 1 for row in found["trades"])


def check_round_trips(found: dict[str, list[dict[str, Any]]]) -> None:
    """Every trip that is over is there, with what its lots won and their part of what their trades cost."""
    cost = {row["trade_id"]: row["total"] for row in found["trade_charges"]}
    rate = {row["trade_id"]: cost[row["trade_id"]] / (row["quantity"] * row["price"]) for row in found["trades"]}
    goes_on = {tuple(book[name] for name in BOOK): book["state"]["trip"] for book in found["books"] if book["quantity"]}
    realised: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    charges: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for lot in found["closed_lots"]:
        book = tuple(lot[name] for name in BOOK)
        if not lot["draft"] and goes_on.get(book) != lot["trip"]:
            trip = (*book[:-1], lot["trip"])
            realised[trip] += lot["realised"]
            charges[trip] += abs(lot["open_value"]) * rate.get(lot["opened_trade_id"], Decimal(0))
            charges[trip] += abs(lot["close_value"]) * rate.get(lot["closed_trade_id"], Decimal(0))
    told = {tuple(row[name] for name in (*BOOK[:-1], "trip")): row for row in found["round_trips"]}
    assert {trip: row["realised"] for trip, row in told.items()} == realised
    assert all(abs(row["charges"] - charges[trip]) < Decimal("1e-7") for trip, row in told.items())
