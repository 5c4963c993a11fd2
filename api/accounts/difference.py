"""What changed in the accounts, and the place in it: one cursor over all accounts, the same after a rebuild.

A place is the number of a change (`account_changes.cursor`): the number of the event that showed it times 2^20, and its
place among the changes of that event. So places grow as the log does, and the rows of an event are all visible once
its projection has committed it: who has read up to a place has missed nothing before it.

    [ event 7: 0 1 2 ][ event 8 ][ event 9: 0 1 ] ...
                 ^ a place inside         ^ `end` of what is committed, also where nothing changed
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from api.tables import Tables
from events import cursor as cursors
from events.accounts import Kind
from runtime.errors import BadInput

CHANGES_PER_EVENT = 2**20  # as the projection numbers them
BEGINNING = 0
NOW = "now"
KEY = "account-changes"  # in the word: it is no stream, so a cursor of ticks cannot be taken for one of these

Json = dict[str, object]


class Change(msgspec.Struct):
    """One difference between two answers of a broker. before, after: the broker's own rows; null where there is none.

    kind: orders, trades, positions, holdings, margins; key: of the row in it; change: added, changed, removed.
    cursor: of this very change.
    """

    cursor: str
    account_id: str
    kind: str
    key: str
    change: str
    before: Json | None
    after: Json | None
    observed_at: datetime


class Wish(msgspec.Struct, frozen=True):
    """Which changes are wanted; None means all."""

    account: str | None = None
    kinds: tuple[Kind, ...] | None = None


class Standing(msgspec.Struct, frozen=True):
    """How far the table goes. end: the place behind everything committed; last: that of the newest change."""

    end: int
    last: int


class _Place(msgspec.Struct, frozen=True):
    place: int


class Stretch(msgspec.Struct):
    """Changes in their order. place: behind them; more: whether others are there already."""

    changes: list[Change]
    place: int
    more: bool


class Differences:
    """Reads the changes."""

    def __init__(self, tables: Tables) -> None:
        """Take the tables."""
        self._tables = tables

    async def standing(self) -> Standing:
        """Look how far the table goes. Raises Unreachable."""
        (found,) = await self._tables.rows("changes_standing", {"per_event": CHANGES_PER_EVENT}, Standing)
        return found

    async def after(self, place: int, wish: Wish, limit: int) -> Stretch:
        """Give what comes after a place, up to `limit` changes. Raises Unreachable."""
        standing = await self.standing()  # before the rows: all that it promises is among them
        asked = {"after": place, "kinds": list(wish.kinds) if wish.kinds else None, "limit": limit + 1}
        if wish.account is None:
            rows = await self._tables.ask("api_changes", asked)
        else:
            rows = await self._tables.ask("api_changes_of_account", {**asked, "account": wish.account})
        numbers: Sequence[int] = [row["cursor"] for row in rows[:limit]]
        changes = [msgspec.convert({**row, "cursor": to_word(row["cursor"])}, Change) for row in rows[:limit]]
        if len(rows) > limit:
            return Stretch(changes, numbers[-1], more=True)
        return Stretch(changes, max(place, standing.end, *numbers), more=False)

    async def before_newest(self, wish: Wish, newest: int) -> int:
        """Give the place behind which the newest changes stand, so many of those wished. Raises Unreachable."""
        asked = {"account": wish.account, "kinds": list(wish.kinds) if wish.kinds else None, "newest": newest}
        (found,) = await self._tables.rows("place_before_newest", asked, _Place)
        return found.place

    async def start(self, since: str | None, *, otherwise: str) -> int:
        """Give the place of a cursor, of `now`, or of nothing, which is the beginning; `otherwise` stands for None.

        Raises BadInput for what is no cursor, and for one that lies ahead of everything: it is of another log.
        """
        word = otherwise if since is None else since
        if not word:
            return BEGINNING
        place = None if word == NOW else from_word(word)
        end = (await self.standing()).end
        if place is None:
            return end
        if place > end:
            raise BadInput(
                "a cursor of this log", f"{word[:40]!r}, which lies ahead of it", "leave `since` out, or say since=now"
            )
        return place


def to_word(place: int) -> str:
    """Give the cursor of a place."""
    return cursors.to_word({KEY: place})


def from_word(word: str) -> int:
    """Give the place of a cursor. Raises BadInput where it is none of the accounts' changes."""
    position = cursors.from_word(word)
    if set(position) != {KEY}:
        raise BadInput("a cursor of GET /changes", f"{word[:40]!r}, which is of something else", "leave `since` out")
    return position[KEY]
