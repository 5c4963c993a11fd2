"""The loop that carries one stream into one projection, exactly once.

Promise: each event is applied once, in order of n, or parked whole; its rows and the checkpoint commit together.

    read (dense from n + 1) -> absorb -> due? -> BEGIN; move checkpoint; rows; COMMIT -> read ...

States of one pair (projector, stream):

    FREE       another owner holds the lease, or nobody: ask for it now and then
    HOLDING    read and commit; the lease is renewed by each commit, or on its own while the stream is quiet
    ISOLATING  a batch was refused: the projector is made anew from the checkpoint and takes the same events one by
               one, until the bad one stands alone; that one is parked, or the projector stops
    HALTED     going on would lose or double something: say so, again and again, until somebody mends it

Failures. Redis or PostgreSQL away: wait and go on with the same rows in memory. The answer to a commit lost: the
checkpoint tells whether it was made. A frozen process wakes after its lease: its epoch is old, its first statement
moves 0 rows, it lets go. What is in memory and not committed is read again from the log. The database went back to an
older state: `projectors.setback`.
"""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum

from events.event import Recorded
from events.reader import Reader
from projectors.lost import LostRows, lost_rows
from projectors.projector import Projection, Projector
from projectors.retry import Retries
from projectors.setback import Marks, look_back
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import BadEvent, Halt, LeaseLost, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.metrics import (
    PROJECTOR_COMMIT_SECONDS,
    PROJECTOR_LAG,
    PROJECTOR_LATENCY_SECONDS,
    PROJECTOR_N,
    PROJECTOR_PARKED,
    PROJECTOR_RETRIES,
)
from runtime.waiting import Backoff
from sql.store import LEASE_SECONDS, Lease, Rows, Store
from sql.workers import Halted

READ_EVENTS_MAX = 1024  # one batch: about 10,000 ticks in one transaction, where loading is quickest
BLOCK_MS = 500  # a quiet read ends this often to look at lease and stop
PENDING_BLOCK_MS = 50  # while something waits in memory to be written
ACQUIRE_SECONDS = 0.5  # how often a pair that another owner holds is asked for
RENEW_SECONDS = LEASE_SECONDS / 4
HALTED_SECONDS = 15.0  # a stopped projector looks again this often, and says so each time
SHORT_LOG_SECONDS = 5.0  # a writer fills a Redis that forgot within this; later it is an alarm
MARK_SECONDS = 1.0  # the consumer groups in Redis follow the checkpoints this often
assert BLOCK_MS / 1000 < RENEW_SECONDS < LEASE_SECONDS / 2, "a quiet owner keeps its lease"


class State(Enum):
    """Where a pair stands."""

    FREE = "free"
    HOLDING = "holding"
    ISOLATING = "isolating"
    HALTED = "halted"


class Progress:
    """Position and state of one pair, to be waited for."""

    def __init__(self) -> None:
        """Begin before the first event."""
        self.n = 0
        self.state = State.FREE
        self._moved = asyncio.Condition()

    async def move(self, n: int) -> None:
        """Tell all who wait for a position."""
        async with self._moved:
            self.n = n
            self._moved.notify_all()

    async def turn(self, state: State) -> None:
        """Tell all who wait for a state."""
        async with self._moved:
            self.state = state
            self._moved.notify_all()

    async def reached(self, n: int) -> None:
        """Wait until events up to n are committed."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.n >= n)

    async def turned(self, state: State) -> None:
        """Wait until the pair stands in `state`."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.state is state)


