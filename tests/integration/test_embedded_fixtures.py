"""The fixtures give each test real and empty servers."""

import psycopg
import pytest

from runtime.settings import Settings
from tests import servers


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_database(database_url: str, turn: int) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS one")
        assert connection.execute("SELECT one FROM mine").fetchall() == [(1,)]


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_redis(redis_url: str, turn: int) -> None:
    with servers.redis_client(redis_url) as client:
        assert client.dbsize() == 0
        client.set("mine", turn)


def test_settings_point_to_the_servers_of_the_test(settings: Settings, database_url: str, redis_url: str) -> None:
    assert (settings.database_url, settings.redis_url) == (database_url, redis_url)
    assert settings.bahi_data_dir.is_dir()


@pytest.mark.anyio
async def test_async_tests_run_on_asyncio(anyio_backend_name: str) -> None:
    assert anyio_backend_name == "asyncio"
