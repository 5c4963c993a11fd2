"""A TimescaleDB server for tests: the one that TEST_TIMESCALE_URL names, in whichever edition.

Each test gets a database of its own. Its background workers are stopped, so that a job runs when a test says so and
not whenever the server likes.
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Iterator

import psycopg
from psycopg import sql

from sql import migrate
from tests.servers import with_database

SETTING = "TEST_TIMESCALE_URL"
MISSING = f"needs a TimescaleDB server whose superuser may make databases: {SETTING}=postgresql://..."

_numbers = itertools.count(1)


def server_url() -> str | None:
    """Give the URL of the server, None where nobody named one."""
    return os.environ.get(SETTING)


@contextlib.contextmanager
def database(server: str) -> Iterator[str]:
    """Yield the URL of a new migrated database with the extension in it, dropped after."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as admin:
        # Not template1: where it has the extension, its scheduler is a session that forbids copying it.
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            url = with_database(server, name)
            with psycopg.connect(url, autocommit=True) as own:
                own.execute("CREATE EXTENSION timescaledb")
                own.execute("SELECT _timescaledb_functions.stop_background_workers()")
            asyncio.run(migrate.run(url))
            yield url
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
