"""Takes one answer of a broker into the tables: what stands now, what was ever said, what changed, what books need."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from events.accounts import Snapshot
from projectors.accounts import first_lots, kite
from projectors.accounts.changes import Difference, difference
from projectors.accounts.kite import Row, Sheet, Unread
from projectors.accounts.parameters import text
from projectors.accounts.touched import Line, Touched
from projectors.bodies import unpacked
from runtime.calendar import IST, book_day, trading_day
from runtime.clock import instant
from runtime.errors import BadEvent
from sql.store import Rows

CHANGES_MAX = 2**20  # of one event: its number times this, and the place in it, is a change's cursor
# An order that waits for the market's opening (AMO) is told with a newer time then: it is one order all the same, also
# over a weekend and its holidays. An id that comes again after that may be another order's.
WAITING_DAYS_MAX = timedelta(days=7)
STANDING = ("positions", "day_positions", "holdings", "margins")  # tables that hold what stands now, and no more
UNTOLD = ("day_positions",)  # another view of what `positions` says: a change of it is none of its own


class Answer(msgspec.Struct, frozen=True):
    """A snapshot with its place in the log. told: what its statements are given."""

    n: int
    snapshot: Snapshot
    told: dict[str, Any]

    @classmethod
    def of(cls, n: int, snapshot: Snapshot) -> "Answer":
        """Make the parameters of its statements."""
        told = {"account": snapshot.account, "kind": snapshot.kind, "broker": snapshot.broker, "n": n}
        told |= {"sha256": snapshot.sha256, "asked_ns": snapshot.asked_ns, "asked_at": instant(snapshot.asked_ns)}
        told |= {"answered_at": instant(snapshot.answered_ns), "observed_at": instant(snapshot.answered_ns)}
        return cls(n, snapshot, told)

    @property
    def what(self) -> str:
        """Name it, for errors."""
        return f"the {self.snapshot.kind} of {self.snapshot.account} of run {self.snapshot.run}"

    @property
    def day(self) -> date:
        """Give the IST day on which it was given."""
        return trading_day(self.snapshot.answered_ns)

    @property
    def book_day(self) -> date:
        """Give the IST day that the broker told of: at night still the day before."""
        return book_day(self.snapshot.answered_ns)


async def take(rows: Rows, touched: Touched, answer: Answer, packed: bytes) -> list[Unread]:
    """Take an answer in: all of it where it is the newest, else only what nobody knew.

    packed: its body, empty where it is the one before. Give the rows that cannot be read, but for those that came so
    before, or all of an answer that is none of its kind. Raises BadEvent where the event is not as it was written.
    """
    snapshot, told = answer.snapshot, answer.told
    held = next(iter(await rows.run("last_snapshot", told)), None)
    newest = held is None or snapshot.asked_ns > held["asked_ns"]
    if not packed:
        return await _repeat(rows, touched, answer, held, newest=newest)
    await rows.run("meet_account", told)
    body = unpacked(answer.what, packed, snapshot.sha256)
    try:
        found = kite.sheets(snapshot.kind, body)
    except BadEvent as error:  # of one account and kind: it holds up no other, and the next one may be fine
        return [Unread(0, str(error), body)]
    before, before_day = _before(answer, held) if newest else ({}, answer.day)
    unread, cursor = list[Unread](), answer.n * CHANGES_MAX
    for table, sheet in found.items():
        old = before.get(table, Sheet())
        apart = difference(table, old.items, sheet.items, (before_day, answer.day))
        if not newest:
            apart.changes, apart.gone = [], []
        await _keep(rows, touched, answer, table, sheet, apart, newest=newest)
        if apart.changes and table not in UNTOLD:
            assert len(apart.changes) < CHANGES_MAX, "an answer of a million rows"
            listed = [{"cursor": cursor + place, **each._asdict()} for place, each in enumerate(apart.changes)]
            await rows.run("add_changes", {**told, "rows": text(listed)})
        known = [each.raw for each in old.unread]
        unread += [*apart.unread, *(each for each in sheet.unread if each.raw not in known)]
    if newest:
        await _open_lots(rows, touched, answer, found, first=held is None)
        count = sum(len(sheet.items) for sheet in found.values())
        await rows.run("keep_snapshot", {**told, "rows": count, "body": packed})
        touched.answered.add(snapshot.account)
    return unread


async def _repeat(
    rows: Rows, touched: Touched, answer: Answer, held: Mapping[str, Any] | None, *, newest: bool
) -> list[Unread]:
    """Take an answer that was the same as the one before."""
    if held is None or held["sha256"] != answer.snapshot.sha256:
        wanted = f"the body {answer.snapshot.sha256[:12]} before an answer that is the same"
        error = BadEvent(wanted, "another one", "nothing is to be done: the next whole answer, one a day, mends it")
        return [Unread(1, str(error), answer.snapshot)]
    if newest:
        await rows.run("repeat_snapshot", answer.told)
        touched.answered.add(answer.snapshot.account)
        kind = answer.snapshot.kind
        for table in ("positions", "day_positions") if kind == "positions" else (kind,):
            if table in STANDING:
                await rows.run(f"touch_{table}", answer.told)
    return []


def _before(answer: Answer, held: Mapping[str, Any] | None) -> tuple[dict[str, Sheet], date]:
    """Give the answer that this one is compared with, and its IST day."""
    if held is None:
        return {}, answer.day
    body = unpacked(f"what stood before {answer.what}", bytes(held["body"]), held["sha256"])
    return kite.sheets(answer.snapshot.kind, body), held["answered_at"].astimezone(IST).date()


async def _keep(
    rows: Rows, touched: Touched, answer: Answer, table: str, sheet: Sheet, apart: Difference, *, newest: bool
) -> None:
    told = {**answer.told, "newest": newest}
    if table in STANDING:
        if newest:
            standing = _readable(table, sheet, answer.day, apart.rows)
            await rows.run(f"clear_{table}", told)
            await rows.run(f"keep_{table}", {**told, "rows": _listed(standing)})
            await _learn_multipliers(rows, touched, standing)
            touched.accounts.add(answer.snapshot.account)
        return
    changed = {each.key for each in apart.changes}
    kept = [row for key, row in apart.rows.items() if key in changed or not newest]
    if table == "orders":
        kept = await _on_first_day(rows, answer, kept)
    for row in kept:
        touched.order(answer.snapshot.account, row.columns["order_id"])
    if kept:
        (count,) = await rows.run(f"keep_{table}", {**told, "rows": _listed(kept)})
        if count["added"]:
            await rows.run("count_rows", {**told, "orders": 0, "trades": 0, table: count["added"]})
    if table == "orders" and kept and newest:
        await rows.run("keep_history", {**told, "rows": _listed(kept)})
    if apart.gone:
        await rows.run(f"miss_{table}", {**told, "rows": _listed(apart.gone)})


async def _on_first_day(rows: Rows, answer: Answer, found: list[Row]) -> list[Row]:
    """Give orders with the day on which they were told first."""
    if not found:
        return []
    told = {**answer.told, "order_ids": [row.columns["order_id"] for row in found]}
    days: dict[str, list[date]] = defaultdict(list)
    for known in await rows.run("known_orders", told):
        days[known["order_id"]].append(known["day"])
    return [_on_day(row, days.get(row.columns["order_id"], [])) for row in found]


def _on_day(row: Row, days: list[date]) -> Row:
    assert row.day is not None, "an order is of a day"
    day = row.day
    return row._replace(day=next((known for known in days if abs(known - day) <= WAITING_DAYS_MAX), day))


def _readable(table: str, sheet: Sheet, day: date, known: Mapping[str, Row]) -> list[Row]:
    """Give all rows that can be read. known: those of them that were read before."""
    found = []
    for key, item in sheet.items.items():
        try:
            found.append(known.get(key) or kite.read(table, key, item, day))
        except BadEvent:  # kept aside when it came so for the first time
            continue
    return found


async def _learn_multipliers(rows: Rows, touched: Touched, standing: Iterable[Row]) -> None:
    listed = [row.columns for row in standing if "multiplier" in row.columns]
    if not listed:
        return
    learned = await rows.run("learn_multipliers", {"rows": text(listed)})
    if learned:
        for row in await rows.run("noted_accounts"):
            touched.note(row["account_id"])
    for each in learned:
        for row in await rows.run("lines_of_symbol", each):
            touched.line(row["account_id"], Line.of(row))
        for row in await rows.run("days_of_symbol", each):
            touched.day(row["account_id"], row["day"])


async def _open_lots(rows: Rows, touched: Touched, answer: Answer, found: Mapping[str, Sheet], *, first: bool) -> None:
    """Take what was there before the first fill that is known."""
    tables = [table for table in ("positions", "holdings") if table in found]
    if not first or not tables:
        return
    lots = first_lots.lots({table: _readable(table, found[table], answer.day, {}) for table in tables})
    if not lots:
        return
    account = answer.snapshot.account
    await rows.run("open_lots", {**answer.told, "day": answer.book_day, "rows": text(lots)})
    touched.openings.add(account)
    for lot in lots:
        touched.line(account, Line.of(lot))


def _listed(found: Iterable[Row]) -> str:
    return text([{**row.columns, "day": row.day, "raw": row.raw} for row in found])
