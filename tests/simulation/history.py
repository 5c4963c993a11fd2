"""One history: the processes that live in it, what befalls them, and how it is judged.

chaos: a writer with its producer, projectors that compete for pairs, an archiver; faults
calm:  faults end, all that was away comes back; a few more events; everything is let run until nothing moves
judgement: the invariants over what the ledger saw and what the stores hold
"""

import asyncio
import logging
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
from structlog.typing import EventDict

from events.archive import Archive
from events.archiver import Archiver, Window
from events.event import Event
from events.reader import Reader
from events.spool import Spool
from events.standing import NAME as STANDING
from events.writer import Writer
from projectors.difference import Comparison
from projectors.loop import Loop
from projectors.rebuild import Plan as Rebuilding
from projectors.rebuild import Rebuild, Stopped
from runtime.errors import BadInput, Halt, HoleInLog, Unreachable
from runtime.lifecycle import Stop
from runtime.waiting import Backoff
from tests.simulation.counting import BAD, projection
from tests.simulation.disasters import befall
from tests.simulation.faults import Plan
from tests.simulation.judgement import judge
from tests.simulation.kernel import Disk, Kernel, booted
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.redis_server import RedisServer, SimulatedLog
from tests.simulation.shape import FOLDER, PROJECTORS, STREAM, Shape
from tests.simulation.shelf_server import ShelfServer, SimulatedShelf
from tests.simulation.site import sited
from tests.simulation.tables import SimulatedStore, Tables
from tests.simulation.timeline import OWNER, Gate, Stuck, pause
from tests.simulation.watchman import Truth, Watchman
from tests.simulation.world import Host, HostClock, Life, Process, World

CALM_SECONDS_MAX = 150.0  # a halted projector looks again each 15 s, a lease runs out in 10
QUIET_LOOKS = 2
ROUND_SECONDS = 0.5  # between two looks of the archiver
REBUILD_LOOK_SECONDS = 0.3  # how often a person looks whether tables are to be rebuilt, or can be by now
LAST_BATCHES = 2  # appended when all is calm: a quiet log must not be what makes it end well


class Watched(Loop):
    """The product's loop, which tells the history when it stops for a person."""

    told: Callable[[BaseException], None]

    async def _halt(self, why: Halt) -> None:
        raised = sys.exc_info()[1]
        assert raised is not None, "it halts for a reason"
        self.told(raised)
        await super()._halt(why)


class Person:
    """Who looks at a rebuild, and knows when nothing may differ (invariant 6)."""

    def __init__(self, tables: Tables, projector: str) -> None:
        self._tables, self._projector = tables, projector

    def phase(self, name: str) -> None:
        self._tables.world.say("person", f"{self._projector}: {name}")

    def moved(self, done: int, total: int) -> None:
        """Wait."""

    async def accepts(self, comparison: Comparison) -> bool:
        if self._projector not in self._tables.lost_rows:
            raise self._tables.ledger.violated(f"(6) {self._projector} rebuilt differs: {comparison.rows[:2]}")
        return True


