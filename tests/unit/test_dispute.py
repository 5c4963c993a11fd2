"""Which charges of a broker's note our table of charges disputes: none of those that Kite published, and no others."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from projectors.accounts.dispute import COMPONENTS, Disputed, Noted, disputes, divergences
from projectors.accounts.parameters import text
from runtime.tariffs import shipped

MOCKS = Path(__file__).resolve().parents[3] / "shared" / "data" / "kite-mocks"
TARIFF = (shipped().sha256, shipped().text)
JULY, APRIL = date(2023, 7, 10), date(2026, 4, 13)
AT = datetime(2023, 7, 10, 18, tzinfo=UTC)
GOLD = ("0", "0.34503732")
# Kite Connect v3, "Virtual contract note", July 2023: exchange, symbol, side, product, quantity, price, then brokerage,
# tax, exchange, SEBI, stamp duty, GST.
PUBLISHED = [
    ("NSE", "SBIN", "BUY", "CNC", "1", "560", "0", "0.56", "0.01876", "0.00056", "0", "0.0033768"),
    ("MCX", "GOLDPETAL23JULFUT", "SELL", "NRML", "1", "5862", "1.7586", "0.5862", "0.152412", "0.005862", *GOLD),
    ("NFO", "NIFTY2371317900PE", "BUY", "NRML", "100", "1.5", "20", "0", "0.07575", "0.00015", "0", "3.613527"),
]


def noted(*told: str, order_id: str = "1", day: date = JULY, n: int = 1) -> Noted:
    exchange, symbol, side, product, quantity, price, *amounts = told
    parts: dict[str, Any] = dict(zip(COMPONENTS, map(Decimal, amounts), strict=True))
    what: dict[str, Any] = {"exchange": exchange, "tradingsymbol": symbol, "side": side, "product": product}
    size: dict[str, Any] = {"quantity": Decimal(quantity), "average_price": Decimal(price)}
    return Noted(day=day, order_id=order_id, n=n, **what, **size, **parts)


def ours(*told: str, **of: Any) -> dict[str, Decimal]:
    """Give what our table makes of an order, by an answer that nobody would give."""
    each = noted(*told, *["-99"] * len(COMPONENTS), **of)
    return dict(disputes([each], TARIFF, {})[each.order_id])


def agreed(*told: str, **of: Any) -> Noted:
    """Give an order with the charges that our table gives it by itself."""
    return noted(*told, *map(str, ours(*told, **of).values()), **of)


@pytest.mark.parametrize("told", PUBLISHED, ids=lambda told: told[1])
def test_what_kite_published_is_not_disputed_and_any_other_amount_is(told: tuple[str, ...]) -> None:
    each = noted(*told)
    assert disputes([each], TARIFF, {}) == {}
    for name in COMPONENTS:
        apart = Decimal("0.6" if name == "stamp" else "0.011")
        other = msgspec.structs.replace(each, **{name: getattr(each, name) + apart})
        assert name in disputes([other], TARIFF, {})["1"], name
        near = msgspec.structs.replace(each, **{name: getattr(each, name) + Decimal("0.01")})
        assert disputes([near], TARIFF, {}) == {}, name
        assert disputes([msgspec.structs.replace(other, **{name: None})], TARIFF, {}) == {}, "what was not told"


def test_the_published_answer_is_the_file_of_kite() -> None:
    file = MOCKS / "virtual_contract_note.json"
    if not file.exists():
        pytest.skip("the published answers of Kite Connect are not here; their figures stand above")
    listed = json.loads(file.read_text("utf-8"))["data"]
    for told, row in zip(PUBLISHED, listed, strict=True):
        charges = row["charges"]
        amounts = [charges[name] for name in ("brokerage", "transaction_tax", "exchange_turnover_charge")]
        amounts += [charges["sebi_turnover_charge"], charges["stamp_duty"], charges["gst"]["total"]]
        assert [float(each) for each in told[6:]] == pytest.approx(amounts)


def test_what_no_table_is_about_is_disputed_by_nobody() -> None:
    odd = noted("NYSE", "X", "BUY", "CNC", "1", "560", *["1"] * 6)
    other = noted(*PUBLISHED[0][:6], *["1"] * 6, order_id="2")
    assert set(disputes([odd, other], TARIFF, {})) == {"2"}
    assert disputes([other], None, {}) == {}
    assert disputes([other], ("x", "no table"), {}) == {}
    before = msgspec.structs.replace(other, day=date(1999, 1, 4))
    assert disputes([before], TARIFF, {}) == {}


def test_a_multiplier_counts() -> None:
    each = agreed("MCX", "GOLD26JUNFUT", "SELL", "NRML", "1", "95000", day=APRIL)
    assert disputes([each], TARIFF, {}) == {}
    assert set(disputes([each], TARIFF, {("MCX", "GOLD26JUNFUT"): Decimal(100)})) == {"1"}


INFY = ("NSE", "INFY")


def test_shares_that_were_bought_and_sold_may_be_charged_as_intraday() -> None:
    """Kite nets them by all orders of a note; which part of which order it takes for that is not documented."""
    bought = agreed(*INFY, "BUY", "CNC", "100", "1500", day=APRIL)
    as_intraday = agreed(*INFY, "BUY", "MIS", "100", "1500", day=APRIL)
    as_intraday = msgspec.structs.replace(as_intraday, product="CNC")
    sold = agreed(*INFY, "SELL", "CNC", "40", "1510", day=APRIL, order_id="2")
    assert set(disputes([as_intraday], TARIFF, {})) == {"1"}, "nothing was sold"
    for of_both in (bought, as_intraday):
        assert disputes([of_both, sold], TARIFF, {}) == {}
    assert set(disputes([as_intraday, msgspec.structs.replace(sold, n=2)], TARIFF, {})) == {"1"}, "asked of apart"
    parts = {name: (getattr(bought, name) + getattr(as_intraday, name)) / 2 for name in COMPONENTS}
    assert disputes([msgspec.structs.replace(bought, **parts), sold], TARIFF, {}) == {}, "a part of it"
    dearer = msgspec.structs.replace(bought, transaction_tax=Decimal("150.02"))
    assert set(disputes([dearer, sold], TARIFF, {})) == {"1"}


def test_an_intraday_order_may_be_charged_as_delivery_until_it_is_closed() -> None:
    bought = agreed(*INFY, "BUY", "CNC", "100", "1500", day=APRIL)
    bought = msgspec.structs.replace(bought, product="MIS")
    assert disputes([bought], TARIFF, {}) == {}
    sold = agreed(*INFY, "SELL", "MIS", "100", "1510", day=APRIL, order_id="2")
    assert set(disputes([bought, sold], TARIFF, {})) == {"1"}


def test_a_line_says_what_is_apart_by_component_and_by_order() -> None:
    wrong = [
        msgspec.structs.replace(noted(*PUBLISHED[2], order_id=f"{place:02}"), brokerage=Decimal(25))
        for place in range(25)
    ]
    found = disputes(wrong, TARIFF, {})
    told = [
        Disputed(
            **{name: getattr(each, name) for name in Noted.__struct_fields__},
            ours=text(found[each.order_id]),
            answered_at=AT,
        )
        for each in wrong
    ]
    (line,) = divergences(told)
    assert (line.exchange, line.tradingsymbol, line.product, line.type) == (
        "NFO",
        "NIFTY2371317900PE",
        "NRML",
        "charge",
    )
    assert line.theirs - line.ours == 125
    assert line.evidence["components"]["brokerage"] == {"ours": 500, "theirs": 625}
    assert line.evidence["components"]["gst"]["ours"] == line.evidence["components"]["gst"]["theirs"]
    assert (len(line.evidence["orders"]), line.evidence["orders_count"]) == (20, 25)
    first = line.evidence["orders"][0]
    assert (first["order_id"], first["quantity"], first["theirs"] - first["ours"]) == ("00", 100, 5)
