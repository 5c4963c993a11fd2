"""Runs of the REST worker over the accounts: how they stand now, and those that are over."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api import paging
from api.accounts.known import Answers, unknown
from api.accounts.roster import PAGE_DEFAULT, PAGE_MAX, Account, shown
from api.status import ProjectorView, Watch
from events.accounts import STREAM, Kind, Outcome, Trigger
from sql import accounts


class SyncStatus(msgspec.Struct):
    """How the accounts stand. counts: active accounts by the status of their last run, `never` before the first.

    unread: events with rows that could not be read and that nobody has set aside. projectors: those of the stream
    `accounts`, with how far they are behind; null while the database does not tell. accounts, next: a page, by name.
    """

    accounts: list[Account]
    next: str | None
    counts: dict[str, int]
    unread: int
    projectors: list[ProjectorView] | None


class Pulled(msgspec.Struct):
    """What came of one kind in a run: rows in the answer, or what went wrong. unchanged: as the answer before."""

    ok: bool
    rows: int
    tries: int
    unchanged: bool
    error_type: str
    error: str


class SyncRun(msgspec.Struct):
    """A run over one account. outcome: ok, partial, failed, refused; success: ok. asked: the requests it answers."""

    account_id: str
    run: str
    trigger: Trigger
    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    success: bool
    error: str | None
    kinds: list[Kind]
    counts: dict[str, int]
    results: dict[str, Pulled]
    asked: list[tuple[str, int]]
    n: int


class SyncPage(msgspec.Struct):
    """Runs, the newest first; `next` is the cursor of the page behind it, null on the last."""

    runs: list[SyncRun]
    next: str | None


class _Count(msgspec.Struct):
    status: str
    accounts: int


class _Unread(msgspec.Struct):
    events: int


@get("/sync/status", summary="How the accounts' runs stand", tags=["accounts"])
async def read_sync_status(
    answers: NamedDependency[Answers],
    watch: NamedDependency[Watch],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> SyncStatus:
    """Give the accounts' health, how many stand how, and how far the tables are behind the log."""
    after = paging.from_word(cursor, str) if cursor else None
    found = await accounts.health(answers.tables.ask, after=after, limit=limit + 1)
    counts = await answers.tables.rows("api_account_counts", {}, _Count)
    (unread,) = await answers.tables.rows("api_unread_rows", {}, _Unread)
    standing = await watch.status()
    views = standing.projectors
    return SyncStatus(
        accounts=[shown(answers, each) for each in found[:limit]],
        next=paging.to_word(found[limit - 1].account_id) if len(found) > limit else None,
        counts={each.status: each.accounts for each in counts},
        unread=unread.events,
        projectors=None if views is None else [each for each in views if each.stream == STREAM],
    )


@get("/sync/history", summary="Runs that are over", tags=["accounts"])
async def list_runs(
    answers: NamedDependency[Answers],
    account_id: FromQuery[str | None] = None,
    outcome: FromQuery[Outcome | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> SyncPage:
    """Give the runs of one account or of all, the newest first."""
    if account_id and not await accounts.health(answers.tables.ask, account=account_id, limit=1):
        raise unknown(account_id)
    before = paging.from_word(cursor, int) if cursor else None
    asked = {"account": account_id or None, "outcome": outcome, "before_n": before, "limit": limit + 1}
    found = await answers.tables.rows("api_sync_runs", asked, SyncRun)
    page = found[:limit]
    return SyncPage(page, paging.to_word(page[-1].n) if len(found) > limit else None)
