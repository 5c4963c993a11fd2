"""The projection `accounts`: every snapshot, compared with the one before it, as rows.

Promise: the tables are what the newest answers of the brokers say, and what was ever said of an order or a trade stays.
A late, repeated or reordered answer changes nothing that is newer: of it only orders and trades are taken that nobody
knew. One that is unchanged writes no row but when it was asked.

    Snapshot  -> its body, or that of the one before -> sheets -> changes -> rows of what stands now, history, changes
    Forwarded -> what the user decided (`decisions`)
    at the end of a batch, for what it touched -> whose it is (`attributing`) -> books (`folding`) -> costs (`charging`)

What is derived follows from the tables alone, so it is the same however the events are cut into batches.

A row that cannot be read is kept aside whole (`parked_events`), the others are used. An event that cannot be read stops
the projection, and says so: this is money.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from events.accounts import STREAM, Forwarded, Known, Snapshot, SnapshotPart, SyncRun, TariffSet
from events.event import Recorded
from events.messages import unpack
from projectors.accounts import decisions, first_lots, kite
from projectors.accounts.attributing import Attributing
from projectors.accounts.bodies import unpacked
from projectors.accounts.changes import Change, changes
from projectors.accounts.charging import charge
from projectors.accounts.folding import Folding
from projectors.accounts.kite import Row, Sheet
from projectors.accounts.touched import Line, Touched
from projectors.projector import Projection
from runtime.calendar import IST
from runtime.errors import BadEvent
from sql.store import Rows

NAME = "accounts"
READ_EVENTS_MAX = 64  # in one transaction: a whole day of a busy account is 5 MB of rows
CHANGES_MAX = 2**20  # of one event: its number times this, and the place in it, is a change's cursor
CLEARED = ("positions", "day_positions", "holdings", "margins")  # tables that hold what stands now, and no more

Told = Known | Snapshot | SyncRun | Forwarded | TariffSet
PLAIN: dict[str, type[Known] | type[SyncRun] | type[Forwarded] | type[TariffSet]] = {
    "account.known.v1": Known,
    "account.sync.v1": SyncRun,
    "account.forwarded.v1": Forwarded,
    "tariff.set.v1": TariffSet,
}

_json = msgspec.json.Encoder(decimal_format="number")


class AccountProjector:
    """`projectors.projector.Projector` for the tables of the accounts."""

    def __init__(self, stream: str) -> None:
        """Begin with nothing in memory."""
        self._stream = stream
        self._parts: dict[tuple[str, str, str], dict[int, bytes]] = {}
        self._events: list[tuple[int, Told, bytes]] = []
        self._whole = 0  # the last n that is not inside a body of several parts

    async def recall(self, rows: Rows) -> None:
        """Nothing is remembered: what the next answer is compared with stands in the tables."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        """Take events; a body in parts is put together at its end."""
        for event in batch:
            match event.type:
                case "account.part.v1":
                    part = unpack(event, SnapshotPart)
                    self._parts.setdefault((part.account, part.kind, part.sha256), {})[part.part] = part.body
                    continue
                case "account.snapshot.v1":
                    snapshot = unpack(event, Snapshot)
                    self._events.append((event.n, snapshot, self._body(snapshot)))
                case kind if kind in PLAIN:
                    self._events.append((event.n, unpack(event, PLAIN[kind]), b""))
            if not self._parts:
                self._whole = event.n

    def _body(self, snapshot: Snapshot) -> bytes:
        parts = self._parts.pop((snapshot.account, snapshot.kind, snapshot.sha256), {})
        self._parts = {}  # those of a body that was cut short by a crash never get their end
        if not snapshot.parts:
            return snapshot.body or b""
        if missing := [place for place in range(1, snapshot.parts + 1) if place not in parts]:
            raise BadEvent(f"parts 1..{snapshot.parts} of a body", f"none of {missing}", "run bahi verify")
        return b"".join(parts[place] for place in range(1, snapshot.parts + 1))

    def due(self, waited_seconds: float) -> int | None:  # noqa: ARG002 - the port's name; an answer never waits
        """Give the last n that is not inside a body."""
        return self._whole or None

    async def write(self, rows: Rows) -> None:
        """Write what each event says, in their order, then what follows from all of them."""
        touched = Touched()
        for n, event, body in self._events:
            match event:
                case Known():
                    await rows.run("know_account", {**_told(event), "n": n})
                case SyncRun():
                    await self._end_run(rows, n, event)
                case Forwarded():
                    await decisions.take(rows, touched, event, n)
                case TariffSet():
                    await decisions.set_tariff(rows, touched, event, n)
                case Snapshot():
                    await self._take(rows, touched, n, event, body)
        attributing = await Attributing.begin(rows, touched)
        await attributing.run()
        await Folding(rows, touched, attributing).run()
        await charge(rows, touched)

    async def _end_run(self, rows: Rows, n: int, run: SyncRun) -> None:
        await rows.run("meet_account", {"account": run.account, "broker": run.broker, "n": n})
        ended = {
            "n": n,
            "account": run.account,
            "run": run.run,
            "trigger": run.trigger,
            "started_at": _instant(run.started_ns),
            "finished_at": _instant(run.finished_ns),
            "kinds": list(run.kinds),
            "counts": _text({kind: pulled.rows for kind, pulled in run.kinds.items() if pulled.ok}),
            "outcome": run.outcome,
            "success": run.outcome == "ok",
            "error": run.error or None,
            "results": _text(run.kinds),
            "asked": _text(run.asked),
        }
        await rows.run("keep_run", ended)
        await rows.run("end_run", ended)

    async def _take(self, rows: Rows, touched: Touched, n: int, snapshot: Snapshot, packed: bytes) -> None:
        """Take an answer in: all of it where it is the newest, else what nobody knew."""
        account, kind = snapshot.account, snapshot.kind
        told = {"account": account, "kind": kind, "broker": snapshot.broker, "n": n, "sha256": snapshot.sha256}
        told |= {"asked_ns": snapshot.asked_ns, "asked_at": _instant(snapshot.asked_ns)}
        told |= {"answered_at": _instant(snapshot.answered_ns), "observed_at": _instant(snapshot.answered_ns)}
        held = next(iter(await rows.run("last_snapshot", told)), None)
        newest = held is None or snapshot.asked_ns > held["asked_ns"]
        if not packed:
            if held is None or held["sha256"] != snapshot.sha256:
                await self._park(rows, n, [(0, _no_body(snapshot), snapshot)], snapshot)
            elif newest:
                await rows.run("repeat_snapshot", told)
            return
        day = _instant(snapshot.answered_ns).astimezone(IST).date()
        found = kite.sheets(kind, unpacked(snapshot, packed), day)
        before = self._before(held, snapshot)
        await rows.run("meet_account", told)
        cursor = n * CHANGES_MAX
        for table, sheet in found.items():
            apart = list(changes(before.get(table, Sheet()).rows, sheet.rows, day)) if newest else []
            await self._keep(rows, touched, table, sheet, apart, {**told, "newest": newest})
            if apart and table != "day_positions":
                assert len(apart) < CHANGES_MAX, "an answer of a million rows"
                listed = [{"cursor": cursor + place, **each._asdict()} for place, each in enumerate(apart)]
                await rows.run("add_changes", {**told, "rows": _text(listed)})
        if newest:
            await self._learn(rows, touched, found, {**told, "day": day, "first": held is None})
        known = [each.raw for each in kite.unread_rows(before)]
        unread = [each for each in kite.unread_rows(found) if each.raw not in known]
        await self._park(rows, n, unread, snapshot)
        if newest:
            count = sum(len(sheet.rows) for sheet in found.values())
            await rows.run("keep_snapshot", {**told, "rows": count, "body": packed})

    def _before(self, held: Mapping[str, Any] | None, snapshot: Snapshot) -> dict[str, Sheet]:
        """Read the answer that this one is compared with."""
        if held is None:
            return {}
        day = held["answered_at"].astimezone(IST).date()
        body = unpacked(msgspec.structs.replace(snapshot, sha256=held["sha256"]), bytes(held["body"]))
        return kite.sheets(snapshot.kind, body, day)

    async def _learn(self, rows: Rows, touched: Touched, found: Mapping[str, Sheet], told: Mapping[str, Any]) -> None:
        """Take from positions and holdings what books need: multipliers, and what was there before the first fill."""
        listed = [row.columns for sheet in found.values() for row in sheet.rows.values() if "multiplier" in row.columns]
        if listed:
            for each in await rows.run("learn_multipliers", {"rows": _text(listed)}):
                for row in await rows.run("lines_of_symbol", each):
                    touched.line(row["account_id"], Line(row["exchange"], row["tradingsymbol"], row["product"]))
                for row in await rows.run("days_of_symbol", each):
                    touched.day(row["account_id"], row["day"])
        if told["first"] and (lots := first_lots.lots(found)):
            await rows.run("open_lots", {**told, "rows": _text(lots)})
            touched.openings.add(told["account"])
            for lot in lots:
                touched.line(told["account"], Line(lot["exchange"], lot["tradingsymbol"], lot["product"]))
        if "positions" in found:
            touched.accounts.add(told["account"])

    async def _keep(
        self,
        rows: Rows,
        touched: Touched,
        table: str,
        sheet: Sheet,
        apart: Sequence[Change],
        told: Mapping[str, Any],
    ) -> None:
        if table in CLEARED:
            if told["newest"]:
                await rows.run(f"clear_{table}", told)
                await rows.run(f"keep_{table}", {**told, "rows": _listed(sheet.rows.values())})
            return
        moved = {each.key for each in apart if each.after is not None}
        kept = [row for key, row in sheet.rows.items() if key in moved or not told["newest"]]
        for row in kept:
            touched.order(told["account"], row.columns["order_id"])
        if kept:
            (count,) = await rows.run(f"keep_{table}", {**told, "rows": _listed(kept)})
            if count["added"]:
                await rows.run("count_rows", {**told, "orders": 0, "trades": 0, table: count["added"]})
        if table == "orders" and moved:
            await rows.run("keep_history", {**told, "rows": _listed(kept)})
        if gone := [each.before for each in apart if each.after is None]:
            day = told["observed_at"].astimezone(IST).date()
            await rows.run(f"miss_{table}", {**told, "rows": _text([{**row, "day": day} for row in gone if row])})

    async def _park(self, rows: Rows, n: int, unread: Sequence[tuple[int, str, object]], snapshot: Snapshot) -> None:
        """Keep rows aside that cannot be read, whole."""
        at = _instant(snapshot.answered_ns)
        shared = {"projector": NAME, "stream": self._stream, "n": n, "packets": 1, "at": at}
        for place, error, raw in unread:
            what = f"{snapshot.kind} of {snapshot.account}: {error}"
            await rows.run("park_event", {**shared, "part": place, "error": what, "payload": _json.encode(raw)})

    def committed(self) -> None:
        """Forget what is in the tables."""
        self._events = []


def _told(known: Known) -> dict[str, Any]:
    return {name: getattr(known, name) for name in ("account", "broker", "user", "name", "active")}


def _no_body(snapshot: Snapshot) -> str:
    return (
        f"wanted the body {snapshot.sha256[:12]} before an answer that is the same; found another one; "
        f"the next whole answer mends it: bahi sync sends one a day"
    )


def _listed(found: Iterable[Row]) -> str:
    return _text([{**row.columns, "day": row.day, "raw": row.raw} for row in found])


def _text(value: object) -> str:
    return _json.encode(value).decode()


def _instant(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // 1000 / 1e6, UTC)


TABLES = (
    *("trading_accounts", "account_snapshots", "orders", "order_history", "trades", "positions", "day_positions"),
    *("holdings", "margins", "account_changes", "sync_runs", "decisions", "strategies", "attribution_rules"),
    *(
        "corporate_actions",
        "tariffs",
        "multipliers",
        "opening_lots",
        "books",
        "closed_lots",
        "trade_charges",
        "uncharged",
    ),
)
ACCOUNTS = Projection(
    NAME, lambda stream: stream == STREAM, AccountProjector, TABLES, parks=False, read_events=READ_EVENTS_MAX
)
