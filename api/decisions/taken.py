"""How a decision is taken: into the log, with its number; and how far the tables have come with them."""

import msgspec

from api.answers import NotFound
from api.requests import Decision, Requests
from api.tables import Tables
from events.accounts import ActionSet, FillSet, RuleRemoved, RuleSet
from runtime.errors import Unreachable


class Decided(msgspec.Struct):
    """A decision that was taken: its number in the stream of requests.

    It counts once `decided` of a list is at least that number. checked: whether the tables could be asked about it.
    """

    request: int
    stream: str
    name: str
    checked: bool = True


# By which field a decision is known that needs the tables to be made: what they show is gone once it was carried out.
NAMED: dict[type[Decision], str] = {RuleSet: "rule", RuleRemoved: "rule", ActionSet: "action", FillSet: "fill"}


class _Known(msgspec.Struct):
    known: bool


class _Place(msgspec.Struct):
    stream: str
    n: int


async def take(requests: Requests, decision: Decision, name: str, checked: bool = True) -> Decided:
    """Write a decision into the log. Raises as `Requests.take` does."""
    taken = await requests.take(decision)
    return Decided(taken.n, taken.stream, name, checked)


async def repeated(requests: Requests, key: str, kind: type[Decision], name: str) -> Decided | None:
    """Give what came of the request that had this key before, where it was of this kind and about this name."""
    before = await requests.before(key) if key else None
    if before is None:
        return None
    told, taken = msgspec.json.decode(before[0]), before[1]
    if told["type"] != kind.__struct_config__.tag or told[NAMED[kind]] != name:
        return None  # the key was another request's: to take this one will say so
    return Decided(taken.n, taken.stream, name)


async def places(tables: Tables) -> dict[str, int]:
    """Give up to which request of each stream the tables have taken decisions in."""
    return {each.stream: each.n for each in await tables.rows("api_decided", {}, _Place)}


async def is_account(tables: Tables, account: str) -> bool:
    """Say whether there is an account of this name."""
    return (await tables.rows("api_known_account", {"account": account}, _Known))[0].known


async def knows_account(tables: Tables, account: str) -> bool:
    """Refuse an account that nobody knows; say whether that could be judged, with PostgreSQL down or no account yet."""
    try:
        known = await is_account(tables, account)
    except Unreachable:
        return False
    if not known:
        raise NotFound("the name of a known account in `account_id`", repr(account[:60]), "GET /accounts lists them")
    return True
