"""The filters of the lists, as the parameters of their statements."""

from typing import Literal

from litestar.di import Provide
from litestar.params import FromQuery

from api.accounts.wish import of_strategy, upper

Parameters = dict[str, object]
Side = Literal["BUY", "SELL", "buy", "sell"]


def order_filter(
    status: FromQuery[str | None] = None,
    open: FromQuery[bool | None] = None,  # noqa: A002 - the parameter's name
    exchange: FromQuery[str | None] = None,
    tradingsymbol: FromQuery[str | None] = None,
    product: FromQuery[str | None] = None,
    side: FromQuery[Side | None] = None,
    strategy_id: FromQuery[str | None] = None,
    order_id: FromQuery[str | None] = None,
) -> Parameters:
    """Read the filters of orders; `status` may name several, by commas; `open=true`: not in a last state."""
    statuses = [each.strip().upper() for each in (status or "").split(",") if each.strip()]
    return {
        "statuses": statuses or None,
        "open": open,
        "order_id": order_id or None,
        **_traded(exchange, tradingsymbol, product, side),
        **of_strategy(strategy_id),
    }


def trade_filter(
    exchange: FromQuery[str | None] = None,
    tradingsymbol: FromQuery[str | None] = None,
    product: FromQuery[str | None] = None,
    side: FromQuery[Side | None] = None,
    strategy_id: FromQuery[str | None] = None,
    order_id: FromQuery[str | None] = None,
    trade_id: FromQuery[str | None] = None,
) -> Parameters:
    """Read the filters of trades."""
    return {
        "order_id": order_id or None,
        "trade_id": trade_id or None,
        **_traded(exchange, tradingsymbol, product, side),
        **of_strategy(strategy_id),
    }


def position_filter(
    open: FromQuery[bool | None] = None,  # noqa: A002 - the parameter's name
    exchange: FromQuery[str | None] = None,
    tradingsymbol: FromQuery[str | None] = None,
    product: FromQuery[str | None] = None,
    side: FromQuery[Side | None] = None,
    strategy_id: FromQuery[str | None] = None,
) -> Parameters:
    """Read the filters of positions; `open=true`: with a quantity; `side`: BUY for long, SELL for short."""
    return {"open": open, **_traded(exchange, tradingsymbol, product, side), **of_strategy(strategy_id)}


def holding_filter(
    exchange: FromQuery[str | None] = None,
    tradingsymbol: FromQuery[str | None] = None,
    isin: FromQuery[str | None] = None,
) -> Parameters:
    """Read the filters of holdings."""
    return {"exchange": upper(exchange), "tradingsymbol": upper(tradingsymbol), "isin": upper(isin)}


def _traded(exchange: str | None, tradingsymbol: str | None, product: str | None, side: str | None) -> Parameters:
    return {
        "exchange": upper(exchange),
        "tradingsymbol": upper(tradingsymbol),
        "product": upper(product),
        "side": upper(side),
    }


ORDERS = {"wanted": Provide(order_filter, sync_to_thread=False)}
TRADES = {"wanted": Provide(trade_filter, sync_to_thread=False)}
POSITIONS = {"wanted": Provide(position_filter, sync_to_thread=False)}
HOLDINGS = {"wanted": Provide(holding_filter, sync_to_thread=False)}
