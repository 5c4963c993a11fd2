"""The latest prices from memory, and what they are of."""

from typing import Annotated

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from api.answers import NotFound
from api.live import Live
from api.quotes import DeepQuote
from api.tables import Tables
from runtime.errors import BadInput, Unreachable

TOKENS_MAX = 9000  # all that Kite's three connections carry: about 8 MB with five levels each


class LatestPage(msgspec.Struct):
    """Latest ticks, each with its book."""

    ticks: list[DeepQuote]


class Watched(msgspec.Struct):
    """An instrument that has a price; its names are null where no dump has it."""

    instrument_token: int
    exchange: str | None = None
    tradingsymbol: str | None = None
    name: str | None = None
    segment: str | None = None
    instrument_type: str | None = None
    tick_size: float | None = None


class Watchlist(msgspec.Struct):
    """All instruments that have a price; named: whether the database could be asked for their names."""

    instruments: list[Watched]
    named: bool


@get(
    "/api/latest/{token:int}",
    summary="Latest price and depth of one instrument",
    tags=["market data"],
    responses={200: ResponseSpec(DeepQuote, description="The latest tick with its book")},
)
async def latest_of_one(live: NamedDependency[Live], token: FromPath[int]) -> Response[bytes]:
    """Give the latest tick of one instrument; the door answers this for instruments that have one."""
    found = live.prices.json(token)
    if found is None:
        raise NotFound(
            "an instrument whose price was received", str(token), "ask for it with POST /api/instruments/subscribe"
        )
    return Response(found, media_type=MediaType.JSON)


@get(
    "/api/latest",
    summary="Latest prices and depth of many instruments",
    tags=["market data"],
    responses={200: ResponseSpec(LatestPage, description="The latest ticks of those that have one")},
)
async def latest_of_many(
    live: NamedDependency[Live],
    wanted: Annotated[str | None, QueryParameter(name="tokens", description="408065,256265; all if left out")] = None,
) -> Response[bytes]:
    """Give the latest ticks of those of `tokens` that have one, in the order asked for."""
    found = live.prices.json_of(_tokens(wanted) if wanted else sorted(live.prices.tokens()))
    return Response(b'{"ticks":[%b]}' % b",".join(found), media_type=MediaType.JSON)


@get("/api/watchlist", summary="Instruments that have a price", tags=["market data"])
async def watchlist(live: NamedDependency[Live], tables: NamedDependency[Tables]) -> Watchlist:
    """Give all instruments that have a price, with their names."""
    tokens = sorted(live.prices.tokens())
    try:
        named = await tables.rows("api_named_instruments", {"tokens": tokens}, Watched)
    except Unreachable:
        return Watchlist([Watched(token) for token in tokens], named=False)
    by_token = {each.instrument_token: each for each in named}
    return Watchlist([by_token.get(token) or Watched(token) for token in tokens], named=True)


def _tokens(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) > TOKENS_MAX or not all(word.isascii() and word.isdigit() for word in words):
        raise BadInput(
            f"`tokens` as at most {TOKENS_MAX} numbers, separated by commas", repr(text[:60]), "mend the list"
        )
    return [int(word) for word in words]
