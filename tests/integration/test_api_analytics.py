"""Analytics over HTTP: the parts add up to the whole, the whole to the fills, and drafts stand beside what counts."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from events.accounts import ActionSet, Known, RuleSet, StrategySet, TariffSet
from runtime.calendar import IST
from runtime.settings import Settings
from runtime.tariffs import shipped
from tests.account_log import DAY, AccountLog, holding, order, position, positions, trade
from tests.api_server import Api, feeding, ltp_frame, serving
from tests.deciding import Deciding

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
NEXT_DAY = "2026-04-14"
ADDED = ("realised", "realised_average", "unrealised", "market_value", "charges", "net", "cash_flow", "turnover")


async def read(api: Api, path: str, query: Mapping[str, str | int] | None = None) -> Json:
    """Give an answer with its exact decimals."""
    async with api.client.get(path, params=query) as answer:
        text = await answer.text()
        assert answer.status == 200, f"{answer.status}: {text}"
        found: Json = json.loads(text, parse_float=Decimal)
        return found


def fill(number: int, side: str, quantity: int, price: float, of: str, **told: Any) -> Json:
    """Give a trade of an order, in the order of their numbers."""
    clock = {"fill_timestamp": f"{DAY} {9 + number // 60 + 1:02}:{number % 60:02}:00"}
    shape = {"transaction_type": side, "quantity": quantity, "average_price": price, "product": "MIS"}
    return trade(str(number), of, **{**clock, **shape, **told})


def two_days() -> AccountLog:
    """Give two accounts with three strategies over two days; something is open at the end."""
    log = AccountLog()
    told = shipped()
    log.add(Known(account="main", broker="kite"))
    log.add(TariffSet(broker="kite", text=told.text, sha256=told.sha256, shipped=True))
    log.decide(StrategySet(strategy="7", name="Breakout"), 1, stream="requests-2")
    log.decide(RuleSet(rule="a", strategy="7", kind="tag", pattern="momo"), 2, stream="requests-2")
    later = {"fill_timestamp": f"{NEXT_DAY} 10:30:00"}
    for account in ("main", "other"):
        log.snapshot(account, "orders", [order("1", tag="momo"), order("2", tag="strat:9"), order("3")])
        first = [
            fill(1, "BUY", 10, 100, "1"),
            fill(2, "BUY", 7, 101.35, "2"),
            fill(3, "SELL", 10, 104.05, "1"),
            fill(4, "SELL", 3, 99.95, "2"),
            fill(5, "BUY", 5, 3000.1, "3", tradingsymbol="TCS", instrument_token=2953217),
            fill(6, "SELL", 2, 2990, "3", tradingsymbol="TCS", instrument_token=2953217),
        ]
        log.snapshot(account, "trades", first, "15:00:00")
        log.snapshot(account, "trades", [fill(1, "SELL", 4, 110, "2", **later)], "15:00:00", NEXT_DAY)
        held = position(3, tradingsymbol="TCS", instrument_token=2953217, last_price=3010.5)
        log.snapshot(account, "positions", positions([held]), "15:00:30", NEXT_DAY)
    return log


async def project(settings: Settings, folder: Path, log: AccountLog) -> Deciding:
    """Put a log into the tables."""
    deciding = Deciding(settings, folder, log)
    await deciding.project()
    return deciding


async def test_the_strategies_with_none_add_up_to_the_account_and_this_to_its_fills(
    settings: Settings, tmp_path: Path
) -> None:
    await project(settings, tmp_path, two_days())
    async with serving(settings) as api:
        whole = await read(api, "/analytics/account/main/pnl")
        total = whole["total"]
        assert [each["strategy_id"] for each in whole["strategies"]] == ["7", "9", "none"]
        parts = [
            (await read(api, f"/analytics/strategy/{name}/pnl", {"account_id": "main"}))["total"]
            for name in ("7", "9", "none")
        ]
        for field in (*ADDED, "trades"):
            assert sum(each[field] for each in whole["strategies"]) == total[field], field
            assert sum(each[field] for each in parts) == total[field], field
        # All strategies of all accounts: both accounts did the same.
        both = await read(api, "/api/analytics/pnl")
        assert [each["account_id"] for each in both["accounts"]] == ["main", "other"]
        assert both["total"]["net"] == 2 * total["net"]
        # From the fills alone, as another list gives them.
        cash = value = Decimal(0)
        page = await read(api, "/accounts/main/trades")
        for each in page["trades"]:
            amount = each["quantity"] * each["price"]
            cash += amount if each["side"] == "SELL" else -amount
            value += amount
        assert (total["cash_flow"], total["turnover"], total["trades"]) == (cash, value, len(page["trades"]))
        assert total["market_value"] == 3 * Decimal("3010.5")
        assert total["realised"] + total["unrealised"] == cash + total["market_value"] - total["opening_value"]
        assert total["net"] == total["realised"] + total["unrealised"] - total["charges"]
        results = await read(api, "/api/analytics/trades", {"account_id": "main"})
        assert total["charges"] == sum(each["charges"] for each in results["trades"])
        assert total["realised"] == sum(each["realised"] or 0 for each in results["trades"])
        assert (total["charges"] > 0, total["unpriced"], whole["uncharged"]) == (True, 0, [])


async def test_within_a_span_the_parts_add_up_too(settings: Settings, tmp_path: Path) -> None:
    log = two_days()
    sbin: Json = {"tradingsymbol": "SBIN", "instrument_token": 779521}
    over_night = [
        fill(7, "BUY", 10, 50, "7", **sbin),
        fill(8, "BUY", 10, 60, "7", **sbin, fill_timestamp=f"{NEXT_DAY} 10:31:00"),
        fill(9, "SELL", 5, 70, "7", **sbin, fill_timestamp=f"{NEXT_DAY} 10:32:00"),
    ]
    log.snapshot("main", "trades", over_night, "15:01:00", NEXT_DAY)
    deciding = await project(settings, tmp_path, log)
    async with serving(settings) as api:
        whole = (await read(api, "/analytics/account/main/pnl"))["total"]
        first, second = [
            (await read(api, "/analytics/account/main/pnl", {"from": day, "to": day}))["total"]
            for day in (DAY, NEXT_DAY)
        ]
        for field in ("realised", "realised_average"):
            assert first[field] + second[field] == whole[field], field
        assert whole["realised"] - whole["realised_average"] == 5 * (55 - 50)
        assert first["charges"] + second["charges"] == whole["charges"]
        assert second["realised"] == 4 * (110 - Decimal("101.35")) + 5 * (70 - 50)
        assert (first["net"], first["cash_flow"]) == (None, None)
        days = (await read(api, "/api/analytics/daily-pnl", {"account_id": "main"}))["days"]
        assert [(each["day"], each["realised"], each["realised_average"]) for each in days] == [
            (DAY, first["realised"], first["realised_average"]),
            (NEXT_DAY, second["realised"], second["realised_average"]),
        ]
        split = (await read(api, "/api/analytics/daily-pnl", {"account_id": "main", "by": "strategy"}))["days"]
        for field in ("realised", "realised_average", "charges", "net", "trades", "turnover"):
            sums: dict[str, Decimal] = defaultdict(Decimal)
            for each in split:
                sums[each["day"]] += each[field]
            assert dict(sums) == {each["day"]: each[field] for each in days}, field
        ninth = (await read(api, "/api/analytics/daily-pnl", {"account_id": "main", "strategy_id": "9"}))["days"]
        mine = [each for each in split if each["strategy_id"] == "9"]
        assert [{**each, "strategy_id": "9"} for each in ninth] == mine
        pages, cursor = [], None
        while cursor != "":
            asked: dict[str, str | int] = {"by": "both", "limit": 3, **({"cursor": cursor} if cursor else {})}
            page = await read(api, "/api/analytics/daily-pnl", asked)
            pages += page["days"]
            cursor = page["next"] or ""
        assert pages == (await read(api, "/api/analytics/daily-pnl", {"by": "both"}))["days"]
        assert len(pages) == 2 * (3 + 1) + 1
        older = "update closed_lots set realised_average = null where account_id = 'main' and tradingsymbol = 'SBIN'"
        await deciding.desk.rows(older)
        days = (await read(api, "/api/analytics/daily-pnl", {"account_id": "main"}))["days"]
        assert [each["realised_average"] for each in days] == [first["realised_average"], None]
        span = await read(api, "/analytics/account/main/pnl", {"from": NEXT_DAY, "to": NEXT_DAY})
        assert (span["total"]["realised"], span["total"]["realised_average"]) == (second["realised"], None)
        assert [each["realised_average"] is None for each in span["strategies"]] == [False, True]


async def test_what_is_open_is_valued_by_the_newer_price(settings: Settings, tmp_path: Path) -> None:
    log = two_days()
    log.snapshot("main", "trades", [fill(9, "BUY", 1, 50, "9", tradingsymbol="SBIN", instrument_token=779521)])
    await project(settings, tmp_path, log)
    async with feeding(settings) as feed, serving(settings) as api:
        before = await read(api, "/analytics/account/main/pnl")
        priced = {each["tradingsymbol"]: each for each in before["open"]}
        assert priced["TCS"]["price_from"] == "broker"
        assert priced["TCS"]["price_at"] == f"{NEXT_DAY}T15:00:30.050000+05:30"
        assert (priced["SBIN"]["price_from"], priced["SBIN"]["market_value"], priced["SBIN"]["unrealised"]) == (
            None,
            None,
            None,
        )
        assert (before["total"]["unpriced"], before["total"]["open_lines"]) == (1, 2)
        n = await feed.frames(ltp_frame({2953217: 3020.35, 779521: 49.05}))
        while api.parts.live.position.get(feed.stream, 0) < n:
            await api.parts.live.moved(1)
        after = await read(api, "/analytics/account/main/pnl")
        priced = {each["tradingsymbol"]: each for each in after["open"]}
        assert (priced["TCS"]["price_from"], priced["TCS"]["last_price"]) == ("live", Decimal("3020.35"))
        assert priced["TCS"]["unrealised"] == 3 * (Decimal("3020.35") - Decimal("3000.1"))
        assert priced["SBIN"]["market_value"] == Decimal("49.05")
        assert after["total"]["unpriced"] == 0
        assert after["total"]["unrealised"] == sum(each["unrealised"] for each in after["open"])


async def test_a_preview_shows_both_sides_and_what_changes_hands(settings: Settings, tmp_path: Path) -> None:
    deciding = await project(settings, tmp_path, two_days())
    async with serving(settings) as api:
        nothing = await read(api, "/api/rules/preview")
        assert (nothing["drafts"], nothing["trades"], nothing["moved"]) == ([], [], 0)
        before = await read(api, "/analytics/account/main/pnl")
        body = {"rule_id": "t", "strategy_id": "tech", "kind": "symbol", "pattern": "NSE:TCS", "draft": True}
        async with api.client.post("/api/rules", json=body) as answer:
            assert answer.status == 202
        await deciding.carry_out(api)
        assert (await read(api, "/analytics/account/main/pnl"))["strategies"] == before["strategies"]
        preview = await read(api, "/api/rules/preview", {"account_id": "main", "limit": 1})
        assert [each["rule_id"] for each in preview["drafts"]] == ["t"]
        assert (preview["moved"], len(preview["trades"])) == (2, 1)
        rest = await read(api, "/api/rules/preview", {"account_id": "main", "limit": 1, "cursor": preview["next"]})
        moved = preview["trades"] + rest["trades"]
        assert [(each["trade_id"], each["strategy_id"], each["draft_strategy_id"]) for each in moved] == [
            ("6", "none", "tech"),
            ("5", "none", "tech"),
        ]
        sides = {each["strategy_id"]: (each["now"], each["drafted"]) for each in preview["strategies"]}
        assert (sides["tech"][0], sides["none"][1]) == (None, None)
        assert {**sides["none"][0], "strategy_id": "tech"} == sides["tech"][1]
        assert sides["7"][0] == sides["7"][1]
        async with api.client.post("/api/rules/t/apply") as answer:
            assert answer.status == 202
        await deciding.carry_out(api)
        after = await read(api, "/analytics/account/main/pnl")
        assert after["total"] == before["total"]
        assert [each for each in after["strategies"] if each["strategy_id"] == "tech"] == [sides["tech"][1]]
        assert (await read(api, "/api/rules/preview"))["trades"] == []


async def test_trades_come_with_their_results_in_pages(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path, two_days())
    async with serving(settings) as api:
        page = await read(api, "/analytics/strategy/9/trades", {"limit": 4})
        rest = await read(api, "/analytics/strategy/9/trades", {"limit": 4, "cursor": page["next"]})
        told = [(each["account_id"], each["day"], each["trade_id"]) for each in page["trades"] + rest["trades"]]
        each_account = [(NEXT_DAY, "1"), (DAY, "4"), (DAY, "2")]
        assert told == [(account, *key) for key in each_account for account in ("other", "main")]
        assert rest["next"] is None
        opening, closing = rest["trades"][-1], page["trades"][0]
        assert (opening["realised"], closing["realised"]) == (None, 4 * (110 - Decimal("101.35")))
        assert closing["segment"] == "equity_intraday"
        found = await read(api, "/api/analytics/trades", {"account_id": "main", "strategy_id": "none", "to": DAY})
        assert [each["trade_id"] for each in found["trades"]] == ["6", "5"]
        assert await read(api, "/api/analytics/trades", {"strategy_id": "9", "limit": 4}) == page


async def test_performance_is_of_the_trips_and_days_of_a_period(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path, two_days())
    async with serving(settings) as api:
        path = "/analytics/account/main/performance"
        found = await read(api, path, {"period": "all", "capital": "100000"})
        trips, days = found["trips"], found["days"]
        assert (trips["count"], trips["wins"], trips["losses"]) == (2, 2, 0)  # TCS is still open
        assert (trips["win_rate"], trips["profit_factor"]) == (1, None)
        results = (await read(api, "/api/analytics/trades", {"account_id": "main"}))["trades"]
        tcs = [each for each in results if each["tradingsymbol"] == "TCS"]
        closed = [each for each in results if each["tradingsymbol"] != "TCS"]
        gross = sum(each["realised"] or 0 for each in closed)
        assert abs(trips["net"] - (gross - sum(each["charges"] for each in closed))) <= Decimal("0.01")
        assert found["net"] == found["realised"] - found["charges"] == days["net"]
        assert (days["sessions"], found["trades"], found["unique_symbols"]) == (2, 7, 2)  # the 14th: see the calendar
        assert days["sharpe"] is not None
        assert found["charges"] == sum(each["charges"] for each in closed + tcs)
        month = await read(api, path, {"from": "2026-04-06", "to": "2026-04-17"})
        assert (month["days"]["sessions"], month["days"]["net"]) == (10, days["net"])
        nothing = await read(api, path)  # of the last seven days
        assert (nothing["trades"], nothing["trips"]["count"], nothing["trips"]["win_rate"]) == (0, 0, None)
        for wrong in ({"period": "7"}, {"period": "0d"}, {"period": "9999y"}, {"capital": "-1"}, {"risk_free": "6"}):
            await api.get(path, wrong, status=400)
        for wrong in ({"capital": "1e999999"}, {"capital": "NaN"}, {"risk_free": "NaN"}):
            await api.get(path, {**wrong, "period": "all"}, status=400)
        ends = await read(api, path, {"from": "0001-01-01", "to": "9999-12-31"})  # as far as the calendar goes
        assert (ends["days"]["net"], ends["days"]["sessions"] > 200) == (days["net"], True)
        await api.get("/analytics/account/nobody/performance", status=404)
        await api.get("/analytics/strategy/nobody/pnl", status=404)


async def test_the_equity_curve_ends_where_the_days_add_up(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path, two_days())
    async with serving(settings) as api:
        days = (await read(api, "/api/analytics/daily-pnl", {"account_id": "main"}))["days"]
        curve = await read(api, "/api/analytics/equity-curve", {"account_id": "main", "capital": "1000"})
        assert curve["points"][-1]["equity"] == 1000 + sum(each["net"] for each in days)
        assert curve["calendar"] == {"2026-04": {each["day"]: each["net"] for each in days}}
        assert (await read(api, "/api/analytics/equity-curve", {"from": "2031-01-01"}))["points"] == []


async def test_a_span_of_all_years_has_no_session_behind_today(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path, two_days())
    ages = {"from": "0001-01-02", "to": "9999-12-30"}
    async with serving(settings) as api:
        curve = await read(api, "/api/analytics/equity-curve", {"account_id": "main", **ages})
        today = datetime.now(IST).date().isoformat()
        assert DAY < curve["points"][-1]["day"] <= today
        found = await read(api, "/analytics/account/main/performance", ages)
        assert found["days"]["sessions"] == len(curve["points"])


async def test_no_figure_is_written_with_a_power(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path, two_days())
    async with serving(settings) as api, api.client.get("/api/analytics/equity-curve") as answer:
        text = await answer.text()
        assert '"drawdown":0.00000000' in text
        assert "E-" not in text


async def test_trades_are_spread_over_hours_symbols_and_results(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path, two_days())
    async with serving(settings) as api:
        found = await read(api, "/analytics/account/main/trade-distribution")
        for name in ("hours", "weekdays", "symbols", "exchanges", "products", "sides", "strategies"):
            assert sum(each["trades"] for each in found[name]) == found["trades"] == 7, name
            assert sum(each["value"] for each in found[name]) == found["value"], name
        assert [(each["name"], each["trades"]) for each in found["hours"]] == [("10:00", 7)]
        assert [(each["name"], each["trades"]) for each in found["weekdays"]] == [("1", 6), ("2", 1)]
        assert [each["name"] for each in found["symbols"]] == ["NSE:TCS", "NSE:INFY"]
        assert [each["name"] for each in found["strategies"]] == ["7", "9", "none"]
        assert sum(each["count"] for each in found["results"]) == 2
        hours = await read(api, "/api/analytics/hourly-volume", {"account_id": "main", "limit": 1})
        assert (hours["hours"][0]["hour"], hours["hours"][0]["trades"]) == (f"{DAY}T10:00:00+05:30", 6)
        more = await read(api, "/api/analytics/hourly-volume", {"account_id": "main", "cursor": hours["next"]})
        assert [each["trades"] for each in more["hours"]] == [1]


async def test_tax_lots_are_those_of_the_year_and_once_split_on_both_exchanges(
    settings: Settings, tmp_path: Path
) -> None:
    log = AccountLog()
    bought, ex_day, sold = "2025-04-10", "2025-05-05", "2026-04-13"
    log.snapshot("main", "holdings", [], "09:00:00", bought)
    cnc = {"product": "CNC"}
    first = [fill(1, "BUY", 10, 1000, "1", **cnc, fill_timestamp=f"{bought} 10:00:00")]
    log.snapshot("main", "trades", first, "10:01:00", bought)
    both = [holding(50), holding(0, exchange="BSE")]
    log.snapshot("main", "holdings", both, "09:00:00", "2025-06-02")
    later = [
        fill(1, "SELL", 20, 250, "2", **cnc, exchange="BSE"),
        fill(2, "BUY", 5, 100, "3", tradingsymbol="TCS"),
        fill(3, "SELL", 5, 101, "3", tradingsymbol="TCS"),
    ]
    log.snapshot("main", "trades", later, "15:00:00", sold)
    split: Json = {"kind": "split", "tradingsymbol": "INFY", "day": ex_day, "ratio_old": 1, "ratio_new": 5}
    log.decide(ActionSet(action="n", exchange="NSE", **split), 1)
    log.decide(ActionSet(action="b", exchange="BSE", **split), 2)
    await project(settings, tmp_path, log)
    async with serving(settings) as api:
        path = "/analytics/account/main/tax-lots"
        async with api.client.get(path, params={"fy": "2026-27"}) as answer:
            assert answer.content_type == "text/csv"
            assert 'filename="tax-lots-main-2026-27-fifo.csv"' in answer.headers["content-disposition"]
            rows = list(csv.DictReader(io.StringIO(await answer.text())))
        assert [(row["tradingsymbol"], row["category"], row["quantity"], row["gain"]) for row in rows] == [
            ("INFY", "ltcg", "20", "1000.00"),  # 20 of 50 that cost 10,000
            ("TCS", "speculative", "5", "5.00"),
        ]
        assert [row["lawful"] for row in rows] == ["yes", "yes"]
        told = await read(api, path, {"fy": "2026-27", "format": "json", "limit": 1, "method": "lifo"})
        assert (told["lawful"], len(told["rows"]), len(told["totals"])) == (False, 1, 2)
        rest = await read(api, path, {"format": "json", "cursor": told["next"], "fy": "2026-27", "method": "lifo"})
        assert ([row["tradingsymbol"] for row in told["rows"] + rest["rows"]], rest["next"]) == (["INFY", "TCS"], None)
        async with api.client.get(path, params={"fy": "2025-26"}) as answer:
            assert len((await answer.text()).splitlines()) == 1
        for wrong in ({"fy": "2026"}, {"fy": "2026-28"}, {"method": "average"}, {"format": "xml"}):
            await api.get(path, wrong, status=400)
        await api.get("/analytics/account/nobody/tax-lots", status=404)
