"""One history: the processes that live in it, what befalls them, and how it is judged.

chaos: a writer with its producer, projectors that compete for pairs, an archiver; faults
calm:  faults end, all that was away comes back; a few more events; everything is let run until nothing moves
judgement: the invariants over what the ledger saw and what the stores hold
"""

import asyncio
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog
from structlog.typing import EventDict

from events import codec
from events.archive import Archive
from events.archiver import Archiver, Window
from events.event import Event
from events.reader import Reader
from events.spool import SUFFIX, Spool, spool_files
from events.writer import Writer
from projectors.loop import Loop
from runtime.errors import Unreachable
from runtime.lifecycle import Stop
from runtime.waiting import Backoff
from tests.simulation.counting import BAD, added, projection
from tests.simulation.faults import Plan
from tests.simulation.kernel import Disk, Kernel, booted
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.redis_server import RedisServer, SimulatedLog
from tests.simulation.shelf_server import ShelfServer, SimulatedShelf
from tests.simulation.tables import SimulatedStore, Tables
from tests.simulation.timeline import OWNER, Gate, Stuck, pause
from tests.simulation.world import FREEZE_SECONDS, JUMP_SECONDS, Host, HostClock, Life, Process, Service, World

STREAM = "ticks-sandbox-1"
FOLDER = Path("/data/spool") / STREAM
PROJECTORS = {"eager": False, "lazy": True}  # by name: whether it is lazy
CHAOS_SECONDS = (2.0, 6.0, 15.0)
CALM_SECONDS_MAX = 150.0  # a halted projector looks again each 15 s, a lease runs out in 10
QUIET_LOOKS = 2
OF_THE_LOG = b'{"type":"log.'
ROUND_SECONDS = 0.5  # between two looks of the archiver
LAST_BATCHES = 2  # appended when all is calm: a quiet log must not be what makes it end well


class Shape(msgspec.Struct, frozen=True):
    """What a history is like, apart from its faults."""

    batches: int
    batch_events: int
    event_bytes: int
    every_seconds: float
    roll_bytes: int
    roll_seconds: int
    chaos_seconds: float
    bad: float
    window_bytes: int
    window_seconds: int

    @classmethod
    def drawn(cls, plan: Plan) -> "Shape":
        """Give the shape that a seed draws."""
        dice = random.Random(f"shape {plan.seed}")
        return cls(
            batches=min(dice.choice((4, 12, 30)), plan.batches),
            batch_events=dice.choice((1, 3, 8)),
            event_bytes=dice.choice((8, 60, 700)),
            every_seconds=dice.choice((0.02, 0.2, 0.6)),
            roll_bytes=dice.choice((400, 2_000, 20_000)),
            roll_seconds=dice.choice((2, 3600)),
            chaos_seconds=dice.choice(CHAOS_SECONDS),
            bad=dice.choice((0.0, 0.0, 0.0, 0.05)),
            window_bytes=dice.choice((0, 500, 1 << 30)),
            window_seconds=dice.choice((0, 3, 3600)),
        )


