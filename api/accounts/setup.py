"""Accounts by the API: added, changed, pulled no more, and their secrets, which go into the vault and nowhere else."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
from litestar import delete, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.accounts.sync import is_known
from api.answers import Asked
from api.decisions import words
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import NAME, NAME_WANTED, AccountSet
from runtime.errors import BadInput
from runtime.settings import Settings
from runtime.vault import Vault, account_secret

SECRET_CHARACTERS_MAX = 512  # Kite's have 32; a page that was pasted by mistake has more
Secret = Annotated[str, msgspec.Meta(max_length=SECRET_CHARACTERS_MAX)]
Short = Annotated[str, msgspec.Meta(max_length=100)]


class NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    """An account as a user describes it.

    user: the broker's client code; may be left out. api_key and api_secret: of its own app; the settings' when left
    out. access_token: today's.
    """

    account: str
    broker: str
    user: Short = ""
    name: Short = ""
    api_key: Secret = ""
    api_secret: Secret = ""
    access_token: Secret = ""


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """Today's access token of an account."""

    access_token: Secret


class AccountTaken(msgspec.Struct):
    """A change that was taken: its number in the stream of requests. secrets: those that are in the vault now."""

    request: int
    stream: str
    account_id: str
    secrets: list[str]


class TokenTaken(msgspec.Struct):
    """A token that is in the vault, with its version there. checked: whether the account is known."""

    account_id: str
    version: int
    checked: bool


@post("/accounts", status_code=202, summary="Add or change an account", tags=["accounts"])
async def add_account(
    data: JSONBody[NewAccount],
    settings: NamedDependency[Settings],
    requests: NamedDependency[Requests],
    request: Asked,
) -> AccountTaken:
    """Take an account to be pulled from now on; one that ACCOUNTS_FILE names stays as the file has it."""
    if not NAME.fullmatch(data.account):
        raise BadInput(NAME_WANTED, repr(data.account[:80]), "name the account otherwise")
    if data.broker != settings.broker[0]:
        raise BadInput(f"an account of {settings.broker[0]}, the first of BROKER", repr(data.broker[:20]), "set BROKER")
    # What a table cannot hold would stop the projector for good, because the log keeps it.
    name, user = words.plain("name", data.name, words.TITLE_CHARACTERS_MAX), _word("user", data.user)
    secrets = {
        what: value for what in ("api_key", "api_secret", "access_token") if (value := _word(what, getattr(data, what)))
    }
    for what, value in secrets.items():
        await asyncio.to_thread(Vault(settings.bahi_data_dir).put, account_secret(data.account, what), value)
    said = AccountSet(account=data.account, broker=data.broker, user=user, name=name, key=key_of(request))
    taken = await requests.take(said)
    return AccountTaken(taken.n, taken.stream, data.account, list(secrets))


@delete("/accounts/{account:str}", status_code=202, summary="Pull an account no more", tags=["accounts"])
async def remove_account(
    account: FromPath[str],
    settings: NamedDependency[Settings],
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
) -> AccountTaken:
    """Take an account out; its rows stay. One that ACCOUNTS_FILE names is taken out there."""
    await is_known(tables, account)
    said = AccountSet(account=account, broker=settings.broker[0], active=False, key=key_of(request))
    taken = await requests.take(said)
    return AccountTaken(taken.n, taken.stream, account, [])


@put("/accounts/{account:str}/token", summary="Bring an access token", tags=["accounts"])
async def bring_token(
    account: FromPath[str],
    data: JSONBody[NewToken],
    data_dir: NamedDependency[Path],
    tables: NamedDependency[Tables],
) -> TokenTaken:
    """Keep today's access token of an account in the vault; the REST worker takes it within a second."""
    checked = await is_known(tables, account)
    if not NAME.fullmatch(account):
        raise BadInput(NAME_WANTED, repr(account[:80]), "GET /accounts lists the known ones")
    token = _word("access_token", data.access_token)
    if not token:
        raise BadInput("a token: one word", "nothing", "paste it once more")
    version = await asyncio.to_thread(Vault(data_dir).put, account_secret(account, "access_token"), token)
    return TokenTaken(account, version, checked)


def _word(what: str, value: str) -> str:
    """Give a secret without blanks around it. Raises BadInput for one that cannot be; it is not shown."""
    text = value.strip()
    if not all("!" <= each <= "~" for each in text):  # what a header can hold
        raise BadInput(
            f"{what} as one word",
            f"{len(text)} characters, not all of them printable, or blanks among them",
            "paste it once more",
        )
    return text
