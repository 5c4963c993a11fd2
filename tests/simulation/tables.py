"""A simulated PostgreSQL behind the port `sql.store.Store`: checkpoints, rows, transactions, sessions, locks of rows.

It knows no SQL. Statements have the names that they have in sql/statements, and a few of the simulation's own. Each
commit is held against the invariants: (2) rows are visible exactly up to the checkpoint, (3) it never falls, nor does
its epoch.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import msgspec

from runtime.errors import LeaseLost, Unreachable
from sql.pool import IDLE_TRANSACTION_SECONDS_MAX, LOCK_SECONDS_MAX
from sql.store import LEASE_SECONDS, Lease, Rows, Store
from tests.simulation.ledger import Ledger
from tests.simulation.timeline import OWNER, pause
from tests.simulation.world import Life, Service, World

LOCK_LOOK_SECONDS = 0.01
BACKUPS_MAX = 5
BACKUP_SHARE = 0.1  # of all commits
Pair = tuple[str, str]
T = TypeVar("T")


class Checkpoint(msgspec.Struct):
    """A row of projection_checkpoints. locked_by: the session whose open transaction has changed it."""

    n: int = 0
    epoch: int = 0
    owner: str | None = None
    lease_until: float = -1.0
    locked_by: "Session | None" = None


class Schema(msgspec.Struct):
    """What a rebuild builds in, or what a swap has replaced. parts: the tables that are there, some of them dropped."""

    parts: list[str]
    version: int = 1
    checkpoints: dict[Pair, Checkpoint] = {}
    own_epochs: dict[Pair, int] = {}  # as the rebuild itself left them
    firsts: dict[Pair, int] = {}
    rows: "dict[Pair, list[Row]]" = {}
    tombstones: set[tuple[str, int]] = set()


class Row(msgspec.Struct, frozen=True):
    """What a projector wrote of the event n: its content, or that it is parked; and all up to it, summed up."""

    n: int
    content: bytes
    sum: int
    parked: bool = False


class Session:
    """One connection. It ends with its process, by another's word, or with the server."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.ended = False
        self.idle_since = 0.0
        self.locked: Checkpoint | None = None
        self.commit_on_its_way = False  # the client has gone, and the server does not know yet

    def end(self) -> None:
        """Roll back what is open, and answer no more."""
        self.ended = True
        self.let_go()

    def leave(self) -> None:
        """Let the client go; a commit that it has sent is still heard."""
        if not self.commit_on_its_way:
            self.end()

    def let_go(self) -> None:
        """End the transaction: its row is free."""
        if self.locked is not None:
            self.locked.locked_by = None
            self.locked = None


class State(msgspec.Struct, frozen=True):
    """All that a backup holds."""

    checkpoints: dict[Pair, Checkpoint]
    rows: "dict[Pair, list[Row]]"
    schemas: dict[str, Schema]
    generations: dict[str, int]
    lost_rows: dict[str, set[int]]


