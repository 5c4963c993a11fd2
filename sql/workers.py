"""The roll of those who run projectors: each says that it lives and what it could run, and hears of the others.

It decides nothing about rows: leases and epochs (`sql.store`) keep two owners apart, whatever the roll says.
"""

from collections.abc import Mapping, Sequence

import msgspec
from psycopg.types.json import Jsonb

from sql.owner import lives, worker, worker_of
from sql.pool import Connection, connect, reaching
from sql.statements import statements

ALIVE_SECONDS = 5.0  # who is silent for longer does not count; below a lease: at its end the pair has a taker
KEPT_SECONDS = 3600.0  # how long a silent one stays on the roll; it may be frozen, and says so by itself when it wakes

Pair = tuple[str, str]  # projector, stream


class Halted(msgspec.Struct, frozen=True):
    """A pair that stands before an event and does not go on. n: that event, the first that is not in the tables.

    at_ns: when it was last tried (UTC epoch ns).
    """

    projector: str
    stream: str
    n: int
    wanted: str
    found: str
    remedy: str
    at_ns: int


class Called(msgspec.Struct, frozen=True):
    """Who is there: what each worker could run with the weight of each pair, and which worker held each pair last."""

    able: Mapping[str, Mapping[Pair, int]]
    holders: Mapping[Pair, str]


class Roll:
    """One worker's place on the roll."""

    def __init__(self, database_url: str) -> None:
        """Name the database; nothing is opened before the first call."""
        self.worker = worker()
        self._database_url = database_url
        self._connection: Connection | None = None

    async def call(self, able: Mapping[Pair, int], halted: Sequence[Halted] = ()) -> Called:
        """Say that this worker lives, what it could run, what halted, and hear of the others. Raises Unreachable."""
        async with reaching("the roll of the workers"):
            connection = await self._connected()
            pairs = Jsonb([[*pair, weight] for pair, weight in sorted(able.items())])
            mine = {"worker": self.worker, "pairs": pairs, "alive_seconds": ALIVE_SECONDS, "halted": _rows(halted)}
            await connection.execute(statements["answer_call"], mine)
            await connection.execute(statements["forget_workers"], {"kept_seconds": KEPT_SECONDS})
            alive = await (await connection.execute(statements["read_workers"])).fetchall()
            held = await (await connection.execute(statements["read_checkpoints"])).fetchall()
        return Called(
            {
                row["worker"]: {(projector, stream): weight for projector, stream, weight in row["pairs"]}
                for row in alive
                if lives(row["worker"]) is not False
            },
            {(row["projector"], row["stream"]): worker_of(row["owner"]) for row in held if row["owner"]},
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


def _rows(halted: Sequence[Halted]) -> Jsonb:
    """Give them as PostgreSQL takes them: an error may quote NUL from outside, which no jsonb holds."""
    told = [msgspec.structs.asdict(each) for each in halted]
    return Jsonb([{k: v.replace("\0", "") if isinstance(v, str) else v for k, v in each.items()} for each in told])
