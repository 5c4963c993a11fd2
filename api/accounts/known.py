"""What every answer about an account needs: that it is known, how old what is known is, and a page of rows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from api.accounts.pulls import Pulls, Wanted
from api.accounts.shown import Told
from api.accounts.wish import Page
from api.answers import NotFound
from api.tables import Tables
from events.accounts import Kind
from runtime.clock import NS_PER_SECOND, Clock

Row = TypeVar("Row")


class Asked(msgspec.Struct, frozen=True):
    """An account, and when its broker was last asked for a kind, and had answered; None where it never was.

    last_run_n: of the newest run in the log, 0 before the first.
    """

    account_id: str
    broker: str
    active: bool
    asked_at: datetime | None
    synced_at: datetime | None
    last_run_n: int


class Found(msgspec.Struct, Generic[Row]):
    """Rows of a page, and whether more come behind them."""

    rows: list[Row]
    more: bool


class Answers:
    """Puts answers together."""

    def __init__(self, tables: Tables, clock: Clock, pulls: Pulls) -> None:
        """Take what is asked, and what has the brokers asked."""
        self.tables = tables
        self._clock, self._pulls = clock, pulls

    async def told(self, account: str, kind: Kind, page: Page | None = None) -> Told:
        """Give what an answer says of itself, after a pull where the page wants one.

        It is asked before the rows: what they show is never older than what is said here. Raises NotFound for an
        account that nobody knows.
        """
        known, why = await self._asked(account, kind), None
        fresh = page is not None and page.fresh
        if page is not None and fresh:
            why = "the account is not pulled any more"
            if known.active:
                wanted = Wanted(account, known.broker, kind, known.last_run_n)
                why = await self._pulls.pull(wanted, page.wait_seconds)
                known = await self._asked(account, kind)
        return Told(
            account_id=account,
            asked_at=known.asked_at,
            synced_at=known.synced_at,
            age_seconds=self.age_seconds(known.asked_at),
            fresh=why is None if fresh else None,
            stale_because=why,
        )

    async def _asked(self, account: str, kind: Kind) -> Asked:
        found = await self.tables.rows("api_account_kind", {"account": account, "kind": kind}, Asked)
        if not found:
            raise unknown(account)
        return found[0]

    async def page(
        self, statement: str, account: str, page: Page, asked: Mapping[str, object], shape: type[Row]
    ) -> Found[Row]:
        """Give a page of what a statement selects of an account."""
        parameters = {**asked, "account": account, "raw": page.raw, "limit": page.limit + 1}
        rows = await self.tables.rows(statement, parameters, shape)
        return Found(rows[: page.limit], len(rows) > page.limit)

    def age_seconds(self, at: datetime | None) -> float | None:
        """Give how many seconds ago that was."""
        if at is None:
            return None
        now = datetime.fromtimestamp(self._clock.now_ns() / NS_PER_SECOND, UTC)
        return round(max(0.0, (now - at).total_seconds()), 3)


def unknown(account: str) -> NotFound:
    """Give the error for an account that nobody knows."""
    return NotFound("the name of a known account", repr(account[:60]), "GET /accounts lists them")
