"""Frames to Redis, through our compare-and-append and through the whole writer, against XADDs that compare nothing."""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from events import codec
from events.archive import Archive
from events.event import Event
from events.plain_append import ByHand, Pipelined
from events.redis_log import RedisLog
from events.spool import Spool
from events.writer import SEND_ENTRIES_MAX, Writer
from ops.bench import bed
from ops.bench.frames import Source
from ops.bench.measure import AT_MOST, Case, Target, Trial, alone, compare
from runtime.clock import SystemClock
from runtime.settings import MIB

FRAMES = 20_000  # a round: some 40 MB, a fifth of a second
TAKEN_FRAMES = 64  # what a ticker's hand-over gives the writer at once, when it is busy
PENDING_APPENDS = 4
ROLL_BYTES, ROLL_SECONDS = 64 * MIB, 3600  # the settings' defaults
UNIT = "entries/s of 10 packets"
PIPELINED, BY_HAND = "redis-py, pipelined XADD", "XADD written by hand, answers by hiredis"


def run(trial: Trial) -> list[Case]:
    """Measure appends in batches of SEND_ENTRIES_MAX, the writer, and what Redis needs to hold it."""
    events = list(Source().frames(round(trial.part(FRAMES))))
    with bed.folder() as data_dir, bed.redis_server(data_dir) as server, bed.loop() as loop:
        measured = _Appends(server.url, events, data_dir, loop)
        cases = []
        for name, against, ours, limit, target in (
            ("append", PIPELINED, measured.ours, measured.pipelined, 1.0),
            ("append", BY_HAND, measured.ours, measured.by_hand, 0.75),
            ("spool and append", PIPELINED, measured.written, measured.pipelined, 0.75),
        ):
            trial.say(f"{name}, against {against}")
            cases.append(compare(name, UNIT, against, trial.alternate(ours, limit), Target(target)))
        trial.say("memory")
        note = "MEMORY USAGE of the stream, to the bytes of its frames"
        cases.append(alone("Redis memory", "times the payload", measured.memory(), Target(1.10, AT_MOST), note))
        measured.close()
    return cases


class _Appends:
    """The ways to append, each into a stream of its own that is dropped after."""

    def __init__(self, url: str, events: list[Event], data_dir: Path, loop: asyncio.Runner) -> None:
        self._events = events
        self._entries = [codec.encode(n, event) for n, event in enumerate(events, start=1)]
        self._data_dir, self._loop = data_dir, loop
        self._log, self._plain, self._by_hand = RedisLog.connect(url), Pipelined(url), ByHand(url)
        self._numbers = count(1)

    def ours(self) -> float:
        return self._rate(lambda stream: self._loop.run(self._append(stream)))

    def pipelined(self) -> float:
        return self._rate(lambda stream: _in_batches(self._entries, lambda batch: self._plain.append(stream, batch)))

    def by_hand(self) -> float:
        return self._rate(lambda stream: _in_batches(self._entries, lambda batch: self._by_hand.append(stream, batch)))

    def written(self) -> float:
        return self._rate(lambda stream: self._loop.run(self._write(stream)))

    def memory(self) -> list[float]:
        """Give the memory of our stream, as often as it takes to see that it is always the same."""
        payload = sum(len(event.payload) for event in self._events)
        found = []
        for _ in range(2):
            stream = self._new()
            self._loop.run(self._append(stream))
            found.append(self._plain.memory_bytes(stream) / payload)
            self._plain.forget(stream)
        return found

    def close(self) -> None:
        self._loop.run(self._log.close())
        self._plain.close()
        self._by_hand.close()

    def _new(self) -> str:
        return f"ticks-bench-{next(self._numbers)}"

    def _rate(self, work: Callable[[str], object]) -> float:
        stream = self._new()
        began = time.perf_counter()
        work(stream)
        took = time.perf_counter() - began
        self._plain.forget(stream)
        return len(self._events) / took

    async def _append(self, stream: str) -> None:
        previous = None
        for start in range(0, len(self._entries), SEND_ENTRIES_MAX):
            batch = self._entries[start : start + SEND_ENTRIES_MAX]
            await self._log.append(stream, batch, 0, previous)
            previous = batch[-1]

    async def _write(self, stream: str) -> None:
        spool = Spool(self._data_dir / "spool" / stream, stream)
        archive = Archive(self._data_dir / "archive")
        limits = {"roll_bytes": ROLL_BYTES, "roll_seconds": ROLL_SECONDS}
        writer = await Writer.open(spool, self._log, archive, SystemClock(), _no_checkpoint, **limits)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(writer.run())
            room = asyncio.Semaphore(PENDING_APPENDS)
            for start in range(0, len(self._events), TAKEN_FRAMES):
                await room.acquire()
                taken = self._events[start : start + TAKEN_FRAMES]
                tasks.create_task(writer.append(taken)).add_done_callback(lambda _: room.release())
            for _ in range(PENDING_APPENDS):
                await room.acquire()
            assert await writer.drained(), "Redis takes what is written"
            running.cancel()
        await writer.close()


def _in_batches(entries: Sequence[bytes], append: Callable[[Sequence[bytes]], None]) -> None:
    for start in range(0, len(entries), SEND_ENTRIES_MAX):
        append(entries[start : start + SEND_ENTRIES_MAX])


async def _no_checkpoint(_stream: str) -> dict[str, int]:
    return {}