class Loop:
    """One pair (projector, stream) at work."""

    def __init__(
        self,
        projection: Projection,
        stream: str,
        store: Store,
        reader: Reader,
        clock: Clock,
        marks: Marks,
        stop: Stop,
        read_events: int = READ_EVENTS_MAX,
    ) -> None:
        """Take a store and a reader that nobody else uses. read_events: the most that one read takes."""
        self.projection = projection
        self.stream = stream
        self.progress = Progress()
        self._store, self._reader, self._clock, self._marks, self._stop = store, reader, clock, marks, stop
        self._log = get("projector").bind(projector=projection.name, stream=stream)
        self._read_events = min(read_events, projection.read_events or read_events)
        self.is_live = True  # its tables may hold rows of events that were lost since; those of a rebuild do not
        self._lost: list[LostRows] = []  # to be noted with the commit that passes them
        self.halted: Halted | None = None  # until it has gone on
        self._complaints = Complaints(self._log)
        self._retries = Retries(projection, store, reader, clock)
        self._isolate_until = 0  # events up to this n are taken one by one
        self._oldest_ns = 0  # receive time of the oldest event that is read and not committed
        self._short_since: float | None = None  # since when the log ends below what was read from it
        self._committed_at = self._marked_at = self._renewed_at = clock.monotonic()

    @property
    def state(self) -> State:
        """Where the pair stands."""
        return self.progress.state

    async def run(self) -> None:
        """Work until the stop; what holds one pair up never holds up another."""
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                lease = await self._store.acquire(self.projection.name, self.stream)
                backoff.reset()
                if lease is None:
                    await self.progress.turn(State.FREE)
                    await self._stop.pause(ACQUIRE_SECONDS)
                else:
                    await self._compare_versions()
                    await self.hold(lease)
            except Unreachable as error:
                self._wait_for(error)
                await self._stop.pause(backoff.next_seconds())
            except LeaseLost as error:
                self._log.warning("projector.lease_lost", found=error.found)
            except Halt as error:
                self._log.error("projector.halted", wanted=error.wanted, found=error.found, remedy=error.remedy)
                await self._halt(error)
            except Exception as error:  # noqa: BLE001  # a defect of one projector stops no other pair
                self._log.exception("projector.failed", found=f"{type(error).__name__}: {error}")
                await self._halt(Halt("the events from here on to be applied", repr(error), "report it"))
        await self._store.close()

    async def _halt(self, why: Halt) -> None:
        place = self.projection.name, self.stream, self.progress.n + 1
        self.halted = Halted(*place, why.wanted, why.found, why.remedy, self._clock.now_ns())
        await self.progress.turn(State.HALTED)
        await self._stop.pause(HALTED_SECONDS)

    async def _compare_versions(self) -> None:
        """Say so where the tables are of an older version. Raises Halt where they are of a newer one.

        Old rows do not forbid new ones: whoever reads would see nothing new until somebody rebuilds them.
        """
        name, version = self.projection.name, self.projection.version
        made = await self._store.made_by(name, version)
        if made > version:
            raise Halt(f"tables of {name} made by version {version}", f"version {made}", "update this Bahi")
        if made < version:
            self._log.warning("projector.tables_are_old", made_by=made, version=version, remedy=f"bahi rebuild {name}")

    async def hold(self, lease: Lease) -> None:
        """Read and commit on a lease until the stop, and release it; lease.n moves along.

        What the states do with errors is up to the caller: LeaseLost, Halt, Unreachable.
        """
        self._log.info("projector.holds", epoch=lease.epoch, n=lease.n)
        if not await self._look_back(lease):  # the sign that a database went back is left for the next owner
            await self._store.release(lease)
            return
        self._renewed_at = self._clock.monotonic()
        while not self._stop.is_set():
            self._oldest_ns, self._lost = 0, []
            projector = self.projection.make(self.stream)
            async with self._store.reading(self.stream) as rows:
                await projector.recall(rows)
            await self.progress.move(lease.n)
            try:
                await self._carry(lease, projector)
            except BadEvent as error:
                await self._isolate(lease, error)
        with suppress(Unreachable):  # what stands there when all is stopped tells whether the database goes back
            await self._marks.mark(self.stream, self.projection.name, lease.n)
        await self._store.release(lease)

    async def _look_back(self, lease: Lease) -> bool:
        """Before any work, see whether the database went back; without Redis there is nothing to do anyway.

        Give whether it could be seen before the stop.
        """
        while not self._stop.is_set():
            try:
                await look_back(self._store, self._marks, lease, self.progress.n, self._clock.now_ns())
                return True
            except Unreachable as error:
                self._wait_for(error)
                await self._stop.pause(ACQUIRE_SECONDS)
        return False

    async def _carry(self, lease: Lease, projector: Projector) -> None:
        """HOLDING and ISOLATING: read, absorb, commit, until the stop. Raises BadEvent."""
        after = lease.n
        while not self._stop.is_set():
            alone = after < self._isolate_until
            state = State.ISOLATING if alone else State.HOLDING
            if self.state is not state:
                await self.progress.turn(state)
            batch = await self._read(after, 1 if alone else self._read_events, pending=after > lease.n)
            if batch:
                assert batch[0].n == after + 1, "every read continues where the last one ended"
                self._oldest_ns = self._oldest_ns or batch[0].at_ns
                self._last_read = batch[-1]
                projector.absorb(batch)
                self._lost += lost_rows(batch, self.projection.name) if self.is_live else []
                after = batch[-1].n
            waited = math.inf if alone else self._clock.monotonic() - self._committed_at
            target = projector.due(waited)
            if target is not None and target > lease.n:
                await self._commit(lease, projector, target)
            await self._keep(lease, after)
            if self.projection.rest_seconds and len(batch) < self._read_events and not alone:
                await self._stop.pause(self.projection.rest_seconds)
        target = projector.due(math.inf)
        if target is not None and target > lease.n:
            await self._commit(lease, projector, target)

    def _wait_for(self, error: Unreachable) -> None:
        self._complaints.say("projector.waits", wanted=error.wanted, found=error.found, remedy=error.remedy)

    async def _read(self, after: int, limit: int, *, pending: bool) -> Sequence[Recorded]:
        try:
            return await self._reader.read(self.stream, after, limit, PENDING_BLOCK_MS if pending else BLOCK_MS)
        except Unreachable as error:
            self._wait_for(error)
            await self._stop.pause(ACQUIRE_SECONDS)
            return []

    async def _commit(self, lease: Lease, projector: Projector, target: int) -> None:
        """Write rows and checkpoint, asking the checkpoint after a lost answer (rule 11)."""
        backoff, began = Backoff(), self._clock.monotonic()
        while True:
            try:
                if backoff.tries and await self._store.standing(lease) == target:
                    break
                async with self._store.begin(lease, target) as rows:
                    await projector.write(rows)
                    await self._note_lost(rows, target)
                break
            except LeaseLost:
                # The commit whose answer was lost was carried out while this one waited for its row.
                if not backoff.tries or await self._store.standing(lease) != target:
                    raise
                break
            except Unreachable as error:
                self._wait_for(error)
                PROJECTOR_RETRIES.labels(self.projection.name).inc()
                if await self._stop.pause(backoff.next_seconds()):
                    raise
        self._complaints.heal("projector.waits")
        projector.committed()
        self.halted = None
        self._lost = [each for each in self._lost if each.n > target]
        lease.n = target
        self._committed_at = self._renewed_at = self._clock.monotonic()
        PROJECTOR_COMMIT_SECONDS.labels(self.projection.name).observe(self._committed_at - began)
        PROJECTOR_LATENCY_SECONDS.labels(self.projection.name).observe((self._clock.now_ns() - self._oldest_ns) / 1e9)
        self._oldest_ns = 0
        await self.progress.move(target)

    async def _note_lost(self, rows: Rows, target: int) -> None:
        for each in self._lost:
            if each.n <= target:
                pair = {"projector": self.projection.name, "stream": self.stream}
                await rows.run("note_lost_rows", {**pair, "n": each.n, "lost": each.lost})
                self._log.error("projector.holds_lost_rows", n=each.n, lost=each.lost, remedy="run bahi rebuild")

    async def _keep(self, lease: Lease, after: int) -> None:
        """Hold the lease, and show operators where the pair stands."""
        now = self._clock.monotonic()
        if now - self._renewed_at >= RENEW_SECONDS:
            try:
                await self._store.renew(lease)
                self._renewed_at = now
                self._complaints.heal("projector.waits")
            except Unreachable as error:  # the epoch guards the rows; the next commit tells
                self._wait_for(error)
                await self._stop.pause(ACQUIRE_SECONDS)
        if now - self._marked_at >= MARK_SECONDS:
            self._marked_at = now
            try:
                await self._show(lease, after)
            except Unreachable as error:  # a sign for operators only
                self._log.debug("projector.not_marked", found=error.found)
            if self.is_live and self.state is State.HOLDING:
                await self._retries.look(lease)

    async def _show(self, lease: Lease, after: int) -> None:
        """Set the consumer group and the metrics; say so where the log ends below the checkpoint (invariant 8)."""
        await self._marks.mark(self.stream, self.projection.name, lease.n)
        last = await self._reader.last(self.stream)
        PROJECTOR_N.labels(self.projection.name, self.stream).set(lease.n)
        PROJECTOR_LAG.labels(self.projection.name, self.stream).set(max(0, last - lease.n))
        if last >= after:
            self._short_since = None
            return
        self._short_since = self._short_since or self._clock.monotonic()
        if self._clock.monotonic() - self._short_since > SHORT_LOG_SECONDS:
            self._log.error(
                "projector.log_is_short", last=last, n=lease.n, remedy="start the stream's writer: it fills"
            )

    async def _isolate(self, lease: Lease, error: BadEvent) -> None:
        """Take the events of a refused batch one by one; park the one that is refused alone."""
        bad = self._last_read
        if self._isolate_until < bad.n:
            self._log.warning("projector.isolates", found=error.found, first=lease.n + 1, last=bad.n)
            self._isolate_until = bad.n
            return
        if not self.projection.parks:
            raise Halt(error.wanted, f"{error.found} at n = {bad.n} of {self.stream}", "mend what refuses it")
        PROJECTOR_PARKED.labels(self.projection.name).inc()
        self._log.error("projector.parks", n=bad.n, wanted=error.wanted, found=error.found)
        async with self._store.begin(lease, bad.n) as rows:
            held = self.projection.packets(bad)
            parked = {"projector": lease.projector, "stream": self.stream, "n": bad.n, "part": 0, "packets": held}
            at = datetime.fromtimestamp(bad.at_ns / 1e9, UTC)
            await rows.run("park_event", {**parked, "at": at, "error": str(error), "payload": bad.payload})
        lease.n = bad.n
