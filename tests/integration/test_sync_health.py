"""What other programs read in Redis of each account's pulls; nobody here needs it, so it may be lost or spoilt."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from events.health import KEY, LIVES_SECONDS
from runtime.settings import Settings
from tests import servers
from tests.exchange import fault
from tests.patience import PATIENCE_SECONDS
from tests.pollers import syncing, until_runs, whole
from tests.tickers import Watcher, bring_token, market

ONE = '[[account]]\naccount = "mine"\nbroker = "sandbox"\nuser = "AB0001"\n'
TWO = ONE + '[[account]]\naccount = "second"\nbroker = "sandbox"\n'


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return servers.redis_client(redis_url)


async def told(client: redis.Redis, account: str, **wanted: object) -> dict[str, Any]:
    """Wait until it is told of an account, and so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            text = await asyncio.to_thread(client.hget, KEY, account)
            found: dict[str, Any] = msgspec.json.decode(text) if text else {}
            if found and wanted.items() <= found.items():
                return found


async def test_each_run_is_told_with_what_mends_it_and_an_empty_redis_is_told_again(
    settings: Settings, watcher: Watcher, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = msgspec.structs.replace(settings, sync_interval_seconds=1)
    async with market(settings, traders=1) as exchange, syncing(settings):
        good = await told(client, "TR0001", last_sync_status="ok", token="accepted", failures=0)
        assert good["last_sync_at"] == good["last_success_at"]
        assert good["last_sync_at"].endswith("+05:30")
        assert good["last_sync_at"] < good["next_due_at"]
        assert (good["account_id"], good["last_sync_error"], good["remedy"]) == ("TR0001", None, None)
        assert 0 < client.ttl(KEY) <= LIVES_SECONDS
        await fault(exchange, "expire_token", user="TR0001")
        bad = await told(client, "TR0001", last_sync_status="refused", token="refused")
        assert bad["remedy"] == "bahi login sandbox TR0001"
        assert bad["failures"] >= 1
        assert "wanted" in bad["last_sync_error"]
        assert bad["last_success_at"] < bad["last_sync_at"]
        client.delete(KEY)
        await told(client, "TR0001", token="refused")
        client.delete(KEY)
        client.set(KEY, "somebody else's")
        runs = len(await until_runs(watcher, 1, whole))
        await until_runs(watcher, runs + 3, whole)
        assert "health.not_written" in capsys.readouterr().out
        client.delete(KEY)
        await told(client, "TR0001")


async def test_an_account_that_is_pulled_no_more_is_taken_out(
    settings: Settings, client: redis.Redis, tmp_path: Path
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(TWO)
    path.chmod(0o600)
    settings = msgspec.structs.replace(settings, accounts_file=path)
    async with market(settings) as exchange:
        await bring_token(settings, exchange)
        client.hset(KEY, "of an earlier day", "{}")
        async with syncing(settings):
            await asyncio.gather(told(client, "mine"), told(client, "second"))
            assert not client.hexists(KEY, "of an earlier day")
            path.write_text(ONE)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await asyncio.to_thread(client.hexists, KEY, "second"):
                    pass
            assert client.hexists(KEY, "mine")
