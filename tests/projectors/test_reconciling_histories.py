"""Where every fill came there is no divergence: histories over days, by a broker that keeps his own simple books."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.accounts import Known
from projectors.accounts.projector import ACCOUNTS, TABLES
from tests.account_log import AccountLog, holding, position, positions, trade
from tests.loops import Desk

DAYS = ("2026-04-13", "2026-04-14", "2026-04-15")
LINES = (
    ("NSE", "INFY", "MIS"),
    ("NSE", "INFY", "CNC"),
    ("BSE", "TCS", "CNC"),
    ("NFO", "NIFTY26APRFUT", "NRML"),
    ("MCX", "GOLD26APRFUT", "NRML"),
)
MULTIPLIERS = {"GOLD26APRFUT": 100}
LAST = 100.0  # the last price of everything


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


class Deal(NamedTuple):
    """What somebody trades: the minute, the line by its place, signed quantity, price."""

    minute: int
    line: int
    quantity: int
    price: int


class Side:
    """What was bought of a line, or sold: quantity and value."""

    def __init__(self) -> None:
        self.quantity, self.value = 0, 0.0


class Stand:
    """A line in the broker's books: what stayed overnight at which price, what was bought and sold today."""

    def __init__(self, overnight: int = 0, price: float = 0.0) -> None:
        self.overnight, self.price = overnight, price
        self.bought, self.sold = Side(), Side()

    @property
    def quantity(self) -> int:
        return self.overnight + self.bought.quantity - self.sold.quantity

    def side(self, sign: int) -> tuple[int, float]:
        """Give quantity and value of a side with what stayed overnight in it."""
        today = self.bought if sign > 0 else self.sold
        carried = max(0, sign * self.overnight)
        return today.quantity + carried, today.value + carried * self.price

    def average(self) -> float:
        quantity, value = self.side(1 if self.quantity > 0 else -1)
        return value / quantity if self.quantity else 0.0

    def row(self, exchange: str, symbol: str, product: str) -> dict[str, Any]:
        multiplier = MULTIPLIERS.get(symbol, 1)
        (buys, buy_value), (sales, sale_value) = self.side(1), self.side(-1)
        return position(
            self.quantity,
            exchange=exchange,
            tradingsymbol=symbol,
            product=product,
            overnight_quantity=self.overnight,
            multiplier=multiplier,
            average_price=self.average(),
            last_price=LAST,
            pnl=(sale_value - buy_value + self.quantity * LAST) * multiplier,
            buy_quantity=buys,
            buy_value=buy_value * multiplier,
            sell_quantity=sales,
            sell_value=sale_value * multiplier,
            day_buy_value=self.bought.value * multiplier,
            day_sell_value=self.sold.value * multiplier,
        )


class Broker:
    """One account at a broker, day after day, and what he answers about it."""

    def __init__(self) -> None:
        self.log = AccountLog()
        self.log.add(Known(account="main", broker="kite"))
        self.stands: dict[tuple[str, str, str], Stand] = {LINES[3]: Stand(50, 90.0)}
        self.shares: dict[tuple[str, str], list[tuple[int, float]]] = {("NSE", "INFY"): [(20, 95.0)]}  # oldest first
        self.day, self.trades = "", list[dict[str, Any]]()

    def deal(self, deal: Deal) -> None:
        """Trade; of shares not more is sold than is there."""
        line, quantity = LINES[deal.line], deal.quantity
        stand = self.stands.setdefault(line, Stand())
        if line[2] == "CNC":
            there = sum(each for each, _ in self.shares.get(line[:2], [])) + stand.quantity
            quantity = max(quantity, -there)
        if not quantity:
            return
        side = stand.bought if quantity > 0 else stand.sold
        side.quantity += abs(quantity)
        side.value += abs(quantity) * deal.price
        told = {"exchange": line[0], "tradingsymbol": line[1], "product": line[2], "average_price": deal.price}
        told |= {"transaction_type": "BUY" if quantity > 0 else "SELL", "quantity": abs(quantity)}
        at = f"{self.day} 10:{deal.minute:02}:00"
        self.trades.append(trade(str(len(self.trades) + 1), f"{self.day}-1", fill_timestamp=at, **told))

    def pull(self, clock: str) -> None:
        """Answer."""
        net = [stand.row(*line) for line, stand in self.stands.items()]
        held = [self._holding(where, lots) for where, lots in self.shares.items() if lots]
        self.log.snapshot("main", "holdings", held, clock, self.day)
        self.log.snapshot("main", "positions", positions(net), clock, self.day)
        self.log.snapshot("main", "trades", self.trades, clock, self.day)

    def _holding(self, where: tuple[str, str], lots: list[tuple[int, float]]) -> dict[str, Any]:
        stand = self.stands.get((*where, "CNC"), Stand())
        owned, used = sum(each for each, _ in lots), max(0, -stand.quantity)
        average = sum(quantity * price for quantity, price in lots) / owned
        told = {"exchange": where[0], "tradingsymbol": where[1], "average_price": average, "used_quantity": used}
        return holding(owned - used, opening_quantity=owned, **told)

    def begin(self, day: str) -> None:
        """Turn the day: shares are delivered, contracts stay."""
        for line, stand in self.stands.items():
            if line[2] == "CNC" and stand.quantity > 0:
                price = stand.bought.value / stand.bought.quantity
                self.shares.setdefault(line[:2], []).append((stand.quantity, price))
            elif line[2] == "CNC" and stand.quantity < 0:
                self.shares[line[:2]] = _without(self.shares[line[:2]], -stand.quantity)
        carried = {line: stand for line, stand in self.stands.items() if line[2] == "NRML" and stand.quantity}
        self.stands = {line: Stand(stand.quantity, stand.average()) for line, stand in carried.items()}
        self.day, self.trades = day, []


