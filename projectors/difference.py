"""What differs between live tables and those that were built beside them: by checksum, then row by row.

Each table is cut into parts (`sum_<table>` in sql/statements/differences.sql). A part whose checksum is the same on
both sides is the same, in whatever order its rows lie; of one that is not, the rows are fetched (`rows_<table>`) and
compared. A table without statements of its own is cut by account. Rows of events that were lost with a disk
(tombstones) are no difference: nobody can make them again.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest
from typing import Any

import msgspec

from runtime.calendar import IST
from sql.rebuilds import Site
from sql.snapshot import Snapshot
from sql.statements import statements

LIVE = "public"
ROWS_SHOWN_MAX = 100  # enough to see what is the matter; a parser's bug changes every row

Sums = dict[str, tuple[int, Any]]  # part -> rows, checksum
Lost = frozenset[tuple[str, int]]  # (stream, n)


class RowDifference(msgspec.Struct, frozen=True):
    """One row that is not the same: what the live table has, and what the rebuilt one; null where it has none."""

    table: str
    key: str
    live: dict[str, Any] | None
    rebuilt: dict[str, Any] | None


class TableComparison(msgspec.Struct):
    """One table: its rows on both sides, in how many parts it was compared, and how many of them differ."""

    table: str
    live_rows: int
    rebuilt_rows: int
    parts: int
    parts_different: int = 0


class Comparison(msgspec.Struct):
    """All tables of a projection. rows: the first rows that differ; more: there are others."""

    tables: list[TableComparison] = []
    rows: list[RowDifference] = []
    more: bool = False

    @property
    def different(self) -> bool:
        """Say whether anything differs."""
        return any(each.parts_different for each in self.tables)


async def compare(
    snapshot: Snapshot, site: Site, tables: Sequence[str], firsts: Mapping[str, int], kept_days: int | None
) -> Comparison:
    """Compare the live tables of one snapshot with those of a rebuild.

    firsts: the n at which each stream was begun. kept_days: of ticks; older ones are not compared. Raises Unreachable.
    """
    found, schema = Comparison(), site.schema
    lost = frozenset((row["stream"], row["n"]) for row in await site.tombstones())
    since = await _since(snapshot, schema, kept_days) if kept_days else datetime.min.replace(tzinfo=UTC)
    parameters = {"projector": site.projector, "firsts": json.dumps(dict(firsts)), "since": since}
    for table in (*tables, "parked_events"):
        live, rebuilt = [await _sums(snapshot, each, table, parameters) for each in (LIVE, schema)]
        apart = sorted(part for part in live.keys() | rebuilt.keys() if live.get(part) != rebuilt.get(part))
        count = len(live.keys() | rebuilt.keys())
        rows = [sum(each[0] for each in side.values()) for side in (live, rebuilt)]
        told = TableComparison(table, rows[0], rows[1], count, len(apart))
        for part in apart:
            if len(found.rows) >= ROWS_SHOWN_MAX:
                found.more = True
                break
            differing = await _rows_apart(snapshot, schema, table, {**parameters, "part": part}, lost)
            told.parts_different -= not differing
            found.rows += differing
        found.tables.append(told)
    found.more = found.more or len(found.rows) > ROWS_SHOWN_MAX
    del found.rows[ROWS_SHOWN_MAX:]
    return found


async def _since(snapshot: Snapshot, schema: str, kept_days: int) -> datetime:
    """Give the first midnight in India that is kept, counted from the newest day of both sides."""
    days = []
    for each in (LIVE, schema):
        await snapshot.rows("look_into", {"schema": each})
        days += [row["day"] for row in await snapshot.rows("newest_tick_day")]
    newest = max(days, default=date.min + timedelta(days=kept_days))
    return datetime.combine(newest - timedelta(days=kept_days - 1), time(), IST)


async def _sums(snapshot: Snapshot, schema: str, table: str, parameters: Mapping[str, Any]) -> Sums:
    await snapshot.rows("look_into", {"schema": schema})
    own = f"sum_{table}" in statements
    rows = await snapshot.rows(f"sum_{table}" if own else "sum_by_account", {**parameters, "table": table})
    return {row["part"]: (row["rows"], row["checksum"]) for row in rows}


async def _rows_apart(
    snapshot: Snapshot, schema: str, table: str, parameters: Mapping[str, Any], lost: Lost
) -> list[RowDifference]:
    """Give the rows of one part that only one side has, those of one key side by side."""
    sides: list[dict[str, Counter[str]]] = []
    for each in (LIVE, schema):
        await snapshot.rows("look_into", {"schema": each})
        held: dict[str, Counter[str]] = {}
        own = f"rows_{table}" in statements
        for row in await snapshot.rows(f"rows_{table}" if own else "rows_by_account", {**parameters, "table": table}):
            if each == LIVE and (row["stream"], row["n"]) in lost:
                continue
            held.setdefault(row["key"], Counter())[json.dumps(row["body"], sort_keys=True)] += 1
        sides.append(held)
    live, rebuilt = sides
    apart = []
    for key in sorted(live.keys() | rebuilt.keys()):
        mine, theirs = live.get(key, Counter()), rebuilt.get(key, Counter())
        for one, other in zip_longest((mine - theirs).elements(), (theirs - mine).elements()):
            apart.append(RowDifference(table, key, _body(one), _body(other)))
    return apart


def _body(text: str | None) -> dict[str, Any] | None:
    return None if text is None else json.loads(text)
