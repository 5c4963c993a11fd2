"""Pulls on request: what a user wants to have asked of the broker now. The REST worker carries it out."""

from typing import Literal

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.accounts.known import unknown
from api.answers import Asked
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import Kind, PullAccounts
from runtime.errors import Unreachable

What = Literal["orders", "trades", "positions", "holdings", "margins", "all"]


class Pulling(msgspec.Struct):
    """A pull that was taken: its number in the stream of requests, which `GET /sync/history` shows with its run.

    checked: whether the account is known; with the tables away, nobody can tell.
    """

    request: int
    stream: str
    account_id: str
    kinds: list[Kind]
    checked: bool


class Found(msgspec.Struct):
    """Whether an account is pulled."""

    active: bool


@post("/sync/{what:str}/{account:str}", status_code=202, summary="Pull one kind of an account", tags=["accounts"])
async def sync_kind(
    what: FromPath[What],
    account: FromPath[str],
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
) -> Pulling:
    """Take the request to ask the broker now for orders, trades, positions, holdings or margins, or for all of them."""
    return await _pull(account, [] if what == "all" else [what], tables, requests, request)


@post("/accounts/{account:str}/sync", status_code=202, summary="Pull an account", tags=["accounts"])
async def sync_account(
    account: FromPath[str], tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked
) -> Pulling:
    """Take the request to ask the broker now for everything of an account."""
    return await _pull(account, [], tables, requests, request)


async def is_known(tables: Tables, account: str) -> bool:
    """Say whether that could be judged at all. Raises NotFound for an account that is not pulled."""
    try:
        found = await tables.rows("api_account_active", {"account": account}, Found)
    except Unreachable:
        return False  # a request is taken with PostgreSQL down; the worker knows its accounts
    if not any(each.active for each in found):
        raise unknown(account)
    return True


async def _pull(account: str, kinds: list[Kind], tables: Tables, requests: Requests, request: Asked) -> Pulling:
    checked = await is_known(tables, account)
    taken = await requests.take(PullAccounts(accounts=[account], kinds=kinds, key=key_of(request)))
    return Pulling(taken.n, taken.stream, account, kinds, checked)
