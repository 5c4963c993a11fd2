"""`bahi project`: a loop for each pair (projector, stream) that falls to this process, of all that run projectors.

Any number of processes share out the pairs (`projectors.sharing`); streams that come later are shared out too. A pair
moves within two looks and the end of a read when a process starts, ends or is killed on this machine. One that freezes,
or whose machine is gone, keeps its pairs until its leases have run out (`sql.store.LEASE_SECONDS`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec

from events.archive import Archive
from events.log import Log
from events.reader import Reader
from events.redis_log import RedisLog
from ops import retention
from ops.trace import Trace
from projectors.catalogue import chosen
from projectors.loop import Loop
from projectors.projector import Projection
from projectors.sharing import share
from projectors.ticks import TICKS
from runtime.clock import SystemClock
from runtime.complaints import Complaints
from runtime.errors import SettingError, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.metrics import PROJECTOR_LAG, PROJECTOR_N
from runtime.settings import Settings
from sql.store import Store
from sql.workers import ALIVE_SECONDS, Pair, Roll

LOOK_SECONDS = 1.0  # a new stream's rows are there within this of its first event
ARCHIVE_LOOK_SECONDS = 5.0  # a stream that only the archive has is an old one, or Redis was emptied
assert LOOK_SECONDS * 3 < ALIVE_SECONDS, "a worker that is late for a call or two still counts"

_log = get("project")


class Streams:
    """The names of the streams that this process sees; what is known stays known while a store does not answer."""

    def __init__(self, log: Log, archive: Archive) -> None:
        """Begin with none."""
        self._log, self._archive = log, archive
        self._near, self._far = frozenset[str](), frozenset[str]()
        self._complaints = Complaints(_log)

    async def names(self) -> frozenset[str]:
        """Give those of Redis now, and those of the archive when it was looked at last."""
        try:
            self._near = frozenset(await self._log.streams())
            self._complaints.heal("project.waits_for_redis")
        except Unreachable as error:
            self._say("project.waits_for_redis", error)
        return self._near | self._far

    async def follow_archive(self, stop: Stop) -> None:
        """Look at the archive until the stop: it may be slow or away, and Redis has all streams that are alive."""
        while not stop.is_set():
            try:
                self._far = frozenset(await stop.cut(self._archive.streams()) or self._far)
                self._complaints.heal("project.waits_for_archive")
            except Unreachable as error:
                self._say("project.waits_for_archive", error)
            await stop.pause(ARCHIVE_LOOK_SECONDS)

    def _say(self, event: str, error: Unreachable) -> None:
        self._complaints.say(event, wanted=error.wanted, found=error.found, remedy=error.remedy)


class Running(msgspec.Struct):
    """A loop at work, and how it is ended. watch: who follows it as long as it lasts."""

    loop: Loop
    task: asyncio.Task[None]
    stop: Stop
    watch: asyncio.Task[None] | None


class Worker:
    """The pairs that this process runs."""

    def __init__(
        self,
        roll: Roll,
        streams: Streams,
        projections: Sequence[Projection],
        begin: Callable[[Projection, str, Stop], Loop],
        watch: Callable[[Loop], Coroutine[None, None, None]] | None = None,
    ) -> None:
        """Begin with nothing.

        roll: where the workers are heard of. begin: makes the loop of a pair, that ends with its own stop. watch:
        follows it.
        """
        self._roll, self._streams = roll, streams
        self._projections = {each.name: each for each in projections}
        self._begin, self._watch = begin, watch
        self._running: dict[Pair, Running] = {}
        self._complaints = Complaints(_log)

    async def run(self, stop: Stop, tasks: asyncio.TaskGroup) -> None:
        """Run what falls to this worker until the stop."""
        while not stop.is_set():
            mine = await stop.cut(self._mine())
            if mine is not None:
                for pair in self._running.keys() - mine:
                    self._running[pair].stop.set()
                self._forget_ended()
                for pair in sorted(mine - self._running.keys()):
                    self._start(pair, tasks)
            await stop.pause(LOOK_SECONDS)
        for each in self._running.values():
            each.stop.set()
        await asyncio.gather(*(each.task for each in self._running.values()))
        self._forget_ended()
        try:
            await self._roll.leave()
        except Unreachable as error:  # the others see by themselves that it is gone
            _log.debug("project.not_taken_off", found=error.found)

    async def _mine(self) -> set[Pair] | None:
        """Give the pairs of this worker; None where it cannot be told, so that all stays as it is."""
        streams = await self._streams.names()
        able = {
            (name, stream): each.weight
            for name, each in self._projections.items()
            for stream in streams
            if each.wants(stream)
        }
        try:
            halted = [each.loop.halted for each in self._running.values() if each.loop.halted]
            called = await self._roll.call(able, halted)
        except Unreachable as error:
            await self._roll.close()
            self._complaints.say("project.waits", wanted=error.wanted, found=error.found, remedy=error.remedy)
            return None
        self._complaints.heal("project.waits")
        return {pair for pair, worker in share(called.able, called.holders).items() if worker == self._roll.worker}

    def _start(self, pair: Pair, tasks: asyncio.TaskGroup) -> None:
        projector, stream = pair
        own = Stop()
        loop = self._begin(self._projections[projector], stream, own)
        watch = tasks.create_task(self._watch(loop)) if self._watch else None
        self._running[pair] = Running(loop, tasks.create_task(loop.run()), own, watch)

    def _forget_ended(self) -> None:
        for pair in [pair for pair, each in self._running.items() if each.task.done()]:
            ended = self._running.pop(pair)
            if ended.watch:
                ended.watch.cancel()
            for metric in (PROJECTOR_N, PROJECTOR_LAG):  # whoever runs it now tells how it stands
                metric.remove(*pair)


async def run(settings: Settings, stop: Stop, names: Sequence[str], trace: Path | None = None) -> None:
    """Run projectors by these names, all for none, until the stop. trace: a file for the times of all commits."""
    projections = chosen(names)
    if settings.redis_url is None or settings.database_url is None:
        raise SettingError("REDIS_URL and DATABASE_URL", "one is not set", "run bahi up, or set both")
    database_url, log, archive = settings.database_url, RedisLog.connect(settings.redis_url), Archive.at(settings)
    tracing = Trace(trace, SystemClock()) if trace else None

    def begin(projection: Projection, stream: str, own: Stop) -> Loop:
        return Loop(projection, stream, Store(database_url), Reader(log, archive), SystemClock(), log, own)

    watch = tracing.follow if tracing else None
    streams = Streams(log, archive)
    worker = Worker(Roll(database_url), streams, projections, begin, watch)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(streams.follow_archive(stop))
        if TICKS in projections:
            tasks.create_task(retention.run(database_url, settings.tick_retention_days, stop))
        await worker.run(stop, tasks)
    if tracing:
        tracing.close()
    await log.close()
