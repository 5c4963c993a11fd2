"""Attribution by hand: an order or a trade belongs to a strategy because its user says so. It is a rule like others.

The rule's id is made of what it is about: who says it again says it otherwise, and who takes it back needs no id.
"""

from datetime import date

import msgspec
from litestar import delete, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, JSONBody

from api.answers import Asked, NotFound
from api.decisions import words
from api.decisions.pattern import of_ids
from api.decisions.taken import Decided, knows_account, take
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import RuleRemoved, RuleSet
from runtime.errors import BadInput


class Ids(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An order, or (with trade_id) one trade of it. day (IST), exchange: where the order alone does not say which."""

    account_id: str
    order_id: str
    trade_id: str = ""
    day: date | None = None
    exchange: str = ""


class Attributed(Ids, kw_only=True, forbid_unknown_fields=True):
    """Whose it is. draft: only shown beside what counts."""

    strategy_id: str
    draft: bool = False


class _Executed(msgspec.Struct):
    day: date
    exchange: str


@post("/api/attributions", status_code=202, summary="Attribute an order or a trade by hand", tags=["strategies"])
async def attribute(
    data: JSONBody[Attributed], tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked
) -> Decided:
    """Take that an order or a trade belongs to a strategy, whatever its tags and other rules say."""
    strategy = words.strategy(data.strategy_id)
    day, exchange, checked = await _found(tables, data)
    kind, pattern = of_ids(day, exchange, data.order_id, data.trade_id)
    said = RuleSet(
        rule=_rule(data.account_id, pattern),
        strategy=strategy,
        kind=kind,
        pattern=pattern,
        account=data.account_id,
        draft=data.draft,
        key=key_of(request),
    )
    return await take(requests, said, said.rule, checked)


def asked_ids(
    account_id: FromQuery[str],
    order_id: FromQuery[str],
    trade_id: FromQuery[str] = "",
    day: FromQuery[date | None] = None,
    exchange: FromQuery[str] = "",
) -> Ids:
    """Read which order or trade is meant."""
    return Ids(account_id=account_id, order_id=order_id, trade_id=trade_id, day=day, exchange=exchange)


@delete(
    "/api/attributions",
    status_code=202,
    summary="Take an attribution by hand back",
    tags=["strategies"],
    dependencies={"ids": Provide(asked_ids, sync_to_thread=False)},
)
async def unattribute(
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
    ids: NamedDependency[Ids],
    draft: FromQuery[bool] = False,
) -> Decided:
    """Take back what was said by hand of an order or a trade: its tags and the other rules count again."""
    day, exchange, checked = await _found(tables, ids)
    rule = _rule(ids.account_id, of_ids(day, exchange, ids.order_id, ids.trade_id)[1])
    return await take(requests, RuleRemoved(rule=rule, draft=draft, key=key_of(request)), rule, checked)


def _rule(account: str, pattern: str) -> str:
    """Give the id of the rule about an order or a trade."""
    return ".".join(["hand", account, *pattern.split()])


async def _found(tables: Tables, ids: Ids) -> tuple[date, str, bool]:
    """Give the day and exchange of an order or a trade, and whether the tables know it."""
    account = words.name("account_id", ids.account_id)
    words.identifier("order_id", ids.order_id)
    exchange = words.exchange(ids.exchange) if ids.exchange else None
    if ids.trade_id:
        words.identifier("trade_id", ids.trade_id)
    if ids.day and exchange and not await knows_account(tables, account):
        return ids.day, exchange, False
    if not (ids.day and exchange):
        await knows_account(tables, account)
    asked = {
        "account": account,
        "order_id": ids.order_id,
        "trade_id": ids.trade_id or None,
        "day": ids.day,
        "exchange": exchange,
    }
    executed = await tables.rows("api_executed", asked, _Executed)
    what = f"trade {ids.trade_id} of order {ids.order_id}" if ids.trade_id else f"order {ids.order_id}"
    if not executed:
        raise NotFound(f"an order or trade of {account}", what, f"GET /accounts/{account}/trades lists them")
    if len(executed) > 1:
        days = ", ".join(f"{each.day} {each.exchange}" for each in executed)
        raise BadInput(f"`day` and `exchange` of {what}", f"it on {days}", "say which one is meant")
    return executed[0].day, executed[0].exchange, True
