"""Instruments: list, search, detail; and requests to fetch them anew, to receive their prices, or to stop."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import paging
from api.answers import Asked, NotFound
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.messages import Subscribe, Sync, Unsubscribe
from runtime.errors import BadInput, Unreachable

PAGE_DEFAULT, PAGE_MAX = 100, 1000  # a page of 1,000 is about 300 KB
ASKED_MAX = 9000  # instruments in one request: all that Kite's three connections carry
SEARCH_CHARACTERS_MAX = 100


class Instrument(msgspec.Struct):
    """An instrument as the newest dump describes it. valid_to: null while it is traded."""

    instrument_token: int
    exchange: str
    tradingsymbol: str
    name: str
    segment: str
    instrument_type: str
    expiry: date | None
    strike: float | None
    tick_size: float
    lot_size: int
    exchange_token: int
    valid_from: date
    valid_to: date | None


class Ranked(Instrument):
    """An instrument with how well it matches: the list's order begins with it."""

    rank: int


class InstrumentPage(msgspec.Struct):
    """A page of the list; `next` is the cursor of the one behind it, null on the last."""

    instruments: list[Instrument]
    next: str | None


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """Which instruments: tokens, EXCHANGE:SYMBOL, or a mixture under `instruments`."""

    tokens: list[int] = []
    symbols: list[str] = []
    instruments: list[int | str] = []


class Accepted(msgspec.Struct):
    """A request that was taken: its number in the stream of requests. checked: whether the instruments are known."""

    request: int
    stream: str
    instruments: list[str] = []
    checked: bool = True


class Known(msgspec.Struct):
    """An instrument that is traded now."""

    instrument_token: int
    symbol: str


class Loaded(msgspec.Struct):
    """Whether any instrument is known."""

    known: bool


@get("/api/instruments", summary="List and search instruments", tags=["instruments"])
async def list_instruments(
    tables: NamedDependency[Tables],
    exchange: FromQuery[str | None] = None,
    segment: FromQuery[str | None] = None,
    instrument_type: FromQuery[str | None] = None,
    expiry: FromQuery[date | None] = None,
    search: Annotated[str | None, QueryParameter(max_length=SEARCH_CHARACTERS_MAX)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> InstrumentPage:
    """Give the instruments of the newest dumps; `search` looks into symbol and name, exact symbols first."""
    place = paging.from_word(cursor, tuple[int, str, int]) if cursor else (None, None, None)
    found = await tables.rows(
        "api_instruments",
        {
            "exchange": _upper(exchange),
            "segment": _upper(segment),
            "instrument_type": _upper(instrument_type),
            "expiry": expiry,
            "search": _upper(search),
            "after_rank": place[0],
            "after_symbol": place[1],
            "after_token": place[2],
            "limit": limit + 1,
        },
        Ranked,
    )
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    word = paging.to_word((last.rank, last.tradingsymbol, last.instrument_token)) if last else None
    return InstrumentPage([msgspec.convert(each, Instrument, from_attributes=True) for each in page], word)


@get("/api/instruments/{token:int}", summary="Describe one instrument", tags=["instruments"])
async def describe_instrument(tables: NamedDependency[Tables], token: FromPath[int]) -> Instrument:
    """Give the newest description of an instrument, also of one that is no longer traded."""
    found = await tables.rows("api_instrument", {"instrument_token": token}, Instrument)
    if not found:
        raise NotFound("a known instrument token", str(token), "look it up with GET /api/instruments?search=")
    return found[0]


@post("/api/instruments/sync", status_code=202, summary="Fetch the broker's instruments now", tags=["instruments"])
async def sync_instruments(requests: NamedDependency[Requests], request: Asked) -> Accepted:
    """Take the request to fetch the dump of instruments; the REST worker carries it out."""
    taken = await requests.take(Sync(what="instruments", key=key_of(request)))
    return Accepted(taken.n, taken.stream)


@post("/api/instruments/subscribe", status_code=202, summary="Receive prices of instruments", tags=["instruments"])
async def subscribe(
    data: JSONBody[Wanted], tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked
) -> Accepted:
    """Take the request to receive these instruments' ticks from the broker; the ticker carries it out."""
    names = _names(data)
    checked = await _check(tables, names)
    taken = await requests.take(Subscribe(instruments=names, key=key_of(request)))
    return Accepted(taken.n, taken.stream, names, checked)


@post("/api/instruments/unsubscribe", status_code=202, summary="Receive them no more", tags=["instruments"])
async def unsubscribe(data: JSONBody[Wanted], requests: NamedDependency[Requests], request: Asked) -> Accepted:
    """Take the request to receive these instruments' ticks no more."""
    names = _names(data)
    taken = await requests.take(Unsubscribe(instruments=names, key=key_of(request)))
    return Accepted(taken.n, taken.stream, names)


def _names(wanted: Wanted) -> list[str]:
    """Give what is wanted, each once, as the log has it: tokens as digits, symbols as EXCHANGE:SYMBOL."""
    asked = [*wanted.tokens, *wanted.symbols, *wanted.instruments]
    names = list(dict.fromkeys(_name(each) for each in asked))
    if not 1 <= len(names) <= ASKED_MAX:
        raise BadInput(
            f"from 1 to {ASKED_MAX} instruments", str(len(names)), 'send {"tokens": [408065], "symbols": ["NSE:INFY"]}'
        )
    return names


def _name(asked: int | str) -> str:
    text = str(asked).strip().upper()
    exchange, colon, symbol = text.partition(":")
    if (text.isascii() and text.isdigit() and int(text) > 0) or (exchange.isalnum() and colon and symbol):
        return text
    raise BadInput("an instrument token or EXCHANGE:SYMBOL", repr(asked)[:60], "see GET /api/instruments?search=")


async def _check(tables: Tables, names: list[str]) -> bool:
    """Refuse instruments that are not traded; say whether that could be judged at all."""
    tokens = [int(name) for name in names if name.isdigit()]
    symbols = [name for name in names if not name.isdigit()]
    asked = {"tokens": tokens, "symbols": symbols, "names": [name.partition(":")[2] for name in symbols]}
    try:
        found = await tables.rows("api_known_instruments", asked, Known)
        known = {str(each.instrument_token) for each in found} | {each.symbol for each in found}
        unknown = [name for name in names if name not in known]
        if not unknown:
            return True
        if not (await tables.rows("api_any_instrument", {}, Loaded))[0].known:
            return False
    except Unreachable:
        return False  # a request is taken with PostgreSQL down; the ticker has a dump of its own
    raise NotFound(
        "instruments of the newest dump", ", ".join(unknown[:20]), "look them up with GET /api/instruments?search="
    )


def _upper(text: str | None) -> str | None:
    return text.strip().upper() if text and text.strip() else None
