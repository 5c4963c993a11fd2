"""Books in Kite's JSON: the fields, the types and the text forms of https://kite.trade/docs/connect/v3.

Times are naive IST without a fraction; a trade's `order_timestamp` is the time of day alone. Numbers of money are JSON
numbers, as the real ones are.
"""

import datetime
import zlib
from decimal import Decimal

from money.charges import Charges
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.charges import Asked
from ops.sandbox.accounts.gtt import Leg, Trigger
from ops.sandbox.accounts.ledger import Held
from ops.sandbox.accounts.margin import Funds, LastPrice
from ops.sandbox.accounts.order import REJECTED, Order, State, Trade
from ops.sandbox.accounts.position import ZERO, Position
from runtime.calendar import IST

Json = dict[str, object]


def stamp(at_ns: int) -> str:
    """Give a time as Kite does."""
    return _ist(at_ns).strftime("%Y-%m-%d %H:%M:%S")


def order(user: str, one: Order, at: State | None = None) -> Json:
    """Give an order as it is, or as it was in one row of its history."""
    terms = at.terms if at else one.terms
    status, message, changed_ns = (at.status, at.message, at.at_ns) if at else (one.status, one.message, one.changed_ns)
    filled, value = (at.filled, at.value) if at else (one.filled, one.value)
    reached = one.exchange_order_id if status != REJECTED else None
    return {
        "placed_by": user,
        "order_id": one.order_id,
        "exchange_order_id": reached,
        "parent_order_id": None,
        "status": status,
        "status_message": message or None,
        "status_message_raw": message or None,
        "order_timestamp": stamp(changed_ns),
        "exchange_update_timestamp": stamp(changed_ns) if reached else None,
        "exchange_timestamp": stamp(one.placed_ns) if reached else None,
        "variety": terms.variety,
        "modified": one.is_modified,
        "exchange": terms.exchange,
        "tradingsymbol": terms.tradingsymbol,
        "instrument_token": terms.instrument_token,
        "order_type": terms.order_type,
        "transaction_type": terms.transaction_type,
        "validity": terms.validity,
        "validity_ttl": terms.validity_ttl,
        "product": terms.product,
        "quantity": terms.quantity,
        "disclosed_quantity": terms.disclosed_quantity,
        "price": _number(terms.price),
        "trigger_price": _number(terms.trigger_price),
        "average_price": _number(value / filled if filled else ZERO),
        "filled_quantity": filled,
        "pending_quantity": 0 if at is None and not one.pending else terms.quantity - filled - one.cancelled,
        "cancelled_quantity": one.cancelled,
        "market_protection": 0,
        "meta": {},
        "tag": terms.tag,
        **({"tags": [terms.tag]} if terms.tag else {}),
        "guid": terms.guid or one.order_id[::-1],
    }


def trade(one: Trade) -> Json:
    """Give a trade; it has no tag, and no price but the average."""
    terms = one.terms
    return {
        "trade_id": one.trade_id,
        "order_id": one.order_id,
        "exchange_order_id": one.exchange_order_id,
        "exchange": terms.exchange,
        "tradingsymbol": terms.tradingsymbol,
        "instrument_token": terms.instrument_token,
        "product": terms.product,
        "transaction_type": terms.transaction_type,
        "average_price": _number(one.price),
        "quantity": one.quantity,
        "fill_timestamp": stamp(one.at_ns),
        "order_timestamp": _ist(one.at_ns).strftime("%H:%M:%S"),
        "exchange_timestamp": stamp(one.at_ns),
    }


def positions(book: Book, last_price: LastPrice) -> Json:
    """Give both views: `net` with what stayed overnight, `day` with the day's trades alone."""
    known = book.positions.values()
    return {
        "net": [_position(each, last_price(each.instrument_token)) for each in known],
        "day": [
            _position(_of_today(each), last_price(each.instrument_token))
            for each in known
            if each.bought.quantity or each.sold.quantity
        ],
    }


def _of_today(one: Position) -> Position:
    return Position(
        one.exchange,
        one.tradingsymbol,
        one.instrument_token,
        one.product,
        one.multiplier,
        close_price=one.close_price,
        bought=one.bought,
        sold=one.sold,
    )


def _position(one: Position, last: Decimal) -> Json:
    bought, sold = one.totals(one.overnight_price)
    bought_m2m, sold_m2m = one.totals(one.close_price)
    units = one.multiplier
    gain = one.gain(last, since_close=False)
    return {
        "tradingsymbol": one.tradingsymbol,
        "exchange": one.exchange,
        "instrument_token": one.instrument_token,
        "product": one.product,
        "quantity": one.quantity,
        "overnight_quantity": one.overnight_quantity,
        "multiplier": units,
        "average_price": _number(one.average_price),
        "close_price": _number(one.close_price),
        "last_price": _number(last),
        "value": _number((sold.value - bought.value) * units),
        "pnl": _number(gain),
        "m2m": _number(one.gain(last, since_close=True)),
        "unrealised": _number(gain),
        "realised": 0,
        "buy_quantity": bought.quantity,
        "buy_price": _number(bought.price),
        "buy_value": _number(bought.value * units),
        "buy_m2m": _number(bought_m2m.value * units),
        "sell_quantity": sold.quantity,
        "sell_price": _number(sold.price),
        "sell_value": _number(sold.value * units),
        "sell_m2m": _number(sold_m2m.value * units),
        "day_buy_quantity": one.bought.quantity,
        "day_buy_price": _number(one.bought.price),
        "day_buy_value": _number(one.bought.value * units),
        "day_sell_quantity": one.sold.quantity,
        "day_sell_price": _number(one.sold.price),
        "day_sell_value": _number(one.sold.value * units),
    }


