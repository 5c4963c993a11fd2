"""The API while its servers are away: it starts, serves what it can, says what is missing, and recovers by itself."""

import asyncio
import contextlib
from collections.abc import Iterator

import aiohttp
import msgspec
import pytest

from events import standing
from ops.embedded import server as embedded
from ops.embedded.server import Server
from runtime import settings as settings_module
from runtime.settings import Settings
from tests import servers
from tests.api_server import Api, feeding, full_frame, serving
from tests.loops import ask
from tests.patience import PATIENCE_SECONDS
from tests.small_disk import filled, small_disk

pytestmark = pytest.mark.anyio

INFY = 408065


class Away:
    """Servers of this test's own, to be stopped and started."""

    def __init__(self, postgres: Server, redis: Server, settings: Settings) -> None:
        self.postgres = postgres
        self.redis = redis
        self.settings = settings

    def stop(self, name: str) -> None:
        getattr(self, name).stop()

    def start(self, name: str) -> None:
        again = embedded.spawn(getattr(self, name).launch)
        again.wait()
        setattr(self, name, again)


@pytest.fixture
def away() -> Iterator[Away]:
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(servers.postgres_server())
        redis = stack.enter_context(servers.redis_server())
        folder = stack.enter_context(servers.open_folder())
        url = servers.with_database(postgres.url, servers.TEMPLATE)
        given = {"BAHI_DATA_DIR": str(folder), "DATABASE_URL": url, "REDIS_URL": redis.url, "BAHI_SANDBOX_PORT": "0"}
        running = Away(postgres, redis, settings_module.load(given))
        yield running
        running.postgres.stop()
        running.redis.stop()


