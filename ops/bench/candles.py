"""Decoded batches of 2,000 ticks to one-minute candles, against a loop over dictionaries and against SQL's GROUP BY."""

import time
from asyncio import Runner
from collections.abc import Callable, Sequence

import numpy as np

from events.decode import decode
from events.decode.tick import Ticks
from events.event import Recorded
from ops.bench import bed
from ops.bench.frames import PACKETS, Source, recorded
from ops.bench.measure import Case, Target, Trial, compare
from projectors.fold import DAY_NS, MINUTE_NS, Highest, fold
from projectors.ticks import NAME, TickProjector
from runtime.calendar import IST_NS
from sql import migrate
from sql.pool import Connection, connect
from sql.statements import statements
from sql.store import Store

BATCH_TICKS = 2000
BATCHES = 4  # in turns; decoded a moment ago they lie in the processor's cache, and so few do, too
STREAM = "ticks-bench-1"
UNIT = "ticks/s"


def run(trial: Trial) -> list[Case]:
    """Measure `projectors.fold.fold`."""
    trial.say("making ticks")
    frames = recorded(Source().frames(BATCHES * BATCH_TICKS // PACKETS))
    step = BATCH_TICKS // PACKETS
    batches = [decode(frames[start : start + step]).ticks for start in range(0, len(frames), step)]
    count = sum(len(ticks) for ticks in batches)
    trial.say("against dictionaries")
    found = trial.alternate(
        _rate(trial, count, lambda: _fold(batches)), _rate(trial, count, lambda: _by_dictionaries(batches))
    )
    cases = [compare("folded, batches of 2,000 ticks", UNIT, "a loop over dictionaries", found, Target(3))]
    trial.say("against SQL")
    with bed.folder() as data_dir, bed.postgres_server(data_dir) as server, bed.loop() as loop:
        _fill(loop, server.url, frames[:step])
        connection = loop.run(connect(server.url))
        found = trial.alternate(
            _rate(trial, count, lambda: _fold(batches)),
            lambda: trial.per_second(BATCH_TICKS, lambda: loop.run(_by_sql(connection))),
        )
        loop.run(connection.close())
    cases.append(compare("folded, batches of 2,000 ticks", UNIT, "GROUP BY over 2,000 rows", found, Target(10)))
    return cases


def _rate(trial: Trial, count: int, work: Callable[[], object]) -> Callable[[], float]:
    return lambda: trial.per_second(count, work, time.thread_time)


def _fold(batches: Sequence[Ticks]) -> None:
    """Fold as the projector does, minding what each counter stands at."""
    highest = Highest()
    for ticks in batches:
        counters = fold(ticks, np.zeros(len(ticks), np.int64), highest).counters
        highest.keep(counters.keys, counters.highest)


def _by_dictionaries(batches: Sequence[Ticks]) -> None:
    """Do the same a tick at a time."""
    highest: dict[tuple[int, int], int] = {}
    candles: dict[tuple[int, int], list[float]] = {}
    columns = ("instrument_token", "time_ns", "last_price", "volume", "oi")
    for ticks in batches:
        for token, time_ns, price, volume, oi in zip(*(ticks[name].tolist() for name in columns), strict=True):
            day = (token, (time_ns + IST_NS) // DAY_NS)
            before = highest.get(day)
            added = 0 if before is None else max(0, volume - before)
            highest[day] = volume if before is None else max(volume, before)
            _take(candles, (token, time_ns // MINUTE_NS), price, added, oi)


def _take(candles: dict[tuple[int, int], list[float]], key: tuple[int, int], price: float, added: int, oi: int) -> None:
    candle = candles.get(key)
    if candle is None:
        candles[key] = [price, price, price, price, added, oi, 1]
        return
    if price > candle[1]:
        candle[1] = price
    elif price < candle[2]:
        candle[2] = price
    candle[3], candle[5] = price, oi
    candle[4] += added
    candle[6] += 1


def _fill(loop: Runner, url: str, frames: Sequence[Recorded]) -> None:
    loop.run(migrate.run(url))
    loop.run(_load(url, frames))


async def _load(url: str, frames: Sequence[Recorded]) -> None:
    store, projector = Store(url), TickProjector(STREAM)
    lease = await store.acquire(NAME, STREAM)
    assert lease is not None, "nobody else works here"
    projector.absorb(frames)
    async with store.begin(lease, frames[-1].n) as rows:
        await projector.write(rows)
    await store.close()


async def _by_sql(connection: Connection) -> None:
    await (await connection.execute(statements["fold_ticks"])).fetchall()
