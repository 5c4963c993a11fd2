"""Answers that Kite really gave, from HTTP through poller, log and projection into the tables, without loss."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from events.accounts import STREAM
from events.archive import Archive
from events.reader import Reader
from events.redis_log import RedisLog
from projectors.accounts.projector import ACCOUNTS
from projectors.building import NoMarks
from projectors.loop import Loop
from runtime.lifecycle import Stop
from runtime.settings import Settings
from sql.store import Store
from tests.loops import HastyClock, Running, ask
from tests.pollers import syncing, until_runs
from tests.ports import free_port
from tests.tickers import Watcher

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ROUTES = {
    "/orders": "orders.json",
    "/trades": "trades.json",
    "/portfolio/positions": "positions.json",
    "/portfolio/holdings": "holdings.json",
    "/user/margins": "margins.json",
}
FOLDERS = {"kite-mocks": {**ROUTES, "/trades": "order_trades.json"}, "kite-mocks-older": ROUTES}
PROFILE = b'{"status": "success", "data": {"user_id": "DA0017"}}'

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real data is not here")


@asynccontextmanager
async def kite(folder: Path, routes: dict[str, str]) -> AsyncIterator[str]:
    """Answer as Kite did; give the address. What there is no file for is an answer without rows."""

    def answering(body: bytes) -> Any:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=body, content_type="application/json")

        return answer

    app = web.Application()
    app.router.add_get("/user/profile", answering(PROFILE))
    for path, name in routes.items():
        empty = b'{"status": "success", "data": {}}' if path == "/portfolio/positions" else b'{"data": []}'
        app.router.add_get(path, answering((folder / name).read_bytes() if (folder / name).exists() else empty))
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def pulled(settings: Settings, folder: str) -> None:
    """Pull the one account of KITE_API_KEY once, and bring it into the tables."""
    assert settings.redis_url
    assert settings.database_url
    watcher = Watcher(settings)
    async with kite(SHARED / folder, FOLDERS[folder]) as root:
        told = {"broker": ("kite",), "kite_api_key": "key", "kite_access_token": "token", "kite_api_root": root}
        async with syncing(msgspec.structs.replace(settings, market_hours_only=False, **told)):
            (run, *_) = await until_runs(watcher, 1)
    assert run.outcome == "ok", run
    last = (await watcher.all(STREAM))[-1].n
    await watcher.close()
    log, store = RedisLog.connect(settings.redis_url), Store(settings.database_url)
    reader = Reader(log, Archive.at(settings))
    running = Running(Loop(ACCOUNTS, STREAM, store, reader, HastyClock(), NoMarks(), Stop()), store)
    await running.reached(last)
    await running.ended()
    await log.close()


def rows_of(folder: str, path: str) -> list[dict[str, Any]]:
    file = SHARED / folder / FOLDERS[folder][path]
    if not file.exists():
        return []
    data = json.loads(file.read_bytes(), parse_float=Decimal)["data"]
    if path == "/portfolio/positions":
        return list(data["net"])
    return list(data.values()) if isinstance(data, dict) else list(data)


def same(one: Any, other: Any) -> bool:
    """Say whether a row came back as it was: numbers by their value, all else letter by letter."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    numbers = (int, float, Decimal)
    if isinstance(one, numbers) and isinstance(other, numbers) and not isinstance(one, bool):
        return Decimal(str(one)) == Decimal(str(other))
    return bool(one == other)


@pytest.mark.parametrize("folder", FOLDERS)
async def test_every_field_of_every_answer_is_in_the_tables(settings: Settings, folder: str) -> None:
    await pulled(settings, folder)
    url = str(settings.database_url)
    assert await ask(url, "select error from parked_events") == []
    tables = {"/orders": "orders", "/trades": "trades", "/portfolio/positions": "positions"}
    tables |= {"/portfolio/holdings": "holdings", "/user/margins": "margins"}
    found = 0
    for path, table in tables.items():
        wanted = rows_of(folder, path)
        kept = [row["raw"] for row in await ask(url, f"select raw from {table}")]
        assert len(kept) == len(wanted), table
        assert all(any(same(row, each) for each in kept) for row in wanted), table
        found += len(wanted)
    assert found > 0


async def test_the_times_of_the_answers_are_those_of_india(settings: Settings) -> None:
    await pulled(settings, "kite-mocks-older")
    url = str(settings.database_url)
    (trade,) = await ask(url, "select time, day from trades")
    assert trade["time"] == datetime(2017, 12, 29, 6, 32, 5, tzinfo=UTC)  # 12:02:05 in India
    assert trade["day"].isoformat() == "2017-12-29"
    (order,) = await ask(url, "select created_at, exchange_at from orders where order_id = '171228001731490'")
    assert order["created_at"] == datetime(2017, 12, 28, 14, 7, 12, tzinfo=UTC)  # 19:37:12 in India
    (position,) = await ask(url, "select multiplier from positions where tradingsymbol = 'LEADMINI17DECFUT'")
    assert position["multiplier"] == 1000
