"""Tables of a projection in a schema of their own, beside the live ones: what rebuilds and replays fill.

The schema has checkpoints and parked events of its own, too. Who projects into it raises its epochs himself and
remembers them; whoever else raises one means that what was read may not be in the log any more.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

from sql.owner import new_owner
from sql.pool import Connection, connect, reaching
from sql.statements import statements
from sql.store import Lease


class Beside(ABC):
    """One such schema. Every method raises Unreachable."""

    def __init__(self, database_url: str, projector: str, tables: Sequence[str]) -> None:
        """Name it; nothing is opened. owner: the name of our sessions, unique, and told dead from alive by others."""
        self.database_url, self.projector, self.owner = database_url, projector, new_owner()
        self._tables = list(tables)

    @property
    @abstractmethod
    def schema(self) -> str:
        """Give its name."""

    @asynccontextmanager
    async def looking(self) -> AsyncIterator["Ask"]:
        """Give a way to ask its own tables."""
        connection = await connect(self.database_url, self.owner)
        try:
            async with reaching(f"the tables of {self.schema}"):
                await connection.execute(statements["use_schema"], {"schema": self.schema})
                yield Ask(connection)
        finally:
            await connection.close()

    async def own_lease(self, stream: str, first: int) -> tuple[Lease, int] | None:
        """Go on with a stream where it was left, or at `first`; give with it the n at which it began.

        None where somebody else raised the epoch: what was read may not be in the log any more.
        """
        async with self.looking() as ask:
            rows = await ask("take_rebuild_lease", {**self._pair(stream), "first": first})
        return (Lease(self.projector, stream, rows[0]["epoch"], rows[0]["n"]), rows[0]["first"]) if rows else None

    async def rows(self) -> int:
        """Give how many rows its tables have."""
        async with self.looking() as ask:
            return sum([(await ask("count_table", {"name": each}))[0]["rows"] for each in self._tables])

    def _pair(self, stream: str) -> dict[str, Any]:
        return {"projector": self.projector, "stream": stream}


class Ask:
    """Statements by name, over the tables of one schema."""

    def __init__(self, connection: Connection) -> None:
        """Made by `Site.looking`."""
        self._connection = connection

    async def __call__(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Run a statement; give its rows, if it has any."""
        cursor = await self._connection.execute(statements[statement], parameters)
        return await cursor.fetchall() if cursor.description else []