async def until_ready(api: Api) -> None:
    """Wait until /ready answers 200."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with api.client.get("/ready") as answer:
                if answer.status == 200:
                    return


async def missing(api: Api) -> str:
    """Give what /ready says."""
    return str((await api.get("/ready", status=503))["missing"])


async def test_it_starts_without_any_server_and_is_ready_when_they_come(away: Away) -> None:
    away.stop("postgres")
    away.stop("redis")
    async with serving(away.settings, whole=False) as api, api.socket() as socket:
        assert "PostgreSQL" in await missing(api)
        assert "Redis" in await missing(api)
        assert "requests" in await missing(api)
        async with api.client.get("/") as answer:
            assert answer.status == 200
        told = await api.get("/api/instruments", status=503)
        assert "DATABASE_URL" in str(told["remedy"])
        await api.get("/api/latest/1", status=404)
        assert len(msgspec.convert((await api.get("/api/status"))["problems"], list[str])) == 3
        await socket.send_json({"action": "subscribe", "tokens": [INFY]})
        assert await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS) == {
            "type": "subscribed",
            "tokens": [INFY],
            "cursor": None,
        }
        away.start("postgres")
        away.start("redis")
        await until_ready(api)
        await api.get("/api/instruments")
        async with feeding(away.settings) as feed:
            await feed.frames(full_frame(INFY, 1412.95))
            assert (await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS))["type"] == "ticks"


async def test_with_postgresql_away_prices_and_requests_go_on(away: Away) -> None:
    async with feeding(away.settings) as feed, serving(away.settings) as api:
        await until_ready(api)
        away.stop("postgres")
        n = await feed.frames(full_frame(INFY, 1412.95))
        while api.parts.live.position.get(feed.stream, 0) < n:
            await api.parts.live.moved(1)
        assert (await api.get(f"/api/latest/{INFY}"))["last_price"] == 1412.95
        for path in ("/api/instruments", f"/api/historical/candles?instrument_token={INFY}", "/api/gaps"):
            async with api.client.get(path) as answer:
                assert answer.status == 503, await answer.text()
                assert answer.headers["retry-after"]
                assert "PostgreSQL" in (await answer.json())["detail"]
        async with api.client.post("/api/instruments/subscribe", json={"symbols": ["NSE:NONE"]}) as answer:
            assert answer.status == 202, await answer.text()
            assert (await answer.json())["checked"] is False
        ids = {"account_id": "main", "order_id": "1", "day": "2026-04-13", "exchange": "NSE"}
        rule = {"rule_id": "a", "strategy_id": "7", "kind": "tag", "pattern": "x", "account_id": "main"}
        for path, decision in (("attributions", {**ids, "strategy_id": "7"}), ("rules", rule)):
            async with api.client.post(f"/api/{path}", json=decision) as answer:
                assert answer.status == 202, await answer.text()
                assert (await answer.json())["checked"] is False
        async with api.client.post("/api/rules/a/apply") as answer:  # what a draft says stands in the tables
            assert answer.status == 503
        status = await api.get("/api/status")
        assert status["projectors"] is None
        assert "database" in str(status["problems"])
        away.start("postgres")
        await until_ready(api)
        await api.get("/api/instruments")


async def test_with_redis_away_requests_are_taken_and_the_socket_goes_on_after(away: Away) -> None:
    async with feeding(away.settings) as feed, serving(away.settings) as api, api.socket() as socket:
        n = await feed.frames(full_frame(INFY, 1412.95))
        await until_ready(api)
        while api.parts.live.position.get(feed.stream, 0) < n:
            await api.parts.live.moved(1)
        await socket.send_json({"action": "subscribe", "tokens": [INFY]})
        await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS)
        away.stop("redis")
        async with api.client.post("/api/instruments/sync") as answer:
            assert answer.status == 202
            taken = (await answer.json())["request"]
        assert (await api.get(f"/api/latest/{INFY}"))["last_price"] == 1412.95
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not api.parts.live.unreadable:
                await api.get("/health")
        assert "log" in str((await api.get("/api/status"))["problems"])
        assert "Redis" in await missing(api)
        away.start("redis")
        await feed.frames(full_frame(INFY, 1413.0))
        message = await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS)
        assert [tick["last_price"] for tick in message["ticks"]] == [1413.0]
        await until_ready(api)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await api.parts.make_reader().last("requests") < taken:
                await api.get("/health")


async def test_a_lost_spool_of_requests_is_taken_over(away: Away) -> None:
    async with serving(away.settings) as api:
        await until_ready(api)
    for file in (away.settings.bahi_data_dir / "spool" / "requests").glob("*.spool"):
        file.unlink()
    async with serving(away.settings) as api:
        await until_ready(api)
        async with api.client.post("/api/instruments/sync") as answer:
            assert answer.status == 202


async def test_a_stream_that_another_content_stands_in_closes_requests_and_nothing_else(away: Away) -> None:
    async with serving(away.settings) as api:
        await until_ready(api)
    spool = away.settings.bahi_data_dir / "spool" / "requests"
    standing.keep(spool, standing.Standing("stopped", 0, "another writer's content under n = 7"))
    async with serving(away.settings, whole=False) as api:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "being opened" in await missing(api):
                await api.get("/health")
        assert "requests" in await missing(api)
        async with api.client.post("/api/instruments/sync") as answer:
            assert answer.status == 503
            assert "another writer's content" in (await answer.json())["detail"]
        await api.get("/api/instruments")
        assert isinstance(api.client, aiohttp.ClientSession)


async def test_with_a_full_disk_at_the_start_everything_but_requests_is_there(settings: Settings) -> None:
    with small_disk(settings.bahi_data_dir) as room:
        (settings.bahi_data_dir / "spool").symlink_to(room)
        with filled(room):
            async with serving(settings, whole=False) as api:
                async with api.client.post("/api/instruments/sync") as answer:
                    assert answer.status == 503
                assert (await api.get("/api/instruments"))["instruments"] == []
                for ballast in room.iterdir():
                    if ballast.is_file():
                        ballast.unlink()
                await until_ready(api)
                async with api.client.post("/api/instruments/sync") as answer:
                    assert answer.status == 202


async def test_with_postgresql_away_live_changes_wait_and_go_on(away: Away) -> None:
    async with serving(away.settings) as api, api.client.ws_connect("/api/ws/accounts") as socket:

        async def heard() -> dict[str, object]:
            return dict(await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS))

        await until_ready(api)
        await socket.send_json({"action": "subscribe"})
        assert (await heard())["type"] == "subscribed"
        away.stop("postgres")
        told = await heard()
        assert (told["type"], "PostgreSQL" in str(told["detail"])) == ("waiting", True)
        await api.get("/changes", status=503)
        await api.get("/accounts", status=503)
        away.start("postgres")
        assert away.settings.database_url is not None
        await ask(
            away.settings.database_url,
            "insert into account_changes values (7 << 20, 'main', 'trades', '1', 'added', null, '{}', now())",
        )
        told = await heard()
        assert (told["type"], [each["key"] for each in msgspec.convert(told["changes"], list[dict[str, object]])]) == (
            "changes",
            ["1"],
        )
