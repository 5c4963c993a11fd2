"""One look at all tables: every answer is of the same moment, however long it takes to ask.

A read-only transaction in repeatable read. It is let go of as soon as what is wanted has been read, because while it
lasts nothing that was updated meanwhile can be cleaned up.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from psycopg import IsolationLevel

from sql.pool import Connection, connect, reaching
from sql.statements import statements

EACH_ROWS = 64  # fetched at a time by `each`, whose rows may be large


class Snapshot:
    """Statements by name, all of one moment."""

    def __init__(self, connection: Connection) -> None:
        """Made by `take`."""
        self._connection = connection

    async def rows(self, statement: LiteralString, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Give all rows of a statement."""
        return await (await self._connection.execute(statements[statement], parameters)).fetchall()

    async def each(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Give the rows of a statement one by one; they lie at the server, not in memory."""
        async with self._connection.cursor(name=statement, binary=True) as cursor:
            cursor.itersize = EACH_ROWS
            await cursor.execute(statements[statement], parameters)
            async for row in cursor:
                yield row


@asynccontextmanager
async def take(database_url: str) -> AsyncIterator[Snapshot]:
    """Give a snapshot of the tables as they are now. Raises Unreachable.

    While it lasts no rebuild replaces them: what would be read of new ones is not of this moment.
    """
    connection = await connect(database_url)
    try:
        async with reaching("a snapshot of the tables"):
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            await connection.set_read_only(True)
            async with connection.transaction():
                await connection.execute(statements["hold_tables"])  # before anything that fixes the moment
                await connection.execute(statements["wait_patiently"])
                yield Snapshot(connection)
    finally:
        await connection.close()
