"""Tariffs: by which table of charges each broker's trades are charged; a user's goes before the one that ships."""

from datetime import date
from hashlib import sha256

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.answers import Asked, NotFound
from api.decisions.taken import Decided, places, take
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import TariffSet
from money.charges import Tariff
from runtime.errors import BadInput, SettingError
from runtime.settings import BROKERS

# The shipped one has 30 KB. In the log a text is a string within an event of at most 1 MiB, and the worker puts that
# whole into another one.
TEXT_BYTES_MAX = 256 * 1024


class TariffShown(msgspec.Struct):
    """A table of charges. in_force: it is the one that its broker's accounts are charged by.

    begins: the first day that it has rows for. rows: how many. sha256: of its text. n: of the event that brought it.
    unsure: rows that are not confirmed by a source.
    """

    broker: str
    shipped: bool
    in_force: bool
    begins: date
    rows: int
    unsure: int
    sha256: str
    n: int


class TariffText(TariffShown):
    """A table of charges with its text (TOML)."""

    text: str


class TariffList(msgspec.Struct):
    """The tables of charges by broker. decided: by stream."""

    tariffs: list[TariffShown]
    decided: dict[str, int]


class WantedTariff(msgspec.Struct, forbid_unknown_fields=True):
    """A table of charges for the accounts of a broker. text: TOML, as docs/charges.md describes it."""

    broker: str
    text: str


class _Held(msgspec.Struct):
    broker: str
    shipped: bool
    in_force: bool
    text: str
    sha256: str
    n: int


@get("/api/tariffs", summary="Tables of charges", tags=["tariffs"])
async def list_tariffs(tables: NamedDependency[Tables]) -> TariffList:
    """Give each broker's table of charges: the one that ships, and a user's before it."""
    decided = await places(tables)
    found = [_shown(each) for each in await _read(tables)]
    return TariffList([msgspec.convert(each, TariffShown, from_attributes=True) for each in found], decided)


@get("/api/tariffs/{broker:str}", summary="The table of charges in force", tags=["tariffs"])
async def show_tariff(tables: NamedDependency[Tables], broker: FromPath[str]) -> TariffText:
    """Give a broker's table of charges that is in force, with its text."""
    for each in await _read(tables):
        if each.broker == broker and each.in_force:
            return _shown(each)
    raise NotFound("a broker with a table of charges", repr(broker[:60]), "GET /api/tariffs lists them")


@post("/api/tariffs", status_code=202, summary="Set a table of charges", tags=["tariffs"])
async def set_tariff(data: JSONBody[WantedTariff], requests: NamedDependency[Requests], request: Asked) -> Decided:
    """Take a user's table of charges; all days of the broker's accounts are charged again by it."""
    broker, raw = _broker(data.broker), data.text.encode()
    if len(raw) > TEXT_BYTES_MAX:
        raise BadInput(f"a tariff of at most {TEXT_BYTES_MAX} bytes", str(len(raw)), "leave comments out")
    if not data.text.strip():
        raise BadInput("a tariff in TOML", "nothing", f"DELETE /api/tariffs/{broker} takes one back")
    try:
        Tariff.parse(data.text)
    except SettingError as error:
        raise BadInput(error.wanted, error.found, error.remedy) from error
    said = TariffSet(broker=broker, text=data.text, sha256=sha256(raw).hexdigest(), key=key_of(request))
    return await take(requests, said, broker)


@delete("/api/tariffs/{broker:str}", status_code=202, summary="Take a table of charges back", tags=["tariffs"])
async def remove_tariff(requests: NamedDependency[Requests], request: Asked, broker: FromPath[str]) -> Decided:
    """Take the user's table of a broker back: the one that ships counts again."""
    said = TariffSet(broker=_broker(broker), text="", sha256=sha256(b"").hexdigest(), key=key_of(request))
    return await take(requests, said, said.broker)


def _broker(text: str) -> str:
    if text not in BROKERS:
        raise BadInput(f"`broker` as one of {', '.join(BROKERS)}", repr(text[:60]), "correct it")
    return text


async def _read(tables: Tables) -> list[_Held]:
    """Give all tables of charges by broker, a user's before the one that ships."""
    return await tables.rows("api_tariffs", {}, _Held)


def _shown(held: _Held) -> TariffText:
    tariff = Tariff.parse(held.text)
    return TariffText(
        broker=held.broker,
        shipped=held.shipped,
        in_force=held.in_force,
        begins=tariff.begins,
        rows=len(tariff.rates),
        unsure=sum(not rate.confirmed for rate in tariff.rates),
        sha256=held.sha256,
        n=held.n,
        text=held.text,
    )
