"""Databases of projectors' tests: no server is pulled the plug on here, so commits need not wait for the disk."""

import pytest

from tests.loops import ask

QUICK = "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$"


@pytest.fixture
async def database_url(database_url: str) -> str:
    """Give the URL of a migrated database that is this test's alone."""
    await ask(database_url, QUICK)
    return database_url