def holdings(book: Book, last_price: LastPrice) -> list[Json]:
    """Give the shares in the depository."""
    return [
        _holding(each, max(0, -book.traded(each.exchange, each.tradingsymbol)), last_price(each.instrument_token))
        for each in book.holdings.values()
    ]


def _holding(held: Held, used: int, last: Decimal) -> Json:
    owned = held.quantity + held.t1_quantity
    left = max(0, held.quantity - used)
    change = last - held.close_price
    return {
        "tradingsymbol": held.tradingsymbol,
        "exchange": held.exchange,
        "instrument_token": held.instrument_token,
        "isin": isin(held.tradingsymbol),
        "product": "CNC",
        "price": 0,
        "quantity": left,
        "used_quantity": used,
        "t1_quantity": held.t1_quantity - max(0, used - held.quantity),
        "realised_quantity": left,
        "authorised_quantity": 0,
        "authorised_date": stamp(0),
        "opening_quantity": owned,
        "short_quantity": 0,
        "collateral_quantity": 0,
        "collateral_type": "",
        "discrepancy": False,
        "average_price": _number(held.average_price),
        "last_price": _number(last),
        "close_price": _number(held.close_price),
        "pnl": _number((last - held.average_price) * (owned - used)),
        "day_change": _number(change),
        "day_change_percentage": _number(change / held.close_price * 100 if held.close_price else ZERO),
        "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
    }


def trigger(user: str, one: Trigger) -> Json:
    """Give a GTT."""
    return {
        "id": one.trigger_id,
        "user_id": user,
        "parent_trigger": None,
        "type": one.type,
        "created_at": stamp(one.created_ns),
        "updated_at": stamp(one.updated_ns),
        "expires_at": stamp(one.expires_ns),
        "status": one.status,
        "condition": {
            "exchange": one.exchange,
            "last_price": _number(one.last_price),
            "tradingsymbol": one.tradingsymbol,
            "trigger_values": [_number(value) for value in one.values],
            "instrument_token": one.instrument_token,
        },
        "orders": [_leg(user, one, leg) for leg in one.legs],
        "meta": {},
    }


def _leg(user: str, of: Trigger, leg: Leg) -> Json:
    asked = {
        "exchange": of.exchange,
        "tradingsymbol": of.tradingsymbol,
        "product": leg.product,
        "order_type": leg.order_type,
        "transaction_type": leg.transaction_type,
        "quantity": leg.quantity,
        "price": _number(leg.price),
    }
    if leg.met is None:
        return {**asked, "result": None}
    outcome = "success" if leg.order_id and not leg.problem else "failed"
    result = {
        "account_id": user,
        **asked,
        "validity": "DAY",
        "meta": f'{{"gtt":{of.trigger_id}}}',
        "timestamp": stamp(leg.met_ns),
        "triggered_at": _number(leg.met),
        "order_result": {"status": outcome, "order_id": leg.order_id, "rejection_reason": leg.problem},
    }
    return {**asked, "result": result}


def margins(funds: Funds) -> Json:
    """Give one segment."""
    return {
        "enabled": True,
        "net": _number(funds.net),
        "available": {
            "adhoc_margin": 0,
            "cash": _number(funds.cash),
            "opening_balance": _number(funds.cash),
            "live_balance": _number(funds.net),
            "collateral": 0,
            "intraday_payin": 0,
        },
        "utilised": {
            "debits": _number(funds.debits),
            "exposure": _number(funds.exposure),
            "m2m_realised": _number(funds.realised),
            "m2m_unrealised": _number(funds.unrealised),
            "option_premium": _number(funds.premium),
            "payout": 0,
            "span": _number(funds.span),
            "holding_sales": 0,
            "turnover": 0,
            "liquid_collateral": 0,
            "stock_collateral": 0,
            "delivery": _number(funds.delivery),
        },
    }


def virtual_note(asked: Asked, found: Charges) -> Json:
    """Give one order of a virtual contract note."""
    return {
        "transaction_type": asked.transaction_type,
        "tradingsymbol": asked.tradingsymbol,
        "exchange": asked.exchange,
        "variety": asked.variety,
        "product": asked.product,
        "order_type": asked.order_type,
        "quantity": _number(asked.quantity),
        "price": _number(asked.average_price),
        "charges": {
            "transaction_tax": _number(found.transaction_tax),
            "transaction_tax_type": found.transaction_tax_type,
            "exchange_turnover_charge": _number(found.exchange + found.ipft + found.clearing),
            "sebi_turnover_charge": _number(found.sebi),
            "brokerage": _number(found.brokerage),
            "stamp_duty": _number(found.stamp),
            "gst": {"igst": _number(found.gst), "cgst": 0, "sgst": 0, "total": _number(found.gst)},
            "total": _number(found.total),
        },
    }


def isin(tradingsymbol: str) -> str:
    """Give a number in the form of an ISIN; it is made of the symbol and is nobody's."""
    return f"INE{zlib.crc32(tradingsymbol.encode()) % 10**6:06}010{len(tradingsymbol) % 10}"


def _ist(at_ns: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_ns // 10**9, IST)


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
