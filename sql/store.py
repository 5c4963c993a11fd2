"""Positions and rows in one transaction: what a projector may ask of PostgreSQL (design rules 9 to 12).

Promise: rows of an event are visible exactly when the checkpoint is at least its n; an owner that was taken over
never writes again. The epoch gives this; the lease only keeps owners from thrashing.

    acquire -> Lease(epoch, n) -> begin(target): move checkpoint, rows, commit -> begin ... -> release

States of a pair (projector, stream): free (lease over, or its owner dead) -> held (epoch e) -> held by another
(epoch e + 1): the old owner's next `begin` moves 0 rows and raises LeaseLost.

Failures. The answer to a commit is lost: `standing` tells whether the target was reached. A frozen owner comes back:
its epoch is old. PostgreSQL is away: Unreachable, tried again by the caller with the same rows.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import msgspec

from runtime.errors import LeaseLost, Unreachable
from sql.owner import lives, new_owner
from sql.pool import Connection, connect, reaching
from sql.statements import statements

LEASE_SECONDS = 10.0  # a frozen owner's pair waits this long for another; a dead one's does not
COPY_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_END = b"\xff\xff"


class Lease(msgspec.Struct):
    """One hand on one pair. n: the position committed last."""

    projector: str
    stream: str
    epoch: int
    n: int


class Rows:
    """The inside of one transaction: statements by name, and binary loads."""

    def __init__(self, connection: Connection, stream_id: int) -> None:
        """Made by `Store.begin`. stream_id: the short number of the lease's stream."""
        self._connection = connection
        self.stream_id = stream_id

    async def run(self, statement: LiteralString, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a statement by its name; give its rows, if it has any."""
        cursor = await self._connection.execute(statements[statement], parameters)
        return await cursor.fetchall() if cursor.description else []

    async def run_many(self, statement: LiteralString, each: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement by its name once for each set of parameters."""
        await self._connection.cursor().executemany(statements[statement], each)

    async def load(self, statement: LiteralString, rows: Iterable[bytes | memoryview]) -> None:
        """Run a COPY ... (format binary) by its name over rows in PostgreSQL's binary form, without head and end."""
        async with self._connection.cursor().copy(statements[statement]) as copy:
            await copy.write(COPY_HEAD)
            for piece in rows:
                await copy.write(piece)
            await copy.write(COPY_END)

    async def load_text(self, statement: LiteralString, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a COPY (text) by its name over tuples."""
        async with self._connection.cursor().copy(statements[statement]) as copy:
            for row in rows:
                await copy.write_row(row)


class Store:
    """One owner's connection to the tables; it opens again after a loss."""

    def __init__(self, database_url: str, schema: str | None = None) -> None:
        """Name the database; nothing is opened before the first call. schema: of a rebuild, whose tables come first."""
        self._database_url = database_url
        self._schema = schema
        self._connection: Connection | None = None
        self._stream_ids: dict[str, int] = {}
        self.owner = new_owner()

    async def acquire(self, projector: str, stream: str) -> Lease | None:
        """Take a pair over, raising its epoch, or give None while another owner holds it. Raises Unreachable."""
        pair = {"projector": projector, "stream": stream}
        self._stream_ids.clear()  # a database that went back may have given the numbers away
        async with self._reached(f"lease of {projector} on {stream}") as connection:
            found = await (await connection.execute(statements["read_checkpoint"], pair)).fetchone()
            if found is None:  # asked before: adding would wait for a transaction that holds the row
                await connection.execute(statements["add_checkpoint"], pair)
            gone = [found["owner"]] if found and lives(found["owner"]) is False else []
            if found and found["owner"] not in (None, self.owner) and not found["held"]:
                # Frozen in the middle of a COPY, it would hold the row for as long as it sleeps: PostgreSQL's time
                # limits do not end a session that waits for the client's data.
                await connection.execute(statements["end_owner"], {"owner": found["owner"]})
            wanted = {**pair, "owner": self.owner, "gone": [self.owner, *gone], "lease_seconds": LEASE_SECONDS}
            row = await (await connection.execute(statements["acquire_lease"], wanted)).fetchone()
            return Lease(projector, stream, row["epoch"], row["n"]) if row else None

    async def made_by(self, projector: str, version: int) -> int:
        """Give the version of a projector that made its tables; those of one that never ran count as of this one.

        Raises Unreachable.
        """
        async with self._reached(f"tables of {projector}") as connection:
            made = {"projector": projector, "version": version}
            row = await (await connection.execute(statements["projection_version"], made)).fetchone()
            if row is None:
                await connection.execute(statements["know_projection"], made)
        return int(row["version"]) if row else version

    async def standing(self, lease: Lease) -> int:
        """Give the position that is committed. Raises LeaseLost where the epoch is no longer ours, Unreachable."""
        async with self._reached(f"position of {lease.projector}") as connection:
            row = await (await connection.execute(statements["read_checkpoint"], _pair(lease))).fetchone()
        if row is None or row["epoch"] != lease.epoch:
            raise _lost(lease, row)
        return int(row["n"])

    async def renew(self, lease: Lease) -> None:
        """Hold the pair for another LEASE_SECONDS. Raises LeaseLost, Unreachable."""
        async with self._reached(f"lease of {lease.projector}") as connection:
            cursor = await connection.execute(
                statements["renew_lease"], {**_pair(lease), "epoch": lease.epoch, "lease_seconds": LEASE_SECONDS}
            )
            if cursor.rowcount != 1:
                raise _lost(lease, None)

    async def raise_far(self, lease: Lease, now_ns: int) -> None:
        """Raise the lease's epoch past any handed out before now: the database went back.

        Raises LeaseLost, Unreachable.
        """
        async with self._reached(f"epoch of {lease.projector}") as connection:
            held = {**_pair(lease), "epoch": lease.epoch, "now_us": now_ns // 1000}
            row = await (await connection.execute(statements["raise_far"], held)).fetchone()
        if row is None:
            raise _lost(lease, None)
        lease.epoch = row["epoch"]

    async def release(self, lease: Lease) -> None:
        """Let another owner have the pair at once."""
        async with self._reached(f"lease of {lease.projector}") as connection:
            await connection.execute(statements["release_lease"], {**_pair(lease), "epoch": lease.epoch})

    async def open_retries(self, lease: Lease, limit: int, put_off: Iterable[str] = ()) -> list[dict[str, Any]]:
        """Give requests to retry events of a pair, not tried and not replaced: requests_stream, requests_n, n.

        The oldest first, but behind all others those put off, by stream and n with a space between, and last those
        about events that are not committed. Raises Unreachable.
        """
        wanted = {**_pair(lease), "committed": lease.n, "put_off": list(put_off), "limit": limit}
        async with self._reached(f"what is to be tried again of {lease.projector}") as connection:
            return await (await connection.execute(statements["open_retries"], wanted)).fetchall()

    @asynccontextmanager
    async def begin(self, lease: Lease, target: int) -> AsyncIterator[Rows]:
        """Move the checkpoint from lease.n to target and give the transaction for its rows; commit at the end.

        Raises LeaseLost where the checkpoint is not where it was left, BadEvent for rows that are refused, and
        Unreachable, after which `standing` tells whether the commit was made. lease.n is moved by the caller.
        """
        async with self._reached(f"rows of {lease.projector}") as connection:
            stream_id = await self._stream_id(connection, lease.stream)
            async with connection.transaction():
                step = {"epoch": lease.epoch, "n": lease.n, "target": target, "lease_seconds": LEASE_SECONDS}
                moved = await connection.execute(statements["move_checkpoint"], {**_pair(lease), **step})
                if moved.rowcount != 1:
                    raise _lost(lease, None)
                yield Rows(connection, stream_id)

    @asynccontextmanager
    async def reading(self, stream: str) -> AsyncIterator[Rows]:
        """Give a transaction for reading what a projector remembers of a stream."""
        async with self._reached(f"state for {stream}") as connection:
            stream_id = await self._stream_id(connection, stream)
            async with connection.transaction():
                yield Rows(connection, stream_id)

    async def _stream_id(self, connection: Connection, stream: str) -> int:
        if stream not in self._stream_ids:
            self._stream_ids[stream] = await _number(connection, stream)
        return self._stream_ids[stream]

    @asynccontextmanager
    async def _reached(self, what: str) -> AsyncIterator[Connection]:
        try:
            async with reaching(what):
                if self._connection is None or self._connection.closed:
                    self._connection = await self._connect()
                yield self._connection
        except Unreachable:
            await self.close()  # what the server thinks of it is not known; a new connection is
            raise

    async def _connect(self) -> Connection:
        connection = await connect(self._database_url, self.owner)
        if self._schema is not None:
            await connection.execute(statements["use_schema"], {"schema": self._schema})
            await connection.execute(statements["commit_lightly"])
        return connection

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        self._stream_ids.clear()
        if connection is not None:
            await connection.close()


async def _number(connection: Connection, stream: str) -> int:
    """Give the short number of a stream, making it at its first use."""
    for add in (False, True):
        if add:
            await connection.execute(statements["add_stream"], {"stream": stream})
        row = await (await connection.execute(statements["stream_number"], {"stream": stream})).fetchone()
        if row is not None:
            return int(row["stream_id"])
    raise AssertionError("it was added, and is never removed")


def _pair(lease: Lease) -> dict[str, Any]:
    return {"projector": lease.projector, "stream": lease.stream}


def _lost(lease: Lease, row: Mapping[str, Any] | None) -> LeaseLost:
    found = f"epoch {row['epoch']} of {row['owner']}" if row else "another epoch or position"
    return LeaseLost(
        f"to hold {lease.projector} on {lease.stream} in epoch {lease.epoch} at n = {lease.n}",
        found,
        "nothing is lost: the other owner goes on",
    )