class Watched(Loop):
    """The product's loop, which tells the history when it stops for a person."""

    halted: Callable[[BaseException], None]

    async def _halt(self) -> None:
        why = sys.exc_info()[1]
        assert why is not None, "it halts for a reason"
        self.halted(why)
        await super()._halt()


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
        self.writer: Writer | None = None
        self.batches = 0
        self._dice = random.Random(f"events {plan.seed}")
        world.processes = [
            Process(world, "writer", self.home, self._write),
            Process(world, "archiver", self.home, self._keep),
            Process(world, "eager-1", self.home, lambda process: self._project(process, "eager")),
            Process(world, "eager-2", self.away, lambda process: self._project(process, "eager")),
            Process(world, "lazy-1", self.away, lambda process: self._project(process, "lazy")),
        ]

    def _disk_here(self) -> Disk:
        life = OWNER.get()
        return life.process.host.disk if isinstance(life, Life) else self.home.disk

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
        self.writer = writer
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
        return self.shape.batches + (LAST_BATCHES if self.world.calm else 0)

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
        loop.halted = lambda why: self.world.end_of(process, why)
        await loop.run()

    # ---- faults -----------------------------------------------------------------------------------------------------

    async def _befall(self) -> None:
        """Let faults strike until the chaos is over."""
        faults, world = self.world.faults, self.world
        until = world.loop.now + self.shape.chaos_seconds
        while world.loop.now < until:
            await pause(world.between(0.02, 0.4))
            for kind, strike in STRIKES.items():
                if faults.happens(kind):
                    await strike(self)

    def _some_process(self) -> Process:
        return self.world.dice.choice(self.world.processes)

    async def _freeze(self) -> None:
        self._some_process().freeze(self.world.dice.choice(FREEZE_SECONDS))

    async def _stop(self) -> None:
        process = self._some_process()
        if process.life is not None and process.life.stop is not None:
            self.world.say(process.name, "is asked to stop")
            process.life.stop.set()

    async def _redis_falls_back(self) -> None:
        left = await self.redis.fall_back(self.world.dice.randint(1, 5))
        self.world.say("redis", f"loses its tail: {left}")

    async def _redis_empties(self) -> None:
        self.world.say("redis", "loses everything")
        await self.redis.empty()

    async def _redis_goes(self) -> None:
        self._goes(self.redis)

    async def _archive_goes(self) -> None:
        self._goes(self.shelf)

    async def _tables_go(self) -> None:
        self._goes(self.tables)

    def _goes(self, service: Service) -> None:
        def comes() -> None:
            service.up = True
            self.world.say(service.name, "is back")

        if service.up:
            self.world.say(service.name, "is away")
            service.up = False
            service.break_connections()
            self.world.later(self.world.between(0.1, 8.0), comes)

    async def _redis_fills_up(self) -> None:
        def has_room() -> None:
            self.redis.full = False

        self.world.say("redis", "is full")
        self.redis.full = True
        self.world.later(self.world.between(0.1, 5.0), has_room)

    async def _disk_fills_up(self) -> None:
        def has_room() -> None:
            self.home.disk.room = None

        self.world.say("home", "has a full disk")
        self.home.disk.room = self.world.dice.choice((0, 30, 1000))
        self.world.later(self.world.between(0.1, 5.0), has_room)

    async def _spool_is_lost(self) -> None:
        self._spoil("lost", lambda names: [self.home.disk.names.pop(name) for name in names])

    async def _spool_is_short(self) -> None:
        def cut(names: list[str]) -> None:
            content = self.home.disk.names[names[-1]].content
            del content[self.world.dice.randint(0, len(content)) :]

        self._spoil("short", cut)

    async def _spool_is_rotten(self) -> None:
        def rot(names: list[str]) -> None:
            content = self.home.disk.names[self.world.dice.choice(names)].content
            if content:
                content[self.world.dice.randrange(len(content))] ^= 1 << self.world.dice.randrange(8)

        self._spoil("rotten", rot)

    def _spoil(self, how: str, spoil: Callable[[list[str]], object]) -> None:
        """Let the disk forget what it had promised to keep. One such disaster is enough for a history."""
        home = self.home
        names = sorted(name for name in home.disk.names if name.startswith(f"{FOLDER}/") and name.endswith(SUFFIX))
        if self.ledger.may_take_over or not names:
            return
        self.world.cut_power(home)
        names = [name for name in names if name in home.disk.names]
        if not names:
            return
        self.ledger.may_take_over = self.world.may_halt = True
        spoil(names)
        home.disk.synced = dict(home.disk.names)
        for node in home.disk.names.values():
            node.synced = bytes(node.content)
        self.world.say(home.name, f"has a spool that is {how}")

    async def _clock_jumps(self) -> None:
        clock = self.world.dice.choice((self.home, self.away, self.tables))
        clock.clock_offset += self.world.dice.choice(JUMP_SECONDS)
        self.world.say(clock.name, f"has its clock {clock.clock_offset:+.0f} s off")

    # ---- the course of it -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Live through it. Raises Violation."""
        with booted(self.kernel), _seeded(self.world):
            try:
                self.world.loop.complete(self._course(), until=self.shape.chaos_seconds + CALM_SECONDS_MAX + 10)
            except Stuck as error:
                raise Violation(f"(live) nothing moves any more, {error}: {self._standing()}") from error
            finally:
                self._end()

    async def _course(self) -> None:
        for process in self.world.processes:
            self.world.later(self.world.between(0, 0.5), process.start)
        await self._befall()
        self._calm_down()
        until, quiet = self.world.loop.now + CALM_SECONDS_MAX, 0
        while quiet < QUIET_LOOKS:
            await pause(0.4)
            quiet = quiet + 1 if self._rests() else 0
            if self.world.loop.now > until:
                raise Violation(f"(live) it does not come to rest: {self._standing()}")
        self._judge()

    def _calm_down(self) -> None:
        world = self.world
        world.say("world", "faults are over")
        world.calm = world.faults.over = True
        self.redis.up = self.tables.up = self.shelf.up = True
        self.redis.full = False
        self.home.disk.room = None
        for process in world.processes:
            if process.life is not None:
                process.life.thaw()

    def _rests(self) -> bool:
        writer, batches = self.writer, self.shape.batches + LAST_BATCHES
        if writer is None or self.world.processes[0].life is None or self.batches < batches or writer.unsent:
            return False
        positions = [self.tables.checkpoints.get((name, STREAM)) for name in PROJECTORS]
        return all(found is not None and found.n == writer.last for found in positions)

    def _standing(self) -> str:
        writer = self.writer
        ends = {pair[0]: (found.n, found.epoch, found.owner) for pair, found in self.tables.checkpoints.items()}
        said = f"spool {writer.last}, sent {writer.sent}" if writer else "no writer"
        lives = [process.name for process in self.world.processes if process.life is not None]
        return f"{said}, batches {self.batches}, checkpoints {ends}, alive {lives}, ended {self.world.ends[-3:]}"

    def _end(self) -> None:
        """Take the world apart, so that nothing of it is left for the next one."""
        world = self.world
        processes, world.processes = world.processes, []
        for process in processes:
            process.kill("the end")
        world.tracing = False
        world.loop.settle()

    # ---- judgement ------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Hold the end of it against the invariants. Raises Violation."""
        assert self.writer is not None, "it rests"
        last = self.writer.last
        held = dict(self._held())
        for n in range(1, last + 1):
            known = self.ledger.content(STREAM, n)
            if n not in held:
                raise Violation(f"(5) n = {n} of {last} is in no store")
            if known != held[n]:
                raise Violation(f"(1) n = {n} has another content than was seen: {held[n]!r}, {known!r}")
        payloads = {n: codec.decode(STREAM, held[n]).payload for n in range(1, last + 1)}
        self._judge_events(payloads)
        for name in PROJECTORS:
            self._judge_rows(name, payloads)

    def _held(self) -> Iterator[tuple[int, bytes]]:
        for name in self.shelf.segments:
            for entry in self.shelf.entries(name):
                yield codec.entry_n(entry), entry
        for file in spool_files(FOLDER):
            for entry in file.entries(STREAM):
                yield codec.entry_n(entry), entry
        for n, entry in self.redis.memory._entries.get(STREAM, {}).items():
            yield n, entry

    def _judge_events(self, payloads: dict[int, bytes]) -> None:
        """(7) What was accepted is there once, under its n; what was not is there at most once."""
        places: dict[bytes, int] = {}
        for n, payload in payloads.items():
            if payload in places and not payload.startswith(OF_THE_LOG):
                raise Violation(f"(7) {payload!r} stands at {places[payload]} and at {n}")
            places[payload] = n
        for payload, n in self.ledger.accepted.items():
            if self.ledger.may_take_over:
                break  # what was on that disk alone is gone, and what was refused stands under another n
            if places.get(payload) != n:
                raise Violation(f"(7) {payload!r} was accepted as {n} and is at {places.get(payload)}")
        own = {payload for payload in places if payload.startswith(OF_THE_LOG)}
        foreign = set(places) - self.ledger.offered - own
        if foreign:
            raise Violation(f"(7) nobody sent {sorted(foreign)[:3]}")

    def _judge_rows(self, name: str, payloads: dict[int, bytes]) -> None:
        """(2, 6) The rows are those of a fold over the log; a bad event is parked."""
        sum_ = 0
        rows = self.tables.rows.get((name, STREAM), [])
        for (n, payload), row in zip(payloads.items(), rows, strict=True):
            bad = payload.startswith(BAD)
            sum_ = sum_ if bad else added(sum_, payload)
            if (row.n, row.content, row.sum, row.parked) != (n, payload, sum_, bad):
                raise Violation(f"(2) {name} has at n = {n} the row {row}, wanted {payload!r}, sum {sum_}")


