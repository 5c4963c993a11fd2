"""Kite's answers as rows: each kind's key, its columns, and which of them move by themselves.

A real trade (Kite Connect v3, `GET /trades`), which has no tag, no price but `average_price`, and a time without a day:

    {"average_price": 310.7, "exchange": "NSE", "exchange_order_id": "1300000001887410",
     "exchange_timestamp": "2017-12-29 12:02:05", "instrument_token": 779521, "order_id": "171229000724687",
     "order_timestamp": "12:02:05", "product": "CNC", "quantity": 1, "trade_id": "75894751",
     "tradingsymbol": "SBIN", "transaction_type": "BUY"}
"""

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from events.accounts import Kind
from money.pnl.entry import PLACES_MAX
from projectors.accounts.reading import EXPONENT_MIN, NAME_CHARACTERS_MAX, REMEDY, Reading, exponent
from runtime.calendar import IST
from runtime.errors import BadEvent

SIDES = ("BUY", "SELL")

# What changes with every price, and says nothing that the price does not.
MOVING_PRICES = frozenset(
    {
        "last_price",
        "close_price",
        "pnl",
        "day_pnl",
        "m2m",
        "unrealised",
        "realised",
        "value",
        "buy_m2m",
        "sell_m2m",
        "buy_m2m_value",
        "sell_m2m_value",
        "day_change",
        "day_change_percentage",
    }
)
MOVING_FUNDS = frozenset({"net", "live_balance", "m2m_unrealised", "m2m_realised", "debits", "span", "exposure"})

Columns = dict[str, Any]
NESTING_MAX = 64  # brokers' rows are three deep; the server's stack for jsonb ends, as does ours
DIGITS_MAX = 400  # before a number's point in `raw`: a double has fewer, and jsonb takes 131,072
SMALLEST = Decimal(1).scaleb(-PLACES_MAX)  # of a quantity or multiplier: books count no finer


def _decimal(text: str) -> Decimal | str:
    """Give a number with the broker's own digits; its text where it is none that can be reckoned with (1e9999999)."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


_json = msgspec.json.Decoder(float_hook=_decimal)


class Row(NamedTuple):
    """One row of an answer. day: IST, of orders and trades. told: what is compared with the answer before."""

    key: str
    day: date | None
    columns: Columns
    told: Columns
    raw: dict[str, Any]


class Unread(NamedTuple):
    """A row that cannot be read: its place in the answer, from 1, why, and what it is."""

    place: int
    error: str
    raw: object


class Sheet(msgspec.Struct):
    """The rows of one table as they came, by key. unread: those that have no key of their own."""

    items: dict[str, Any] = {}
    unread: list[Unread] = []


def parsed(what: str, body: bytes) -> Any:
    """Read JSON, its numbers with the broker's own digits. Raises BadEvent where it is none."""
    try:
        return _json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadEvent(f"the {what} as JSON", str(error), "run bahi verify") from error


def data_of(what: str, body: bytes) -> Any:
    """Give what stands in `data` of an answer, None where nothing does. Raises BadEvent where it is no answer."""
    answer = parsed(what, body)
    if not isinstance(answer, dict):
        raise BadEvent(f"the {what} in `data`", f"{type(answer).__name__}", "the broker changed its answer")
    return answer.get("data")


def sheets(kind: Kind, body: bytes) -> dict[str, Sheet]:
    """Take an answer apart; give its sheets by table, their rows unread.

    Raises BadEvent where it is not an answer of this kind at all.
    """
    data = data_of(kind, body)
    if data is None and kind in ("positions", "margins"):  # none, as null is none of the others
        data = {}
    if kind == "positions" and isinstance(data, dict):
        return {
            "positions": _sheet("positions", _listed(data.get("net"), kind)),
            "day_positions": _sheet("day_positions", _listed(data.get("day"), kind)),
        }
    if kind == "margins" and isinstance(data, dict):
        return {"margins": _sheet("margins", [{"segment": name, "funds": each} for name, each in data.items()])}
    if kind in ("orders", "trades", "holdings"):
        return {kind: _sheet(kind, _listed(data, kind))}
    raise BadEvent(f"the {kind} in `data`", f"{type(data).__name__}", "the broker changed its answer")


def _listed(data: object, kind: str) -> list[Any]:
    if data is None:
        return []
    if not isinstance(data, list):
        raise BadEvent(f"a list of {kind} in `data`", f"{type(data).__name__}", "the broker changed its answer")
    return data


