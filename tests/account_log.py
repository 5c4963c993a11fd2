"""A stream `accounts` for tests: what a broker would have answered, as events."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import zstandard

from events.accounts import (
    STREAM,
    ActionSet,
    ChargesTold,
    FillSet,
    Forwarded,
    Kind,
    Known,
    RuleSet,
    Snapshot,
    SnapshotPart,
    StrategySet,
    SyncRun,
    TariffSet,
)
from events.event import Recorded
from events.messages import Message, pack
from runtime.calendar import IST
from runtime.tariffs import shipped

DAY = "2026-04-13"  # a Monday


def at_ns(clock: str, day: str = DAY) -> int:
    """Give a moment of an IST day in UTC nanoseconds: `at_ns("09:15:02")`."""
    return int(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=IST).timestamp()) * 10**9


def body_of(data: object) -> bytes:
    """Give a broker's answer."""
    return json.dumps({"status": "success", "data": data}).encode()


class AccountLog:
    """Events in order, as the worker would have written them."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []

    def add(self, message: Message, at: int = 0) -> int:
        """Append a message; give its n."""
        event = pack(message, at or at_ns("09:00:00"))
        self.events.append(Recorded(STREAM, len(self.events) + 1, event.at_ns, event.type, event.payload))
        return len(self.events)

    def snapshot(
        self, account: str, kind: Kind, data: object, clock: str = "10:00:00", day: str = DAY, parts: int = 0
    ) -> int:
        """Append an answer that was given at this time of the day, also as raw bytes."""
        body = data if isinstance(data, bytes) else body_of(data)
        packed, sha256 = zstandard.ZstdCompressor().compress(body), hashlib.sha256(body).hexdigest()
        asked = at_ns(clock, day)
        size = -(-len(packed) // parts) if parts else 0
        for part in range(parts):
            piece = packed[part * size : (part + 1) * size]
            self.add(SnapshotPart(account=account, kind=kind, sha256=sha256, part=part + 1, body=piece), asked)
        told = Snapshot(
            account=account,
            broker="kite",
            kind=kind,
            run="r",
            asked_ns=asked,
            answered_ns=asked + 50_000_000,
            sha256=sha256,
            body=b"" if parts else packed,
            parts=parts,
        )
        return self.add(told, asked)

    def again(self, account: str, kind: Kind, clock: str, day: str = DAY) -> int:
        """Append that an answer is the same as the last one of this account and kind."""
        held = [msgspec.json.decode(each.payload) for each in self.events if each.type == "account.snapshot.v1"]
        last = next(each for each in reversed(held) if (each["account"], each["kind"]) == (account, kind))
        asked = at_ns(clock, day)
        told = Snapshot(
            account=account,
            broker="kite",
            kind=kind,
            run="r",
            asked_ns=asked,
            answered_ns=asked + 50_000_000,
            sha256=last["sha256"],
        )
        return self.add(told, asked)

    def charges(
        self, account: str, asked: Sequence[dict[str, Any]], told: object, clock: str = "23:55:00", day: str = DAY
    ) -> int:
        """Append what the broker says that these orders cost, also as raw bytes."""
        packer, at = zstandard.ZstdCompressor(), at_ns(clock, day)
        body = told if isinstance(told, bytes) else body_of(told)
        said = ChargesTold(
            account=account,
            broker="kite",
            run="r",
            asked_ns=at,
            answered_ns=at + 50_000_000,
            asked=packer.compress(json.dumps(asked).encode()),
            body=packer.compress(body),
        )
        return self.add(said, at)

    def run(self, account: str, clock: str = "10:00:01", **told: Any) -> int:
        """Append the end of a run."""
        finished = at_ns(clock)
        usual: dict[str, Any] = {"trigger": "schedule", "outcome": "ok", "kinds": {}}
        span: dict[str, Any] = {"started_ns": finished - 10**9, "finished_ns": finished}
        return self.add(SyncRun(account=account, broker="kite", run="r", **{**span, **usual, **told}), finished)

    def decide(self, message: Message, n: int, at: int = 0, stream: str = "requests") -> int:
        """Append what a user decided, as forwarded from event n of a stream of requests."""
        event = pack(message, at or at_ns("09:00:00"))
        told = Forwarded(stream=stream, n=n, at_ns=event.at_ns, kind=event.type, payload=msgspec.Raw(event.payload))
        return self.add(told, event.at_ns)


def order(order_id: str = "260413000000001", **told: Any) -> dict[str, object]:
    """Give an order as Kite tells of it."""
    usual: dict[str, object] = {
        "placed_by": "AB1234",
        "order_id": order_id,
        "exchange_order_id": "1100000000000001",
        "parent_order_id": None,
        "status": "COMPLETE",
        "status_message": None,
        "status_message_raw": None,
        "order_timestamp": f"{DAY} 09:15:02",
        "exchange_update_timestamp": f"{DAY} 09:15:03",
        "exchange_timestamp": f"{DAY} 09:15:02",
        "variety": "regular",
        "modified": False,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "instrument_token": 408065,
        "order_type": "LIMIT",
        "transaction_type": "BUY",
        "validity": "DAY",
        "validity_ttl": 0,
        "product": "CNC",
        "quantity": 10,
        "disclosed_quantity": 0,
        "price": 1500.5,
        "trigger_price": 0,
        "average_price": 1500.25,
        "filled_quantity": 10,
        "pending_quantity": 0,
        "cancelled_quantity": 0,
        "market_protection": 0,
        "meta": {},
        "tag": None,
        "guid": "x",
    }
    return {**usual, **told}


def noted(of: dict[str, Any], **told: Any) -> dict[str, Any]:
    """Give what Kite is asked about an executed order. told: what is otherwise."""
    names = ("order_id", "exchange", "tradingsymbol", "transaction_type", "variety", "product", "order_type")
    asked = {name: of[name] for name in names}
    return {**asked, "quantity": of["filled_quantity"], "average_price": of["average_price"], **told}


def trade(trade_id: str, order_id: str = "260413000000001", **told: Any) -> dict[str, object]:
    """Give a trade as Kite tells of it."""
    usual: dict[str, object] = {
        "trade_id": trade_id,
        "order_id": order_id,
        "exchange_order_id": "1100000000000001",
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "instrument_token": 408065,
        "product": "CNC",
        "transaction_type": "BUY",
        "average_price": 1500.25,
        "quantity": 5,
        "fill_timestamp": f"{DAY} 09:15:02",
        "order_timestamp": "09:15:02",
        "exchange_timestamp": f"{DAY} 09:15:02",
    }
    return {**usual, **told}


def position(quantity: int, **told: Any) -> dict[str, object]:
    """Give a position as Kite tells of it."""
    usual: dict[str, object] = {
        "tradingsymbol": "INFY",
        "exchange": "NSE",
        "instrument_token": 408065,
        "product": "MIS",
        "quantity": quantity,
        "overnight_quantity": 0,
        "multiplier": 1,
        "average_price": 1500.25,
        "close_price": 1490,
        "last_price": 1501,
        "value": 0,
        "pnl": 7.5,
        "m2m": 7.5,
        "unrealised": 7.5,
        "realised": 0,
        "buy_quantity": quantity,
        "buy_value": 15002.5,
        "sell_quantity": 0,
        "sell_value": 0,
    }
    return {**usual, **told}


def positions(net: Sequence[dict[str, object]], day: Sequence[dict[str, object]] = ()) -> dict[str, object]:
    """Give both views of the positions."""
    return {"net": list(net), "day": list(day)}


def holding(quantity: int, **told: Any) -> dict[str, object]:
    """Give a holding as Kite tells of it."""
    usual: dict[str, object] = {
        "tradingsymbol": "INFY",
        "exchange": "NSE",
        "instrument_token": 408065,
        "isin": "INE009A01021",
        "product": "CNC",
        "quantity": quantity,
        "t1_quantity": 0,
        "opening_quantity": quantity,
        "average_price": 1400,
        "last_price": 1501,
        "close_price": 1490,
        "pnl": 101 * quantity,
        "day_change": 11,
        "day_change_percentage": 0.7382550335570469,
    }
    return {**usual, **told}


def a_day() -> AccountLog:
    """Give the log of a day with something for every table of the accounts."""
    log = AccountLog()
    log.add(Known(account="main", broker="kite", user="AB1234"))
    tariff = shipped()
    log.add(TariffSet(broker="kite", text=tariff.text, sha256=tariff.sha256, shipped=True))
    log.decide(StrategySet(strategy="7", name="Breakout"), 1)
    log.decide(RuleSet(rule="a", strategy="7", kind="symbol", pattern="NSE:INFY"), 2)
    split: dict[str, Any] = {"kind": "split", "exchange": "NSE", "tradingsymbol": "TCS", "day": DAY}
    log.decide(ActionSet(action="s", **split, ratio_old=1, ratio_new=2), 3)
    given: dict[str, Any] = {"exchange": "NSE", "tradingsymbol": "SBIN", "product": "CNC", "side": "BUY"}
    log.decide(FillSet(fill="f", account="main", **given, quantity="5", price="100", time_ns=at_ns("09:10:00")), 4)
    for account in ("main", "other"):
        log.snapshot(account, "orders", [order(status="OPEN"), order("260413000000002")], "09:16:00")
        log.snapshot(account, "trades", [trade("1")], "09:16:00")
        log.snapshot(account, "positions", positions([position(5)], [position(5)]), "09:16:00")
        log.snapshot(account, "holdings", [holding(3)], "09:16:00")
        log.snapshot(account, "margins", {"equity": {"enabled": True, "net": 5, "available": {"cash": 5}}}, "09:16:00")
        log.snapshot(account, "orders", [order()], "09:21:00", parts=2)
        odd = [trade("3", average_price="none"), trade("4", exchange="NASDAQ")]
        sale = trade("5", transaction_type="SELL", quantity=7)
        trip = [trade(str(6 + leg), product="MIS", transaction_type=side) for leg, side in enumerate(("BUY", "SELL"))]
        log.snapshot(account, "trades", [trade("1"), trade("2"), *odd, sale, *trip], "09:21:00")
        log.again(account, "holdings", "09:21:00")
        log.charges(account, [noted(order())], [{"tradingsymbol": "INFY", "charges": {"brokerage": 20}}], "09:21:00")
        log.run(account, "09:21:01")
    return log
