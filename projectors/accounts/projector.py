"""The projection `accounts`: every snapshot, compared with the one before it, as rows.

Promise: the tables are what the newest answers of the brokers say, and what was ever said of an order or a trade stays.
A late, repeated or reordered answer changes nothing that is newer: of it only orders and trades are taken that nobody
knew. One that is unchanged writes no row but when it was asked.

    Snapshot  -> its body, or that of the one before -> sheets -> changes -> rows of what stands now, history, changes
                 (`taking`)
    ChargesTold -> what the broker says that orders cost (`note`)
    Forwarded -> what the user decided (`decisions`)
    at the end of a batch, for what it touched -> whose it is (`attributing`) -> books (`folding`) -> costs (`charging`)
      -> what round trips brought (`round_trips`) -> what the broker says that it costs (`dispute`), and otherwise
      (`reconciling`)

What is derived follows from the tables alone, so it is the same however the events are cut into batches.

A row that cannot be read is kept aside whole (`parked_events`), the others are used; so is an answer that is none of
its kind, and what stood before it stands. An event that cannot be read stops the projection, and says so: this is
money.
"""

from collections.abc import Sequence
from typing import Any

from events.accounts import STREAM, ChargesTold, Forwarded, Known, Snapshot, SnapshotPart, SyncRun, TariffSet
from events.event import Recorded
from events.messages import unpack
from projectors.accounts import decisions, note
from projectors.accounts.attributing import Attributing
from projectors.accounts.charging import charge
from projectors.accounts.dispute import dispute
from projectors.accounts.folding import Folding
from projectors.accounts.kite import Unread
from projectors.accounts.parameters import plain, text
from projectors.accounts.reconciling import reconcile
from projectors.accounts.round_trips import keep_round_trips
from projectors.accounts.taking import Answer, take
from projectors.accounts.touched import Touched
from projectors.projector import Projection
from runtime.clock import instant
from runtime.errors import BadEvent
from sql.store import Rows

NAME = "accounts"
READ_EVENTS_MAX = 16  # in one transaction: three accounts, or a day of 1,000 trades each in some seconds

Plain = Known | SyncRun | ChargesTold | Forwarded | TariffSet
Told = Snapshot | Plain
PLAIN: dict[str, type[Plain]] = {
    "account.known.v1": Known,
    "account.sync.v1": SyncRun,
    "account.charges.v1": ChargesTold,
    "account.forwarded.v1": Forwarded,
    "tariff.set.v1": TariffSet,
}


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
            self._parts = {}  # those of a body that was cut short by a crash never get their end
            self._whole = event.n

    def _body(self, snapshot: Snapshot) -> bytes:
        parts = self._parts.get((snapshot.account, snapshot.kind, snapshot.sha256), {})
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
                    touched.answered.add(event.account)
                case SyncRun():
                    await self._end_run(rows, n, event)
                case ChargesTold():
                    await self._park(rows, n, event, "charges", await note.take(rows, touched, n, event))
                case Forwarded():
                    await decisions.take(rows, touched, event, n)
                case TariffSet():
                    await decisions.set_tariff(rows, touched, event, n)
                case Snapshot():
                    unread = await take(rows, touched, Answer.of(n, event), body)
                    await self._park(rows, n, event, event.kind, unread)
        attributing = await Attributing.begin(rows, touched)
        await attributing.run()
        folding = Folding(rows, touched, attributing)
        await folding.run()
        await charge(rows, touched, folding.multipliers)
        await keep_round_trips(rows, touched)
        await dispute(rows, touched, folding.multipliers)
        await reconcile(rows, touched)

    async def _end_run(self, rows: Rows, n: int, run: SyncRun) -> None:
        await rows.run("meet_account", {"account": run.account, "broker": run.broker, "n": n})
        ended = {
            "n": n,
            "account": run.account,
            "run": run.run,
            "trigger": run.trigger,
            "started_at": instant(run.started_ns),
            "finished_at": instant(run.finished_ns),
            "kinds": list(run.kinds),
            "counts": text({kind: pulled.rows for kind, pulled in run.kinds.items() if pulled.ok}),
            "outcome": run.outcome,
            "success": run.outcome == "ok",
            "error": plain(run.error) or None,
            "results": plain(text(run.kinds | ({"charges": run.charges} if run.charges else {}))),
            "asked": text(run.asked),
        }
        await rows.run("keep_run", ended)
        await rows.run("end_run", ended)

    async def _park(
        self, rows: Rows, n: int, told: Snapshot | ChargesTold, kind: str, unread: Sequence[Unread]
    ) -> None:
        """Keep rows aside that cannot be read, whole."""
        shared = {"projector": NAME, "stream": self._stream, "n": n, "packets": 1, "at": instant(told.answered_ns)}
        for part, (place, error, raw) in enumerate(unread, 1):
            row = f"row {place} of " if place else ""
            what = plain(f"{row}the {kind} of {told.account}: {error}")
            payload = raw if isinstance(raw, bytes) else text(raw).encode()
            await rows.run("park_event", {**shared, "part": part, "error": what, "payload": payload})

    def committed(self) -> None:
        """Forget what is in the tables."""
        self._events = []


def _told(known: Known) -> dict[str, Any]:
    words = {name: plain(getattr(known, name)) for name in ("account", "broker", "user", "name")}
    return {**words, "active": known.active}


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
        "round_trips",
        "trade_charges",
        "uncharged",
        "broker_charges",
        "corrections",
        "missing_fills",
        "divergences",
    ),
)
ACCOUNTS = Projection(
    NAME,
    lambda stream: stream == STREAM,
    AccountProjector,
    TABLES,
    version=2,  # closed_lots.realised_average
    parks=False,
    read_events=READ_EVENTS_MAX,
)
