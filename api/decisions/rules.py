"""Rules that say what belongs to which strategy, also for the past; and drafts of such, which stand beside them."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import paging
from api.answers import Asked, NotFound
from api.decisions import words
from api.decisions.pattern import checked_pattern
from api.decisions.taken import Decided, knows_account, places, repeated, take
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import RuleKind, RuleRemoved, RuleSet
from runtime.errors import BadInput

PAGE_DEFAULT, PAGE_MAX = 100, 1000
PRIORITY_MAX = 1_000_000  # far within what a column of integers takes

Parameters = dict[str, object]


class RuleShown(msgspec.Struct):
    """A rule. account_id: empty for all. valid_from, valid_to: IST days of the orders, both included; null for no end.

    draft: it stands beside the others and does not count. set_at, ended_at: since when it counts, and since when not
    any more (null while it does). n: of the event that brought it, by which the newest is known.
    """

    rule_id: str
    strategy_id: str
    kind: RuleKind
    pattern: str
    account_id: str
    priority: int
    valid_from: date | None
    valid_to: date | None
    draft: bool
    set_at: datetime
    ended_at: datetime | None
    n: int


class RulePage(msgspec.Struct):
    """Rules by their id; `next` is the cursor of the page behind it, null on the last. decided: by stream."""

    rules: list[RuleShown]
    next: str | None
    decided: dict[str, int]


class WantedRule(msgspec.Struct, forbid_unknown_fields=True):
    """A rule as its user writes it; one of the same id is replaced.

    kind, pattern: tag `breakout*`, symbol `NFO:NIFTY*`, order `DAY EXCHANGE ORDER_ID`, trade with its id behind that.
    """

    rule_id: str
    strategy_id: str
    kind: RuleKind
    pattern: str
    account_id: str = ""
    priority: int = 0
    valid_from: date | None = None
    valid_to: date | None = None
    draft: bool = False


def rule_filter(
    draft: FromQuery[bool | None] = None,
    kind: FromQuery[RuleKind | None] = None,
    strategy_id: FromQuery[str | None] = None,
    account_id: FromQuery[str | None] = None,
    rule_id: FromQuery[str | None] = None,
    ended: FromQuery[bool] = False,
) -> Parameters:
    """Read the filters of rules; `ended=true` gives also what was replaced or taken back."""
    return {
        "draft": draft,
        "kind": kind,
        "strategy": strategy_id or None,
        "account": account_id,
        "rule": rule_id or None,
        "ended": ended,
    }


@get(
    "/api/rules",
    summary="Rules of attribution",
    tags=["strategies"],
    dependencies={"wanted": Provide(rule_filter, sync_to_thread=False)},
)
async def list_rules(
    tables: NamedDependency[Tables],
    wanted: NamedDependency[Parameters],
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> RulePage:
    """Give the rules that count now, and the drafts."""
    decided = await places(tables)
    after = paging.from_word(cursor, tuple[str, bool, int]) if cursor else (None, None, None)
    place = dict(zip(("after_rule", "after_draft", "after_n"), after, strict=True))
    found = await tables.rows("api_rules", {**wanted, **place, "limit": limit + 1}, RuleShown)
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return RulePage(page, paging.to_word((last.rule_id, last.draft, last.n)) if last else None, decided)


@post("/api/rules", status_code=202, summary="Set a rule, or draft it", tags=["strategies"])
async def set_rule(
    data: JSONBody[WantedRule],
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
) -> Decided:
    """Take a rule; with `draft` it is only shown beside what counts."""
    if not -PRIORITY_MAX <= data.priority <= PRIORITY_MAX:
        raise BadInput(f"`priority` from {-PRIORITY_MAX} to {PRIORITY_MAX}", str(data.priority), "correct it")
    said = RuleSet(
        rule=words.name("rule_id", data.rule_id),
        strategy=words.strategy(data.strategy_id),
        kind=data.kind,
        pattern=checked_pattern(data.kind, data.pattern),
        account=words.name("account_id", data.account_id) if data.account_id else "",
        priority=data.priority,
        valid_from=_day("valid_from", data.valid_from),
        valid_to=_day("valid_to", data.valid_to),
        draft=data.draft,
        key=key_of(request),
    )
    if said.valid_from and said.valid_to and said.valid_from > said.valid_to:
        raise BadInput("`valid_from` by `valid_to`", f"{said.valid_from} after {said.valid_to}", "swap them")
    checked = await knows_account(tables, said.account) if said.account else True
    return await take(requests, said, said.rule, checked)


@post("/api/rules/{rule_id:str}/apply", status_code=202, summary="Apply a drafted rule", tags=["strategies"])
async def apply_rule(
    tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked, rule_id: FromPath[str]
) -> Decided:
    """Take a draft as it stands in the tables, and let it count from now on, for the past as well."""
    key = key_of(request)
    if before := await repeated(requests, key, RuleSet, rule_id):
        return before
    held = await _one(tables, rule_id, draft=True)
    if held is None:
        raise NotFound("the id of a drafted rule", repr(rule_id[:60]), "GET /api/rules?draft=true lists them")
    said = RuleSet(
        rule=held.rule_id,
        strategy=held.strategy_id,
        kind=held.kind,
        pattern=held.pattern,
        account=held.account_id,
        priority=held.priority,
        valid_from=held.valid_from.isoformat() if held.valid_from else None,
        valid_to=held.valid_to.isoformat() if held.valid_to else None,
        key=key,
    )
    return await take(requests, said, rule_id)


@delete("/api/rules/{rule_id:str}", status_code=202, summary="Take a rule back", tags=["strategies"])
async def remove_rule(
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
    rule_id: FromPath[str],
    draft: FromQuery[bool] = False,
) -> Decided:
    """Take a rule back with its draft, for the past as well; `draft=true`: only what was drafted."""
    key = key_of(request)
    if before := await repeated(requests, key, RuleRemoved, rule_id):
        return before
    if await _one(tables, rule_id, draft=True if draft else None) is None:
        what = "a drafted rule" if draft else "a rule"
        raise NotFound(f"the id of {what}", repr(rule_id[:60]), "GET /api/rules lists them")
    return await take(requests, RuleRemoved(rule=rule_id, draft=draft, key=key), rule_id)


async def drafts(tables: Tables) -> list[RuleShown]:
    """Give the rules that are drafted."""
    return await _read(tables, PAGE_MAX, draft=True)


async def _one(tables: Tables, rule_id: str, draft: bool | None) -> RuleShown | None:
    found = await _read(tables, 1, draft=draft, rule_id=rule_id)
    return found[0] if found else None


async def _read(tables: Tables, limit: int, draft: bool | None, rule_id: str | None = None) -> list[RuleShown]:
    first = dict.fromkeys(("after_rule", "after_draft", "after_n"))
    wanted = rule_filter(draft=draft, rule_id=rule_id)
    return await tables.rows("api_rules", {**wanted, **first, "limit": limit}, RuleShown)


def _day(field: str, found: date | None) -> str | None:
    return words.day(field, found).isoformat() if found else None
