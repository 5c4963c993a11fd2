"""Orders, trades, positions, holdings and margins as clients see them: the columns of the tables, by their names.

Money and quantities are JSON numbers with exactly the digits that the broker gave (see `api.digits`).
"""

from datetime import date, datetime
from decimal import Decimal

import msgspec

Json = dict[str, object]


class Order(msgspec.Struct):
    """An order in its newest state. day: IST. absent_since: since when the broker does not list it on its own day.

    created_at: when the broker took it; updated_at: the newest time that it told; observed_at: when this state was
    answered to us. raw: the broker's own row, with `raw=true`.
    """

    account_id: str
    day: date
    order_id: str
    exchange_order_id: str | None
    parent_order_id: str | None
    exchange: str
    tradingsymbol: str
    instrument_token: int | None
    side: str
    order_type: str | None
    product: str | None
    variety: str | None
    validity: str | None
    quantity: Decimal
    disclosed_quantity: Decimal | None
    price: Decimal | None
    trigger_price: Decimal | None
    filled_quantity: Decimal
    pending_quantity: Decimal | None
    cancelled_quantity: Decimal | None
    average_price: Decimal | None
    status: str
    status_message: str | None
    tag: str | None
    tags: list[str]
    strategy_id: str | None
    strategy_reason: str
    created_at: datetime | None
    updated_at: datetime | None
    exchange_at: datetime | None
    observed_at: datetime
    absent_since: datetime | None
    raw: Json | None


class OrderState(msgspec.Struct):
    """A state in which an order was seen. told_at: by the broker; observed_at: when it was answered to us."""

    status: str
    status_message: str | None
    quantity: Decimal | None
    price: Decimal | None
    trigger_price: Decimal | None
    filled_quantity: Decimal | None
    pending_quantity: Decimal | None
    cancelled_quantity: Decimal | None
    average_price: Decimal | None
    told_at: datetime | None
    observed_at: datetime


class Trade(msgspec.Struct):
    """A fill. day: IST; time: the exchange's. Its key is account, day, exchange, order and trade together."""

    account_id: str
    day: date
    exchange: str
    order_id: str
    trade_id: str
    exchange_order_id: str | None
    time: datetime
    tradingsymbol: str
    instrument_token: int | None
    product: str
    side: str
    quantity: Decimal
    price: Decimal
    strategy_id: str | None
    strategy_reason: str
    observed_at: datetime
    absent_since: datetime | None
    raw: Json | None


class Position(msgspec.Struct):
    """A position as the broker reckons it: quantity below zero is short; day_pnl is its m2m."""

    account_id: str
    exchange: str
    tradingsymbol: str
    product: str
    instrument_token: int | None
    quantity: Decimal
    overnight_quantity: Decimal
    multiplier: Decimal
    average_price: Decimal | None
    close_price: Decimal | None
    last_price: Decimal | None
    pnl: Decimal | None
    day_pnl: Decimal | None
    realised: Decimal | None
    unrealised: Decimal | None
    buy_quantity: Decimal | None
    buy_value: Decimal | None
    sell_quantity: Decimal | None
    sell_value: Decimal | None
    strategy_id: str | None
    raw: Json | None


class Holding(msgspec.Struct):
    """Shares in the depository as the broker tells of them; t1_quantity is bought and not delivered yet."""

    account_id: str
    exchange: str
    tradingsymbol: str
    isin: str | None
    instrument_token: int | None
    product: str | None
    quantity: Decimal
    t1_quantity: Decimal
    realised_quantity: Decimal | None
    used_quantity: Decimal | None
    authorised_quantity: Decimal | None
    opening_quantity: Decimal | None
    short_quantity: Decimal | None
    collateral_quantity: Decimal | None
    collateral_type: str | None
    average_price: Decimal | None
    close_price: Decimal | None
    last_price: Decimal | None
    pnl: Decimal | None
    day_change: Decimal | None
    raw: Json | None


class Margin(msgspec.Struct):
    """The funds of a segment as the broker tells of them."""

    account_id: str
    segment: str
    enabled: bool | None
    net: Decimal | None
    available: Json
    utilised: Json
    raw: Json | None


class Told(msgspec.Struct, kw_only=True):
    """What each of these answers says of itself.

    next: the cursor of the page behind it, null on the last. asked_at, synced_at: when the broker was last asked for
    this kind, and had answered; null where it never was. age_seconds: since asked_at. fresh: null where nobody asked
    for it (`fresh=true`), else whether a pull answers that was made for this request; stale_because: why not.
    """

    account_id: str
    next: str | None = None
    asked_at: datetime | None
    synced_at: datetime | None
    age_seconds: float | None
    fresh: bool | None = None
    stale_because: str | None = None


class OrderPage(Told):
    """Orders, the newest day and the highest number first."""

    orders: list[Order]


class OrderStory(Told):
    """One order with the states in which it was seen and its trades, the first ones first."""

    order: Order
    history: list[OrderState]
    trades: list[Trade]


class TradePage(Told):
    """Trades, the newest first."""

    trades: list[Trade]


class PositionPage(Told):
    """Positions by exchange, symbol and product. view: net, or day for what was traded today; never add both."""

    positions: list[Position]
    view: str


class HoldingPage(Told):
    """Holdings by exchange and symbol."""

    holdings: list[Holding]


class MarginPage(Told):
    """Funds by segment."""

    margins: list[Margin]
