"""What books and broker do not agree on, over HTTP: pages, filters, exact digits, an account that nobody knows."""

from pathlib import Path
from typing import Any

import pytest

from events.accounts import Known
from projectors.accounts.projector import ACCOUNTS
from runtime.settings import Settings
from tests.account_log import AccountLog, position, positions, trade
from tests.api_server import serving
from tests.loops import Desk

pytestmark = pytest.mark.anyio

SYMBOLS = ("HDFCBANK", "INFY", "TCS")
PATH = "/accounts/main/reconciliation"


async def project(settings: Settings, folder: Path) -> None:
    """An account that has three positions which no trade explains, and one whose average is another."""
    log = AccountLog()
    log.add(Known(account="main", broker="kite"))
    log.add(Known(account="other", broker="kite"))
    told: dict[str, Any] = {"tradingsymbol": "WIPRO", "buy_quantity": 5, "pnl": 0.5}
    fill = trade("1", tradingsymbol="WIPRO", product="MIS", average_price=1500.9)
    odd = position(5, average_price=1500.1, last_price=1501, **told)
    for clock in ("10:00:00", "10:05:00"):
        net = [position(number, tradingsymbol=symbol) for number, symbol in enumerate(SYMBOLS, 1)]
        log.snapshot("main", "trades", [fill], clock)
        log.snapshot("main", "positions", positions([*net, odd]), clock)
    log.snapshot("main", "positions", positions([*net, odd, position(9, tradingsymbol="SBIN")]), "10:06:00")
    assert settings.database_url is not None
    await Desk(settings.database_url, folder).project(ACCOUNTS, log.events)


async def test_what_does_not_agree_is_listed_in_pages_with_its_evidence(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path)
    async with serving(settings) as api:
        page: dict[str, Any] = await api.get(PATH, {"settling": "false", "limit": "2"})
        assert [each["tradingsymbol"] for each in page["divergences"]] == ["HDFCBANK", "INFY"]
        assert page["counts"] == {"average_price": 1, "manual_trade": 3}
        assert page["synced_at"].startswith("2026-04-13T10:06:00")
        first = page["divergences"][0]
        assert (first["ours"], first["theirs"], first["type"], first["settling"]) == (0, 1, "manual_trade", False)
        assert first["evidence"]["unexplained"] == 1
        rest: dict[str, Any] = await api.get(PATH, {"settling": "false", "limit": "2", "cursor": page["next"]})
        assert [(each["tradingsymbol"], each["type"]) for each in rest["divergences"]] == [
            ("TCS", "manual_trade"),
            ("WIPRO", "average_price"),
        ]
        assert rest["next"] is None
        assert str(rest["divergences"][1]["theirs"]) == "1500.1"


async def test_it_is_filtered_and_an_account_that_agrees_has_none(settings: Settings, tmp_path: Path) -> None:
    await project(settings, tmp_path)
    async with serving(settings) as api:
        for query, wanted in (
            ({"type": "average_price,pnl"}, ["WIPRO"]),
            ({"tradingsymbol": "infy"}, ["INFY"]),
            ({"settling": "true"}, ["SBIN"]),
        ):
            page: dict[str, Any] = await api.get(PATH, query)
            assert [each["tradingsymbol"] for each in page["divergences"]] == wanted
        agrees: dict[str, Any] = await api.get("/accounts/other/reconciliation", {})
        assert (agrees["divergences"], agrees["counts"], agrees["asked_at"]) == ([], {}, None)
        await api.get("/accounts/nobody/reconciliation", status=404)
