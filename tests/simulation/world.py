"""The simulated world: hosts, processes, services, the network between them, and the dice that time it all.

A process is a coroutine that the world starts, kills and starts again. Its tasks, threads, handles of files and
sessions know to whom they belong. A kill takes all of them at once: from then on no step of the dead process
reaches anything outside it.
"""

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from runtime.errors import BahiError, Halt, Unreachable
from runtime.lifecycle import Stop
from tests.simulation.faults import AT_DISK, Faults, Plan
from tests.simulation.kernel import Disk
from tests.simulation.ledger import Violation
from tests.simulation.timeline import OWNER, Crashed, Handle, Job, Timeline, in_between, pause

START_NS = 1_776_000_000 * 10**9
RESTART_SECONDS = (0.05, 0.3, 2.0)
RELAPSE_SECONDS = (0.1, 2.5)  # on both sides of a restart
FREEZE_SECONDS = (0.1, 1.0, 4.0, 12.0, 25.0)  # on both sides of a lease's ten
JUMP_SECONDS = (-3600, -30, -2, 2, 30, 3600)

T = TypeVar("T")
Main = Callable[["Process"], Awaitable[None]]


class Host:
    """A machine: one disk, one clock, the processes on it."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name, self.disk = name, disk
        self.clock_offset = 0.0
        self.processes: list[Process] = []


class Service:
    """A server that may be away. incarnation: its connections die when it grows. doubles: hears some things twice."""

    def __init__(self, name: str, *, doubles: bool = True) -> None:
        self.name, self.doubles = name, doubles
        self.up = True
        self.incarnation = 0

    def break_connections(self) -> None:
        self.incarnation += 1

    def lost(self, found: str) -> Unreachable:
        return Unreachable(f"{self.name} to answer", found, "it is tried again")


class Process:
    """One process over its lives."""

    def __init__(self, world: "World", name: str, host: Host, main: Main) -> None:
        self.world, self.name, self.host, self.main = world, name, host, main
        self.life: Life | None = None
        self.lives = 0
        host.processes.append(self)

    def start(self) -> None:
        """Begin a new life, where the world still wants it."""
        if self.life is not None or not self.world.wants(self):
            return
        self.lives += 1
        life = self.life = Life(self, f"{self.name}.{self.lives}")
        context = contextvars.copy_context()
        context.run(OWNER.set, life)
        self.world.say(self.name, "starts")
        context.run(self.world.loop.create_task, self._live(life), context=context)

    async def _live(self, life: "Life") -> None:
        found = "ended"
        try:
            await self.main(self)
        except Crashed:
            return
        except asyncio.CancelledError:
            if life.dead:
                return
            raise
        except BaseExceptionGroup as group:
            if group.split(Crashed)[0] is not None or life.dead:
                return
            found = self._ended_by(_innermost(group))
        except Exception as error:  # noqa: BLE001  # the world decides what an end means
            found = self._ended_by(error)
        if not life.dead:
            self.world.say(self.name, found)
            self.end(life)

    def _ended_by(self, error: BaseException) -> str:
        self.world.end_of(self, error)
        return f"ends: {type(error).__name__}: {error}"

    def kill(self, how: str) -> None:
        """End this life now, as SIGKILL does."""
        life = self.life
        if life is None:
            return
        self.world.say(self.name, how)
        self.end(life)

    def end(self, life: "Life") -> None:
        """Take from a life all that it had, and have the next one begin some time later."""
        self.life = None
        life.dead, life.frozen = True, False
        self.host.disk.forget(life)
        for leave in life.on_death:
            leave()
        for task in life.tasks:
            task.cancel()
        self.world.loop.release(life.held)
        self.world.later(self.world.dice.choice(RESTART_SECONDS), self.start)

    def freeze(self, seconds: float) -> None:
        """Stop it for a while, as SIGSTOP does."""
        life = self.life
        if life is None or life.frozen:
            return
        self.world.say(self.name, f"frozen for {seconds:.1f} s")
        life.frozen = True
        self.world.later(seconds, life.thaw)


class Life:
    """What one life of a process owns; the loop's idea of it."""

    def __init__(self, process: Process, name: str) -> None:
        self.process, self.name = process, name
        self.dead = self.frozen = False
        self.held: list[Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.jobs: list[Job] = []
        self.on_death: list[Callable[[], None]] = []
        self.stop: Stop | None = None

    def thaw(self) -> None:
        if self.frozen:
            self.frozen = False
            self.process.world.say(self.process.name, "thaws")
            self.process.world.loop.release(self.held)

    def thread_start(self) -> float:
        return self.process.world.latency()

    def thread_pause(self) -> float | None:
        return self.process.world.thread_pause()


class World:
    """Everything that a seed decides."""

    def __init__(self, plan: Plan, *, tracing: bool = False) -> None:
        self.loop = Timeline()  # type: ignore[abstract]  # it has what the product asks of a loop, and no sockets
        self.plan = plan
        self.dice = random.Random(f"world {plan.seed}")
        self.faults = Faults(plan, self.loop.time)
        self.tracing = tracing
        self.trace: list[str] = []
        self.processes: list[Process] = []
        self.calm = False
        self.slowness = self.dice.choice((0.0003, 0.002, 0.02))
        self.interrupted = self.dice.choice((0.0, 0.0, 0.05, 0.3))  # how often a thread stands still between steps
        self.ends: list[str] = []  # how processes ended by themselves
        self.may_halt: frozenset[str] = frozenset()  # processes that what was done to the log may bring to a stop
        self._nobody = contextvars.copy_context()

    # ---- telling ------------------------------------------------------------------------------------------------

    def say(self, who: str, what: str) -> None:
        """Put a line into the trace."""
        if self.tracing:
            self.trace.append(f"{self.loop.now:10.4f}  {who:<12} {what}")

    # ---- time ---------------------------------------------------------------------------------------------------

    def loop_ns(self) -> int:
        """Give the true time, in ns since 1970."""
        return START_NS + round(self.loop.now * 10**9)

    def between(self, least: float, most: float) -> float:
        return least + (most - least) * self.dice.random()

    def latency(self) -> float:
        """Give how long a message or a step takes: mostly little, seldom long."""
        drawn = self.dice.random()
        return self.slowness * drawn if drawn < 0.97 else self.slowness * 30 * drawn

    def thread_pause(self) -> float | None:
        """Give how long a thread stands still at its next step, or None where it goes right on."""
        return self.latency() if self.dice.random() < self.interrupted else None

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Do something at a later time, whoever lives then."""
        self.loop.call_later(seconds, call, context=self._nobody)

    # ---- processes ------------------------------------------------------------------------------------------------

    def wants(self, process: Process) -> bool:
        """Say whether a process that has ended is to be started again."""
        return process in self.processes

    def end_of(self, process: Process, error: BaseException) -> None:
        """Take notice of how a process ended by itself."""
        self.ends.append(f"{process.name}: {type(error).__name__}: {error}")
        if isinstance(error, Halt) and process.name not in self.may_halt:
            self.violated(Violation(f"(halt) {self.ends[-1]}"))
        elif not isinstance(error, BahiError):
            self.violated(error)

    def violated(self, error: BaseException) -> None:
        """End the history with this, whatever else comes of it."""
        self.loop.broken = self.loop.broken or error

    def disk_step(self) -> None:
        """Be the place before a step of the disk. Raises Crashed."""
        self.step(AT_DISK)
        life = OWNER.get()
        if isinstance(life, Life) and self.faults.happens("relapse"):
            host = life.process.host
            life.process.kill("killed, and worse is to come")
            self.later(self.between(*RELAPSE_SECONDS), lambda: None if self.calm else self.cut_power(host))
            raise Crashed

    def step(self, weight: float = 1.0) -> None:
        """Be the place between two steps of a process: here it may die. Raises Crashed."""
        life = OWNER.get()
        if life is None:
            return
        assert isinstance(life, Life), "only the world makes lives"
        if life.dead:
            raise Crashed
        if self.faults.happens("kill", weight):
            life.process.kill("killed")
            raise Crashed
        if self.faults.happens("power", weight):
            self.cut_power(life.process.host)
            raise Crashed
        in_between(life)

    def cut_power(self, host: Host) -> None:
        """Kill all processes of a host, and let its disk forget what it may."""
        self.say(host.name, "loses power")
        for process in host.processes:
            process.kill("without power")
        host.disk.lose_power(self.dice)

    # ---- the network ----------------------------------------------------------------------------------------------

    async def call(self, service: Service, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """Ask a server to do something: it may do it late, twice or not at all, and its answer may be lost."""
        self.step()
        faults, incarnation = self.faults, service.incarnation
        await pause(self.latency())
        if not service.up:
            raise service.lost("connection refused")
        if faults.happens("lost request"):
            self.say(service.name, f"never hears: {what}")
            await self._unanswered(service)
        if faults.happens("late request"):
            self.carry_out_later(service, what, work)
            await self._unanswered(service)
        if service.doubles and faults.happens("doubled request"):
            self.carry_out_later(service, what, work)
        result = await work()
        if faults.happens("lost reply"):
            self.say(service.name, f"is not heard: {what}")
            await self._unanswered(service)
        if faults.happens("slow"):
            await pause(self.between(0.5, 4.5))
        await pause(self.latency())
        self.step()
        if service.incarnation != incarnation:
            raise service.lost("connection closed")
        return result

    async def _unanswered(self, service: Service) -> None:
        await pause(self.dice.choice((0.0, 0.05, 5.0)))
        raise service.lost("no answer")

    def carry_out_later(self, service: Service, what: str, work: Callable[[], Awaitable[T]]) -> None:
        """Let a server hear of something when its caller has given up."""
        incarnation = service.incarnation

        async def arrive() -> None:
            if service.up and service.incarnation == incarnation:
                self.say(service.name, f"hears late: {what}")
                try:
                    await work()
                except BahiError as error:
                    self.say(service.name, f"refuses it: {error.found}")

        def send() -> None:
            self._nobody.copy().run(self.loop.create_task, arrive())

        self.later(self.dice.choice((0.002, 0.05, 1.0, 6.0)), send)


def _innermost(error: BaseException) -> BaseException:
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


class HostClock:
    """The clocks of a host: the wall's may jump, the other one never falls."""

    def __init__(self, world: World, host: Host) -> None:
        self._world, self._host = world, host

    def now_ns(self) -> int:
        return START_NS + round((self._world.loop.now + self._host.clock_offset) * 10**9)

    def monotonic(self) -> float:
        return 1000.0 + self._world.loop.now
