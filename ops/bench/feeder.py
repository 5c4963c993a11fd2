"""A process that writes ready-made frames into a stream of its own, as a ticker does: spool, fdatasync, Redis.

The pace is its own clock's. What it could not write in time it writes as soon as it can, so that a writer that does not
keep up is seen by the seconds that it took.
"""

import asyncio
import itertools
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import msgspec

from events.archive import Archive
from events.event import Event
from events.redis_log import RedisLog
from events.spool import Spool
from events.writer import Writer
from ops.bench import bed
from ops.bench.frames import FRAME_TYPE, Source
from runtime import log
from runtime.clock import SystemClock
from runtime.settings import Settings

STREAM = "ticks-bench-1"
INSTRUMENTS = 1000
POOL_FRAMES = 5000  # made beforehand, sent again and again
STEP_SECONDS = 0.002  # frames of so long go to the writer at once
PENDING_APPENDS = 64  # beyond it the disk is waited for
END_SECONDS_MAX = 10.0


class Order(msgspec.Struct):
    """What to write: frames a second, for so long, each of so many packets."""

    rate: float
    seconds: float
    packets: int


class Fed(msgspec.Struct):
    """What was written: first and last n, and the seconds until Redis had it all."""

    first: int
    last: int
    seconds: float

    @property
    def frames(self) -> int:
        """Give how many frames these are."""
        return self.last - self.first + 1


class Feeder:
    """The hand on the process."""

    def __init__(self, pipe: Connection) -> None:
        """Made by `running`."""
        self._pipe = pipe

    def begin(self, rate: float, seconds: float, packets: int = 10) -> None:
        """Have it write `rate` frames a second from now on; `ended` gives what came of it."""
        self._pipe.send(Order(rate, seconds, packets))
        assert self._pipe.recv() is None, "the process says when it begins"

    def ended(self) -> Fed:
        """Wait for the end of what was begun. Raises EOFError where the process died."""
        fed = self._pipe.recv()
        assert isinstance(fed, Fed), "the process answers each order with what it wrote"
        return fed


@contextmanager
def running(settings: Settings, stream: str = STREAM) -> Iterator[Feeder]:
    """Run the process on the servers that `settings` name."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, settings, stream), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Feeder(ours)
        ours.send(None)
        process.join(END_SECONDS_MAX)
    finally:
        process.kill()
        process.join()


def _main(pipe: Connection, settings: Settings, stream: str) -> None:
    log.configure("feeder", settings)
    with bed.loop() as loop:
        loop.run(_serve(pipe, settings, stream))


async def _serve(pipe: Connection, settings: Settings, stream: str) -> None:
    assert settings.redis_url is not None, "a running Bahi has one"
    near = RedisLog.connect(settings.redis_url)
    spool = Spool(settings.bahi_data_dir / "spool" / stream, stream)
    writer = await Writer.open(
        spool,
        near,
        Archive.at(settings),
        SystemClock(),
        _no_checkpoint,
        roll_bytes=settings.spool_file_bytes,
        roll_seconds=settings.spool_file_seconds,
    )
    running = asyncio.create_task(writer.run())
    pools: dict[int, list[bytes]] = {}
    while (order := await asyncio.to_thread(pipe.recv)) is not None:
        if order.packets not in pools:
            source = Source(INSTRUMENTS, order.rate * order.packets, time.time_ns())
            pools[order.packets] = [event.payload for event in source.frames(POOL_FRAMES, order.packets)]
        pipe.send(None)
        pipe.send(await _feed(writer, order, pools[order.packets]))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await writer.close()
    await near.close()


async def _feed(writer: Writer, order: Order, payloads: list[bytes]) -> Fed:
    pool = itertools.cycle(payloads)
    wanted, sent, first = round(order.rate * order.seconds), 0, writer.last + 1
    room = asyncio.Semaphore(PENDING_APPENDS)
    began = time.perf_counter()
    while sent < wanted:
        await asyncio.sleep(STEP_SECONDS)
        due = min(wanted, int((time.perf_counter() - began) * order.rate)) - sent
        if due > 0:
            now_ns = time.time_ns()
            events = [Event(FRAME_TYPE, now_ns, payload) for payload in itertools.islice(pool, due)]
            await room.acquire()
            asyncio.ensure_future(writer.append(events)).add_done_callback(lambda _: room.release())
            sent += due
    for _ in range(PENDING_APPENDS):
        await room.acquire()
    await writer.drained()
    return Fed(first, writer.last, time.perf_counter() - began)


async def _no_checkpoint(_stream: str) -> dict[str, int]:
    return {}
