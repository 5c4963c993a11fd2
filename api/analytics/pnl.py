"""Profit and loss of a strategy, of an account, or of all, with its parts and what is open."""

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.analytics.figures import Figures, Uncharged, added, by, reckon
from api.analytics.marks import OpenLine
from api.analytics.wanted import WANTED, Now, Wanted, checked
from api.live import Live
from api.tables import Tables

OPEN_LINES_MAX = 1000  # shown; `open_lines` counts all of them
UNCHARGED_MAX = 100  # the newest; one is enough to look for the reason


class Pnl(msgspec.Struct):
    """Profit and loss at this moment (`as_of`), or within the days `from` to `to`.

    total: of all that was asked for; accounts, strategies: its parts, each of which adds up to it. open: by account,
    strategy and instrument, 1,000 lines at most. uncharged: days whose charges cannot be reckoned, and are missing.
    """

    as_of: str
    first: str | None = msgspec.field(name="from")
    last: str | None = msgspec.field(name="to")
    total: Figures
    accounts: list[Figures]
    strategies: list[Figures]
    open: list[OpenLine]
    uncharged: list[Uncharged]


@get(
    "/analytics/strategy/{strategy:str}/pnl",
    summary="Profit and loss of a strategy",
    tags=["analytics"],
    dependencies=WANTED,
)
async def strategy_pnl(
    tables: NamedDependency[Tables],
    live: NamedDependency[Live],
    now: NamedDependency[Now],
    wanted: NamedDependency[Wanted],
    strategy: FromPath[str],
) -> Pnl:
    """Give what a strategy won, in all accounts or in `account_id`; `none` for what belongs to none."""
    return await _pnl(tables, live, now, msgspec.structs.replace(wanted, strategy=strategy))


@get(
    "/analytics/account/{account:str}/pnl",
    summary="Profit and loss of an account",
    tags=["analytics"],
    dependencies=WANTED,
)
async def account_pnl(
    tables: NamedDependency[Tables],
    live: NamedDependency[Live],
    now: NamedDependency[Now],
    wanted: NamedDependency[Wanted],
    account: FromPath[str],
) -> Pnl:
    """Give what an account won, with each strategy's part of it."""
    return await _pnl(tables, live, now, msgspec.structs.replace(wanted, account=account))


@get("/api/analytics/pnl", summary="Profit and loss", tags=["analytics"], dependencies=WANTED)
async def all_pnl(
    tables: NamedDependency[Tables],
    live: NamedDependency[Live],
    now: NamedDependency[Now],
    wanted: NamedDependency[Wanted],
) -> Pnl:
    """Give what all accounts and strategies won, or those of `account_id` and `strategy_id`."""
    return await _pnl(tables, live, now, wanted)


async def _pnl(tables: Tables, live: Live, now: Now, wanted: Wanted) -> Pnl:
    await checked(tables, wanted)
    found = await reckon(tables, live.prices, wanted)
    uncharged = await tables.rows("api_uncharged", {**wanted.asked, "limit": UNCHARGED_MAX}, Uncharged)
    return Pnl(
        as_of=now.time.isoformat(),
        first=wanted.first.isoformat() if wanted.first else None,
        last=wanted.last.isoformat() if wanted.last else None,
        total=added(found.parts, wanted.account, wanted.strategy),
        accounts=by(found.parts, "account_id"),
        strategies=by(found.parts, "strategy_id"),
        open=found.open[:OPEN_LINES_MAX],
        uncharged=uncharged,
    )
