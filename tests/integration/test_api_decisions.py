"""Decisions over HTTP: what is taken and how it counts, and that nothing gets in at which the projector would stop."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.accounts import ActionSet, Known, RuleSet, TariffSet
from runtime.settings import Settings
from runtime.tariffs import shipped
from tests.account_log import DAY, AccountLog, order, trade
from tests.api_server import Api, serving
from tests.deciding import Deciding

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
TAGGED = {"rule_id": "momentum", "strategy_id": "7", "kind": "tag", "pattern": "momo*"}
SPLIT = {"action_id": "s", "kind": "split", "exchange": "NSE", "tradingsymbol": "INFY", "day": DAY}


def traded() -> AccountLog:
    """Give a log with a tariff, one account, and an order of ten shares in two trades."""
    log = AccountLog()
    log.add(Known(account="main", broker="kite", user="AB1234"))
    told = shipped()
    log.add(TariffSet(broker="kite", text=told.text, sha256=told.sha256, shipped=True))
    log.snapshot("main", "orders", [order("1", tag="momo1"), order("2", tag="strat:9")])
    log.snapshot("main", "trades", [trade("1", "1"), trade("2", "1"), trade("3", "2", transaction_type="SELL")])
    return log


async def send(
    api: Api,
    method: str,
    path: str,
    body: object = None,
    status: int = 202,
    key: str = "",
    query: Mapping[str, str] | None = None,
) -> Json:
    """Ask for a change; give the answer's JSON."""
    headers = {"idempotency-key": key} if key else {}
    async with api.client.request(method, path, json=body, params=query, headers=headers) as answer:
        assert answer.status == status, f"{answer.status}: {await answer.text()}"
        return msgspec.json.decode(await answer.read(), type=Json)


async def attributed(api: Api) -> dict[str, str | None]:
    """Give whose each trade is."""
    page: Json = await api.get("/accounts/main/trades")
    return {each["trade_id"]: each["strategy_id"] for each in page["trades"]}


