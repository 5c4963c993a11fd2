"""Tables from an archive's segments, the whole way to the swap, against live loading and against reading alone.

The archive is read, unpacked, decoded and loaded by `bahi rebuild`'s own code into an empty database, as after a
disaster; then once more beside the live tables, which are compared at the end.
"""

import time
from asyncio import Runner
from functools import partial
from pathlib import Path

from events import codec
from events.archive import Archive
from events.memory_log import MemoryLog
from events.reader import Reader
from ops.bench import bed
from ops.bench.frames import PACKETS, Source, recorded
from ops.bench.load import MOST, Loads
from ops.bench.measure import Case, Target, Trial, compare
from projectors.building import READ_EVENTS_MAX
from projectors.candles import CANDLES
from projectors.difference import Comparison
from projectors.projector import Projection
from projectors.rebuild import Plan, Rebuild
from projectors.ticks import TICKS
from runtime.clock import SystemClock
from runtime.lifecycle import Stop
from sql import migrate
from sql.pool import connect
from sql.statements import statements

SEGMENTS, SEGMENT_FRAMES = 10, 5_000  # half a million ticks: seconds, so that beginning and end weigh little
LOADED_FRAMES = 10_000  # what live loading is measured with
KEPT_DAYS = 7
STREAM = "ticks-bench-1"
LOADING, READING = f"live loading, {MOST:,} rows a transaction", "reading and unpacking the same segments"


def run(trial: Trial) -> list[Case]:
    """Measure rebuilds of ticks and of candles."""
    trial.say("filling an archive")
    with bed.folder() as data_dir, bed.postgres_server(data_dir) as server, bed.loop() as loop:
        loop.run(migrate.run(server.url))
        frames = round(trial.part(SEGMENT_FRAMES))
        loop.run(_fill(data_dir / "archive", frames))
        measured = _Rebuilds(server.url, data_dir / "archive", SEGMENTS * frames * PACKETS, loop)
        batch = recorded(Source().frames(round(trial.part(LOADED_FRAMES))))
        loads = Loads(server.url, batch, data_dir / "ticks.copy", loop)
        loading = partial(loads.ours, MOST)
        cases = []
        for name, ours, against, limit, target in (
            ("ticks, into an empty database", partial(measured.rebuild, TICKS), LOADING, loading, Target(0.5)),
            ("ticks, into an empty database", partial(measured.rebuild, TICKS), READING, measured.reading, None),
            ("ticks, compared with live ones", partial(measured.rebuild, TICKS, beside=True), LOADING, loading, None),
            ("candles, into an empty database", partial(measured.rebuild, CANDLES), READING, measured.reading, None),
        ):
            trial.say(f"{name}, against {against}")
            cases.append(compare(name, "ticks/s", against, trial.alternate(ours, limit), target))
    return cases


async def _fill(folder: Path, frames: int) -> None:
    archive, source = Archive(folder), Source()
    for place in range(SEGMENTS):
        first = place * frames + 1
        entries = [codec.encode(n, event) for n, event in enumerate(source.frames(frames), start=first)]
        await archive.put(STREAM, entries)


class _Rebuilds:
    """Rebuilds of one archive."""

    def __init__(self, url: str, folder: Path, ticks: int, loop: Runner) -> None:
        self._url, self._folder, self._ticks, self._loop = url, folder, ticks, loop

    def reading(self) -> float:
        return self._loop.run(self._read())

    async def _read(self) -> float:
        reader, after, began = Reader(MemoryLog(), Archive(self._folder)), 0, time.perf_counter()
        while batch := await reader.read(STREAM, after, READ_EVENTS_MAX):
            after = batch[-1].n
        return self._ticks / (time.perf_counter() - began)

    def rebuild(self, projection: Projection, *, beside: bool = False) -> float:
        return self._loop.run(self._rebuild(projection, beside=beside))

    async def _rebuild(self, projection: Projection, *, beside: bool) -> float:
        await self._forget(projection)
        if beside:
            await self._once(projection)
        began = time.perf_counter()
        await self._once(projection)
        return self._ticks / (time.perf_counter() - began)

    async def _once(self, projection: Projection) -> None:
        plan = Plan(projection, self._url, KEPT_DAYS)
        archive = partial(Archive, self._folder)
        outcome = await Rebuild(plan, MemoryLog(), archive, SystemClock(), _Nobody(), Stop()).run()
        assert outcome.swapped, "nothing differs"

    async def _forget(self, projection: Projection) -> None:
        connection = await connect(self._url)
        await connection.execute(statements[f"empty_{projection.name}"])
        await connection.execute(statements["forget_checkpoints"])
        await connection.close()


class _Nobody:
    """Nobody watches."""

    def phase(self, name: str) -> None:
        pass

    def moved(self, done: int, total: int) -> None:
        pass

    async def accepts(self, comparison: Comparison) -> bool:
        return not comparison.different
