"""A seeded trader: one user who trades for himself, by the same requests as everybody.

What he does next comes from his own random numbers, which his name and the seed decide; at which prices he does it, the
market decides. He places orders of every kind, changes and cancels some, sells what he holds, and closes what he has
open more often than he adds to it, so that his money lasts.
"""

import random
from decimal import Decimal

from ops.sandbox.accounts.desk import Desk
from ops.sandbox.accounts.fills import Depth
from ops.sandbox.accounts.margin import blocked
from ops.sandbox.accounts.order import BUY, CNC, LIMIT, MARKET, MIS, NRML, REJECTED, SELL, SL, SLM, Order
from ops.sandbox.accounts.position import EQUITY, Position, is_option, multiplier
from ops.sandbox.envelope import Refusal
from ops.sandbox.instruments import Instrument
from ops.sandbox.session import API_KEY

WATCHED = 12  # instruments that one trader deals in
TRIES = 20  # for each of them
SHARES = {"NSE": 7, "NFO": 3}  # what of them is of which exchange; of the others 1
OPEN_ORDERS_MAX = 15
CANCELS, CHANGES = 0.06, 0.14  # of what he does, while orders are open: up to the first a cancellation, then a change
CLOSES = 0.7  # of the orders in what he has open
SWEEPS = 0.1  # of the orders ask for more than the best price offers
MISTAKES = 0.01  # of the sales are of shares that he has not
BUDGET_MIN, BUDGET_MAX = 10_000, 150_000  # of an order, in rupees of margin
LOTS_MAX = 20  # of a contract, so that nobody buys a million of those that are worth next to nothing
LOT_BUDGET_MAX = 400_000  # what a single lot may block
ORDER_TYPES = {MARKET: 50, LIMIT: 30, SL: 10, SLM: 10}
TAGS = (None, None, None, *(f"strat{number}" for number in range(1, 8)), "ladder", "scalper7")
AWAY_MAX = 0.008  # of the price: how far from it limits and triggers are put