async def test_strategies_are_described_listed_and_ended(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        body = {"strategy_id": "7", "name": " Breakout ", "description": "Buys what rises."}
        taken = await send(api, "POST", "/api/strategies", body)
        assert taken == {"request": 2, "stream": "requests", "name": "7", "checked": True}
        assert (await api.get("/api/strategies"))["decided"] == {}
        await deciding.carry_out(api)
        page: Json = await api.get("/api/strategies")
        assert page["decided"] == {"requests": 2}
        seven, nine = page["strategies"]
        assert (seven["name"], seven["described"], seven["active"], seven["accounts"]) == ("Breakout", True, True, [])
        assert (nine["strategy_id"], nine["described"], nine["accounts"]) == ("9", False, ["main"])
        assert await api.get("/api/strategies/7") == seven
        first: Json = await api.get("/api/strategies", {"limit": 1})
        second: Json = await api.get("/api/strategies", {"limit": 1, "cursor": first["next"]})
        assert [each["strategy_id"] for each in first["strategies"] + second["strategies"]] == ["7", "9"]
        assert second["next"] is None
        await send(api, "DELETE", "/api/strategies/7")
        await deciding.carry_out(api)
        assert (await api.get("/api/strategies/7"))["description"] == "Buys what rises."
        assert [each["strategy_id"] for each in await api.listed("/api/strategies", {"active": "false"})] == ["7"]
        await send(api, "DELETE", "/api/strategies/nobody", status=404)
        await api.get("/api/strategies/nobody", status=404)


async def test_a_draft_counts_once_it_is_applied_and_a_rule_taken_back_never_was(
    settings: Settings, tmp_path: Path
) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        body = {**TAGGED, "account_id": "main", "priority": 5, "valid_from": "2026-04-01", "valid_to": "2026-04-30"}
        await send(api, "POST", "/api/rules", {**body, "draft": True})
        await deciding.carry_out(api)
        (draft,) = await api.listed("/api/rules", {"draft": "true"})
        assert {name: draft[name] for name in body} == body
        assert await attributed(api) == {"1": None, "2": None, "3": "9"}
        taken = await send(api, "POST", "/api/rules/momentum/apply", key="once")
        await deciding.carry_out(api)
        assert await attributed(api) == {"1": "7", "2": "7", "3": "9"}
        (rule,) = await api.listed("/api/rules")
        assert {**rule, "n": 0, "set_at": ""} == {**draft, "n": 0, "set_at": "", "draft": False}
        assert await send(api, "POST", "/api/rules/momentum/apply", key="once") == taken  # an answer that was lost
        await send(api, "POST", "/api/rules/momentum/apply", status=404)
        await send(api, "DELETE", "/api/rules/momentum", status=404, query={"draft": "true"})
        await send(api, "DELETE", "/api/rules/momentum")
        await deciding.carry_out(api)
        assert await attributed(api) == {"1": None, "2": None, "3": "9"}
        assert await api.listed("/api/rules") == []
        ended = await api.listed("/api/rules", {"ended": "true"})
        assert [(each["draft"], each["ended_at"] is None) for each in ended] == [(False, False), (True, False)]
        await send(api, "DELETE", "/api/rules/momentum", status=404)


async def test_rules_are_filtered_and_paged(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        await send(api, "POST", "/api/rules", TAGGED)
        await send(api, "POST", "/api/rules", {**TAGGED, "rule_id": "b", "kind": "symbol", "pattern": "nse:in?y"})
        await send(api, "POST", "/api/rules", {**TAGGED, "rule_id": "c", "strategy_id": "8", "account_id": "main"})
        await deciding.carry_out(api)

        async def found(**query: str | int) -> list[object]:
            return [each["rule_id"] for each in await api.listed("/api/rules", query)]

        assert await found() == ["b", "c", "momentum"]
        assert await found(kind="symbol") == ["b"]
        assert await found(strategy_id="8") == ["c"]
        assert await found(account_id="main") == ["c"]
        first: Json = await api.get("/api/rules", {"limit": 2})
        assert await found(limit=2, cursor=first["next"]) == ["momentum"]
        (symbol,) = await api.listed("/api/rules", {"rule_id": "b"})
        assert symbol["pattern"] == "NSE:IN?Y"


async def test_by_hand_an_order_or_a_trade_goes_to_a_strategy_and_back(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        ids = {"account_id": "main", "order_id": "1"}
        taken = await send(api, "POST", "/api/attributions", {**ids, "strategy_id": "7"})
        assert taken["name"] == f"hand.main.{DAY}.NSE.1"
        await send(api, "POST", "/api/attributions", {**ids, "strategy_id": "8", "trade_id": "2"})
        await deciding.carry_out(api)
        assert await attributed(api) == {"1": "7", "2": "8", "3": "9"}
        reasons = {each["strategy_reason"] for each in (await api.listed("/accounts/main/trades"))}
        assert f"by hand, the trade (rule hand.main.{DAY}.NSE.1.2)" in reasons
        await send(api, "POST", "/api/attributions", {**ids, "strategy_id": "6"})  # said again, otherwise
        await send(api, "DELETE", "/api/attributions", query={**ids, "trade_id": "2"})
        await deciding.carry_out(api)
        assert await attributed(api) == {"1": "6", "2": "6", "3": "9"}
        wanted = {**ids, "strategy_id": "7"}
        for wrong in ({"order_id": "5"}, {"trade_id": "9"}, {"day": "2026-04-14"}, {"account_id": "nobody"}):
            await send(api, "POST", "/api/attributions", {**wanted, **wrong}, status=404)
        waited = {"order_timestamp": f"{DAY} 18:00:00"}  # over night: its trade is of the next day
        deciding.log.snapshot("main", "orders", [order("7", **waited)], "18:01:00")
        late = trade("8", "7", fill_timestamp="2026-04-14 09:15:02")
        deciding.log.snapshot("main", "trades", [late], "10:00:00", "2026-04-14")
        again = [order("1", order_timestamp="2026-04-27 09:20:00")]  # brokers use their numbers again
        deciding.log.snapshot("main", "orders", again, "10:00:00", "2026-04-27")
        await deciding.project()
        taken = await send(api, "POST", "/api/attributions", {**wanted, "order_id": "7"})
        assert taken["name"] == f"hand.main.{DAY}.NSE.7"
        await deciding.carry_out(api)
        assert (await attributed(api))["8"] == "7"
        said = await send(api, "POST", "/api/attributions", wanted, status=400)
        assert f"{DAY} NSE, 2026-04-27 NSE" in said["found"]
        taken = await send(api, "POST", "/api/attributions", {**wanted, "day": "2026-04-27"})
        assert taken["name"] == "hand.main.2026-04-27.NSE.1"


async def test_a_split_is_told_and_taken_back(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        split = {**SPLIT, "day": "2026-04-14", "ratio_old": 1, "ratio_new": 5}
        await send(api, "POST", "/api/corporate-actions", split)
        await deciding.carry_out(api)
        assert await api.listed("/api/corporate-actions", {"tradingsymbol": "infy"}) == [split]
        twice = await send(api, "POST", "/api/corporate-actions", {**split, "action_id": "t"}, status=400)
        assert twice["found"] == "s, which tells of it already"
        await send(api, "POST", "/api/corporate-actions", {**split, "ratio_new": 2})
        taken = await send(api, "DELETE", "/api/corporate-actions/s", key="once")
        await deciding.carry_out(api)
        assert await api.listed("/api/corporate-actions") == []
        assert await send(api, "DELETE", "/api/corporate-actions/s", key="once") == taken
        await send(api, "DELETE", "/api/corporate-actions/s", status=404)


async def test_a_tariff_of_ones_own_counts_until_it_is_taken_back(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:

        async def brokerage() -> Decimal:
            (row,) = await deciding.desk.rows("select sum(brokerage) as sum from trade_charges")
            return row["sum"] or Decimal(0)

        first = await brokerage()
        text = shipped().text.replace("percent = 0.03\n", "percent = 0.06\n")
        await send(api, "POST", "/api/tariffs", {"broker": "kite", "text": text})
        await deciding.carry_out(api)
        assert await brokerage() > first
        own, ours = await api.listed("/api/tariffs")
        assert [(each["shipped"], each["in_force"]) for each in (own, ours)] == [(False, True), (True, False)]
        assert (await api.get("/api/tariffs/kite"))["text"] == text
        await send(api, "DELETE", "/api/tariffs/kite")
        await deciding.carry_out(api)
        assert await brokerage() == first
        assert (await api.get("/api/tariffs/kite"))["text"] == shipped().text
        await api.get("/api/tariffs/nobody", status=404)


LONG = "x" * 65
BAD: list[tuple[str, str, Mapping[str, object]]] = [
    ("strategies", "strategy_id", {"strategy_id": ""}),
    ("strategies", "strategy_id", {"strategy_id": "None"}),
    ("strategies", "strategy_id", {"strategy_id": "a b"}),
    ("strategies", "strategy_id", {"strategy_id": "a\n"}),
    ("strategies", "strategy_id", {"strategy_id": LONG}),
    ("strategies", "name", {"strategy_id": "7", "name": "a\x00b"}),
    ("strategies", "name", {"strategy_id": "7", "name": "x" * 101}),
    ("strategies", "description", {"strategy_id": "7", "description": "x" * 1001}),
    ("strategies", "colour", {"strategy_id": "7", "colour": "red"}),
    ("rules", "rule_id", {**TAGGED, "rule_id": "a/b"}),
    ("rules", "strategy_id", {**TAGGED, "strategy_id": "NONE"}),
    ("rules", "kind", {**TAGGED, "kind": "colour"}),
    ("rules", "pattern", {**TAGGED, "pattern": " "}),
    ("rules", "pattern", {**TAGGED, "pattern": "x" * 101}),
    ("rules", "pattern", {**TAGGED, "pattern": "a\u0000"}),
    ("rules", "pattern", {**TAGGED, "kind": "symbol", "pattern": "NIFTY*"}),
    ("rules", "pattern", {**TAGGED, "kind": "order", "pattern": f"{DAY} NSE"}),
    ("rules", "pattern", {**TAGGED, "kind": "order", "pattern": "13-04-2026 NSE 1"}),
    ("rules", "exchange", {**TAGGED, "kind": "order", "pattern": f"{DAY} NYSE 1"}),
    ("rules", "pattern", {**TAGGED, "kind": "trade", "pattern": f"{DAY} NSE 1"}),
    ("rules", "order_id", {**TAGGED, "kind": "order", "pattern": f"{DAY} NSE {LONG}"}),
    ("rules", "account_id", {**TAGGED, "account_id": "a b"}),
    ("rules", "priority", {**TAGGED, "priority": 2**31}),
    ("rules", "valid_from", {**TAGGED, "valid_from": "0001-01-01"}),
    ("rules", "valid_to", {**TAGGED, "valid_to": "9999-12-31"}),
    ("rules", "valid_to", {**TAGGED, "valid_to": "2026-02-30"}),
    ("rules", "valid_from", {**TAGGED, "valid_from": "2026-04-14", "valid_to": DAY}),
    ("corporate-actions", "ratio_new", {**SPLIT, "ratio_old": 1, "ratio_new": 0}),
    ("corporate-actions", "ratio_new", {**SPLIT, "ratio_old": 1, "ratio_new": 10_001}),
    ("corporate-actions", "ratio", {**SPLIT, "ratio_old": 2, "ratio_new": 2}),
    ("corporate-actions", "bonus", {**SPLIT, "kind": "bonus", "ratio_old": 3, "ratio_new": 2}),
    ("corporate-actions", "day", {**SPLIT, "ratio_old": 1, "ratio_new": 2, "day": "0001-01-01"}),
    ("corporate-actions", "kind", {**SPLIT, "ratio_old": 1, "ratio_new": 2, "kind": "merger"}),
    ("corporate-actions", "exchange", {**SPLIT, "ratio_old": 1, "ratio_new": 2, "exchange": "NYSE"}),
    ("corporate-actions", "tradingsymbol", {**SPLIT, "ratio_old": 1, "ratio_new": 2, "tradingsymbol": " "}),
    ("corporate-actions", "action_id", {**SPLIT, "ratio_old": 1, "ratio_new": 2, "action_id": LONG}),
    ("tariffs", "broker", {"broker": "nobody", "text": shipped().text}),
    ("tariffs", "TOML", {"broker": "kite", "text": ""}),
    ("tariffs", "TOML", {"broker": "kite", "text": "broker = "}),
    ("tariffs", "TOML", {"broker": "kite", "text": "a = " + "[" * 5000}),
    ("tariffs", "rows", {"broker": "kite", "text": 'broker = "kite"'}),
    ("tariffs", "bytes", {"broker": "kite", "text": "#" * 300_000}),
    ("tariffs", "row", {"broker": "kite", "text": shipped().text.replace("percent = 0.03", "percent = -1", 1)}),
    ("tariffs", "row", {"broker": "kite", "text": shipped().text.replace("percent = 0.03", "percent = 1e99999", 1)}),
    ("attributions", "strategy_id", {"strategy_id": "none", "account_id": "main", "order_id": "1"}),
    ("attributions", "order_id", {"strategy_id": "7", "account_id": "main", "order_id": "1 2"}),
    ("attributions", "account_id", {"strategy_id": "7", "account_id": "", "order_id": "1"}),
]


async def test_what_the_projector_could_not_apply_does_not_get_in(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        for path, named, body in BAD:
            said = await send(api, "POST", f"/api/{path}", body, status=400)
            assert named in said["detail"], (named, said["detail"])
            assert said["remedy"], said
        assert await deciding.carry_out(api) == []


async def test_the_ends_of_what_is_let_in_are_applied(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    longest, odd = "x" * 64, "[!a-]*?[z-a]["
    async with serving(settings) as api:
        await send(
            api, "POST", "/api/strategies", {"strategy_id": longest, "name": "é" * 100, "description": "'\"%s{}"}
        )
        for priority, day in ((1_000_000, "1996-01-01"), (-1_000_000, "2099-12-31")):
            ends = {"priority": priority, "valid_from": day, "valid_to": day}
            await send(api, "POST", "/api/rules", {**TAGGED, **ends, "rule_id": longest, "pattern": odd})
        await send(api, "POST", "/api/rules", {**TAGGED, "kind": "symbol", "pattern": f"*:{odd}"})
        for kind, old, new, day in (("split", 1, 10_000, "1996-01-01"), ("bonus", 9_999, 10_000, "2099-12-31")):
            ends = {"kind": kind, "ratio_old": old, "ratio_new": new, "day": day, "action_id": kind}
            await send(api, "POST", "/api/corporate-actions", {**SPLIT, **ends})
        assert len(await deciding.carry_out(api)) == 6
        (symbol,) = await api.listed("/api/rules", {"kind": "symbol"})
        assert symbol["pattern"] == f"*:{odd.upper()}"


async def test_a_repeated_key_is_the_same_decision_and_no_other(settings: Settings, tmp_path: Path) -> None:
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        first = await send(api, "POST", "/api/rules", TAGGED, key="k")
        assert await send(api, "POST", "/api/rules", TAGGED, key="k") == first
        await send(api, "POST", "/api/rules", {**TAGGED, "strategy_id": "8"}, status=400, key="k")
        await send(api, "POST", "/api/strategies", {"strategy_id": "7"}, status=400, key="k")
        await deciding.carry_out(api)
        await send(api, "DELETE", "/api/rules/momentum", status=400, key="k")
        await send(api, "POST", "/api/strategies", {"strategy_id": "7"}, status=400, key="x" * 201)
        assert await deciding.carry_out(api) == []


async def test_a_decision_survives_what_forwards_it(settings: Settings, tmp_path: Path) -> None:
    """The event in `accounts` holds what was asked, word for word."""
    deciding = Deciding(settings, tmp_path, traded())
    await deciding.project()
    async with serving(settings) as api:
        await send(api, "POST", "/api/rules", {**TAGGED, "valid_to": DAY})
        await send(api, "POST", "/api/corporate-actions", {**SPLIT, "ratio_old": 1, "ratio_new": 2})
        rule, action = await deciding.carry_out(api)
        assert (rule.kind, action.kind) == ("rule.set.v1", "action.set.v1")
        told = msgspec.json.decode(rule.payload, type=RuleSet)
        assert told == RuleSet(rule="momentum", strategy="7", kind="tag", pattern="momo*", valid_to=DAY)
        assert msgspec.json.decode(action.payload, type=ActionSet).day == DAY
