"""How well each trading account is known, and whether it should be known better by now."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from runtime import calendar
from runtime.clock import NS_PER_SECOND
from runtime.errors import SettingError
from runtime.settings import Settings
from sql.accounts import AccountHealth, Status

# One pull may be on its way and one may have failed; when three are due and none has come, none comes.
STALE_INTERVALS = 3
SANDBOX = "sandbox"


class AccountFacts(msgspec.Struct):
    """An account. status: of its last run: ok, partial, failed, refused, None before the first.

    failures: runs since the last one that brought everything. asked_seconds: since each kind was asked for, and
    age_seconds: since the oldest was, None before any came. stale: accounts are pulled at this hour, and a kind was not
    for STALE_INTERVALS.
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
    pulled = pulls_at(settings, now_ns)
    return [_facts(each, settings, now_ns, pulled) for each in accounts]


def pulls_at(settings: Settings, now_ns: int) -> bool:
    """Say whether accounts are pulled again and again at a moment; no where the calendar does not know the year."""
    if SANDBOX in settings.broker or not settings.market_hours_only:
        return True
    try:
        return any(calendar.is_open(exchange, now_ns) for exchange in calendar.exchanges())
    except SettingError:
        return False


def _facts(account: AccountHealth, settings: Settings, now_ns: int, pulled: bool) -> AccountFacts:
    ages = {kind: _seconds(each.asked_at, now_ns) for kind, each in account.kinds.items()}
    oldest = max(ages.values(), default=None)
    late = oldest is not None and oldest > STALE_INTERVALS * settings.sync_interval_seconds
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
        stale=account.active and pulled and late,
    )


def _seconds(at: datetime, now_ns: int) -> float:
    return round(max(0.0, (datetime.fromtimestamp(now_ns / NS_PER_SECOND, UTC) - at).total_seconds()), 3)
