"""Compares the books of the accounts of a batch with what their brokers say (`divergence`), and keeps what differs.

It follows from the tables alone, and so is told anew whenever one of the answers came, also one that is as before:
whether a difference may still be settled by the next pull hangs on when both sides were asked.

**Settling.** Orders, trades, positions and holdings are asked for side by side, and a fill may come between two of
them. So a difference counts only when both sides had their chance: trades were asked for after the line had last moved
at the broker, and positions after the line's newest trade had come; for fills that orders tell of, trades after the
order. Until then it is `settling`, and raises no alarm. Where one kind was not asked for as long as several pulls take,
it is no matter of moments any more.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from projectors.accounts import dispute
from projectors.accounts.compared import SHARE_EXCHANGES, Divergence, Foreign, Line, Missing
from projectors.accounts.divergence import divergences
from projectors.accounts.first_lots import SHARES
from projectors.accounts.parameters import text
from projectors.accounts.touched import Touched
from runtime.calendar import IST
from sql.store import Rows

SETTLING_MAX = timedelta(minutes=15)  # three pulls at the default interval


class Answered(NamedTuple):
    """When the newest answer of a kind was asked for, and given."""

    asked_at: datetime
    answered_at: datetime


Answers = Mapping[str, Answered]


class Moves(NamedTuple):
    """When a line last moved at the broker, and in our trades, as answers told it; None where it never did."""

    theirs: datetime | None
    ours: datetime | None


async def reconcile(rows: Rows, touched: Touched) -> None:
    """Compare the accounts that were touched."""
    for account, order_ids in sorted(touched.orders.items()):
        told = {"account": account, "order_ids": sorted(order_ids)}
        await rows.run("drop_missing_fills", told)
        await rows.run("keep_missing_fills", told)
    for account in sorted(touched.accounts | touched.answered):
        await _account(rows, account)


async def _account(rows: Rows, account: str) -> None:
    about = {"account": account}
    told = await rows.run("reconciled_answers", about)
    answers = {row["kind"]: Answered(row["asked_at"], row["answered_at"]) for row in told}
    days = {kind: each.answered_at.astimezone(IST).date() for kind, each in answers.items()}
    missing = [Missing(**row) for row in await rows.run("read_missing_fills", about)]
    lines: list[Line] = []
    if "positions" in answers:
        listed = await rows.run("reconciled_lines", {**about, "day": days["positions"]})
        lines = [msgspec.convert(row, Line) for row in listed]
    foreign: list[Foreign] = []
    if "orders" in answers and (user := told[0]["broker_user"]):
        placed = await rows.run("foreign_orders", {**about, "day": days["orders"], "user": user})
        foreign = [Foreign(**row) for row in placed]
    disputed = [msgspec.convert(row, dispute.Disputed) for row in await rows.run("read_disputes", about)]
    found = [*divergences(lines, missing, foreign, days), *dispute.divergences(disputed)]
    await rows.run("drop_divergences", about)
    if found:
        moves = await _moves(rows, account, found)
        kept = [_row(each, moved, answers, missing) for each, moved in zip(found, moves, strict=True)]
        told_at = [*(each.answered_at for each in answers.values()), *(each.answered_at for each in disputed)]
        await rows.run("keep_divergences", {**about, "rows": text(kept), "observed_at": max(told_at)})


async def _moves(rows: Rows, account: str, found: Sequence[Divergence]) -> list[Moves]:
    """Give when the line of each divergence last moved."""
    lines = [{**_line(each), "keys": _keys(each), "exchanges": _exchanges(each)} for each in found]
    moved = {
        (row["exchange"], row["tradingsymbol"], row["product"]): Moves(row["theirs"], row["ours"])
        for row in await rows.run("moves_of_lines", {"account": account, "rows": text(lines)})
    }
    return [moved[each.exchange, each.tradingsymbol, each.product] for each in found]


def _row(each: Divergence, moved: Moves, answers: Answers, missing: Sequence[Missing]) -> dict[str, Any]:
    observed = {
        order.order_id: order.observed_at for order in missing if each.type == "missing_fill" and _is_of(order, each)
    }
    evidence = {
        **each.evidence,
        **{f"{kind}_answered_at": answer.answered_at for kind, answer in sorted(answers.items())},
        "moved_at_broker": moved.theirs,
        "newest_trade_answered_at": moved.ours,
    }
    settling = _is_told_of(max(observed.values()), answers) if observed else is_settling(each, moved, answers)
    if each.type == "corporate_action" and moved.theirs:
        evidence["day"] = moved.theirs.astimezone(IST).date()
    figures = {"type": each.type, "ours": each.ours, "theirs": each.theirs}
    return {**_line(each), **figures, "settling": settling, "evidence": {**evidence, "settling": settling}}


def is_settling(each: Divergence, moved: Moves, answers: Answers) -> bool:
    """Tell whether one side moved after the other one was asked for."""
    if "orders" in each.evidence and each.type in ("manual_trade", "charge"):
        return False  # an order says all of it, and no pull to come says otherwise
    positions, trades, holdings = answers.get("positions"), answers.get("trades"), answers.get("holdings")
    if positions is None or trades is None:
        return False
    if each.product in SHARES and holdings and _day(holdings) != _day(positions):
        return True  # one of them is of a day that is over: what was bought moves from one to the other overnight
    if abs(positions.asked_at - trades.asked_at) > SETTLING_MAX:
        return False
    is_behind = moved.theirs is not None and moved.theirs >= trades.asked_at
    return is_behind or (moved.ours is not None and moved.ours >= positions.asked_at)


def _is_told_of(observed_at: datetime, answers: Answers) -> bool:
    """Tell whether trades were not asked for since orders were told so."""
    orders, trades = answers.get("orders"), answers.get("trades")
    if orders is None or trades is None or abs(orders.asked_at - trades.asked_at) > SETTLING_MAX:
        return False
    return observed_at >= trades.asked_at


def _day(answer: Answered) -> object:
    return answer.answered_at.astimezone(IST).date()


def _is_of(order: Missing, each: Divergence) -> bool:
    exchanges = _exchanges(each)
    return (order.tradingsymbol, order.product) == (each.tradingsymbol, each.product) and order.exchange in exchanges


def _line(each: Divergence) -> dict[str, Any]:
    return {"exchange": each.exchange, "tradingsymbol": each.tradingsymbol, "product": each.product}


def _exchanges(each: Divergence) -> list[str]:
    return list(SHARE_EXCHANGES) if each.product in SHARES else [each.exchange]


def _keys(each: Divergence) -> list[str]:
    """Give by what the changes name a line: of shares also the holding."""
    instruments = [f"{exchange}:{each.tradingsymbol}" for exchange in _exchanges(each)]
    positions = [f"{instrument} {each.product}" for instrument in instruments]
    return [*positions, *instruments] if each.product in SHARES else positions