class History:
    """One seed's world at work."""

    def __init__(self, plan: Plan, *, tracing: bool = False) -> None:
        self.world = world = World(plan, tracing=tracing)
        self.shape = Shape.drawn(plan)
        self.ledger = Ledger(world.violated)
        self.redis = RedisServer(self.ledger)
        self.tables = Tables(world, self.ledger)
        self.shelf = ShelfServer(self.ledger)
        self.home, self.away = Host("home", Disk()), Host("away", Disk())
        self.kernel = Kernel(self._disk_here, world.disk_step, random.Random(f"kernel {plan.seed}"))
        self.writers: dict[str, Writer] = {}  # by the process' name, its last one
        self.batches = 0
        self.turns = 0  # how often somebody said: now it is calm, and this writer is the only one
        self.disk_of_nobody = self.home.disk  # which a look from outside sees
        self._dice = random.Random(f"events {plan.seed}")
        world.processes = [
            Process(world, "writer", self.home, self._write),
            Process(world, "archiver", self.home, self._keep),
            Process(world, "eager-1", self.home, lambda process: self._project(process, "eager")),
            Process(world, "eager-2", self.away, lambda process: self._project(process, "eager")),
            Process(world, "lazy-1", self.away, lambda process: self._project(process, "lazy")),
        ]
        self.second_writer: list[Process] = []
        self.rebuilds_due: list[str] = []  # projectors
        self.truth = Truth(self)
        self._following: asyncio.Task[None] | None = None
        if "watch" in world.faults.kinds:
            world.processes.append(Process(world, "observer", self.away, self._watch))
        self.tables.backups = "backup" in world.faults.kinds
        if "rebuild" in world.faults.kinds:
            world.processes += [
                Process(world, "rebuilder-1", self.home, self._rebuild),
                Process(world, "rebuilder-2", self.away, self._rebuild),
            ]

    def _disk_here(self) -> Disk:
        life = OWNER.get()
        return life.process.host.disk if isinstance(life, Life) else self.disk_of_nobody

    def _archive(self) -> Archive:
        return Archive(SimulatedShelf(self.world, self.shelf))

    # ---- processes ------------------------------------------------------------------------------------------------

    async def _write(self, process: Process) -> None:
        life = process.life
        assert life is not None, "it lives"
        stop = life.stop = Stop()
        spool = Spool(FOLDER, STREAM)
        spool._busy = Gate()  # type: ignore[assignment]  # a lock on which simulated threads wait without standing still
        log, clock = SimulatedLog(self.world, self.redis), HostClock(self.world, process.host)
        rolling = {"roll_bytes": self.shape.roll_bytes, "roll_seconds": self.shape.roll_seconds}
        writer = await Writer.open(spool, log, self._archive(), clock, self._fence, **rolling)
        self.writers[process.name] = writer
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(writer.run()), tasks.create_task(self._produce(writer))]
            await stop.wait()
            await writer.drained()
            for task in work:
                task.cancel()
        await writer.close()

    async def _fence(self, stream: str) -> dict[str, int]:
        return await self.world.call(self.tables, "fence", lambda: self.tables.fence(stream))

    async def _keep(self, process: Process) -> None:
        life = process.life
        assert life is not None, "it lives"
        stop = life.stop = Stop()
        log, window = SimulatedLog(self.world, self.redis), Window(self.shape.window_bytes, self.shape.window_seconds)
        archiver, backoff = Archiver(FOLDER, log, self._archive(), window), Backoff()
        while not stop.is_set():
            try:
                done = await archiver.round()
                backoff.reset()
                await stop.pause(0.0 if done.more else ROUND_SECONDS)
            except Unreachable as error:
                self.world.say(process.name, f"waits: {error.found}")
                await stop.pause(backoff.next_seconds())

    async def _produce(self, writer: Writer) -> None:
        while self.batches < self._budget():
            await pause(self.shape.every_seconds * 2 * self._dice.random())
            await self._offer(writer)
        while not self.world.calm or self.batches < self._budget():
            await pause(0.3)
            if self.batches < self._budget():
                await self._offer(writer)

    def _budget(self) -> int:
        return self.shape.batches + LAST_BATCHES * self.turns

    async def _offer(self, writer: Writer) -> None:
        self.batches += 1
        events = [self._event(self.batches, place) for place in range(self._dice.randint(1, self.shape.batch_events))]
        try:
            if self.world.faults.happens("give up"):
                async with asyncio.timeout(self.world.latency()):
                    n = await writer.append(events)
            else:
                n = await writer.append(events)
        except TimeoutError:
            return
        for place, event in enumerate(events):
            self.ledger.accept(event.payload, n + place)

    def _event(self, batch: int, place: int) -> Event:
        bad = BAD if self._dice.random() < self.shape.bad else b""
        payload = bad + b"%d.%d " % (batch, place)
        payload = payload.ljust(self._dice.randint(8, self.shape.event_bytes), b".")
        self.ledger.offered.add(payload)
        return Event("kite.text.v1", self.world.loop_ns(), payload)

    async def _project(self, process: Process, name: str) -> None:
        life = process.life
        assert life is not None, "it lives"
        life.stop = Stop()
        log = SimulatedLog(self.world, self.redis)
        reader, clock = Reader(log, self._archive()), HostClock(self.world, process.host)
        made = projection(name, lazy=PROJECTORS[name])
        loop = Watched(made, STREAM, SimulatedStore(self.tables), reader, clock, log, life.stop)
        loop.told = lambda why: self.world.end_of(process, why)
        await loop.run()

    async def _rebuild(self, process: Process) -> None:
        life = process.life
        assert life is not None, "it lives"
        stop = life.stop = Stop()
        log, clock = SimulatedLog(self.world, self.redis), HostClock(self.world, process.host)
        while not await stop.pause(REBUILD_LOOK_SECONDS * 2 * self.world.dice.random()):
            if not self.rebuilds_due:
                continue
            name = self.rebuilds_due[-1]
            plan = Rebuilding(projection(name, lazy=PROJECTORS[name]), "simulated", kept_days=7)
            try:
                done = await Rebuild(plan, log, self._archive, clock, Person(self.tables, name), stop).run()
            except Stopped:
                return
            except (BadInput, HoleInLog) as error:  # another one is at work; or the log is not whole just now
                self.world.say(process.name, f"ends: {error.found}")
                continue
            self.world.say(process.name, f"has rebuilt {name}, generation {done.generation}")
            if name in self.rebuilds_due:
                self.rebuilds_due.remove(name)

    async def _watch(self, process: Process) -> None:
        log, clock = SimulatedLog(self.world, self.redis), HostClock(self.world, process.host)
        await Watchman(self, clock, log, self._archive(), self.truth).run()

    def begin_second_writer(self) -> None:
        """Start another writer of the same stream, with a spool and an archiver of its own."""
        world = self.world
        if self.second_writer or self.ledger.may_take_over:
            return
        self.ledger.may_take_over = True
        world.may_halt = frozenset({"writer", "archiver", "writer-2", "archiver-2"})
        self.second_writer = [
            Process(world, "writer-2", self.away, self._write),
            Process(world, "archiver-2", self.away, self._keep),
        ]
        world.processes += self.second_writer
        for process in self.second_writer:
            process.start()

    # ---- the course of it -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Live through it. Raises Violation."""
        with booted(self.kernel), sited(self.tables), _seeded(self.world):
            try:
                self._live()
            except BaseException:
                with suppress(Stuck):  # a world in which something broke may not come to rest; what broke is told
                    self._end()
                raise
            self._end()

    def _live(self) -> None:
        try:
            self.world.loop.complete(self._course(), until=self.shape.chaos_seconds + 3 * CALM_SECONDS_MAX + 10)
        except Stuck as error:
            raise Violation(f"(live) nothing moves any more, {error}: {self._standing()}") from error

    async def _course(self) -> None:
        for process in self.world.processes:
            self.world.later(self.world.between(0, 0.5), process.start)
        if "watch" in self.world.faults.kinds:
            self._following = self.world.loop.create_task(self.truth.follow())
        await befall(self)
        self._calm_down()
        for writer in self._in_turn():
            await self._rest(writer)
        if "rebuild" in self.world.faults.kinds:
            self.rebuilds_due = sorted(PROJECTORS)
            await self._rest(writer)
        judge(self, writer)

    def _in_turn(self) -> Iterator[str]:
        """Give the writers, each when it is the only one: a person ends the others, and starts it again."""
        writers = [process for process in self.world.processes if process.name.startswith("writer")]
        if len(writers) > 1:
            self.world.dice.shuffle(writers)
        for writer in writers:
            self.turns += 1
            for other in writers:
                if other is not writer and other in self.world.processes:
                    self.world.processes.remove(other)
                    other.kill("is ended by a person")
            if writer not in self.world.processes:
                self.world.processes.append(writer)
            if len(writers) > 1:
                with suppress(KeyError):
                    del writer.host.disk.names[str(FOLDER / STANDING)]
                writer.kill("is started again by a person")
                writer.start()
            yield writer.name

    async def _rest(self, writer: str) -> None:
        """Let time go by until nothing moves any more. Raises Violation where that takes too long."""
        until, quiet = self.world.loop.now + CALM_SECONDS_MAX, 0
        while quiet < QUIET_LOOKS:
            await pause(0.4)
            quiet = quiet + 1 if self._rests(writer) else 0
            if self.world.loop.now > until:
                raise Violation(f"(live) it does not come to rest: {self._standing()}")

    def _calm_down(self) -> None:
        world = self.world
        world.say("world", "faults are over")
        world.calm = world.faults.over = True
        self.redis.up = self.tables.up = self.shelf.up = True
        self.redis.full = False
        self.home.disk.room = None
        self.shelf.mend()
        for process in world.processes:
            if process.life is not None:
                process.life.thaw()

    def _rests(self, name: str) -> bool:
        writer, batches = self.writers.get(name), self._budget()
        alive = any(process.name == name and process.life is not None for process in self.world.processes)
        if writer is None or not alive or self.batches < batches or writer.unsent or self.rebuilds_due:
            return False
        positions = [self.tables.checkpoints.get((name, STREAM)) for name in PROJECTORS]
        return all(found is not None and found.n == writer.last for found in positions)

    def _standing(self) -> str:
        ends = {pair[0]: (found.n, found.epoch, found.owner) for pair, found in self.tables.checkpoints.items()}
        said = ", ".join(f"{name}: spool {each.last}, sent {each.sent}" for name, each in self.writers.items())
        lives = [process.name for process in self.world.processes if process.life is not None]
        said = f"{said or 'no writer'}, batches {self.batches}, checkpoints {ends}"
        return f"{said}, alive {lives}, ended {self.world.ends[-3:]}"

    def _end(self) -> None:
        """Take the world apart, so that nothing of it is left for the next one."""
        world = self.world
        processes, world.processes = world.processes, []
        for process in processes:
            process.kill("the end")
        world.tracing = False
        if self._following is not None:
            self._following.cancel()
        world.loop.settle()


@contextmanager
def _seeded(world: World) -> Iterator[None]:
    """Let the product's dice be the seed's, its log lines the trace's, and its machines have names of this world."""
    state, config, host_name = random.getstate(), structlog.get_config(), socket.gethostname
    random.seed(f"jitter {world.plan.seed}")

    def tell(_logger: object, level: str, event: EventDict) -> EventDict:
        life = OWNER.get()
        who = life.process.name if isinstance(life, Life) else "?"
        world.say(who, " ".join(str(value) for value in event.values()))
        raise structlog.DropEvent

    def name() -> str:
        life = OWNER.get()
        return life.process.host.name if isinstance(life, Life) else "nowhere"

    socket.gethostname = name  # it is in what a takeover writes, and so decides when a file is full
    level = logging.NOTSET if world.tracing else logging.CRITICAL
    structlog.configure(
        processors=[tell], wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        socket.gethostname = host_name
        structlog.configure(**config)
        random.setstate(state)
