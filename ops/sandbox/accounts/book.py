"""One user's book: orders, trades, positions, shares and cash of a day, made of ledger entries and nothing else."""

from datetime import date
from decimal import Decimal

import msgspec

from ops.sandbox.accounts.gtt import Trigger
from ops.sandbox.accounts.ledger import (
    Amended,
    AnyEntry,
    Carried,
    Converted,
    Entered,
    Filled,
    Held,
    Kept,
    Opening,
    Placed,
    Triggered,
)
from ops.sandbox.accounts.order import CNC, COMPLETE, ENDED, NRML, Order, State, Trade
from ops.sandbox.accounts.position import EQUITY, ZERO, Position, multiplier

AVERAGE_UNIT = Decimal("0.0001")

Key = tuple[str, str, str]  # exchange, symbol, product
Closes = dict[int, Decimal]  # by instrument_token, the prices at which a day is settled


class Book:
    """The state that entries lead to; `apply` is its only verb that changes anything."""

    def __init__(self, user: str) -> None:
        """Begin before the first opening."""
        self.user = user
        self.day = date.min
        self.cash = ZERO  # as the day began
        self.carried: list[Carried] = []  # as the day began
        self.orders: dict[str, Order] = {}
        self.pending: dict[str, Order] = {}  # of these, those that have not ended
        self.trades: list[Trade] = []
        self.triggers: dict[int, Trigger] = {}
        self.conversions: list[tuple[int, Converted]] = []  # each behind so many trades
        self.positions: dict[Key, Position] = {}
        self.holdings: dict[str, Held] = {}  # as the day began, by EXCHANGE:SYMBOL

    def apply(self, entry: AnyEntry) -> None:
        """Take the next entry of this user."""
        match entry:
            case Opening():
                self._open(entry)
            case Placed():
                self.orders[entry.order_id] = order = Order(
                    entry.order_id, entry.exchange_order_id, entry.terms, entry.at_ns, entry.app
                )
                self._enter(order, order.status, entry.at_ns)
            case Entered():
                self._enter(self.orders[entry.order_id], entry.status, entry.at_ns, entry.message)
            case Amended():
                order = self.orders[entry.order_id]
                order.terms, order.is_modified = entry.terms, True
            case Triggered():
                self.orders[entry.order_id].is_triggered = True
            case Filled():
                self._fill(entry)
            case Kept():
                self.triggers[entry.trigger.trigger_id] = entry.trigger
            case Converted():
                self._convert(entry)

    def _enter(self, order: Order, status: str, at_ns: int, message: str = "") -> None:
        order.enter(status, at_ns, message)
        if status in ENDED:
            self.pending.pop(order.order_id, None)
        else:
            self.pending[order.order_id] = order

    def _open(self, opening: Opening) -> None:
        self.day, self.cash, self.carried = opening.day, opening.cash, opening.carried
        self.orders, self.pending, self.trades, self.conversions = {}, {}, [], []
        self.positions = {
            (each.exchange, each.tradingsymbol, each.product): Position(
                each.exchange,
                each.tradingsymbol,
                each.instrument_token,
                each.product,
                multiplier(each.exchange, each.tradingsymbol),
                each.quantity,
                each.average_price,
                each.close_price,
            )
            for each in opening.carried
        }
        self.triggers = {each.trigger_id: each for each in opening.triggers}
        self.holdings = {f"{each.exchange}:{each.tradingsymbol}": each for each in opening.held}

    def _fill(self, entry: Filled) -> None:
        order = self.orders[entry.order_id]
        terms = order.terms
        order.filled += entry.quantity
        order.value += entry.quantity * entry.price
        self.trades.append(
            Trade(
                entry.trade_id,
                order.order_id,
                order.exchange_order_id,
                terms,
                entry.quantity,
                entry.price,
                entry.at_ns,
            )
        )
        position = self.position(terms.exchange, terms.tradingsymbol, terms.product, terms.instrument_token)
        (position.bought if terms.is_buy else position.sold).add(entry.quantity, entry.price)
        order.history.append(State("UPDATE", entry.at_ns, "", terms, order.filled, order.value))
        if order.filled == terms.quantity:
            self._enter(order, COMPLETE, entry.at_ns)

    def _convert(self, entry: Converted) -> None:
        what, token = (entry.exchange, entry.tradingsymbol), entry.instrument_token
        old = self.position(*what, entry.old_product, token)
        new = self.position(*what, entry.new_product, token)
        self.conversions.append((len(self.trades), entry))
        old.move(new, entry.quantity, entry.value, is_overnight=entry.is_overnight)

    def position(self, exchange: str, symbol: str, product: str, token: int) -> Position:
        """Give a position, an empty one where there was none."""
        key = (exchange, symbol, product)
        if key not in self.positions:
            self.positions[key] = Position(exchange, symbol, token, product, multiplier(exchange, symbol))
        return self.positions[key]

    def traded(self, exchange: str, symbol: str) -> int:
        """Give how many shares were bought today for delivery, less those that were sold."""
        today = self.positions.get((exchange, symbol, CNC))
        return today.quantity if today else 0

    def sellable(self, exchange: str, symbol: str) -> int:
        """Give how many shares may be delivered: held, also before they have come, or bought today; not yet offered."""
        held = self.holdings.get(f"{exchange}:{symbol}")
        offered = sum(
            order.pending
            for order in self.pending.values()
            if (order.terms.exchange, order.terms.tradingsymbol) == (exchange, symbol) and order.is_delivery_sale
        )
        return (held.quantity + held.t1_quantity if held else 0) + self.traded(exchange, symbol) - offered

    # ---- the end of a day -----------------------------------------------------------------------------------------

    def next_opening(self, day: date, at_ns: int, closes: Closes, listed: set[int], charged: Decimal = ZERO) -> Opening:
        """Give how the next day begins, once every intraday position is closed.

        Shares that were traded are settled, options paid for, futures settled at the close; contracts that are not
        listed any more are over, and settled at their last price. charged: what the day cost, in rupees.
        """
        cash, carried, held = self.cash - charged, list[Carried](), dict[str, Held]()
        for key, each in self.holdings.items():
            close = closes.get(each.instrument_token, each.close_price)
            sold = max(0, -self.traded(each.exchange, each.tradingsymbol))
            if (left := each.quantity + each.t1_quantity - sold) > 0:
                held[key] = msgspec.structs.replace(each, quantity=left, t1_quantity=0, close_price=close)
        for position in self.positions.values():
            close = closes.get(position.instrument_token, position.close_price)
            is_paid = position.is_option or position.exchange in EQUITY
            cash += position.flow if is_paid else position.gain(close, since_close=True)
            if position.product == CNC and position.quantity > 0:
                _deliver(position, close, held)
            elif position.product == NRML and position.quantity and position.instrument_token in listed:
                carried.append(_carry(position, close))
            elif position.is_option:
                cash += position.quantity * close * position.multiplier
        waiting = [each for each in self.triggers.values() if each.is_active]
        return Opening(self.user, at_ns, day, cash, carried, list(held.values()), waiting)


def _deliver(position: Position, close: Decimal, held: dict[str, Held]) -> None:
    """Put what was bought today among the shares; what was sold of it on the same day never gets there."""
    bought, price, key = position.quantity, position.bought.price, _key(position)
    before = held.get(key)
    if before is None:
        where = (position.exchange, position.tradingsymbol, position.instrument_token)
        held[key] = Held(*where, quantity=0, t1_quantity=bought, average_price=_shown(price), close_price=close)
        return
    average = (before.quantity * before.average_price + bought * price) / (before.quantity + bought)
    held[key] = msgspec.structs.replace(before, t1_quantity=bought, average_price=_shown(average))


def _key(position: Position) -> str:
    return f"{position.exchange}:{position.tradingsymbol}"


def _carry(position: Position, close: Decimal) -> Carried:
    return Carried(
        position.exchange,
        position.tradingsymbol,
        position.instrument_token,
        position.product,
        position.quantity,
        _shown(position.average_price),
        close,
    )


def _shown(average: Decimal) -> Decimal:
    """Give an average as it stays over night, with no more decimals than the broker shows of it."""
    return average.quantize(AVERAGE_UNIT)
