"""Fills told by hand over HTTP: they come into the books, are listed, taken back; nonsense stays outside."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from events.accounts import Known
from runtime.settings import Settings
from tests.account_log import AccountLog, trade
from tests.api_server import serving
from tests.deciding import Deciding
from tests.integration.test_api_decisions import send

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
PATH = "/accounts/main/corrections"
SALE: Json = {
    "fill_id": "transfer-1",
    "exchange": "nse",
    "tradingsymbol": "infy",
    "product": "cnc",
    "side": "SELL",
    "quantity": 2,
    "price": 1500.12345678,
    "time": "2026-04-14T10:00:00.25+05:30",
    "reason": "given to the family's account",
}


@pytest.fixture
def deciding(settings: Settings, tmp_path: Path) -> Deciding:
    """Give an account that bought five shares."""
    log = AccountLog()
    log.add(Known(account="main", broker="kite"))
    log.snapshot("main", "trades", [trade("1")])
    return Deciding(settings, tmp_path, log)


async def test_a_fill_told_by_hand_is_in_the_books_until_it_is_taken_back(
    settings: Settings, deciding: Deciding
) -> None:
    await deciding.project()
    async with serving(settings) as api:
        told = await send(api, "POST", PATH, SALE, key="a")
        assert await send(api, "POST", PATH, SALE, key="a") == told
        await deciding.carry_out(api)
        page: Json = await api.get(PATH, {"tradingsymbol": "infy"})
        (listed,) = page["corrections"]
        assert (listed["fill_id"], listed["side"], listed["product"]) == ("transfer-1", "SELL", "CNC")
        assert listed["time"].startswith("2026-04-14T10:00:00.25")
        assert page["decided"] == {told["stream"]: told["request"]}
        (book,) = await deciding.desk.rows("select quantity, realised_fifo from books")
        assert (book["quantity"], book["realised_fifo"]) == (3, 2 * (Decimal("1500.12345678") - Decimal("1500.25")))
        taxed: Json = await api.get("/analytics/account/main/tax-lots", {"format": "json"})
        assert len(taxed["rows"]) == 1
        await send(api, "DELETE", f"{PATH}/transfer-1", key="b")
        await deciding.carry_out(api)
        assert (await api.get(PATH))["corrections"] == []
        (book,) = await deciding.desk.rows("select quantity from books")
        assert book["quantity"] == 5
        await send(api, "DELETE", f"{PATH}/transfer-1", key="b")  # the same request again
        await send(api, "DELETE", f"{PATH}/transfer-1", status=404)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": 0},
        {"quantity": -2},
        {"quantity": "1e12"},
        {"quantity": "NaN"},
        {"price": -1},
        {"price": "0.000000001"},
        {"price": "Infinity"},
        {"time": "2026-04-14T10:00:00"},
        {"time": "0001-01-01T00:00:00+05:30"},
        {"time": "9999-12-31T23:59:59-05:30"},
        {"exchange": "NASDAQ"},
        {"tradingsymbol": " "},
        {"product": ""},
        {"side": "HOLD"},
        {"fill_id": "a b"},
        {"order_id": "a b"},
        {"strategy_id": "none"},
        {"color": "red"},
    ],
)
async def test_what_no_book_takes_is_refused(settings: Settings, deciding: Deciding, wrong: Json) -> None:
    await deciding.project()
    async with serving(settings) as api:
        await send(api, "POST", PATH, {**SALE, **wrong}, status=400)
        await send(api, "POST", PATH.replace("main", "nobody"), SALE, status=404)
        assert await deciding.carry_out(api) == []
