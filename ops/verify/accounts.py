"""Every order and every trade that a broker ever told of, in the log, against the rows of `orders` and `trades`.

The bodies are read by this module's own eyes, not by the projection's: the keys as they stand in the answers, and of
each trade its quantity and price as the newest answer has them. A row that the projection has kept aside, because it
cannot be read, is accounted for by its bytes in `parked_events`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import zstandard

from events.accounts import Snapshot, SnapshotPart
from ops.verify.entries import Entry
from ops.verify.report import Findings

SNAPSHOT, PART = b"account.snapshot.v1", b"account.part.v1"
STREAM = "accounts"
NAMED_MAX = 5  # rows that a problem names; the count says how many there are
BODY_BYTES_MAX = 1 << 30  # what an answer may unpack to; a day of 5,000 orders is 5 MB

decode = msgspec.json.Decoder(float_hook=str).decode  # a number may be larger than a float
Key = tuple[str, str, str, str]  # account, exchange, order id, trade id; both ends empty for an order


class Told(NamedTuple):
    """Orders and trades as the tables have them, and those that are kept aside. trades: to quantity and price."""

    orders: frozenset[Key]
    trades: dict[Key, tuple[float, float]]
    aside: frozenset[Key]


def key(account: str, kind: str, row: Any) -> Key | None:
    """Give the key of a broker's row; None for what has none."""
    if not isinstance(row, dict) or not row.get("order_id"):
        return None
    if kind == "orders":
        return account, "", str(row["order_id"]), ""
    return account, str(row.get("exchange")), str(row["order_id"]), str(row.get("trade_id"))


class AccountAccount:
    """The answers of the stream `accounts`, fed with its events in order."""

    def __init__(self, stream: str, checkpoint: int, told: Told, findings: Findings) -> None:
        """Begin before the first answer; what is behind the checkpoint is not in the tables yet."""
        self.compared = self.different = 0
        self._stream, self._checkpoint, self._table, self._findings = stream, checkpoint, told, findings
        self._parts: dict[str, dict[int, bytes]] = {}
        self._orders: set[Key] = set()
        self._trades: dict[Key, tuple[float, float]] = {}
        self._newest: dict[tuple[str, str], int] = {}  # account and kind to when the newest answer was asked for

    def take(self, entries: Iterable[Entry]) -> None:
        """Take the next events."""
        for entry in entries:
            if entry.n > self._checkpoint or entry.kind not in (SNAPSHOT, PART):
                continue
            if entry.kind == PART:
                part = msgspec.json.decode(entry.payload, type=SnapshotPart)
                self._parts.setdefault(part.sha256, {})[part.part] = part.body
                continue
            snapshot = msgspec.json.decode(entry.payload, type=Snapshot)
            parts, self._parts = self._parts.pop(snapshot.sha256, {}), {}
            packed = b"".join(body for _, body in sorted(parts.items())) or snapshot.body
            if snapshot.kind in ("orders", "trades") and packed:
                self._answer(snapshot, packed)

    def _answer(self, snapshot: Snapshot, packed: bytes) -> None:
        body = zstandard.ZstdDecompressor().decompress(packed, max_output_size=BODY_BYTES_MAX)
        whose = (snapshot.account, snapshot.kind)
        is_newest = snapshot.asked_ns > self._newest.get(whose, 0)
        if is_newest:
            self._newest[whose] = snapshot.asked_ns
        for row in _rows(body):
            named = key(snapshot.account, snapshot.kind, row)
            if named is None:
                continue
            if snapshot.kind == "orders":
                self._orders.add(named)
            elif is_newest or named not in self._trades:
                self._trades[named] = _figures(row)

    def close(self) -> None:
        """Compare what was told with what the tables have."""
        if self._stream != STREAM:
            return
        table = self._table
        self.compared = len(self._orders) + len(self._trades)
        self._missing("orders", self._orders - table.orders - table.aside, "that the broker told of are not in")
        self._missing("trades", self._trades.keys() - table.trades.keys() - table.aside, "are in the log and not in")
        self._missing("orders", table.orders - self._orders, "that no broker told of are in")
        self._missing("trades", table.trades.keys() - self._trades.keys(), "that no broker told of are in")
        other = {each for each in self._trades.keys() & table.trades.keys() if self._trades[each] != table.trades[each]}
        self._missing("trades", other - table.aside, "have another quantity or price in")

    def _missing(self, table: str, keys: Iterable[Key], what: str) -> None:
        found = sorted(keys)
        self.different += len(found)
        if found:
            named = ", ".join(" ".join(filter(None, each)) for each in found[:NAMED_MAX])
            more = " ..." if len(found) > NAMED_MAX else ""
            said = f"{len(found)} {table} {what} the table {table}: {named}{more}"
            self._findings.problem("account", self._stream, said, "bahi rebuild accounts")


def _rows(body: bytes) -> list[Any]:
    """Give the rows of an answer; none of one that is no answer, which the projection keeps aside whole."""
    try:
        answer = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    data = answer.get("data") if isinstance(answer, dict) else None
    return data if isinstance(data, list) else []


def _figures(row: dict[str, Any]) -> tuple[float, float]:
    """Give quantity and price as numbers; not a number where they are none."""
    try:
        return float(row.get("quantity") or row.get("filled") or 0), float(row.get("average_price") or 0)
    except (TypeError, ValueError):
        return float("nan"), float("nan")