class Trader:
    """One user's mind."""

    def __init__(self, user: str, seed: int, desk: Desk) -> None:
        """Wake up; on the same day with other thoughts than before."""
        self.user, self.acts, self.refused = user, 0, 0
        self._seed = seed
        self._desk = desk
        placed = len(desk.book(user).orders)
        # Nobody's money hangs on these numbers.
        self._random = random.Random(f"{seed}/{user}/{desk.book(user).day}/{placed}")
        self._watched = self._choose_watched()
        self._short_of_money = False

    def act(self) -> None:
        """Do one thing."""
        self.acts += 1
        try:
            self._act()
        except Refusal:
            self.refused += 1

    def _act(self) -> None:
        book, roll = self._desk.book(self.user), self._random.random()
        self._watched = self._watched or self._choose_watched()  # of a tape nothing has a price at first
        orders = [order for order in book.pending.values() if order.is_working]
        if orders and (roll < CANCELS or len(orders) >= OPEN_ORDERS_MAX):
            self._desk.cancel(self.user, self._random.choice(orders).order_id)
        elif orders and roll < CHANGES:
            self._change(self._random.choice(orders))
        elif self._short_of_money:
            self._short_of_money = False
            self._raise_money()
        elif self._watched:
            self._trade(self._random.choice(self._watched))

    def _choose_watched(self) -> list[Instrument]:
        """Choose what he deals in for the day, of what one can pay a lot of."""
        chosen = random.Random(f"{self._seed}/{self.user}/watched")
        by_exchange: dict[str, list[Instrument]] = {}
        for each in self._desk.floor.instruments:
            if not each.is_index:
                by_exchange.setdefault(each.exchange, []).append(each)
        exchanges, found = list(by_exchange), dict[str, Instrument]()
        shares = [SHARES.get(exchange, 1) for exchange in exchanges]
        for exchange in chosen.choices(exchanges, shares, k=WATCHED * TRIES) if exchanges else ():
            each = chosen.choice(by_exchange[exchange])
            depth = self._desk.floor.depth(each.instrument_token)
            product = CNC if each.exchange in EQUITY else NRML
            if depth and _margin(each, product, each.lot_size, float(depth.last_price)) <= LOT_BUDGET_MAX:
                found[each.key] = each
            if len(found) == WATCHED:
                break
        return list(found.values())

    def _trade(self, instrument: Instrument) -> None:
        depth = self._desk.floor.depth(instrument.instrument_token)
        if depth is None:
            return
        is_equity = instrument.exchange in EQUITY
        product = self._random.choices((CNC if is_equity else NRML, MIS), (50, 50) if is_equity else (75, 25))[0]
        side, quantity = self._side(instrument, product, depth)
        self._place(instrument, depth, side, quantity, product)

    def _side(self, instrument: Instrument, product: str, depth: Depth) -> tuple[str, int]:
        """Choose side and quantity."""
        book, lot = self._desk.book(self.user), instrument.lot_size
        quantity = self._quantity(instrument, product, depth)
        if product == CNC:
            owned = book.sellable(instrument.exchange, instrument.tradingsymbol)
            if self._random.random() < MISTAKES:
                return SELL, owned + 1
            if owned and self._random.random() < CLOSES:
                return SELL, self._random.randint(1, owned)
            return BUY, quantity
        position = book.positions.get((instrument.exchange, instrument.tradingsymbol, product))
        open_quantity = position.quantity if position else 0
        if open_quantity and self._random.random() < CLOSES:
            lots = self._random.randint(1, max(1, abs(open_quantity) // lot))
            return SELL if open_quantity > 0 else BUY, lots * lot
        return self._random.choice((BUY, SELL)), quantity

    def _quantity(self, instrument: Instrument, product: str, depth: Depth) -> int:
        lot = instrument.lot_size
        one_lot = max(1.0, _margin(instrument, product, lot, float(depth.last_price)))
        budget = self._random.uniform(BUDGET_MIN, BUDGET_MAX)
        best = max(depth.asks[0].quantity, depth.bids[0].quantity)
        if self._random.random() < SWEEPS and best * one_lot / lot <= BUDGET_MAX:
            return (best // lot + self._random.randint(1, 3)) * lot
        lots = max(1, int(budget / one_lot))
        return (lots if instrument.exchange in EQUITY else min(lots, LOTS_MAX)) * lot

    def _place(self, instrument: Instrument, depth: Depth, side: str, quantity: int, product: str) -> None:
        order_type = self._random.choices(list(ORDER_TYPES), list(ORDER_TYPES.values()))[0]
        validities = ("DAY",) * 8 + ("IOC", "TTL") if order_type in (MARKET, LIMIT) else ("DAY",)
        form = {
            "exchange": instrument.exchange,
            "tradingsymbol": instrument.tradingsymbol,
            "transaction_type": side,
            "quantity": str(quantity),
            "product": product,
            "order_type": order_type,
            "validity": self._random.choice(validities),
            "validity_ttl": str(self._random.randint(1, 10)),
            "tag": self._random.choice(TAGS) or "",
            **self._prices(order_type, side, depth, instrument),
        }
        order_id = self._desk.place(self.user, "regular", form, API_KEY)
        order = self._desk.order(self.user, order_id)
        self._short_of_money = order.status == REJECTED and "funds" in order.message

    def _prices(self, order_type: str, side: str, depth: Depth, instrument: Instrument) -> dict[str, str]:
        """Choose limit and trigger: half of the limits are met at once, every trigger waits."""
        last, away = float(depth.last_price), self._random.uniform(0.0002, AWAY_MAX)
        sign = 1 if side == BUY else -1
        if order_type == LIMIT:
            if self._random.random() < 0.5:
                return {"price": str((depth.asks if side == BUY else depth.bids)[0].price)}
            return {"price": _rounded(last * (1 - sign * away), instrument)}
        if order_type == MARKET:
            return {}
        trigger = last * (1 + sign * away)
        limit = {"price": _rounded(trigger * (1 + sign * AWAY_MAX), instrument)} if order_type == SL else {}
        return {"trigger_price": _rounded(trigger, instrument), **limit}

    def _change(self, order: Order) -> None:
        """Bring a limit or a trigger nearer, or ask for one lot more."""
        terms = order.terms
        instrument = self._desk.floor.listed[f"{terms.exchange}:{terms.tradingsymbol}"]
        depth = self._desk.floor.depth(terms.instrument_token)
        if depth is None or self._random.random() < 0.2:
            self._desk.modify(self.user, order.order_id, {"quantity": str(terms.quantity + instrument.lot_size)})
            return
        moved = self._prices(terms.order_type, terms.transaction_type, depth, instrument)
        self._desk.modify(self.user, order.order_id, moved)

    def _raise_money(self) -> None:
        """Close the dearest position."""
        positions = [each for each in self._desk.book(self.user).positions.values() if each.quantity]
        if not positions:
            return
        worst = max(positions, key=self._blocks)
        form = {"exchange": worst.exchange, "tradingsymbol": worst.tradingsymbol, "product": worst.product}
        side = SELL if worst.quantity > 0 else BUY
        terms = {"transaction_type": side, "quantity": str(abs(worst.quantity)), "order_type": MARKET}
        self._desk.place(self.user, "regular", {**form, **terms}, API_KEY)

    def _blocks(self, position: Position) -> Decimal:
        last = self._desk.floor.last_price(position.instrument_token)
        return abs(position.quantity) * last * position.multiplier * (5 if position.product == CNC else 1)


def _margin(instrument: Instrument, product: str, quantity: int, price: float) -> float:
    """Give what so much blocks when it is sold short, or bought for delivery."""
    what = (instrument.exchange, instrument.tradingsymbol)
    value = Decimal(quantity * price * multiplier(*what))
    return float(sum(blocked(product, is_option=is_option(*what), is_buy=product == CNC, value=value).values()))


def _rounded(price: float, instrument: Instrument) -> str:
    step = Decimal(str(instrument.tick_size)) if instrument.tick_size else Decimal("0.05")
    return str(max(step, round(Decimal(price) / step) * step))
