"""How well the trading accounts are known, from the tables: for the API, and for who looks after a Bahi."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Literal, LiteralString

import msgspec

from runtime.calendar import IST

Status = Literal["ok", "partial", "failed", "refused"]
Ask = Callable[[LiteralString, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]
"""Runs a statement by its name and gives its rows."""


class KindHealth(msgspec.Struct, frozen=True):
    """When a kind was last asked for, and answered; rows: in that answer."""

    asked_at: datetime
    synced_at: datetime
    rows: int


class AccountHealth(msgspec.Struct, frozen=True):
    """An account and what came of its last run. broker_user: the broker's own id of the customer.

    last_sync_status: ok, partial (some kinds did not come), failed, refused (log in again); None before the first run.
    failures: runs since the last one that brought everything. kinds: those that ever came.
    """

    account_id: str
    broker: str
    broker_user: str
    name: str
    active: bool
    last_sync_at: datetime | None
    last_sync_status: Status | None
    last_sync_error: str | None
    last_success_at: datetime | None
    failures: int
    orders_count: int
    trades_count: int
    kinds: dict[str, KindHealth] = {}

    @property
    def asked_at(self) -> datetime | None:
        """Give when the kind was asked for that was asked for the longest ago; None before any came."""
        return min((each.asked_at for each in self.kinds.values()), default=None)

    @property
    def remedy(self) -> str | None:
        """Give the command that mends it; None where none does."""
        return f"bahi login {self.broker} {self.account_id}" if self.is_refused else None

    @property
    def is_refused(self) -> bool:
        """Say whether the broker refused the last run."""
        return self.last_sync_status == "refused"


async def health(ask: Ask, *, account: str | None = None, after: str | None = None, limit: int) -> list[AccountHealth]:
    """Give accounts by name, behind one, or the one that is named. Raises what `ask` raises."""
    found = await ask("account_health", {"account": account, "after_account": after, "limit": limit})
    kinds: dict[str, dict[str, KindHealth]] = {row["account_id"]: {} for row in found}
    for row in await ask("account_kinds", {"accounts": list(kinds)}):
        kinds[row["account_id"]][row["kind"]] = msgspec.convert(_in_india(row), KindHealth)
    return [msgspec.convert({**_in_india(row), "kinds": kinds[row["account_id"]]}, AccountHealth) for row in found]


def _in_india(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.astimezone(IST) if isinstance(value, datetime) else value for name, value in row.items()}