def _without(lots: Sequence[tuple[int, float]], sold: int) -> list[tuple[int, float]]:
    left = []
    for quantity, price in lots:
        taken = min(quantity, sold)
        sold -= taken
        if quantity > taken:
            left.append((quantity - taken, price))
    return left


DEALS = st.builds(Deal, st.integers(0, 40), st.integers(0, 4), st.integers(-30, 30), st.integers(90, 110))
DAY = st.lists(DEALS, max_size=6).map(sorted)


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(days=st.tuples(DAY, DAY, DAY), pulls=st.lists(st.integers(0, 40), max_size=2))
@example(days=([Deal(1, 1, -5, 99), Deal(2, 1, 8, 101)], [Deal(1, 1, -23, 105)], [Deal(1, 1, 4, 90)]), pulls=[1])
@example(days=([Deal(1, 3, -80, 91), Deal(1, 4, 2, 99)], [Deal(1, 3, -5, 92), Deal(2, 4, -3, 98)], []), pulls=[])
async def test_where_every_fill_came_nothing_differs(desk: Desk, days: list[list[Deal]], pulls: list[int]) -> None:
    """Flips, shorts, shares sold and bought back, what stays overnight: our books come to what the broker says."""
    desk.log = type(desk.log)()
    await desk.rows(f"truncate {', '.join((*TABLES, 'projection_checkpoints', 'parked_events'))}")
    broker, projected = Broker(), 0
    for day, deals in zip(DAYS, days, strict=True):
        broker.begin(day)
        for deal in deals:
            if deal.minute in pulls:
                broker.pull(f"10:{deal.minute:02}:00")
            broker.deal(deal)
        square = broker.stands.get(LINES[0], Stand()).quantity
        if square:  # what is intraday is closed before the day is over
            broker.deal(Deal(50, 0, -square, 100))
        broker.pull("15:00:00")
        await desk.project(ACCOUNTS, broker.log.events[projected:])
        projected = len(broker.log.events)
        assert await desk.rows("select * from divergences") == []


@hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(days=st.tuples(DAY, DAY, DAY), gone=st.integers(0, 5))
async def test_where_one_trade_never_came_its_line_differs(desk: Desk, days: list[list[Deal]], gone: int) -> None:
    """The same histories, and one trade of the last day missing: it is told of its line, and of no other."""
    desk.log = type(desk.log)()
    await desk.rows(f"truncate {', '.join((*TABLES, 'projection_checkpoints', 'parked_events'))}")
    broker = Broker()
    for day, deals in zip(DAYS, days, strict=True):
        broker.begin(day)
        for deal in deals:
            broker.deal(deal)
        if day != DAYS[-1] and (square := broker.stands.get(LINES[0], Stand()).quantity):
            broker.deal(Deal(50, 0, -square, 100))
        if day == DAYS[-1]:
            missing = broker.trades.pop(gone % len(broker.trades)) if broker.trades else None
        broker.pull("15:00:00")
    await desk.project(ACCOUNTS, broker.log.events)
    found = {row["tradingsymbol"] for row in await desk.rows("select * from divergences")}
    assert found == ({missing["tradingsymbol"]} if missing else set())
