"""Strategies: what users call a part of their trades. A tag may name one that nobody has described."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import paging
from api.answers import Asked, NotFound
from api.decisions import words
from api.decisions.taken import Decided, places, take
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import StrategySet

PAGE_DEFAULT, PAGE_MAX = 100, 1000


class Strategy(msgspec.Struct):
    """A strategy. described: a user set it; else a tag or a rule names it, and no more is known.

    active: whether it is still worked with; what belongs to it stays its own. rules: those that count for it now.
    accounts: in which it has traded. set_at: when it was described, null where it was not.
    """

    strategy_id: str
    name: str
    description: str
    active: bool
    described: bool
    rules: int
    accounts: list[str]
    set_at: datetime | None


class StrategyPage(msgspec.Struct):
    """Strategies by their id; `next` is the cursor of the page behind it, null on the last. decided: by stream."""

    strategies: list[Strategy]
    next: str | None
    decided: dict[str, int]


class Described(msgspec.Struct, forbid_unknown_fields=True):
    """A strategy as its user describes it; one of the same id is described anew."""

    strategy_id: str
    name: str = ""
    description: str = ""
    active: bool = True


@get("/api/strategies", summary="Strategies", tags=["strategies"])
async def list_strategies(
    tables: NamedDependency[Tables],
    active: FromQuery[bool | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> StrategyPage:
    """Give all strategies: those that were described, and those that only a tag or a rule names."""
    decided = await places(tables)  # before the rows: what is shown is never older than what is said of it
    after = paging.from_word(cursor, str) if cursor else None
    asked = {"strategy": None, "active": active, "after": after, "limit": limit + 1}
    found = await tables.rows("api_strategies", asked, Strategy)
    more = paging.to_word(found[limit - 1].strategy_id) if len(found) > limit else None
    return StrategyPage(found[:limit], more, decided)


@get("/api/strategies/{strategy_id:str}", summary="One strategy", tags=["strategies"])
async def show_strategy(tables: NamedDependency[Tables], strategy_id: FromPath[str]) -> Strategy:
    """Give a strategy."""
    return await known(tables, strategy_id)


@post("/api/strategies", status_code=202, summary="Add or change a strategy", tags=["strategies"])
async def set_strategy(data: JSONBody[Described], requests: NamedDependency[Requests], request: Asked) -> Decided:
    """Take a strategy's description."""
    said = StrategySet(
        strategy=words.strategy(data.strategy_id),
        name=words.plain("name", data.name, words.TITLE_CHARACTERS_MAX),
        description=words.plain("description", data.description, words.TEXT_CHARACTERS_MAX),
        active=data.active,
        key=key_of(request),
    )
    return await take(requests, said, said.strategy)


@delete(
    "/api/strategies/{strategy_id:str}", status_code=202, summary="Work with a strategy no more", tags=["strategies"]
)
async def end_strategy(
    tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked, strategy_id: FromPath[str]
) -> Decided:
    """Take the decision that a strategy is not active any more. What belongs to it stays its own."""
    words.strategy(strategy_id)
    held = await known(tables, strategy_id)
    said = StrategySet(
        strategy=strategy_id, name=held.name, description=held.description, active=False, key=key_of(request)
    )
    return await take(requests, said, strategy_id)


async def known(tables: Tables, strategy_id: str) -> Strategy:
    """Give a strategy. Raises NotFound for one that neither a user nor a tag nor a rule names."""
    asked = {"strategy": strategy_id, "active": None, "after": None, "limit": 1}
    found = await tables.rows("api_strategies", asked, Strategy)
    if not found:
        raise NotFound("the id of a known strategy", repr(strategy_id[:60]), "GET /api/strategies lists them")
    return found[0]