class Tables(Service):
    """The server. backups: is one made now and then?"""

    def __init__(self, world: World, ledger: Ledger) -> None:
        super().__init__("tables", doubles=False)
        self.world, self.ledger = world, ledger
        self.checkpoints: dict[Pair, Checkpoint] = {}
        self.rows: dict[Pair, list[Row]] = {}
        self.schemas: dict[str, Schema] = {}  # of rebuilds
        self.generations: dict[str, int] = {}  # by projector, how often its tables were replaced
        self.claims: dict[str, Session] = {}  # by projector, who rebuilds it
        self.lost_rows: dict[str, set[int]] = {}  # by projector, the takeovers that gave up events which it has rows of
        self.sessions: list[Session] = []
        self.stores = 0
        self.clock_offset = 0.0
        self.backups = self.may_hand_out_twice = False
        self._states: list[State] = []
        self._wrote: dict[tuple[Pair, int], str] = {}  # whose rows are of an epoch

    def session(self, owner: str) -> Session:
        """Open a connection, which ends with the life that asked for it."""
        session = Session(owner)
        self.sessions = [each for each in self.sessions if not each.ended] + [session]
        life = OWNER.get()
        if isinstance(life, Life):
            life.on_death.append(session.leave)
        return session

    def now(self) -> float:
        return self.world.loop.now + self.clock_offset

    def break_connections(self) -> None:
        super().break_connections()
        for session in self.sessions:
            session.end()
        self.sessions.clear()

    def checkpoints_of(self, schema: str | None) -> dict[Pair, Checkpoint]:
        """Give the table of positions that is found first from a schema on."""
        found = self.schemas.get(schema or "")
        return found.checkpoints if found and "projection_checkpoints" in found.parts else self.checkpoints

    def rows_of(self, schema: str | None) -> dict[Pair, list[Row]]:
        """Give the table of rows that is found first from a schema on."""
        found = self.schemas.get(schema or "")
        return found.rows if found and "counts" in found.parts else self.rows

    def back_up(self) -> None:
        """Make a backup."""
        schemas = {name: _copied(schema) for name, schema in self.schemas.items()}
        rows = {pair: list(each) for pair, each in self.rows.items()}
        lost = {name: set(each) for name, each in self.lost_rows.items()}
        held = _unlocked(self.checkpoints)
        self._states = [*self._states[-BACKUPS_MAX + 1 :], State(held, rows, schemas, dict(self.generations), lost)]

    def go_back(self, *, raised: bool) -> str:
        """Be what a backup was; raised: no epoch that was handed out before is one any more. Say where it stands."""
        if not self._states:
            return "there is none"
        self.break_connections()
        place = self.world.dice.randrange(len(self._states))
        state = self._states[place]
        del self._states[place:]
        self.checkpoints, self.rows, self.schemas = state.checkpoints, state.rows, state.schemas
        self.generations, self.lost_rows, self.claims = state.generations, state.lost_rows, {}
        if raised:
            far = self.world.loop_ns() // 1000
            for checkpoint in self.checkpoints.values():
                checkpoint.epoch, checkpoint.owner, checkpoint.lease_until = far, None, -1.0
            for schema in self.schemas.values():
                for checkpoint in schema.checkpoints.values():
                    checkpoint.epoch += 1
        return ", ".join(f"{pair[0]} at {checkpoint.n}" for pair, checkpoint in self.checkpoints.items())

    def wrote(self, lease: Lease, owner: str) -> None:
        """(3) Nobody writes in an epoch of somebody else's."""
        life = owner.partition(":")[0]
        first = self._wrote.setdefault(((lease.projector, lease.stream), lease.epoch), life)
        if first != life and not self.may_hand_out_twice:
            raise self.ledger.violated(f"(3) {first} and {life} wrote {lease.projector} in epoch {lease.epoch}")

    def commit(self, place: "Place", lease: Lease, target: int, added: list[Row]) -> None:
        """Make a position and its rows visible."""
        pair = (lease.projector, lease.stream)
        checkpoint, rows = place.checkpoints[pair], place.rows.setdefault(pair, [])
        if lease.epoch != checkpoint.epoch:
            raise self.ledger.violated(f"(3) {pair} is written in epoch {lease.epoch} and is in {checkpoint.epoch}")
        if target < checkpoint.n:
            raise self.ledger.violated(f"(3) the checkpoint of {pair} falls from {checkpoint.n} to {target}")
        checkpoint.n = target
        checkpoint.lease_until = self.now() + LEASE_SECONDS
        rows.extend(added)
        self.check(pair, place)
        if self.backups and self.world.dice.random() < BACKUP_SHARE:
            self.back_up()

    def check(self, pair: Pair, place: "Place | None" = None) -> None:
        """(2) Rows of n are visible exactly when the checkpoint is at least n."""
        checkpoints, rows = (place.checkpoints, place.rows) if place else (self.checkpoints, self.rows)
        found, n = rows.get(pair, []), checkpoints[pair].n
        if len(found) != n or (found and found[-1].n != n):
            numbers = [row.n for row in found[-5:]]
            raise self.ledger.violated(f"(2) {pair} stands at {n}, with {len(found)} rows, the last ones {numbers}")

    async def fence(self, stream: str) -> dict[str, int]:
        """Raise the epochs of all projectors and rebuilds of a stream; give how far each has come."""
        found: dict[str, Checkpoint] = {}
        for name, schema in sorted(self.schemas.items()):
            if name.startswith("rebuild_"):
                if "projection_checkpoints" not in schema.parts:
                    raise self.lost("UndefinedTable")
                found.update((name, each) for pair, each in schema.checkpoints.items() if pair[1] == stream)
        found |= {pair[0]: each for pair, each in self.checkpoints.items() if pair[1] == stream}
        session = Session("fence")
        for name, checkpoint in found.items():
            await self.lock(session, checkpoint)
            checkpoint.epoch += 1
            checkpoint.owner, checkpoint.lease_until = None, -1.0
            session.let_go()
            self.world.say("tables", f"{name} is fenced off, epoch {checkpoint.epoch}, n {checkpoint.n}")
        return {name: checkpoint.n for name, checkpoint in found.items()}

    async def lock(self, session: Session, checkpoint: Checkpoint) -> None:
        """Wait for a row that another transaction has changed. Raises Unreachable."""
        until = self.world.loop.now + LOCK_SECONDS_MAX
        while checkpoint.locked_by not in (None, session):
            holder = checkpoint.locked_by
            if self.world.loop.now - holder.idle_since > IDLE_TRANSACTION_SECONDS_MAX:
                holder.end()
                continue
            if self.world.loop.now > until:
                raise self.lost("LockNotAvailable")
            await pause(LOCK_LOOK_SECONDS)
        if session.ended:
            raise self.lost("AdminShutdown")
        session.locked, checkpoint.locked_by = checkpoint, session
        session.idle_since = self.world.loop.now

    def end_owner(self, owner: str, but: Session) -> None:
        """End an owner's sessions."""
        for session in self.sessions:
            if session.owner == owner and session is not but:
                session.end()


