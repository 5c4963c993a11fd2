"""What one answer of a broker has that the one before had not.

A key that is in the newer one only was added, in the older one only was removed, in both with another content changed.
Prices, and what follows from them, move by themselves and are no change. Orders and trades of an earlier day that are
not listed any more were not removed: the brokers clear their books overnight.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, NamedTuple

from projectors.accounts.kite import Row


class Change(NamedTuple):
    """One difference; before and after are the broker's own rows."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def changes(before: Mapping[str, Row], after: Mapping[str, Row], day: date) -> Iterator[Change]:
    """Give the differences, in the order of the newer answer, then what is gone. day: IST, of the newer one."""
    for key, row in after.items():
        held = before.get(key)
        if held is None:
            yield Change(key, "added", None, row.raw)
        elif held.told != row.told:
            yield Change(key, "changed", held.raw, row.raw)
    for key, row in before.items():
        if key not in after and (row.day is None or row.day == day):
            yield Change(key, "removed", row.raw, None)
