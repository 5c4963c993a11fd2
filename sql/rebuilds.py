"""Where new tables of a projection are built beside the live ones, and how they take their place.

    rebuild_<projector>_<generation>    the site: tables like the live ones, checkpoints and parked events of its own
    replaced_<projector>_<generation>   what was live before the swap, until it is dropped

The table `projections` says which generation is live, so a site whose generation is live has been swapped, whether or
not anybody heard the answer. Nobody but the holder of the advisory lock builds; a lock ends with its session, so a
killed rebuild holds up no other. Whoever raises the epoch of a site's checkpoints makes it begin again.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, LiteralString

import msgspec

from runtime.errors import BadInput, LeaseLost, Unreachable
from sql.beside import Beside
from sql.owner import worker, worker_of
from sql.pool import Connection, connect, reaching
from sql.statements import statements
from sql.store import LEASE_SECONDS, Lease

_NAME = re.compile(r"^(?P<kind>rebuild|replaced)_(?P<projector>[a-z]+)_(?P<generation>\d+)$")


class Made(msgspec.Struct, frozen=True):
    """By which version of a projector its live tables were made, and how often they were replaced."""

    projector: str
    version: int
    generation: int


class Left(msgspec.Struct, frozen=True):
    """A schema of a rebuild: `rebuild`, being built or left unfinished, or `replaced`, to be dropped."""

    name: str
    kind: str
    projector: str
    generation: int


class Site(Beside):
    """One projection's building site. It holds the lock until it is closed; every method raises Unreachable."""

    def __init__(self, database_url: str, projector: str, tables: Sequence[str], version: int) -> None:
        """Name what is built; `enter` opens it."""
        super().__init__(database_url, projector, tables)
        self.version = version
        self.generation = 0  # of the live tables
        self._connection: Connection | None = None

    @property
    def schema(self) -> str:
        """Give the schema in which the next generation is built."""
        return f"rebuild_{self.projector}_{self.generation + 1}"

    async def enter(self) -> None:
        """Take the lock. Raises BadInput where another rebuild of this projection is at work."""
        self._connection = await connect(self.database_url, self.owner)
        if not (await self._one("claim_rebuild", {"projector": self.projector}))["claimed"]:
            found = await self._rows("rebuild_claimant", {"projector": self.projector})
            who = ", ".join(row["owner"] for row in found)
            await self.close()
            # Nobody is found where it ended between the two questions.
            if not who or worker_of(who) == worker():
                raise Unreachable("the lock that our last session held", "the server has not seen it end", "wait")
            raise BadInput(f"to be the only rebuild of {self.projector}", f"{who} is at work", "wait for it, or end it")
        await self._rows("know_projection", {"projector": self.projector, "version": self.version})
        self.generation = await self.live_generation()

    async def close(self) -> None:
        """Let go of the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def live_generation(self) -> int:
        """Give the generation of the live tables as the database says it."""
        return next(made.generation for made in await self._made() if made.projector == self.projector)

    async def _made(self) -> list[Made]:
        return msgspec.convert(await self._rows("read_projections"), list[Made])

    async def left(self) -> list[Left]:
        """Give the schemas that rebuilds of this projection have left."""
        found = left_of(row["name"] for row in await self._rows("rebuild_schemas"))
        return [each for each in found if each.projector == self.projector]

    async def make(self) -> None:
        """Make the site, whole or not at all."""
        made = {"schema": self.schema, "tables": self._tables, "version": self.version}
        await self._rows("make_rebuild", made)

    async def newest_day(self) -> date | None:
        """Give the newest day that has live ticks."""
        rows = await self._rows("newest_tick_day")
        return rows[0]["day"] if rows else None

    async def drop_days(self, days: int) -> None:
        """Drop what the site holds past retention."""
        async with self.looking() as ask:
            await ask("drop_tick_days", {"days": days})

    async def tombstones(self) -> list[dict[str, Any]]:
        """Give the stream and n of every event that the site has read as lost."""
        async with self.looking() as ask:
            return await ask("read_tombstones")

    async def is_whole(self) -> bool:
        """Say whether nobody but this rebuild raised an epoch of its site."""
        async with self.looking() as ask:
            return bool((await ask("rebuild_is_whole"))[0]["whole"])

    async def can_go_on(self) -> bool:
        """Say whether what was left unfinished was begun by this version, and nobody raised its epochs."""
        async with self.looking() as ask:
            (facts,) = await ask("rebuild_facts")
        return bool(facts["version"] == self.version) and await self.is_whole()

    async def projected(self) -> dict[str, int]:
        """Give the streams of the live projector, and how far it has come."""
        return {row["stream"]: row["n"] for row in await self._rows("projected_streams", {"projector": self.projector})}

    async def begun(self) -> list[str]:
        """Give the streams of which the site has positions."""
        async with self.looking() as ask:
            return [row["stream"] for row in await ask("projected_streams", {"projector": self.projector})]

    async def seize(self, stream: str) -> Lease:
        """Take a stream from the live projector: what it has not committed by now it never will."""
        await self._rows("add_checkpoint", self._pair(stream))
        wanted = {**self._pair(stream), "owner": self.owner, "lease_seconds": LEASE_SECONDS}
        row = await self._one("seize_lease", wanted)
        return Lease(self.projector, stream, row["epoch"], row["n"])

    async def renew(self, lease: Lease) -> None:
        """Hold a live pair for longer; one that was lost is noticed at the swap."""
        held = {**self._pair(lease.stream), "epoch": lease.epoch, "lease_seconds": LEASE_SECONDS}
        await self._rows("renew_lease", held)

    async def release(self, lease: Lease) -> None:
        """Give a live pair back."""
        await self._rows("release_lease", {**self._pair(lease.stream), "epoch": lease.epoch})

    async def swap(self, leases: Sequence[Lease], positions: Mapping[str, int]) -> None:
        """Put this site's tables and positions in the place of the live ones, in one transaction.

        leases: of all live pairs. Raises LeaseLost where they are not all ours any more, Unreachable also where
        somebody reads the live tables for longer than readers are kept waiting; `live_generation` tells what was done.
        """
        connection = self._open()
        replaced = f"replaced_{self.projector}_{self.generation}"
        async with reaching(f"the swap of {self.projector}"), connection.transaction():
            await connection.execute(statements["wait_briefly"])
            await connection.execute(statements["lock_projection"], {"tables": self._tables})
            for lease in leases:
                place = {**self._pair(lease.stream), "epoch": lease.epoch, "n": positions[lease.stream]}
                await self._moved("place_checkpoint", place, f"{lease.stream} in epoch {lease.epoch}")
            strangers = {"projector": self.projector, "streams": [lease.stream for lease in leases]}
            if found := await (await connection.execute(statements["strangers"], strangers)).fetchall():
                raise _not_ours(self.projector, ", ".join(row["stream"] for row in found))
            mine = {"projector": self.projector, "version": self.version, "generation": self.generation}
            await self._moved("raise_generation", mine, f"generation {self.generation}")
            await connection.execute(statements["forget_lost_rows"], {"projector": self.projector})
            schemas = {"schema": self.schema, "replaced": replaced}
            await connection.execute(
                statements["swap_rebuild"], {"projector": self.projector, "tables": self._tables, **schemas}
            )

    async def swapped(self) -> bool:
        """Say whether the swap was made, over a new session where the old one is gone: nobody else can make it."""
        await self._resume()
        return await self.live_generation() > self.generation

    async def _resume(self) -> None:
        """Open a session where the last one is gone, and take the lock again, for what was built here."""
        if self._connection is None or self._connection.closed:
            await self.close()
            generation = self.generation
            try:
                await self.enter()
            finally:
                self.generation = generation

    async def _moved(self, statement: LiteralString, parameters: Mapping[str, Any], what: str) -> None:
        if (await self._open().execute(statements[statement], parameters)).rowcount != 1:
            raise _not_ours(self.projector, what)

    async def drop_one(self, left: Left) -> bool:
        """Drop one table of a schema that is no longer used, or the schema; say whether more is there.

        Over a new session where the old one is gone. What lacks a table is not gone on with by the next rebuild.
        Raises Unreachable also while somebody reads it, and Halt where something of somebody else's hangs on it.
        """
        await self._resume()
        connection = self._open()
        async with reaching(f"to drop {left.name}"), connection.transaction():
            await connection.execute(statements["wait_briefly"])
            row = await (await connection.execute(statements["drop_rebuild"], {"schema": left.name})).fetchone()
        return row is not None and row["gone"] is not None

    def _open(self) -> Connection:
        assert self._connection is not None, "entered, and not closed yet"
        return self._connection

    async def _rows(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        connection = self._open()
        async with reaching(f"the rebuild of {self.projector}"):
            cursor = await connection.execute(statements[statement], parameters)
            return await cursor.fetchall() if cursor.description else []

    async def _one(self, statement: LiteralString, parameters: Mapping[str, Any]) -> dict[str, Any]:
        (row,) = await self._rows(statement, parameters)
        return row


def left_of(names: Any) -> list[Left]:
    """Give the schemas of rebuilds by their names."""
    found = (match for match in map(_NAME.match, names) if match)
    return [Left(each[0], each["kind"], each["projector"], int(each["generation"])) for each in found]


def _not_ours(projector: str, found: str) -> LeaseLost:
    return LeaseLost(f"to hold all of {projector} for the swap", f"another owner of {found}", "it is tried again")
