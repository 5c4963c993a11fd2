"""What the drafted rules would change: profit and loss by strategy now and then, and which trades change hands."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api import paging
from api.accounts.wish import NONE
from api.analytics.figures import Figures, Reckoned, by, reckon
from api.analytics.wanted import Wanted, checked
from api.decisions.rules import RuleShown, drafts
from api.decisions.taken import places
from api.live import Live
from api.prices import Still
from api.tables import Tables

PAGE_DEFAULT, PAGE_MAX = 100, 1000


class SideBySide(msgspec.Struct):
    """A strategy as it is and as it would be; null where it has nothing."""

    strategy_id: str
    now: Figures | None
    drafted: Figures | None


class MovedTrade(msgspec.Struct):
    """A trade that would belong to another strategy (`draft_strategy_id`)."""

    account_id: str
    day: date
    exchange: str
    order_id: str
    trade_id: str
    time: datetime
    tradingsymbol: str
    product: str
    side: str
    quantity: Decimal
    price: Decimal
    strategy_id: str
    draft_strategy_id: str


class Preview(msgspec.Struct):
    """The drafts, and what they would do, all of them together. trades: a page, the newest first; moved: of how many.

    next: the cursor of the page behind it, null on the last. decided: by stream.
    """

    trades: list[MovedTrade]
    next: str | None
    moved: int
    drafts: list[RuleShown]
    strategies: list[SideBySide]
    decided: dict[str, int]


class _Count(msgspec.Struct):
    trades: int


@get("/api/rules/preview", summary="What the drafted rules would change", tags=["strategies"])
async def preview_rules(
    tables: NamedDependency[Tables],
    live: NamedDependency[Live],
    account_id: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> Preview:
    """Give profit and loss by strategy side by side, and the trades that would change hands."""
    wanted = await checked(tables, Wanted(account_id or None, None, None, None))
    decided = await places(tables)
    drafted = await drafts(tables)
    if not drafted:
        return Preview([], None, 0, [], [], decided)
    place = paging.from_word(cursor, tuple[datetime, str, str, str, str]) if cursor else (None,) * 5
    after = dict(
        zip(("after_time", "after_account", "after_exchange", "after_order", "after_trade"), place, strict=True)
    )
    asked = {"account": wanted.account, **after, "limit": limit + 1}
    moved = await tables.rows("api_moved_trades", asked, MovedTrade)
    (count,) = await tables.rows("api_moved_count", asked, _Count)
    prices = Still(live.prices)
    now = _by_strategy(await reckon(tables, prices, wanted))
    would = _by_strategy(await reckon(tables, prices, wanted, draft=True))
    page = moved[:limit]
    last = page[-1] if len(moved) > limit else None
    word = (last.time, last.account_id, last.exchange, last.order_id, last.trade_id) if last else None
    return Preview(
        trades=page,
        next=paging.to_word(word) if word else None,
        moved=count.trades,
        drafts=drafted,
        strategies=[SideBySide(name, now.get(name), would.get(name)) for name in sorted({*now, *would})],
        decided=decided,
    )


def _by_strategy(reckoned: Reckoned) -> dict[str, Figures]:
    return {each.strategy_id or NONE: each for each in by(reckoned.parts, "strategy_id")}
