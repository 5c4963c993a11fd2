"""What users decided, as the worker put it into the stream: strategies, rules, corporate actions, tariffs.

Each is taken in once: the worker may forward one twice after a kill, and what is not above the highest n of its stream
was there already.
"""

from collections.abc import Callable, Coroutine
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from events.accounts import ActionSet, FillSet, Forwarded, RuleRemoved, RuleSet, StrategySet, TariffSet
from events.messages import Message
from projectors.accounts.touched import Line, Touched
from runtime.calendar import IST
from runtime.clock import instant
from runtime.errors import BadEvent
from sql.store import Rows

MessageT = TypeVar("MessageT", bound=Message)
Taking = Callable[[Rows, Touched, Forwarded, int], Coroutine[Any, Any, None]]


async def take(rows: Rows, touched: Touched, forwarded: Forwarded, n: int) -> None:
    """Take a decision in, once. n: of the event that forwards it. Raises BadEvent for one that cannot be read."""
    if not await rows.run("take_decision", {"stream": forwarded.stream, "n": forwarded.n}):
        return
    taking = _TAKING.get(forwarded.kind)
    if taking is None:
        raise BadEvent(
            "a decision of this version of Bahi",
            f"{forwarded.kind} at {forwarded.stream} {forwarded.n}",
            "update Bahi on this machine: a newer one forwarded it",
        )
    await taking(rows, touched, forwarded, n)


async def set_tariff(rows: Rows, touched: Touched, said: TariffSet, n: int) -> None:
    """Take a table of charges; all days of the broker's accounts are charged again."""
    told = {name: getattr(said, name) for name in ("broker", "shipped", "text", "sha256")}
    await rows.run("set_tariff" if said.text else "remove_tariff", {**told, "n": n})
    for account in await rows.run("broker_accounts", told):
        touched.note(account["account_id"])
        for each in await rows.run("days_of_account", {"account": account["account_id"]}):
            touched.day(account["account_id"], each["day"])


async def _strategy(rows: Rows, _: Touched, forwarded: Forwarded, __: int) -> None:
    said = _said(forwarded, StrategySet)
    told = {name: getattr(said, name) for name in ("strategy", "name", "description", "active")}
    await rows.run("set_strategy", {**told, "at": instant(forwarded.at_ns)})


async def _rule(rows: Rows, touched: Touched, forwarded: Forwarded, n: int) -> None:
    """Set a rule; one that is applied takes the place of its draft as well."""
    said = _said(forwarded, RuleSet)
    names = ("rule", "strategy", "kind", "pattern", "account", "priority", "draft")
    told = {name: getattr(said, name) for name in names} | {"at": instant(forwarded.at_ns), "n": n}
    days = {"valid_from": _day(said.valid_from), "valid_to": _day(said.valid_to)}
    await rows.run("end_rule", {**told, "drafts": [True] if said.draft else [True, False]})
    await rows.run("set_rule", {**told, **days})
    touched.rules = True


async def _rule_removed(rows: Rows, touched: Touched, forwarded: Forwarded, _: int) -> None:
    said = _said(forwarded, RuleRemoved)
    drafts = [True] if said.draft else [True, False]
    await rows.run("end_rule", {"rule": said.rule, "drafts": drafts, "at": instant(forwarded.at_ns)})
    touched.rules = True


async def _action(rows: Rows, touched: Touched, forwarded: Forwarded, _: int) -> None:
    said = _said(forwarded, ActionSet)
    names = ("action", "kind", "exchange", "tradingsymbol", "ratio_old", "ratio_new")
    told = {name: getattr(said, name) for name in names} | {"day": _day(said.day)}
    before = await rows.run("read_action", told)
    await rows.run("remove_action" if said.removed else "set_action", told)
    for symbol in (*before, told):
        for each in await rows.run("lines_of_symbol", symbol):
            touched.line(each["account_id"], Line.of(each))


async def _fill(rows: Rows, touched: Touched, forwarded: Forwarded, n: int) -> None:
    """Set a fill that was told by hand, or take it back; its line is folded from the beginning."""
    said = _said(forwarded, FillSet)
    names = ("fill", "account", "exchange", "tradingsymbol", "product", "side", "order_id", "reason")
    told: dict[str, Any] = {name: getattr(said, name) for name in names} | {"at": instant(forwarded.at_ns), "n": n}
    at = instant(said.time_ns)
    told |= {"time": at, "day": at.astimezone(IST).date(), "strategy": said.strategy or None}
    told |= {"quantity": Decimal(said.quantity), "price": Decimal(said.price)}
    before = await rows.run("read_correction", told)
    await rows.run("remove_correction" if said.removed else "set_correction", told)
    for each in (*before, told):
        touched.line(said.account, Line.of(each))
        if each["order_id"]:
            touched.order(said.account, each["order_id"])


async def _tariff(rows: Rows, touched: Touched, forwarded: Forwarded, n: int) -> None:
    await set_tariff(rows, touched, _said(forwarded, TariffSet), n)


def _said(forwarded: Forwarded, wanted: type[MessageT]) -> MessageT:
    try:
        return msgspec.json.decode(forwarded.payload, type=wanted)
    except msgspec.DecodeError as error:
        raise BadEvent(
            f"a {wanted.__name__}", f"{error} at {forwarded.stream} {forwarded.n}", "a newer or broken writer made it"
        ) from error


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise BadEvent("an IST day such as 2026-04-13", text or "", "a newer or broken writer made it") from error


_TAKING: dict[str, Taking] = {
    "strategy.set.v1": _strategy,
    "rule.set.v1": _rule,
    "rule.removed.v1": _rule_removed,
    "action.set.v1": _action,
    "tariff.set.v1": _tariff,
    "fill.set.v1": _fill,
}
