"""Corrections: fills that an account's user tells, because no answer of the broker ever will."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import paging
from api.accounts.wish import upper
from api.answers import Asked, NotFound
from api.decisions import words
from api.decisions.taken import Decided, knows_account, places, repeated, take
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.accounts import FillSet
from money.pnl.entry import PLACES_MAX, WHOLE_DIGITS_MAX
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND
from runtime.errors import BadInput

PAGE_DEFAULT, PAGE_MAX = 100, 1000
PRODUCT_CHARACTERS_MAX = 16  # Kite's have four


class Correction(msgspec.Struct, kw_only=True):
    """A fill told by hand. quantity: as the broker counts; price: for one unit, 0 for what came or went for nothing.

    order_id: of the order that it is a fill of, strategy_id: whose it is; both may be left out. It costs no charges.
    """

    fill_id: str
    exchange: str
    tradingsymbol: str
    product: str
    side: Literal["BUY", "SELL"]
    quantity: Decimal
    price: Decimal
    time: datetime
    order_id: str = ""
    strategy_id: str | None = None
    reason: str = ""


class WantedCorrection(Correction, kw_only=True, forbid_unknown_fields=True):
    """A fill as the account's user tells it; one of the same fill_id is told anew. time: with its offset."""


class CorrectionPage(msgspec.Struct):
    """Corrections of an account by id; `next` is the cursor of the page behind it. decided: by stream."""

    account_id: str
    corrections: list[Correction]
    next: str | None
    decided: dict[str, int]


@get("/accounts/{account:str}/corrections", summary="Fills told by hand", tags=["accounts"])
async def list_corrections(
    tables: NamedDependency[Tables],
    account: FromPath[str],
    tradingsymbol: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> CorrectionPage:
    """Give the fills of an account that were told by hand and count."""
    await knows_account(tables, account)
    decided = await places(tables)
    after = paging.from_word(cursor, str) if cursor else None
    found = await _held(tables, account, tradingsymbol=upper(tradingsymbol), after=after, limit=limit + 1)
    more = paging.to_word(found[limit - 1].fill_id) if len(found) > limit else None
    return CorrectionPage(account, found[:limit], more, decided)


@post("/accounts/{account:str}/corrections", status_code=202, summary="Tell of a fill by hand", tags=["accounts"])
async def set_correction(
    data: JSONBody[WantedCorrection],
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
    account: FromPath[str],
) -> Decided:
    """Take a fill that no answer of the broker tells; the books of its line are folded again with it."""
    if data.time.tzinfo is None:
        raise BadInput("`time` with its offset", data.time.isoformat(), "add +05:30 for Indian time")
    words.day("time", data.time.date())
    words.day("time", data.time.astimezone(IST).date())
    quantity, price = _number("quantity", data.quantity), _number("price", data.price)
    if data.quantity <= 0:
        raise BadInput("a `quantity` above 0", str(data.quantity), "say which way by `side`")
    if data.price < 0:
        raise BadInput("a `price` of 0 or more", str(data.price), "correct it")
    product = words.plain("product", data.product, PRODUCT_CHARACTERS_MAX).upper()
    if not product:
        raise BadInput("`product` as the broker names it", "nothing", "CNC, MIS, NRML or MTF with Kite")
    said = FillSet(
        fill=words.name("fill_id", data.fill_id),
        account=words.name("account", account),
        exchange=words.exchange(data.exchange),
        tradingsymbol=words.symbol("tradingsymbol", data.tradingsymbol),
        product=product,
        side=data.side,
        quantity=quantity,
        price=price,
        time_ns=_time_ns(data.time),
        order_id=words.identifier("order_id", data.order_id) if data.order_id else "",
        strategy=words.strategy(data.strategy_id) if data.strategy_id else "",
        reason=words.plain("reason", data.reason, words.TEXT_CHARACTERS_MAX),
        key=key_of(request),
    )
    return await take(requests, said, said.fill, checked=await knows_account(tables, account))


@delete(
    "/accounts/{account:str}/corrections/{fill_id:str}",
    status_code=202,
    summary="Take a fill told by hand back",
    tags=["accounts"],
)
async def remove_correction(
    tables: NamedDependency[Tables],
    requests: NamedDependency[Requests],
    request: Asked,
    account: FromPath[str],
    fill_id: FromPath[str],
) -> Decided:
    """Take the decision that a fill told by hand never was."""
    key = key_of(request)
    if before := await repeated(requests, key, FillSet, fill_id):
        return before
    found = await _held(tables, account, fill=fill_id, limit=1)
    if not found:
        raise NotFound("a known correction", repr(fill_id[:60]), f"GET /accounts/{account}/corrections lists them")
    held = found[0]
    said = FillSet(
        fill=held.fill_id,
        account=account,
        exchange=held.exchange,
        tradingsymbol=held.tradingsymbol,
        product=held.product,
        side=held.side,
        quantity=f"{held.quantity:f}",
        price=f"{held.price:f}",
        time_ns=_time_ns(held.time),
        removed=True,
        key=key,
    )
    return await take(requests, said, fill_id)


def _number(field: str, found: Decimal) -> str:
    """Give a number as text, one that a book takes. Raises BadInput."""
    exponent = found.normalize().as_tuple().exponent  # a letter where it is no number
    fits = isinstance(exponent, int) and -exponent <= PLACES_MAX and found.adjusted() < WHOLE_DIGITS_MAX
    if not fits:
        wanted = f"`{field}` below 1e{WHOLE_DIGITS_MAX} with at most {PLACES_MAX} decimals"
        raise BadInput(wanted, str(found)[:60], "correct it")
    return f"{found.normalize():f}"


def _time_ns(found: datetime) -> int:
    return int(found.timestamp()) * NS_PER_SECOND + found.microsecond * 1000


async def _held(tables: Tables, account: str, **asked: object) -> list[Correction]:
    nothing = dict.fromkeys(("fill", "tradingsymbol", "after"))
    return await tables.rows("api_corrections", {"account": account, **nothing, **asked}, Correction)