STRIKES: dict[str, Callable[[History], Awaitable[None]]] = {
    "freeze": History._freeze,
    "stop": History._stop,
    "redis tail": History._redis_falls_back,
    "redis empty": History._redis_empties,
    "redis down": History._redis_goes,
    "redis full": History._redis_fills_up,
    "tables down": History._tables_go,
    "archive down": History._archive_goes,
    "disk full": History._disk_fills_up,
    "clock": History._clock_jumps,
    "spool lost": History._spool_is_lost,
    "spool short": History._spool_is_short,
    "spool rotten": History._spool_is_rotten,
}


@contextmanager
def _seeded(world: World) -> Iterator[None]:
    """Let the product's own dice be the seed's, and its log lines be the trace's."""
    state, config = random.getstate(), structlog.get_config()
    random.seed(f"jitter {world.plan.seed}")

    def tell(_logger: object, level: str, event: EventDict) -> EventDict:
        life = OWNER.get()
        who = life.process.name if isinstance(life, Life) else "?"
        world.say(who, " ".join(str(value) for value in event.values()))
        raise structlog.DropEvent

    level = logging.NOTSET if world.tracing else logging.CRITICAL
    structlog.configure(
        processors=[tell], wrapper_class=structlog.make_filtering_bound_logger(level), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**config)
        random.setstate(state)
