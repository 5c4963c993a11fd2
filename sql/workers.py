"""The roll of those who run projectors: each says that it lives, and hears who else does and who holds what.

It decides nothing about rows: leases and epochs (`sql.store`) keep two owners apart, whatever the roll says.
"""

from collections.abc import Mapping, Sequence

import msgspec

from sql.owner import lives, worker, worker_of
from sql.pool import Connection, connect, reaching
from sql.statements import statements

ALIVE_SECONDS = 5.0  # who is silent for longer does not count; below a lease: at its end the pair has a taker
KEPT_SECONDS = 3600.0  # how long a silent one stays on the roll; it may be frozen, and says so by itself when it wakes

Pair = tuple[str, str]  # projector, stream


class Called(msgspec.Struct, frozen=True):
    """Who is there: the projectors of each worker, and which worker held each pair last."""

    projectors: Mapping[str, frozenset[str]]
    holders: Mapping[Pair, str]


class Roll:
    """One worker's place on the roll."""

    def __init__(self, database_url: str, projectors: Sequence[str]) -> None:
        """Name the projectors that this process runs; nothing is opened before the first call."""
        self.worker = worker()
        self._database_url, self._projectors = database_url, list(projectors)
        self._connection: Connection | None = None

    async def call(self) -> Called:
        """Say that this worker lives, and hear of the others. Raises Unreachable."""
        async with reaching("the roll of the workers"):
            connection = await self._connected()
            mine = {"worker": self.worker, "projectors": self._projectors, "alive_seconds": ALIVE_SECONDS}
            await connection.execute(statements["answer_call"], mine)
            await connection.execute(statements["forget_workers"], {"kept_seconds": KEPT_SECONDS})
            alive = await (await connection.execute(statements["read_workers"])).fetchall()
            pairs = await (await connection.execute(statements["read_checkpoints"])).fetchall()
        return Called(
            {row["worker"]: frozenset(row["projectors"]) for row in alive if lives(row["worker"]) is not False},
            {(row["projector"], row["stream"]): worker_of(row["owner"]) for row in pairs if row["owner"]},
        )

    async def leave(self) -> None:
        """Take this worker off the roll. Raises Unreachable: the others notice it by themselves."""
        try:
            async with reaching("the roll of the workers"):
                connection = await self._connected()
                await connection.execute(statements["forget_worker"], {"worker": self.worker})
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._database_url)
        return self._connection
