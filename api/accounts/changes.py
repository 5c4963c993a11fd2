"""What changed in the accounts: a page of it, and the same live as server-sent events."""

from typing import Annotated, get_args

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, HeaderParameter, QueryParameter
from litestar.types import ASGIApp

from api.accounts.difference import NOW, Change, Wish, to_word
from api.accounts.events import EventStream
from api.accounts.following import CLIENTS_MAX, Following
from api.accounts.known import unknown
from api.tables import Tables
from events.accounts import KINDS, Kind
from runtime.errors import BadInput, Unreachable
from sql import accounts

PAGE_DEFAULT, PAGE_MAX = 500, 5000  # 5,000 changes of orders are about 8 MB


class ChangePage(msgspec.Struct):
    """Changes in their order. cursor: behind them, to come back with; next: the same, null where no more is there."""

    changes: list[Change]
    cursor: str
    next: str | None


@get("/changes", summary="What changed in the accounts since a cursor", tags=["accounts"])
async def list_changes(
    tables: NamedDependency[Tables],
    following: NamedDependency[Following],
    since: FromQuery[str | None] = None,
    account: FromQuery[str | None] = None,
    kind: FromQuery[str | None] = None,
    newest: Annotated[int | None, QueryParameter(ge=1, le=PAGE_MAX)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
) -> ChangePage:
    """Give what changed, the first change first; without `since` from the beginning, `since=now` only a cursor.

    `newest=200`, without `since`, begins so many before the end.
    """
    wish = await read_wish(tables, account, kind)
    differences = following.differences
    if newest is not None:
        if since is not None:
            raise BadInput("`since` or `newest`", "both", "leave one out")
        found = await differences.after(await differences.before_newest(wish, newest), wish, newest)
        return ChangePage(found.changes, to_word(found.place), to_word(found.place) if found.more else None)
    place = await differences.start(since, otherwise="")
    if since == NOW:
        return ChangePage([], to_word(place), None)
    found = await differences.after(place, wish, limit)
    word = to_word(found.place)
    return ChangePage(found.changes, word, word if found.more else None)


@get("/api/sse/accounts", summary="What changes in the accounts, live", tags=["accounts"])
async def stream_changes(
    tables: NamedDependency[Tables],
    following: NamedDependency[Following],
    since: FromQuery[str | None] = None,
    account: FromQuery[str | None] = None,
    kind: FromQuery[str | None] = None,
    last_event_id: Annotated[str | None, HeaderParameter(name="last-event-id")] = None,
) -> ASGIApp:
    """Send changes from a cursor on, or from now on, as they are committed; a browser that comes back resumes."""
    wish = await read_wish(tables, account, kind)
    place = await following.differences.start(last_event_id or since, otherwise=NOW)
    if following.is_full:
        raise Unreachable("room for a live client", f"{CLIENTS_MAX} of them", "come back later")
    return EventStream(following, place, wish)


async def read_wish(tables: Tables, account: str | None, kind: str | None) -> Wish:
    """Read which changes are wanted; `kind` may name several, by commas. Raises BadInput and NotFound."""
    if account and not await accounts.health(tables.ask, account=account, limit=1):
        raise unknown(account)
    return Wish(account or None, read_kinds((kind or "").split(",")))


def read_kinds(names: list[str]) -> tuple[Kind, ...] | None:
    """Read names of kinds; None where there is none. Raises BadInput."""
    named = [name.strip().lower() for name in names if name.strip()]
    if wrong := [name for name in named if name not in get_args(Kind)]:
        raise BadInput(f"kinds of {', '.join(KINDS)}", repr(wrong[0][:40]), "mend it")
    return tuple(kind for kind in KINDS if kind in named) or None
