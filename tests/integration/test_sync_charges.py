"""What orders cost by the broker: from its answer through the log into the tables, where a wrong tariff shows."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import zstandard

from events.accounts import STREAM, ChargesTold, PullAccounts, SyncRun, TariffSet
from events.archive import Archive
from events.reader import Reader
from events.redis_log import RedisLog
from ops.sandbox.server import Exchange
from projectors.accounts.projector import ACCOUNTS
from projectors.building import NoMarks
from projectors.loop import Loop
from runtime.lifecycle import Stop
from runtime.settings import Settings
from runtime.tariffs import shipped
from sql.store import Store
from tests.exchange import call
from tests.loops import HastyClock, Running, ask
from tests.pollers import OWN, syncing, told, until_runs, whole
from tests.tickers import Watcher, bring_token, market

DOUBLE = shipped().text.replace('sides = ["BUY", "SELL"]\npercent = 0.1\n', 'sides = ["BUY", "SELL"]\npercent = 0.2\n')


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


async def buy(settings: Settings, exchange: Exchange) -> str:
    """Buy three of a share for delivery; give its symbol."""
    token = await bring_token(settings, exchange)
    share = next(each for each in exchange.hub.stage.instruments if each.segment == "NSE")
    form = {"exchange": "NSE", "tradingsymbol": share.tradingsymbol, "transaction_type": "BUY", "product": "CNC"}
    form |= {"order_type": "MARKET", "quantity": "3"}
    headers = {"Authorization": f"token sandbox:{token}"}
    status, _ = await call(exchange, "POST", "/orders/regular", data=form, headers=headers)
    assert status == 200
    return share.tradingsymbol


async def projected(settings: Settings, last: int) -> None:
    """Bring the log into the tables, up to this event."""
    assert settings.redis_url
    assert settings.database_url
    store, log = Store(settings.database_url), RedisLog.connect(settings.redis_url)
    reader = Reader(log, Archive(settings.bahi_data_dir / "archive"))
    running = Running(Loop(ACCOUNTS, STREAM, store, reader, HastyClock(), NoMarks(), Stop()), store)
    try:
        await running.reached(last)
    finally:
        await running.ended()
        await log.close()


async def asked_of_all(watcher: Watcher, key: str, which: Callable[[SyncRun], bool] = whole) -> SyncRun:
    """Ask for everything of the account; give the run that answers it."""
    before = len([run for run in told(await watcher.all(STREAM), SyncRun) if run.asked])
    await watcher.say("requests", PullAccounts(accounts=[OWN], key=key))
    return (await until_runs(watcher, before + 1, lambda run: bool(run.asked)))[-1]


async def test_the_broker_is_asked_what_orders_cost_and_a_wrong_tariff_shows(
    settings: Settings, watcher: Watcher
) -> None:
    async def rows(statement: str) -> list[dict[str, Any]]:
        assert settings.database_url
        return await ask(settings.database_url, statement)

    async with market(settings, instruments=30, traders=0) as exchange, syncing(settings):
        await until_runs(watcher, 1)
        empty = await asked_of_all(watcher, "a")
        symbol = await buy(settings, exchange)
        run = await asked_of_all(watcher, "b")
        heard = await watcher.all(STREAM)
        await projected(settings, heard[-1].n)
        agreed = await rows("select * from divergences where type = 'charge'")
        wrong = TariffSet(broker="sandbox", text=DOUBLE, sha256=hashlib.sha256(DOUBLE.encode()).hexdigest())
        await watcher.say("requests", wrong)
        heard = await watcher.until(lambda heard: any(each.type == "account.forwarded.v1" for each in heard), STREAM)
    assert not empty.charges, "nothing was executed, nothing was asked"
    assert run.charges
    assert (run.outcome, run.charges.ok, run.charges.rows) == ("ok", True, 1)
    (said,) = told(heard, ChargesTold)
    (order,) = json.loads(zstandard.decompress(said.asked))
    (answer,) = json.loads(zstandard.decompress(said.body))["data"]
    assert (said.account, said.run, order["tradingsymbol"], order["quantity"]) == (OWN, run.run, symbol, 3)
    assert (answer["tradingsymbol"], answer["price"]) == (symbol, order["average_price"])
    assert agreed == []
    await projected(settings, heard[-1].n)
    (kept,) = await rows("select * from broker_charges")
    assert (kept["order_id"], kept["raw"]) == (order["order_id"], answer)
    ((ours, theirs),) = [
        tuple(row.values()) for row in await rows("select ours, theirs from divergences where type = 'charge'")
    ]
    tax = answer["charges"]["transaction_tax"]
    assert float(ours - theirs) == pytest.approx(tax)
    assert tax == pytest.approx(3 * order["average_price"] * 0.001)
