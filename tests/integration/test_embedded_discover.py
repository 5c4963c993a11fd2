"""Other commands find the servers that `bahi up` runs, and run them for the time where nobody does."""

from pathlib import Path

import msgspec
import psycopg
import pytest

from ops.embedded import discover
from ops.embedded.discover import DATABASE, Servers
from runtime import settings as settings_module
from runtime.errors import SettingError
from runtime.settings import Settings
from tests.upstart import borrow_tools


@pytest.fixture
def bare(data_dir: Path) -> Settings:
    """Give the settings of a user who has set no server."""
    borrow_tools(data_dir)
    return settings_module.load({"BAHI_DATA_DIR": str(data_dir)})


def test_the_users_own_servers_come_first(bare: Settings) -> None:
    own = msgspec.structs.replace(bare, database_url="postgresql://mine/db", redis_url="redis://mine/0")
    assert discover.connect_settings(own) is own


def test_those_of_a_running_holder_fill_what_is_missing(bare: Settings) -> None:
    own = msgspec.structs.replace(bare, redis_url="redis://mine/0")
    with discover.held(bare.bahi_data_dir, "up"):
        discover.write(bare.bahi_data_dir, Servers(database_url="postgresql://embedded/db"))
        found = discover.connect_settings(own)
    assert (found.database_url, found.redis_url) == ("postgresql://embedded/db", "redis://mine/0")


def test_what_a_dead_holder_wrote_does_not_count(bare: Settings) -> None:
    with discover.held(bare.bahi_data_dir, "up"):
        discover.write(bare.bahi_data_dir, Servers(database_url="postgresql://embedded/db", redis_url="redis://x/0"))
    with pytest.raises(SettingError, match="wanted DATABASE_URL and REDIS_URL, or a `bahi up`"):
        discover.connect_settings(bare)


def test_only_what_is_needed_is_asked_for(bare: Settings) -> None:
    with pytest.raises(SettingError, match="wanted DATABASE_URL, or"):
        discover.connect_settings(bare, DATABASE)
    assert discover.connect_settings(bare, ()).database_url is None


def test_servers_run_for_the_time_and_nobody_else_may_start(bare: Settings) -> None:
    with discover.servers_for(bare, "verify") as ready:
        assert ready.database_url is not None
        with psycopg.connect(ready.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(SettingError, match="`bahi verify` has it"), discover.held(bare.bahi_data_dir, "up"):
            pass
    with pytest.raises(psycopg.OperationalError), psycopg.connect(ready.database_url):
        pass
    assert discover.holder(bare.bahi_data_dir) is None