def _sheet(table: str, items: list[Any]) -> Sheet:
    found, names = Sheet(), KEYS[table]
    for place, item in enumerate(items, 1):
        key = _key(item, names)
        if key is None:
            few = f"of at most {NAME_CHARACTERS_MAX} characters"
            wanted = BadEvent(f"a row with {', '.join(names)} {few}", repr(item)[:80], REMEDY)
            found.unread.append(Unread(place, str(wanted), item))
        elif found.items.setdefault(key, item) != item:
            twice = BadEvent("one row of a key", f"another one of {key}", REMEDY)
            found.unread.append(Unread(place, str(twice), item))
    return found


def _key(item: object, names: tuple[str, ...]) -> str | None:
    if not isinstance(item, dict):
        return None
    parts = [item.get(name) for name in names]
    if None in parts or "" in parts:
        return None
    words = [str(part) for part in parts]
    if max(map(len, words)) > NAME_CHARACTERS_MAX:
        return None
    joined = " ".join(words)
    return joined.replace(" ", ":", 1) if names[:2] == ("exchange", "tradingsymbol") else joined


def read(table: str, key: str, item: object, day: date) -> Row:
    """Read a row of a table. day: IST, on which the answer was given. Raises BadEvent where it cannot be read."""
    refuse_unstorable(item)
    return _READERS[table](item, day)._replace(key=key)


def refuse_unstorable(item: object) -> None:
    """Raise BadEvent for what PostgreSQL takes into no jsonb: the character 0, numbers and nesting without end."""
    level = [item]
    for _ in range(NESTING_MAX):
        level = [each for held in level for each in _inside(held)]
        if not level:
            return
    raise BadEvent(f"lists and objects at most {NESTING_MAX} deep", "deeper ones", REMEDY)


def _inside(held: object) -> Iterable[object]:
    """Give what a value holds, the names of an object's fields, too. Raises BadEvent where it is unstorable itself."""
    if isinstance(held, str):
        if "\x00" in held:
            raise BadEvent("texts without the character 0", repr(held)[:80], REMEDY)
    elif isinstance(held, Decimal):
        if held.adjusted() > DIGITS_MAX or exponent(held) < EXPONENT_MIN:
            raise BadEvent(f"numbers of at most {DIGITS_MAX} digits", repr(held)[:80], REMEDY)
    elif isinstance(held, dict):
        return (*held.keys(), *held.values())
    elif isinstance(held, list):
        return held
    return ()


def _order(raw: object, day: date) -> Row:
    row = Reading(raw)
    told_at = row.instant("order_timestamp")
    exchange_at = row.instant("exchange_timestamp")
    updated_at = row.instant("exchange_update_timestamp")
    of = told_at or exchange_at
    own_day = of.astimezone(IST).date() if of else day
    order_id, tag = row.needed_text("order_id"), row.text("tag")
    tags = row.texts("tags")
    columns = {
        "order_id": order_id,
        **{name: row.text(name) for name in ("exchange_order_id", "parent_order_id", "status_message", "validity")},
        **{name: row.text(name) for name in ("order_type", "variety")},
        "product": row.name("product"),
        **{name: row.needed_text(name) for name in ("exchange", "tradingsymbol", "status")},
        "instrument_token": row.whole("instrument_token"),
        "side": _side(row),
        "quantity": row.needed_number("quantity"),
        "filled_quantity": row.amount("filled_quantity"),
        **{name: row.number(name) for name in ("disclosed_quantity", "price", "trigger_price", "average_price")},
        **{name: row.number(name) for name in ("pending_quantity", "cancelled_quantity")},
        "tag": tag,
        "tags": list(dict.fromkeys([*([tag] if tag else []), *tags])),
        "created_at": of,
        "updated_at": max((at for at in (told_at, exchange_at, updated_at) if at), default=None),
        "exchange_at": exchange_at,
    }
    return _made(own_day, columns, row)


def _trade(raw: object, day: date) -> Row:
    row = Reading(raw)
    at = row.instant("fill_timestamp") or row.instant("exchange_timestamp")
    at = at or row.instant("order_timestamp", day)
    if at is None:
        raise BadEvent("a time in `fill_timestamp` or `exchange_timestamp`", "none", REMEDY)
    row.used.add("order_timestamp")
    exchange, order_id, trade_id = (row.needed_text(name) for name in ("exchange", "order_id", "trade_id"))
    columns = {
        "exchange": exchange,
        "order_id": order_id,
        "trade_id": trade_id,
        "exchange_order_id": row.text("exchange_order_id"),
        "time": at,
        "tradingsymbol": row.needed_text("tradingsymbol"),
        "instrument_token": row.whole("instrument_token"),
        "product": row.needed_text("product"),
        "side": _side(row),
        "quantity": _traded(row),
        "price": row.needed_number("average_price"),
    }
    return _made(at.astimezone(IST).date(), columns, row)


