"""How well each trading account is known, and whether it should be known better by now."""

from collections.abc import Sequence

import msgspec

from runtime import staleness
from runtime.settings import Settings
from sql.accounts import AccountHealth, Status


class AccountFacts(msgspec.Struct):
    """An account. status: of its last run: ok, partial, failed, refused, None before the first.

    failures: runs since the last one that brought everything. asked_seconds: since each kind was asked for, and
    age_seconds: since the oldest was, None before any came. stale: accounts are pulled at this hour, and a kind was not
    for three intervals.
    """

    account_id: str
    broker: str
    active: bool
    status: Status | None
    error: str | None
    remedy: str | None
    failures: int
    orders: int
    trades: int
    age_seconds: float | None
    asked_seconds: dict[str, float]
    stale: bool


def facts_of(accounts: Sequence[AccountHealth], settings: Settings, now_ns: int) -> list[AccountFacts]:
    """Give the accounts as they stand at a moment."""
    return [_facts(each, settings, now_ns) for each in accounts]


def _facts(account: AccountHealth, settings: Settings, now_ns: int) -> AccountFacts:
    ages = {kind: staleness.age_seconds(each.asked_at, now_ns) for kind, each in account.kinds.items()}
    oldest = max(ages.values(), default=None)
    return AccountFacts(
        account_id=account.account_id,
        broker=account.broker,
        active=account.active,
        status=account.last_sync_status,
        error=account.last_sync_error,
        remedy=account.remedy,
        failures=account.failures,
        orders=account.orders_count,
        trades=account.trades_count,
        age_seconds=oldest,
        asked_seconds=ages,
        stale=account.active and oldest is not None and staleness.is_stale(settings, oldest, now_ns),
    )
