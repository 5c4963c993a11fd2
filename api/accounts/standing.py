"""Positions, holdings and margins of an account: what stood when its broker was last asked."""

from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from api import paging
from api.accounts.known import Answers
from api.accounts.shown import Holding, HoldingPage, Margin, MarginPage, Position, PositionPage
from api.accounts.wanted import HOLDINGS, POSITIONS, Parameters
from api.accounts.wish import PAGED, Page

View = Literal["net", "day"]


@get("/accounts/{account:str}/positions", summary="Positions", tags=["accounts"], dependencies=PAGED | POSITIONS)
async def list_positions(
    answers: NamedDependency[Answers],
    account: FromPath[str],
    wanted: NamedDependency[Parameters],
    page: NamedDependency[Page],
    view: FromQuery[View] = "net",
) -> PositionPage:
    """Give an account's positions by exchange, symbol and product; `view=day` for what was traded today."""
    said = await answers.told(account, "positions", page)
    place = paging.from_word(page.cursor, tuple[str, str, str]) if page.cursor else (None,) * 3
    after = dict(zip(("after_exchange", "after_symbol", "after_product"), place, strict=True))
    found = await answers.page(f"api_positions_{view}", account, page, {**after, **wanted}, Position)
    if found.more:
        last = found.rows[-1]
        said.next = paging.to_word((last.exchange, last.tradingsymbol, last.product))
    return PositionPage(**msgspec.structs.asdict(said), positions=found.rows, view=view)


@get("/accounts/{account:str}/holdings", summary="Holdings", tags=["accounts"], dependencies=PAGED | HOLDINGS)
async def list_holdings(
    answers: NamedDependency[Answers],
    account: FromPath[str],
    wanted: NamedDependency[Parameters],
    page: NamedDependency[Page],
) -> HoldingPage:
    """Give an account's shares by exchange and symbol."""
    said = await answers.told(account, "holdings", page)
    place = paging.from_word(page.cursor, tuple[str, str]) if page.cursor else (None, None)
    after = {"after_exchange": place[0], "after_symbol": place[1]}
    found = await answers.page("api_holdings", account, page, {**after, **wanted}, Holding)
    if found.more:
        said.next = paging.to_word((found.rows[-1].exchange, found.rows[-1].tradingsymbol))
    return HoldingPage(**msgspec.structs.asdict(said), holdings=found.rows)


@get("/accounts/{account:str}/margins", summary="Margins", tags=["accounts"], dependencies=PAGED)
async def list_margins(
    answers: NamedDependency[Answers],
    account: FromPath[str],
    page: NamedDependency[Page],
    segment: FromQuery[str | None] = None,
) -> MarginPage:
    """Give an account's funds by segment."""
    said = await answers.told(account, "margins", page)
    after = paging.from_word(page.cursor, str) if page.cursor else None
    named = segment.strip().lower() or None if segment else None
    found = await answers.page("api_margins", account, page, {"after_segment": after, "segment": named}, Margin)
    if found.more:
        said.next = paging.to_word(found.rows[-1].segment)
    return MarginPage(**msgspec.structs.asdict(said), margins=found.rows)
