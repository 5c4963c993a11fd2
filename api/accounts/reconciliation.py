"""What the books of an account and its broker do not agree on: the table `divergences`, with what each was seen by."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import paging
from api.accounts.known import Answers
from api.accounts.shown import Json, Told
from api.accounts.wish import PAGE_DEFAULT, PAGE_MAX, Page, upper


class Divergence(msgspec.Struct):
    """One thing that does not agree. type: docs/reconciliation.md has all of them, and what both sides are of each.

    settling: one side moved after the other was asked; the next pull may mend it. evidence: what it was concluded from,
    by type. observed_at: of the newest of the answers.
    """

    account_id: str
    exchange: str
    tradingsymbol: str
    product: str
    type: str
    ours: Decimal
    theirs: Decimal
    settling: bool
    evidence: Json
    observed_at: datetime


class ReconciliationPage(Told):
    """Divergences by exchange, symbol, product and type.

    counts: by type, of all that is not settling. asked_at, synced_at, age_seconds: of the positions.
    """

    divergences: list[Divergence]
    counts: dict[str, int]


class _Count(msgspec.Struct):
    type: str
    divergences: int


@get("/accounts/{account:str}/reconciliation", summary="Where books and broker do not agree", tags=["accounts"])
async def list_divergences(
    answers: NamedDependency[Answers],
    account: FromPath[str],
    settling: FromQuery[bool | None] = None,
    of_type: Annotated[str | None, QueryParameter(name="type")] = None,
    tradingsymbol: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> ReconciliationPage:
    """Give what does not agree now; `type` may name several, by commas; nothing where all agrees."""
    said = await answers.told(account, "positions")
    types = [each.strip().lower() for each in (of_type or "").split(",") if each.strip()]
    wanted = {"types": types or None, "settling": settling, "tradingsymbol": upper(tradingsymbol)}
    place = paging.from_word(cursor, tuple[str, str, str, str]) if cursor else (None,) * 4
    after = dict(zip(("after_exchange", "after_symbol", "after_product", "after_type"), place, strict=True))
    page = Page(limit, cursor, raw=False)
    found = await answers.page("api_divergences", account, page, {**after, **wanted}, Divergence)
    counts = await answers.tables.rows("api_divergence_counts", {"account": account}, _Count)
    if found.more:
        last = found.rows[-1]
        said.next = paging.to_word((last.exchange, last.tradingsymbol, last.product, last.type))
    return ReconciliationPage(
        **msgspec.structs.asdict(said),
        divergences=found.rows,
        counts={each.type: each.divergences for each in counts},
    )
