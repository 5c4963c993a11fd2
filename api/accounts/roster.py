"""The accounts, and how well each is known: what came of its last run, and when its broker was asked for each kind."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import paging
from api.accounts.known import Answers, unknown
from sql import accounts
from sql.accounts import AccountHealth

PAGE_DEFAULT, PAGE_MAX = 100, 1000  # 1,000 accounts are about 900 KB


class KindAge(msgspec.Struct):
    """How well one kind is known. rows: in the newest answer. age_seconds: since it was asked for."""

    asked_at: datetime
    synced_at: datetime
    age_seconds: float | None
    rows: int


class Account(msgspec.Struct):
    """An account and its health.

    user: the broker's own id of the customer. last_sync_status: ok, partial (some kinds did not come), failed, refused
    (log in again); null before the first run. failures: runs since the last one that brought everything. age_seconds:
    of the kind that was asked for the longest ago; null before any came. remedy: what mends it. kinds: that ever came.
    """

    account_id: str
    broker: str
    user: str
    name: str
    active: bool
    last_sync_at: datetime | None
    last_sync_status: str | None
    last_sync_error: str | None
    last_success_at: datetime | None
    failures: int
    orders_count: int
    trades_count: int
    age_seconds: float | None
    remedy: str | None
    kinds: dict[str, KindAge]


class AccountPage(msgspec.Struct):
    """Accounts by name; `next` is the cursor of the page behind it, null on the last."""

    accounts: list[Account]
    next: str | None


@get("/accounts", summary="The accounts and their health", tags=["accounts"])
async def list_accounts(
    answers: NamedDependency[Answers],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> AccountPage:
    """Give all accounts by name, also those that are not pulled any more."""
    after = paging.from_word(cursor, str) if cursor else None
    found = await accounts.health(answers.tables.ask, after=after, limit=limit + 1)
    more = paging.to_word(found[limit - 1].account_id) if len(found) > limit else None
    return AccountPage([shown(answers, each) for each in found[:limit]], more)


@get("/accounts/{account:str}", summary="One account and its health", tags=["accounts"])
async def show_account(answers: NamedDependency[Answers], account: FromPath[str]) -> Account:
    """Give one account."""
    found = await accounts.health(answers.tables.ask, account=account, limit=1)
    if not found:
        raise unknown(account)
    return shown(answers, found[0])


def shown(answers: Answers, health: AccountHealth) -> Account:
    """Give an account as clients see it."""
    ages = {
        kind: KindAge(each.asked_at, each.synced_at, answers.age_seconds(each.asked_at), each.rows)
        for kind, each in health.kinds.items()
    }
    return Account(
        account_id=health.account_id,
        broker=health.broker,
        user=health.broker_user,
        name=health.name,
        active=health.active,
        last_sync_at=health.last_sync_at,
        last_sync_status=health.last_sync_status,
        last_sync_error=health.last_sync_error,
        last_success_at=health.last_success_at,
        failures=health.failures,
        orders_count=health.orders_count,
        trades_count=health.trades_count,
        age_seconds=answers.age_seconds(health.asked_at),
        remedy=health.remedy,
        kinds=ages,
    )