class Place(msgspec.Struct):
    """Positions and rows, as a transaction found them."""

    checkpoints: dict[Pair, Checkpoint]
    rows: dict[Pair, list[Row]]


class SimulatedRows(Rows):
    """The inside of one transaction."""

    def __init__(self, tables: Tables, session: Session, rows: dict[Pair, list[Row]]) -> None:
        self.stream_id = 1
        self.added: list[Row] = []
        self.lost: dict[str, int] = {}
        self._tables, self._session, self._rows = tables, session, rows

    async def run(self, statement: LiteralString, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        assert parameters is not None, "a pair is named"
        known = self._rows.get((parameters["projector"], parameters["stream"]), [])
        if statement == "last_row":
            await self._ask(statement, [])
            return [{"n": known[-1].n, "sum": known[-1].sum}] if known else []
        if statement == "note_lost_rows":
            await self._ask(statement, [])
            self.lost[parameters["projector"]] = parameters["n"]
            return []
        assert statement == "park_event", statement
        row = Row(parameters["n"], parameters["payload"], known[-1].sum if known else 0, parked=True)
        await self._ask(statement, [row])
        return []

    async def run_many(self, statement: LiteralString, each: Iterable[Mapping[str, Any]]) -> None:
        assert statement == "add_row", statement
        await self._ask(statement, [Row(row["n"], row["content"], row["sum"]) for row in each])

    async def _ask(self, statement: str, rows: list[Row]) -> None:
        async def work() -> None:
            if self._session.ended:
                raise self._tables.lost("AdminShutdown")
            self._session.idle_since = self._tables.world.loop.now
            self.added += rows

        await self._tables.world.call(self._tables, statement, work)


class SimulatedStore(Store):
    """One owner's connection to the tables."""

    def __init__(self, tables: Tables, schema: str | None = None) -> None:
        self._tables, self._world, self._schema = tables, tables.world, schema
        life = OWNER.get()
        self._life = life if isinstance(life, Life) else None
        tables.stores += 1
        self.owner = f"{self._life.name if self._life else 'nobody'}:{tables.stores}"
        self._session: Session | None = None

    async def acquire(self, projector: str, stream: str) -> Lease | None:
        session, tables = self._connected(), self._tables

        async def work() -> Lease | None:
            found = tables.checkpoints.setdefault((projector, stream), Checkpoint())
            owner, over = found.owner, found.lease_until < tables.now()
            if owner not in (None, self.owner) and over:
                tables.end_owner(str(owner), session)
            free = over or owner in (None, self.owner) or self._is_dead(str(owner))
            if not free:
                return None
            await tables.lock(session, found)
            try:
                if found.owner != owner and found.lease_until >= tables.now():
                    return None  # another one was quicker
                found.epoch += 1
                found.owner, found.lease_until = self.owner, tables.now() + LEASE_SECONDS
                self._world.say("tables", f"{projector} is held by {self.owner}, epoch {found.epoch}, n {found.n}")
                return Lease(projector, stream, found.epoch, found.n)
            finally:
                session.let_go()

        return await self._call(f"acquire {projector}", work)

    async def made_by(self, projector: str, version: int) -> int:
        return version  # nobody updates Bahi in this world

    def _is_dead(self, owner: str) -> bool:
        """Say whether an owner was a life of this host's that is no more."""
        if self._life is None:
            return False
        for process in self._life.process.host.processes:
            if owner.startswith(f"{process.name}."):
                return process.life is None or not owner.startswith(f"{process.life.name}:")
        return False

    async def standing(self, lease: Lease) -> int:
        async def work() -> int:
            found = self._checkpoint(lease)
            if found.epoch != lease.epoch:
                raise _lost(lease)
            return found.n

        return await self._call("standing", work)

    async def raise_far(self, lease: Lease, now_ns: int) -> None:
        session, tables = self._connected(), self._tables

        async def work() -> int:
            found = self._checkpoint(lease)
            await tables.lock(session, found)
            try:
                if found.epoch != lease.epoch:
                    raise _lost(lease)
                found.epoch = max(found.epoch + 1, now_ns // 1000, self._world.loop_ns() // 1000)
                return found.epoch
            finally:
                session.let_go()

        lease.epoch = await self._call(f"raise {lease.projector}", work)

    async def renew(self, lease: Lease) -> None:
        if not await self._set_lease("renew", lease, self.owner):
            raise _lost(lease)

    async def release(self, lease: Lease) -> None:
        await self._set_lease("release", lease, None)

    async def _set_lease(self, what: str, lease: Lease, owner: str | None) -> bool:
        session, tables = self._connected(), self._tables

        async def work() -> bool:
            found = self._checkpoint(lease)
            if found.epoch != lease.epoch:
                return False
            await tables.lock(session, found)
            try:
                if found.epoch == lease.epoch:
                    found.owner = owner
                    found.lease_until = tables.now() + LEASE_SECONDS if owner else -1.0
                return found.epoch == lease.epoch
            finally:
                session.let_go()

        return await self._call(f"{what} {lease.projector}", work)

    @asynccontextmanager
    async def begin(self, lease: Lease, target: int) -> AsyncIterator[Rows]:
        session, tables = self._connected(), self._tables
        place = Place({}, {})

        async def move() -> None:
            place.checkpoints, place.rows = tables.checkpoints_of(self._schema), tables.rows_of(self._schema)
            found = self._checkpoint(lease)
            await tables.lock(session, found)
            if not is_where_it_was_left(found, lease) or found.n > target:
                session.let_go()
                raise _lost(lease)

        try:
            await self._call(f"move {lease.projector} to {target}", move)
            rows = SimulatedRows(tables, session, place.rows)
            yield rows
            await self._commit(session, place, lease, target, rows)
        except Unreachable:
            await self.close()
            raise
        finally:
            if not session.commit_on_its_way:
                session.let_go()

    async def _commit(self, session: Session, place: Place, lease: Lease, target: int, rows: SimulatedRows) -> None:
        def commit() -> None:
            self._world.say("tables", f"{self._schema or lease.projector} commits {target}")
            if self._schema is None:
                self._tables.wrote(lease, self.owner)
            self._tables.commit(place, lease, target, rows.added)
            for projector, n in rows.lost.items():
                self._tables.lost_rows.setdefault(projector, set()).add(n)

        late = await end_transaction(self._tables, session, f"commit {lease.projector} {target}", commit)
        await self._call(f"commit {lease.projector} {target}", late)

    @asynccontextmanager
    async def reading(self, stream: str) -> AsyncIterator[Rows]:
        try:
            yield SimulatedRows(self._tables, self._connected(), self._tables.rows_of(self._schema))
        except Unreachable:
            await self.close()
            raise

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.leave()

    def _checkpoint(self, lease: Lease) -> Checkpoint:
        found = self._tables.checkpoints_of(self._schema).get((lease.projector, lease.stream))
        if found is None:
            raise _lost(lease)
        return found

    def _connected(self) -> Session:
        if self._session is None or self._session.ended:
            self._session = self._tables.session(self.owner)
        return self._session

    async def _call(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._world.call(self._tables, what, work)
        except Unreachable:
            await self.close()
            raise


async def end_transaction(
    tables: Tables, session: Session, what: str, apply: Callable[[], None]
) -> Callable[[], Awaitable[None]]:
    """Give the commit, to be asked of the server. Raises Unreachable where it is on its way, and comes late."""

    async def commit() -> None:
        if session.ended or session.locked is None:
            raise tables.lost("AdminShutdown")
        apply()
        session.let_go()

    async def commit_late() -> None:
        try:
            await commit()
        finally:
            session.end()

    if tables.world.faults.happens("late request"):
        session.commit_on_its_way = True
        tables.world.carry_out_later(tables, what, commit_late)
        raise tables.lost("no answer")
    return commit


def _unlocked(checkpoints: Mapping[Pair, Checkpoint]) -> dict[Pair, Checkpoint]:
    return {pair: msgspec.structs.replace(each, locked_by=None) for pair, each in checkpoints.items()}


def _copied(schema: Schema) -> Schema:
    rows = {pair: list(each) for pair, each in schema.rows.items()}
    own, firsts, tombstones = dict(schema.own_epochs), dict(schema.firsts), set(schema.tombstones)
    return Schema(list(schema.parts), schema.version, _unlocked(schema.checkpoints), own, firsts, rows, tombstones)


def is_where_it_was_left(checkpoint: Checkpoint, lease: Lease) -> bool:
    """Say whether a checkpoint may be moved by whom holds this lease (rule 11)."""
    return (checkpoint.epoch, checkpoint.n) == (lease.epoch, lease.n)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"to hold {lease.projector} in epoch {lease.epoch} at n = {lease.n}", "another epoch or position", "go on"
    )