def _traded(row: Reading) -> Decimal:
    """Give a trade's quantity: the documentation says `filled`, the answers say `quantity`."""
    found = row.number("quantity") if row.raw.get("quantity") is not None else row.number("filled")
    if found is None or found < SMALLEST:
        raise BadEvent("a number above 0 in `quantity`", repr(row.raw.get("quantity")), REMEDY)
    return found


def _position(raw: object, _: date) -> Row:
    row = Reading(raw)
    exchange, symbol, product = (row.needed_text(name) for name in ("exchange", "tradingsymbol", "product"))
    columns = {
        "exchange": exchange,
        "tradingsymbol": symbol,
        "product": product,
        "instrument_token": row.whole("instrument_token"),
        "quantity": row.needed_number("quantity"),
        "overnight_quantity": row.amount("overnight_quantity"),
        "multiplier": _multiplier(row),
        **{name: row.number(name) for name in ("average_price", "close_price", "last_price", "pnl")},
        "day_pnl": row.number("m2m"),
        **{name: row.number(name) for name in ("realised", "unrealised", "buy_quantity", "buy_value")},
        **{name: row.number(name) for name in ("sell_quantity", "sell_value")},
    }
    return _made(None, columns, row, MOVING_PRICES)


def _multiplier(row: Reading) -> Decimal:
    found = row.number("multiplier") or Decimal(1)
    if found < SMALLEST:
        raise BadEvent("a number above 0 in `multiplier`", str(found)[:80], REMEDY)
    return found


def _holding(raw: object, _: date) -> Row:
    row = Reading(raw)
    exchange, symbol = row.needed_text("exchange"), row.needed_text("tradingsymbol")
    if isinstance(mtf := row.raw.get("mtf"), dict):  # stays in `raw`, and is read from there
        for name in ("quantity", "used_quantity", "average_price"):
            Reading(mtf).number(name)
    numbers = (
        *("realised_quantity", "used_quantity", "authorised_quantity", "opening_quantity", "short_quantity"),
        *("collateral_quantity", "average_price", "close_price", "last_price", "pnl", "day_change"),
    )
    columns = {
        "exchange": exchange,
        "tradingsymbol": symbol,
        **{name: row.text(name) for name in ("isin", "collateral_type")},
        "product": row.name("product"),
        "instrument_token": row.whole("instrument_token"),
        "quantity": row.needed_number("quantity"),
        "t1_quantity": row.amount("t1_quantity"),
        **{name: row.number(name) for name in numbers},
    }
    return _made(None, columns, row, MOVING_PRICES)


def _margin(item: dict[str, Any], _: date) -> Row:
    row = Reading(item["funds"])
    columns: Columns = {
        "segment": item["segment"],
        "enabled": row.raw.get("enabled") if isinstance(row.raw.get("enabled"), bool) else None,
        "net": row.number("net"),
        "available": row.fields("available"),
        "utilised": row.fields("utilised"),
    }
    row.used.add("enabled")
    made = _made(None, columns, row, MOVING_FUNDS)
    still = {
        name: {each: value for each, value in columns[name].items() if each not in MOVING_FUNDS}
        for name in ("available", "utilised")
    }
    return made._replace(told={**made.told, **still})


def _side(row: Reading) -> str:
    side = row.needed_text("transaction_type").upper()
    if side not in SIDES:
        raise BadEvent(f"`transaction_type` of {', '.join(SIDES)}", side, REMEDY)
    return side


def _made(day: date | None, columns: Columns, row: Reading, moving: frozenset[str] = frozenset()) -> Row:
    told = {**row.rest(), **columns}
    return Row("", day, columns, {name: told[name] for name in told if name not in moving}, dict(row.raw))


KEYS: dict[str, tuple[str, ...]] = {
    "orders": ("order_id",),
    "trades": ("exchange", "order_id", "trade_id"),
    "positions": ("exchange", "tradingsymbol", "product"),
    "day_positions": ("exchange", "tradingsymbol", "product"),
    "holdings": ("exchange", "tradingsymbol"),
    "margins": ("segment",),
}
_READERS: dict[str, Callable[[Any, date], Row]] = {
    "orders": _order,
    "trades": _trade,
    "positions": _position,
    "day_positions": _position,
    "holdings": _holding,
    "margins": _margin,
}
