"""Which segment an order belongs to, what of it was undone on the day, and how charges are shared out."""

from datetime import date
from decimal import Decimal

import pytest

from money.charges import (
    Charges,
    Fill,
    Order,
    Rounding,
    Segment,
    Tariff,
    apportion,
    matched,
    name_of,
    note,
    segment_of,
    taxed_by_exchange,
)
from money.charges.rate import Side
from runtime.errors import BadEvent
from runtime.tariffs import shipped

TARIFF = Tariff.parse(shipped().text)

SEGMENTS: list[tuple[str, str, str, str, Segment]] = [
    ("NSE", "CNC", "SBIN", "EQ", "equity_delivery"),
    ("BSE", "MTF", "RELIANCE", "", "equity_mtf"),  # a share, though it ends in CE
    ("NSE", "MIS", "RELIANCE", "", "equity_intraday"),
    ("NFO", "NRML", "NIFTY23JUL20600CE", "", "equity_options"),
    ("BFO", "MIS", "SENSEX50241224FUT", "", "equity_futures"),
    ("CDS", "NRML", "USDINR23JUL82.5PE", "PE", "currency_options"),
    ("BCD", "NRML", "USDINR23JULFUT", "FUT", "currency_futures"),
    ("MCX", "NRML", "GOLDPETAL23JULFUT", "", "commodity_futures"),
    ("NCO", "NRML", "GOLD23AUG60000CE", "", "commodity_options"),
]


@pytest.mark.parametrize(("exchange", "product", "symbol", "kind", "segment"), SEGMENTS)
def test_the_segment_of_an_order(exchange: str, product: str, symbol: str, kind: str, segment: Segment) -> None:
    assert segment_of(exchange, product, symbol, kind) == segment


NAMES = [
    ("NIFTY23JUL20600CE", "NIFTY"),
    ("NIFTY2371317900PE", "NIFTY"),
    ("BANKNIFTY24O0951000CE", "BANKNIFTY"),
    ("NIFTYNXT5024JULFUT", "NIFTYNXT50"),
    ("SENSEX5024JUL25000CE", "SENSEX50"),
    ("SENSEX2470580000CE", "SENSEX"),
    ("M&M24JULFUT", "M&M"),
    ("USDINR23JUL82.25CE", "USDINR"),
    ("GOLDPETAL23JULFUT", "GOLDPETAL"),
    ("SBIN", "SBIN"),
]


@pytest.mark.parametrize(("symbol", "name"), NAMES)
def test_what_a_contract_is_on(symbol: str, name: str) -> None:
    assert name_of(symbol) == name


def test_shares_of_one_order_undone_on_the_day_are_charged_as_intraday() -> None:
    held = Order(
        day=date(2025, 6, 2),
        exchange="NSE",
        segment="equity_delivery",
        side="SELL",
        fills=(Fill(Decimal(100), Decimal(200)),),
        intraday=Decimal(40),
    )
    charges = TARIFF.order_charges(held)
    assert charges.transaction_tax == Decimal("14.00")  # 0.1% of 12,000 and 0.025% of 8,000
    assert charges.brokerage == Decimal("2.40")  # 0.03% of 8,000, nothing for what is delivered


WITHOUT_SEGMENT = [
    ("NSE", "NRML", "SBIN", "a product of CNC, MTF, MIS, BO, CO on NSE; found NRML"),
    ("XNYS", "CNC", "IBM", "an exchange of NSE, BSE, .*; found XNYS"),
    ("NFO", "NRML", "NIFTY 50", "a future .* or an option .* on NFO; found NIFTY 50"),
]


@pytest.mark.parametrize(("exchange", "product", "symbol", "said"), WITHOUT_SEGMENT)
def test_an_order_from_which_no_segment_follows_is_refused(exchange: str, product: str, symbol: str, said: str) -> None:
    with pytest.raises(BadEvent, match=said):
        segment_of(exchange, product, symbol)


def _shares(side: Side, quantity: int, price: str) -> Order:
    fills = (Fill(Decimal(quantity), Decimal(price)),)
    return Order(day=date(2022, 3, 1), exchange="NSE", segment="equity_delivery", side=side, fills=fills)


def test_the_smaller_side_of_a_day_is_undone_whole() -> None:
    sides: list[tuple[Side, int]] = [("BUY", 30), ("SELL", 50), ("BUY", 40), ("SELL", 5)]
    assert matched([(side, Decimal(quantity)) for side, quantity in sides]) == [30, 50, 25, 5]
    assert matched([("SELL", Decimal(7))]) == [0]


def test_the_exchange_taxes_a_day_at_one_average_price() -> None:
    # An example of support.zerodha.com (how STT is calculated): 500 bought at 100 and sold at 105, 200 bought at 110.
    # 500 x 103.75 x 0.025% is 12.97, 200 x 103.75 x 0.1% is 20.75.
    orders = [_shares("BUY", 500, "100"), _shares("SELL", 500, "105"), _shares("BUY", 200, "110")]
    rates = TARIFF.on(orders[0].day, "equity_delivery", "NSE")
    intraday = TARIFF.on(orders[0].day, "equity_intraday", "NSE")
    tax = taxed_by_exchange(orders, rates.transaction_tax, intraday.transaction_tax)
    assert tax == Decimal("12.96875") + Decimal("20.75")
    assert taxed_by_exchange([], rates.transaction_tax, intraday.transaction_tax) == 0
    noted = note([Charges(transaction_tax_type="stt")], Rounding.CONTRACT_NOTE, rates, transaction_tax=tax)
    assert noted.transaction_tax == 34


def test_shares_of_charges_are_the_whole_again_and_none_is_off_by_a_paisa() -> None:
    whole = Charges(brokerage=Decimal(20), gst=Decimal("3.6136"), sebi=Decimal("0.004"))
    shares = apportion(whole, [Decimal(1), Decimal(1), Decimal(1)])
    assert [share.brokerage for share in shares] == [Decimal("6.66"), Decimal("6.67"), Decimal("6.67")]
    assert [share.gst for share in shares] == [Decimal("1.20"), Decimal("1.20"), Decimal("1.2136")]
    assert [share.sebi for share in shares] == [0, 0, Decimal("0.004")]


def test_what_cost_nothing_shares_its_charges_evenly() -> None:
    shares = apportion(Charges(brokerage=Decimal(20)), [Decimal(0), Decimal(0)])
    assert [share.brokerage for share in shares] == [10, 10]


def test_lines_of_a_note_that_are_printed_as_one_are_rounded_as_one() -> None:
    rates = TARIFF.on(date(2023, 7, 10), "equity_intraday", "NSE")
    printed = note([Charges(exchange=Decimal("0.004"), ipft=Decimal("0.004"))], Rounding.CONTRACT_NOTE, rates)
    assert (printed.exchange, printed.ipft) == (Decimal("0.00"), Decimal("0.01"))


def test_a_note_of_delivery_shows_a_paisa_of_brokerage_and_a_note_of_nothing_does_not() -> None:
    rates = TARIFF.on(date(2023, 7, 10), "equity_delivery", "NSE")
    bought = TARIFF.order_charges(_shares("BUY", 1, "560"))
    assert note([bought], Rounding.CONTRACT_NOTE, rates).brokerage == Decimal("0.01")
    assert note([], Rounding.CONTRACT_NOTE, rates).total == 0
    assert note([bought], Rounding.NONE, rates) == bought
