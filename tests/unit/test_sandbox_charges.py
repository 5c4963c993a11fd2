"""What the sandbox charges: as Kite's virtual contract note shows it, and out of the cash when the day is closed."""

from datetime import date
from decimal import Decimal

import pytest

from ops.sandbox.accounts import charges, shown
from ops.sandbox.accounts.book import Book
from ops.sandbox.accounts.charges import Asked
from ops.sandbox.accounts.ledger import Filled, Held, Opening, Placed
from ops.sandbox.accounts.order import Terms
from ops.sandbox.envelope import Refusal

USER = "SB0001"
JULY = date(2023, 7, 12)
MONDAY = date(2026, 4, 13)
# Kite's documented answer of July 2023, https://kite.trade/docs/connect/v3/charges.
DOCUMENTED = [
    (
        Asked("NSE", "SBIN", "BUY", "CNC", Decimal(1), Decimal(560)),
        {"transaction_tax": 0.56, "transaction_tax_type": "stt", "brokerage": 0, "stamp_duty": 0, "total": 0.5826968},
    ),
    (
        Asked("MCX", "GOLDPETAL23JULFUT", "SELL", "NRML", Decimal(1), Decimal(5862)),
        {
            "transaction_tax": 0.5862,
            "transaction_tax_type": "ctt",
            "brokerage": 1.7586,
            "sebi_turnover_charge": 0.005862,
        },
    ),
    (
        Asked("NFO", "NIFTY2371317900PE", "BUY", "NRML", Decimal(100), Decimal("1.5")),
        {"exchange_turnover_charge": 0.07575, "brokerage": 20, "stamp_duty": 0, "total": 23.689427},
    ),
]


@pytest.mark.parametrize(("asked", "wanted"), DOCUMENTED, ids=lambda value: getattr(value, "tradingsymbol", ""))
def test_a_virtual_note_is_the_documented_one(asked: Asked, wanted: dict[str, object]) -> None:
    found = shown.virtual_note(asked, charges.virtual_note(asked, JULY))["charges"]
    assert isinstance(found, dict)
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    assert found["gst"] == {"igst": found["gst"]["total"], "cgst": 0, "sgst": 0, "total": found["gst"]["total"]}


@pytest.mark.parametrize(
    "asked",
    [
        Asked("NYSE", "SBIN", "BUY", "CNC", Decimal(1), Decimal(560)),
        Asked("NSE", "SBIN", "BUY", "NRML", Decimal(1), Decimal(560)),
        Asked("NSE", "SBIN", "HOLD", "CNC", Decimal(1), Decimal(560)),
        Asked("NSE", "SBIN", "BUY", "CNC", Decimal(0), Decimal(560)),
    ],
    ids=str,
)
def test_what_has_no_tariff_is_refused(asked: Asked) -> None:
    with pytest.raises(Refusal):
        charges.virtual_note(asked, JULY)


def book(*trades: tuple[str, str, int, str], held: int = 0) -> Book:
    """Give a book with trades of INFY: side, product, quantity, price; each of an order of its own."""
    found = Book(USER)
    shares = [Held("NSE", "INFY", 1, held, 0, Decimal(90), Decimal(90))] if held else []
    found.apply(Opening(USER, 0, MONDAY, Decimal(1_000_000), held=shares))
    for number, (side, product, quantity, price) in enumerate(trades):
        order_id = f"order {number}"
        found.apply(Placed(USER, 0, order_id, "x", Terms("NSE", "INFY", 1, side, quantity, product, "MARKET")))
        found.apply(Filled(USER, 0, order_id, f"t{number}", quantity, Decimal(price)))
    return found


def test_a_day_without_trades_costs_nothing() -> None:
    assert charges.of_day(book(held=10)) == 0


def test_the_depository_is_paid_for_shares_that_leave_and_for_no_others() -> None:
    sold = book(("SELL", "CNC", 4, "1000"), ("SELL", "CNC", 1, "1000"), held=10)
    assert charges.depository(sold) == Decimal("15.34")
    assert charges.depository(book(("BUY", "CNC", 4, "1000"), ("SELL", "CNC", 4, "1000"), held=10)) == 0
    assert charges.depository(book(("SELL", "MIS", 4, "1000"), ("BUY", "MIS", 4, "1000"), held=10)) == 0


def test_shares_that_are_sold_on_the_same_day_are_charged_as_intraday() -> None:
    day = [("BUY", 100, "1000"), ("SELL", 100, "1010")]
    as_delivery = charges.notes(book(*((side, "CNC", quantity, price) for side, quantity, price in day)))
    as_intraday = charges.notes(book(*((side, "MIS", quantity, price) for side, quantity, price in day)))
    assert as_delivery == as_intraday
    assert as_delivery["cash"].transaction_tax == 25, "0.025% of what was sold, in rupees"


def test_the_charges_leave_the_cash_when_the_day_is_closed() -> None:
    day = book(("BUY", "MIS", 100, "1000"), ("SELL", "MIS", 100, "1010"))
    cost = charges.of_day(day)
    opening = day.next_opening(date(2026, 4, 14), 0, {}, set(), cost)
    assert cost > 25
    assert opening.cash == 1_000_000 + 1000 - cost
