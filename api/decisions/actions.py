"""Corporate actions: splits and bonus issues, by which the lots of all accounts are changed from a day on."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import paging
from api.accounts.wish import upper
from api.answers import Asked, NotFound
from api.decisions import words
from api.decisions.taken import Decided, places, repeated, take
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import ActionSet
from runtime.errors import BadInput, Unreachable

PAGE_DEFAULT, PAGE_MAX = 100, 1000
RATIO_MAX = 10_000  # a face of Rs 1,000 into ones of Re 1 is 1,000; nothing beyond ten times that was ever announced
ActionKind = Literal["split", "bonus"]


class CorporateAction(msgspec.Struct):
    """`ratio_new` shares for each `ratio_old` from the morning of `day` on (IST): a bonus of 1 for 2 is 2 and 3."""

    action_id: str
    kind: ActionKind
    exchange: str
    tradingsymbol: str
    day: date
    ratio_old: int
    ratio_new: int


class WantedAction(CorporateAction, forbid_unknown_fields=True):
    """A corporate action as its user tells it; one of the same id is told anew."""


class CorporateActionPage(msgspec.Struct):
    """Corporate actions by id; `next` is the cursor of the page behind it, null on the last. decided: by stream."""

    actions: list[CorporateAction]
    next: str | None
    decided: dict[str, int]


@get("/api/corporate-actions", summary="Corporate actions", tags=["corporate actions"])
async def list_actions(
    tables: NamedDependency[Tables],
    exchange: FromQuery[str | None] = None,
    tradingsymbol: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> CorporateActionPage:
    """Give the splits and bonus issues that count."""
    decided = await places(tables)
    after = paging.from_word(cursor, str) if cursor else None
    found = await _held(
        tables, exchange=upper(exchange), tradingsymbol=upper(tradingsymbol), after=after, limit=limit + 1
    )
    more = paging.to_word(found[limit - 1].action_id) if len(found) > limit else None
    return CorporateActionPage(found[:limit], more, decided)


@post("/api/corporate-actions", status_code=202, summary="Tell of a split or bonus", tags=["corporate actions"])
async def set_action(
    data: JSONBody[WantedAction],
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
) -> Decided:
    """Take a corporate action; the lots of all accounts are folded again by it, for the past as well."""
    said = ActionSet(
        action=words.name("action_id", data.action_id),
        kind=data.kind,
        exchange=words.exchange(data.exchange),
        tradingsymbol=words.symbol("tradingsymbol", data.tradingsymbol),
        day=words.day("day", data.day).isoformat(),
        ratio_old=data.ratio_old,
        ratio_new=data.ratio_new,
        key=key_of(request),
    )
    _check_ratio(said)
    return await take(requests, said, said.action, checked=await _is_the_only_one(tables, said))


@delete(
    "/api/corporate-actions/{action_id:str}",
    status_code=202,
    summary="Take a corporate action back",
    tags=["corporate actions"],
)
async def remove_action(
    tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked, action_id: FromPath[str]
) -> Decided:
    """Take the decision that a corporate action never was."""
    key = key_of(request)
    if before := await repeated(requests, key, ActionSet, action_id):
        return before
    found = await _held(tables, action=action_id, limit=1)
    if not found:
        raise NotFound("a known corporate action", repr(action_id[:60]), "GET /api/corporate-actions lists them")
    held = msgspec.structs.asdict(found[0]) | {"day": found[0].day.isoformat()}
    said = ActionSet(action=held.pop("action_id"), **held, removed=True, key=key)
    return await take(requests, said, action_id)


def _check_ratio(said: ActionSet) -> None:
    old, new = said.ratio_old, said.ratio_new
    found = f"{new} for each {old}"
    if not (1 <= old <= RATIO_MAX and 1 <= new <= RATIO_MAX):
        raise BadInput(f"`ratio_old` and `ratio_new` from 1 to {RATIO_MAX}", found, "correct them")
    if old == new:
        raise BadInput("a ratio that changes something", found, "a split of 1 into 5 is ratio_old 1 and ratio_new 5")
    if said.kind == "bonus" and new < old:
        raise BadInput("a bonus with more shares than before", found, "a bonus of 1 for 2 is ratio_old 2, ratio_new 3")


async def _is_the_only_one(tables: Tables, said: ActionSet) -> bool:
    """Refuse a second one of its kind, instrument and day; say whether that could be judged."""
    try:
        same = await _held(tables, exchange=said.exchange, tradingsymbol=said.tradingsymbol, limit=PAGE_MAX)
    except Unreachable:
        return False
    for each in same:
        if each.action_id != said.action and (each.kind, each.day.isoformat()) == (said.kind, said.day):
            raise BadInput(
                f"one {said.kind} of {said.exchange}:{said.tradingsymbol} on {said.day}",
                f"{each.action_id}, which tells of it already",
                "send it under that action_id, or take that one back first",
            )
    return True


async def _held(tables: Tables, **asked: object) -> list[CorporateAction]:
    nothing = dict.fromkeys(("action", "exchange", "tradingsymbol", "after"))
    return await tables.rows("api_corporate_actions", {**nothing, **asked}, CorporateAction)
