"""What one answer of a broker has that the one before had not.

A key that is in the newer one only was added, in the older one only was removed, in both with another content changed.
Prices, and what follows from them, move by themselves and are no change. Orders and trades of an earlier day that are
not listed any more were not removed: the brokers clear their books overnight. Rows that came just as before are not
even read: of a thousand orders a few differ.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, NamedTuple

import msgspec

from projectors.accounts.kite import Row, Unread, read
from runtime.errors import BadEvent


class Change(NamedTuple):
    """One difference; before and after are the broker's own rows."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Difference(msgspec.Struct):
    """What differs in one table. rows: those of the newer answer that came otherwise than before, read, by key.

    gone: those of the older one that are not listed any more. unread: rows that came otherwise and cannot be read.
    """

    changes: list[Change] = []
    rows: dict[str, Row] = {}
    gone: list[Row] = []
    unread: list[Unread] = []


def difference(table: str, before: Mapping[str, Any], after: Mapping[str, Any], days: tuple[date, date]) -> Difference:
    """Compare two answers, in the order of the newer one, then what is gone. days: IST, of the older and the newer."""
    found = Difference()
    for place, (key, item) in enumerate(after.items(), 1):
        held = before.get(key)
        if held == item:
            continue
        try:
            row = read(table, key, item, days[1])
        except BadEvent as error:
            found.unread.append(Unread(place, str(error), item))
            continue
        found.rows[key] = row
        known = _known(table, key, held, days[0])
        if known is None:
            found.changes.append(Change(key, "added", None, row.raw))
        elif known.told != row.told:
            found.changes.append(Change(key, "changed", known.raw, row.raw))
    for key in before.keys() - after.keys():
        known = _known(table, key, before[key], days[0])
        if known is not None and known.day in (None, days[1]):
            found.gone.append(known)
    found.gone.sort(key=lambda row: row.key)
    found.changes += [Change(row.key, "removed", row.raw, None) for row in found.gone]
    return found


def _known(table: str, key: str, item: object, day: date) -> Row | None:
    """Read a row of the older answer; None where there is none that could be read then."""
    if item is None:
        return None
    try:
        return read(table, key, item, day)
    except BadEvent:  # it was kept aside when it came
        return None
