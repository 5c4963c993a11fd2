"""Where rebuilds build, behind the seam `sql.rebuilds.Site`: schemas, one lock, a swap; and snapshots of it all.

It answers as the statements in sql/statements/rebuild.sql and the functions of the schema do, over the simulated
tables. What a rebuild does with it (build, compare, swap, begin again) is the product's own code.
"""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, LiteralString, TypeVar

from projectors import building, rebuild
from runtime.errors import BadInput, Halt, LeaseLost, Unreachable
from sql.rebuilds import Left, left_of
from sql.store import LEASE_SECONDS, Lease
from tests.simulation.tables import Checkpoint, Pair, Row, Schema, Session, SimulatedStore, Tables, end_transaction

PARTS = ("counts", "parked_events", "projection_checkpoints", "rebuild", "tombstones")
LIVE = "public"
T = TypeVar("T")
Ask = Callable[..., Awaitable[list[dict[str, Any]]]]


class SimulatedSite:
    """`sql.rebuilds.Site` of one process."""

    database_url = "simulated"

    def __init__(self, tables: Tables, projector: str, names: Sequence[str], version: int) -> None:
        assert tuple(names) == PARTS[:1], "there is one table"
        self.projector, self.version, self.generation = projector, version, 0
        self._tables = tables
        self._owner = SimulatedStore(tables).owner
        self._session: Session | None = None

    @property
    def schema(self) -> str:
        return f"rebuild_{self.projector}_{self.generation + 1}"

    async def enter(self) -> None:
        tables = self._tables
        session = self._session = tables.session(self._owner)

        async def claim() -> Session | None:
            holder = tables.claims.get(self.projector)
            if holder is not None and holder is not session and not holder.ended:
                return holder
            tables.claims[self.projector] = session
            return None

        holder = await self._ask("claim", claim)
        if holder is not None:
            await self.close()
            if holder.owner.partition(":")[0] == self._owner.partition(":")[0]:
                raise Unreachable("the lock that our last session held", "the server has not seen it end", "wait")
            raise BadInput(f"to be the only rebuild of {self.projector}", f"{holder.owner} is at work", "wait for it")
        self.generation = await self.live_generation()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.leave()

    async def live_generation(self) -> int:
        async def work() -> int:
            return self._tables.generations.get(self.projector, 0)

        return await self._ask("generation", work)

    async def left(self) -> list[Left]:
        async def work() -> list[Left]:
            return [each for each in left_of(sorted(self._tables.schemas)) if each.projector == self.projector]

        return await self._ask("left", work)

    async def make(self) -> None:
        async def work() -> None:
            if self.schema in self._tables.schemas:
                raise Halt(f"to make {self.schema}", "DuplicateSchema", "this is a defect")
            self._tables.schemas[self.schema] = Schema(list(PARTS), self.version)

        await self._ask("make", work)

    async def rows(self) -> int:
        async def work() -> int:
            return sum(map(len, self._tables.rows_of(self.schema).values()))

        return await self._ask("count", work)

    async def tombstones(self) -> list[dict[str, Any]]:
        async def work() -> list[dict[str, Any]]:
            return [{"stream": stream, "n": n} for stream, n in sorted(self._part("tombstones").tombstones)]

        return await self._ask("tombstones", work)

    async def is_whole(self) -> bool:
        async def work() -> bool:
            schema = self._part("projection_checkpoints")
            return all(each.epoch == schema.own_epochs[pair] for pair, each in schema.checkpoints.items())

        return await self._ask("is it whole", work)

    async def can_go_on(self) -> bool:
        async def work() -> bool:
            return self._part("rebuild").version == self.version

        return await self._ask("facts", work) and await self.is_whole()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Ask]:
        async def ask(statement: LiteralString, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
            async def work() -> list[dict[str, Any]]:
                stream = parameters["stream"]
                self._part("tombstones").tombstones.update((stream, n) for n in parameters["numbers"])
                return []

            assert statement == "keep_tombstones", statement
            return await self._ask(statement, work)

        yield ask

    async def own_lease(self, stream: str, first: int) -> tuple[Lease, int] | None:
        pair, session = (self.projector, stream), self._tables.session(self._owner)

        async def work() -> tuple[Lease, int] | None:
            schema = self._part("projection_checkpoints")
            if pair not in schema.checkpoints:
                schema.checkpoints[pair] = Checkpoint(n=first - 1, epoch=1)
                schema.own_epochs[pair], schema.firsts[pair] = 1, first
                return Lease(*pair, 1, first - 1), first
            found = schema.checkpoints[pair]
            await self._tables.lock(session, found)
            try:
                if found.epoch != schema.own_epochs[pair]:
                    return None
                found.epoch = schema.own_epochs[pair] = found.epoch + 1
                return Lease(*pair, found.epoch, found.n), schema.firsts[pair]
            finally:
                session.let_go()

        try:
            return await self._ask("own lease", work)
        finally:
            session.leave()

    async def projected(self) -> dict[str, int]:
        async def work() -> dict[str, int]:
            held = self._tables.checkpoints.items()
            return {pair[1]: each.n for pair, each in held if pair[0] == self.projector}

        return await self._ask("projected", work)

    async def begun(self) -> list[str]:
        async def work() -> list[str]:
            return [stream for _, stream in self._tables.checkpoints_of(self.schema)]

        return await self._ask("begun", work)

    async def seize(self, stream: str) -> Lease:
        pair, tables, session = (self.projector, stream), self._tables, self._open()

        async def work() -> Lease:
            found = tables.checkpoints.setdefault(pair, Checkpoint())
            await tables.lock(session, found)
            found.epoch += 1
            found.owner, found.lease_until = self._owner, tables.now() + LEASE_SECONDS
            session.let_go()
            tables.world.say("tables", f"{self.projector} is seized, epoch {found.epoch}, n {found.n}")
            return Lease(*pair, found.epoch, found.n)

        return await self._ask("seize", work)

    async def renew(self, lease: Lease) -> None:
        await self._set_lease(lease, self._owner)

    async def release(self, lease: Lease) -> None:
        await self._set_lease(lease, None)

    async def _set_lease(self, lease: Lease, owner: str | None) -> None:
        session, tables = self._open(), self._tables

        async def work() -> None:
            found = tables.checkpoints.get((lease.projector, lease.stream))
            if found is None or found.epoch != lease.epoch:
                return
            await tables.lock(session, found)
            if found.epoch == lease.epoch:
                found.owner = owner
                found.lease_until = tables.now() + LEASE_SECONDS if owner else -1.0
            session.let_go()

        await self._ask("hold" if owner else "let go", work)

    async def swap(self, leases: Sequence[Lease], positions: Mapping[str, int]) -> None:
        """Put tables and positions in the place of the live ones, in one transaction."""
        session, tables = self._open(), self._tables
        assert len(leases) <= 1, "a session of this world holds one row"
        try:
            for lease in leases:
                await self._ask("place checkpoint", partial(self._place, session, lease, positions))

            async def see_strangers() -> None:
                known = {lease.stream for lease in leases}
                if any(pair[0] == self.projector and each.n and pair[1] not in known for pair, each in self._live()):
                    raise self._not_ours("a stream that nobody saw")
                if tables.generations.get(self.projector, 0) != self.generation:
                    raise self._not_ours("the generation")

            await self._ask("raise generation", see_strangers)
            commit = await end_transaction(tables, session, "swap", partial(self.put_in_place, positions))
            await self._ask("commit the swap", commit)
        finally:
            if not session.commit_on_its_way:
                session.let_go()

    async def _place(self, session: Session, lease: Lease, positions: Mapping[str, int]) -> None:
        found = self._tables.checkpoints[self.projector, lease.stream]
        await self._tables.lock(session, found)
        if found.epoch != lease.epoch or found.n > positions[lease.stream]:
            raise self._not_ours(f"{lease.stream} in epoch {lease.epoch}")

    def put_in_place(self, positions: Mapping[str, int]) -> None:
        """Let live tables and positions be those that were built."""
        self.place_positions(positions)
        self.place_tables()
        for stream in positions:
            self._tables.check((self.projector, stream))

    def place_positions(self, positions: Mapping[str, int]) -> None:
        """Let the live positions be those of what was built."""
        for stream, n in positions.items():
            self._tables.checkpoints[self.projector, stream].n = n

    def place_tables(self) -> None:
        """Let the live tables be those that were built."""
        tables, built = self._tables, self._part("counts")
        tables.world.say("tables", f"generation {self.generation + 1} of {self.projector} is live")
        tables.generations[self.projector] = self.generation + 1
        tables.lost_rows.pop(self.projector, None)
        tables.schemas[f"replaced_{self.projector}_{self.generation}"] = Schema(["counts"])
        for pair, rows in built.rows.items():
            tables.rows[pair] = rows
        built.rows = {}
        built.parts.remove("counts")

    async def swap_tables(self) -> None:
        """Swap the tables alone; the product has no such verb."""

        async def work() -> None:
            self.place_tables()
            for pair, _ in self._live():
                if pair[0] == self.projector:
                    self._tables.check(pair)

        await self._ask("swap the tables", work)

    async def swapped(self) -> bool:
        await self._resume()
        return await self.live_generation() > self.generation

    async def _resume(self) -> None:
        if self._session is None or self._session.ended:
            await self.close()
            generation = self.generation
            try:
                await self.enter()
            finally:
                self.generation = generation

    async def drop_one(self, left: Left) -> bool:
        await self._resume()

        async def work() -> bool:
            schema = self._tables.schemas.get(left.name)
            if schema is None or "counts" not in schema.parts:
                self._tables.schemas.pop(left.name, None)
                return False
            schema.parts.remove("counts")
            schema.version = 0
            return True

        return await self._ask(f"drop of {left.name}", work)

    def _live(self) -> list[tuple[Pair, Checkpoint]]:
        return list(self._tables.checkpoints.items())

    def _part(self, name: str) -> Schema:
        found = self._tables.schemas.get(self.schema)
        if found is None or name not in found.parts:
            raise self._tables.lost("UndefinedTable")
        return found

    def _open(self) -> Session:
        if self._session is None or self._session.ended:
            raise self._tables.lost("the connection is closed")
        return self._session

    def _not_ours(self, found: str) -> LeaseLost:
        return LeaseLost(f"to hold all of {self.projector} for the swap", f"another owner of {found}", "try again")

    async def _ask(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        session = self._open()
        try:
            return await self._tables.world.call(self._tables, f"{what} {self.projector}", work)
        except Unreachable as error:
            if error.found not in ("LockNotAvailable", "UndefinedTable"):  # answers of a server that is there
                session.leave()
            raise


class SimulatedSnapshot:
    """`sql.snapshot.Snapshot`: all rows as they were at one moment."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._schemas = {name: _copied(schema.rows) for name, schema in tables.schemas.items()}
        self._schemas[LIVE] = _copied(tables.rows)
        self._schema = LIVE
        self._positions: dict[str, dict[str, int]] = {}
        for (projector, stream), checkpoint in tables.checkpoints.items():
            self._positions.setdefault(projector, {})[stream] = checkpoint.n

    async def rows(self, statement: LiteralString, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        async def work() -> list[dict[str, Any]]:
            return self._answer(statement, parameters or {})

        return await self._tables.world.call(self._tables, statement, work)

    def _answer(self, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        if statement == "look_into":
            self._schema = parameters["schema"]
            return []
        if statement == "projected_streams":
            return [
                {"stream": stream, "n": n} for stream, n in self._positions.get(parameters["projector"], {}).items()
            ]
        verb = statement.partition("_")[0]
        parked = {"counts": False, "parked_events": True}[parameters["table"]]
        held: dict[str, list[Row]] = {}
        for (projector, stream), rows in self._schemas[self._schema].items():
            if projector == parameters["projector"]:
                held[stream] = [row for row in rows if row.parked is parked]
        if verb == "sum":
            return [
                {"part": stream, "rows": len(rows), "checksum": zlib.crc32(repr(rows).encode())}
                for stream, rows in held.items()
                if rows
            ]
        assert verb == "rows", statement
        stream = parameters["part"]
        body = {row.n: {"content": row.content.hex(), "sum": row.sum} for row in held.get(stream, [])}
        return [{"key": f"{stream} n {n}", "stream": stream, "n": n, "body": each} for n, each in body.items()]


def _copied(rows: Mapping[Pair, list[Row]]) -> dict[Pair, list[Row]]:
    return {pair: list(each) for pair, each in rows.items()}


@contextmanager
def sited(tables: Tables) -> Iterator[None]:
    """Let the product's rebuilds work on these tables."""

    @asynccontextmanager
    async def take(_: str) -> AsyncIterator[SimulatedSnapshot]:
        async def work() -> SimulatedSnapshot:
            return SimulatedSnapshot(tables)

        yield await tables.world.call(tables, "snapshot", work)

    places: list[tuple[Any, str, Any]] = [
        (rebuild, "Site", lambda _, projector, names, version: SimulatedSite(tables, projector, names, version)),
        (rebuild, "take", take),
        (building, "Store", lambda _, schema: SimulatedStore(tables, schema)),
    ]
    real = [getattr(where, name) for where, name, _ in places]
    for where, name, simulated in places:
        setattr(where, name, simulated)
    try:
        yield
    finally:
        for (where, name, _), each in zip(places, real, strict=True):
            setattr(where, name, each)
