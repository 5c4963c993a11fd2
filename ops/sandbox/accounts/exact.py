"""Books in full, for whoever compares tables with the sandbox's own truth: `GET /sandbox/books`.

Quantities are numbers, times UTC nanoseconds; money is text with every decimal, where Kite's JSON has floats. What
depends on the last price is null for a day that is over.
"""

from decimal import Decimal

from money.charges.amounts import PARTS
from ops.sandbox.accounts import charges
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.gains import Gain, gains
from ops.sandbox.accounts.ledger import Held
from ops.sandbox.accounts.margin import LastPrice
from ops.sandbox.accounts.order import Order, Trade
from ops.sandbox.accounts.position import ZERO, Position

Json = dict[str, object]


def book(one: Book, last_price: LastPrice | None) -> Json:
    """Give all of a book. last_price: None for a day that is over.

    `cash` is that of the day's beginning, as Kite's `available.cash`; `cash_flow` what the day's trades brought less
    what they cost, by the value of the contract also for futures. `realised` and `unrealised` go by FIFO lots.
    """
    found = gains(one)
    shown = [_gain(each, last_price) for each in found]
    unrealised = (
        sum((each.unrealised(last_price(each.instrument_token)) for each in found), ZERO) if last_price else None
    )
    return {
        "user_id": one.user,
        "day": one.day.isoformat(),
        "cash": _text(one.cash),
        "cash_flow": _text(sum((each.flow for each in one.positions.values()), ZERO)),
        "realised": _text(sum((each.realised for each in found), ZERO)),
        "unrealised": _text(unrealised),
        "charges": _charges(one),
        "orders": [_order(each) for each in one.orders.values()],
        "trades": [_trade(each) for each in one.trades],
        "positions": [_position(each, last_price) for each in one.positions.values()],
        "holdings": [_holding(each, one, last_price) for each in one.holdings.values()],
        "gains": shown,
    }


def _order(one: Order) -> Json:
    terms = one.terms
    return {
        "order_id": one.order_id,
        "exchange_order_id": one.exchange_order_id,
        "status": one.status,
        "message": one.message,
        **_what(terms.exchange, terms.tradingsymbol, terms.instrument_token, terms.product),
        "side": terms.transaction_type,
        "order_type": terms.order_type,
        "variety": terms.variety,
        "validity": terms.validity,
        "quantity": terms.quantity,
        "filled": one.filled,
        "pending": one.pending,
        "cancelled": one.cancelled,
        "price": _text(terms.price),
        "trigger_price": _text(terms.trigger_price),
        "value": _text(one.value),
        "average": _text(one.average_price),
        "tags": [terms.tag] if terms.tag else [],
        "placed_ns": one.placed_ns,
        "changed_ns": one.changed_ns,
        "states": [[state.status, state.at_ns] for state in one.history],
    }


def _trade(one: Trade) -> Json:
    terms = one.terms
    return {
        "trade_id": one.trade_id,
        "order_id": one.order_id,
        **_what(terms.exchange, terms.tradingsymbol, terms.instrument_token, terms.product),
        "side": terms.transaction_type,
        "quantity": one.quantity,
        "price": _text(one.price),
        "at_ns": one.at_ns,
    }


def _position(one: Position, last_price: LastPrice | None) -> Json:
    last = last_price(one.instrument_token) if last_price else None
    return {
        **_what(one.exchange, one.tradingsymbol, one.instrument_token, one.product),
        "quantity": one.quantity,
        "overnight_quantity": one.overnight_quantity,
        "overnight_price": _text(one.overnight_price),
        "close_price": _text(one.close_price),
        "multiplier": one.multiplier,
        "buy_quantity": one.bought.quantity,
        "buy_value": _text(one.bought.value * one.multiplier),
        "sell_quantity": one.sold.quantity,
        "sell_value": _text(one.sold.value * one.multiplier),
        "average": _text(one.average_price),
        "last_price": _text(last),
        "pnl": _text(None if last is None else one.gain(last, since_close=False)),
    }


def _holding(one: Held, of: Book, last_price: LastPrice | None) -> Json:
    sold = max(0, -of.traded(one.exchange, one.tradingsymbol))
    return {
        **_what(one.exchange, one.tradingsymbol, one.instrument_token, "CNC"),
        "opening_quantity": one.quantity + one.t1_quantity,
        "quantity": max(0, one.quantity - sold),
        "t1_quantity": one.t1_quantity - max(0, sold - one.quantity),
        "sold_today": sold,
        "average": _text(one.average_price),
        "close_price": _text(one.close_price),
        "last_price": _text(last_price(one.instrument_token) if last_price else None),
    }


def _charges(of: Book) -> Json:
    """Give what the day costs so far: by column of the contract note, and the depository's fees."""
    notes, depository = charges.notes(of), charges.depository(of)
    return {
        "total": _text(sum((note.total for note in notes.values()), depository)),
        "notes": {column: {name: _text(getattr(note, name)) for name in PARTS} for column, note in notes.items()},
        "depository": _text(depository),
    }


def _gain(one: Gain, last_price: LastPrice | None) -> Json:
    exchange, tradingsymbol, product = one.key
    return {
        **_what(exchange, tradingsymbol, one.instrument_token, product),
        "opening_quantity": one.opening_quantity,
        "opening_price": _text(one.opening_price),
        "quantity": one.quantity,
        "realised": _text(one.realised),
        "unrealised": _text(one.unrealised(last_price(one.instrument_token)) if last_price else None),
    }


def _what(exchange: str, tradingsymbol: str, instrument_token: int, product: str) -> Json:
    return {
        "exchange": exchange,
        "tradingsymbol": tradingsymbol,
        "instrument_token": instrument_token,
        "product": product,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
