"""What the tables tell of the accounts, as metrics: seen from outside, whether or not anybody pulls and projects."""

import msgspec

from api.gauges import Gauges, Labels
from api.tables import Tables
from runtime import account_metrics, staleness
from runtime.clock import Clock
from runtime.settings import Settings
from sql import accounts
from sql.accounts import AccountHealth

ACCOUNTS_MAX = 1000  # each has ten series
# Counting walks through an index of all trades that ever were: 0.2 s for a million of them.
COUNT_SECONDS = 60.0


class _Unattributed(msgspec.Struct):
    account_id: str
    trades: int


class _Doubled(msgspec.Struct):
    trades: int


class _Diverging(msgspec.Struct):
    account_id: str
    type: str
    divergences: int


class AccountGauges:
    """Looks at the accounts and shows what it sees."""

    def __init__(self, settings: Settings, clock: Clock, tables: Tables) -> None:
        """Look at nothing yet."""
        self._settings, self._clock, self._tables = settings, clock, tables
        self._gauges = Gauges()
        self._counted_at = -COUNT_SECONDS

    async def look(self) -> None:
        """Show how the active accounts stand. Raises Unreachable."""
        found = await accounts.health(self._tables.ask, limit=ACCOUNTS_MAX)
        self._show([each for each in found if each.active], self._clock.now_ns())
        diverging = await self._tables.rows("divergence_sums", {}, _Diverging)
        apart: dict[Labels, float] = {(each.account_id, each.type): each.divergences for each in diverging}
        self._gauges.show(account_metrics.RECONCILIATION_DIVERGENCES, apart)
        if self._clock.monotonic() - self._counted_at >= COUNT_SECONDS:
            self._counted_at = self._clock.monotonic()
            await self._count()

    def _show(self, active: list[AccountHealth], now_ns: int) -> None:
        ages: dict[Labels, float] = {
            (each.account_id, kind): staleness.age_seconds(held.asked_at, now_ns)
            for each in active
            for kind, held in each.kinds.items()
        }
        old = {account for (account, *_), age in ages.items() if staleness.is_stale(self._settings, age, now_ns)}
        show = self._gauges.show
        show(account_metrics.TRADE_DATA_FRESHNESS, ages)
        show(account_metrics.ACCOUNT_STALE, {(each.account_id,): each.account_id in old for each in active})
        show(account_metrics.ACCOUNT_REFUSED, {(each.account_id,): each.is_refused for each in active})
        show(account_metrics.ACCOUNT_FAILURES, {(each.account_id,): each.failures for each in active})

    async def _count(self) -> None:
        counted = await self._tables.rows("unattributed_trades", {}, _Unattributed)
        (doubled,) = await self._tables.rows("doubled_trades", {}, _Doubled)
        missing: dict[Labels, float] = {(each.account_id,): float(each.trades) for each in counted}
        self._gauges.show(account_metrics.TRADE_DATA_MISSING_STRATEGY, missing)
        account_metrics.TRADE_DATA_DUPLICATES.set(doubled.trades)
