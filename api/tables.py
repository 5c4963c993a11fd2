"""Reading the tables: named statements over a pool that may be without a server.

A database that is away is an answer within two seconds (503 with a remedy), never a request that hangs. After a
restart of the server the pool holds dead connections: a read is tried on another one.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar

import msgspec

from runtime.calendar import IST
from runtime.errors import BadInput, Unreachable
from runtime.settings import Settings
from sql.pool import Pool, open_pool, reaching
from sql.statements import statements

CONNECTION_SECONDS_MAX = 1.0  # a server on this machine or the next answers in milliseconds
POOL_CONNECTIONS_MAX = 4  # two cores: more at once would only wait in the server instead of here

UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # what PostgreSQL has in no text: NUL, and halves of a character

Row = TypeVar("Row")


class Tables:
    """The tables, to be read."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self._url = settings.database_url
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Begin to connect; the server may be away."""
        if self._url is not None:
            self._pool = await open_pool(self._url, POOL_CONNECTIONS_MAX)

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()

    async def rows(self, statement: str, parameters: Mapping[str, object], shape: type[Row]) -> list[Row]:
        """Give what a named statement selects, each row as `shape`. Raises Unreachable, and BadInput for no text."""
        _refuse_unwritable(parameters.values())
        deadline = monotonic() + CONNECTION_SECONDS_MAX
        for connections_left in range(POOL_CONNECTIONS_MAX, -1, -1):
            try:
                found = await self._fetch(statement, parameters)
                return [msgspec.convert(row, shape, strict=False) for row in found]
            except Unreachable:
                # At once: a connection that died while nobody used it; the pool has others, or makes one.
                if monotonic() > deadline or not connections_left:
                    raise
        raise AssertionError("the last attempt returned or raised")

    async def ask(self, statement: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        """Give what a named statement selects, as it is. Raises Unreachable."""
        return await self.rows(statement, parameters, dict[str, Any])

    async def _fetch(self, statement: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        if self._pool is None:
            raise Unreachable("a database", "DATABASE_URL is not set", "set it, or start everything with bahi up")
        async with reaching(statement), self._pool.connection(CONNECTION_SECONDS_MAX) as connection:
            # Not prepared: a filter that is left out is a constant then, and the plan is one for these very values.
            cursor = await connection.execute(statements[statement], parameters, prepare=False)
            return [_in_india(row) for row in await cursor.fetchall()]


def _refuse_unwritable(found: Iterable[object]) -> None:
    """Refuse texts, also in lists, that PostgreSQL cannot hold."""
    for each in found:
        if isinstance(each, list | tuple):
            _refuse_unwritable(each)
        elif isinstance(each, str) and UNWRITABLE.search(each):
            raise BadInput("text of whole characters, without NUL", repr(each[:60]), "take it out")


def _in_india(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row with its times in Indian time, whatever the server's own zone is."""
    return {name: value.astimezone(IST) if isinstance(value, datetime) else value for name, value in row.items()}
