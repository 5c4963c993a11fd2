"""At which price what is open is valued: the newer of the ticks' latest and what the broker told with its positions."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from api.performance.exact import CONTEXT, ZERO
from api.prices import Prices, Still
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND


class OpenBook(msgspec.Struct):
    """What is open of one book, as the tables have it. told_price, told_at: the broker's; None where it told none."""

    account_id: str
    strategy_id: str
    exchange: str
    tradingsymbol: str
    product: str
    quantity: Decimal
    multiplier: Decimal
    fifo_price: Decimal | None
    average_price: Decimal | None
    fifo_value: Decimal
    average_value: Decimal
    instrument_token: int | None
    told_price: Decimal | None
    told_at: datetime | None


class OpenLine(msgspec.Struct):
    """What is open of an instrument and product, and what it is worth. quantity: below 0 is short.

    fifo_price, average_price: for which it was opened. price_from: `live` (the latest tick), `broker` (its positions or
    holdings), null where nobody told one: then nothing is said of what it is worth.
    """

    account_id: str
    strategy_id: str
    exchange: str
    tradingsymbol: str
    product: str
    instrument_token: int | None
    quantity: Decimal
    multiplier: Decimal
    fifo_price: Decimal | None
    average_price: Decimal | None
    last_price: Decimal | None
    price_from: Literal["live", "broker"] | None
    price_at: datetime | None
    market_value: Decimal | None
    unrealised: Decimal | None
    unrealised_average: Decimal | None


def valued(book: OpenBook, prices: Prices | Still) -> OpenLine:
    """Value what is open."""
    price, source, at = book.told_price, "broker", book.told_at
    live = prices.latest(book.instrument_token) if book.instrument_token is not None else None
    if live is not None:
        live_at = datetime.fromtimestamp(live[1] / NS_PER_SECOND, UTC).astimezone(IST)
        if price is None or at is None or live_at >= at:
            price, source, at = live[0], "live", live_at
    line = OpenLine(
        account_id=book.account_id,
        strategy_id=book.strategy_id,
        exchange=book.exchange,
        tradingsymbol=book.tradingsymbol,
        product=book.product,
        instrument_token=book.instrument_token,
        quantity=book.quantity,
        multiplier=book.multiplier,
        fifo_price=book.fifo_price,
        average_price=book.average_price,
        last_price=None,
        price_from=None,
        price_at=None,
        market_value=None,
        unrealised=None,
        unrealised_average=None,
    )
    if price is not None:
        line.last_price, line.price_at = price, at
        line.price_from = "live" if source == "live" else "broker"
        line.market_value = CONTEXT.multiply(CONTEXT.multiply(book.quantity, price), book.multiplier)
        line.unrealised = CONTEXT.subtract(line.market_value, book.fifo_value)
        line.unrealised_average = CONTEXT.subtract(line.market_value, book.average_value)
    return line


def total(amounts: "list[Decimal | None]") -> Decimal:
    """Add up those amounts that are known, exactly."""
    found = ZERO
    for each in amounts:
        if each is not None:
            found = CONTEXT.add(found, each)
    return found
