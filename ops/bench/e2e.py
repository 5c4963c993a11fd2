"""The whole of Bahi at work: how long from a tick's receipt to its commit, and how many ticks a second it sustains.

Everything runs as `bahi up` runs it: embedded servers, exchange, ticker, projectors, archiver, REST worker, API.
Latency is exact and strict: for each tick, from the receive time in its event (before any queue) to the moment at which
the projector of ticks had its commit answered, as `bahi project --trace` notes it.

Exchange and the broker's own client cost several times what Bahi does with a tick, and on two cores set the rate. The
cases named "fed" leave them out: ready frames go straight to a ticker's writer (spool, fdatasync, Redis), a process of
its own while all other parts run. Only these climb the ladder of rates.
"""

import asyncio
import time
from asyncio import Runner
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from events.archive import Archive
from events.decode.kite import packets
from events.log import Log
from events.reader import Reader
from events.redis_log import RedisLog
from ops.bench import bed, feeder, running
from ops.bench.frames import FRAME_TYPE, PACKETS
from ops.bench.measure import AT_MOST, ROUNDS, Case, Target, Trial, alone
from ops.supervisor import procfile
from ops.trace import Commits
from projectors.ticks import NAME
from runtime.settings import Settings

INSTRUMENTS = 1000
SANDBOX_STREAM = "ticks-sandbox-1"
SANDBOX_RATES = (5_000, 20_000)
QUIET_SANDBOX = {"BAHI_SANDBOX_INSTRUMENTS": "25", "BAHI_SANDBOX_RATE": "10"}
FED_RATE = 20_000
LADDER = (50_000, 75_000, 100_000, 150_000, 200_000, 300_000)
SETTLE_SECONDS = 6.0  # after the start: instruments, first partition, first candles
SECONDS = 20.0  # of a measured rate; in ROUNDS parts, each 16,000 ticks or more: a p99.9 of some 20 at least
WATCHED = 0.95  # of the time in which frames are fed
RUNG_SECONDS = 6.0
CATCH_UP_SECONDS_MAX = 1.0  # a rung is held where all is written and committed so soon after its time
PATIENCE_SECONDS = 20.0  # for what lags behind; then the rung is not held
LOOK_SECONDS = 0.02
TARGET_RATE = 20_000
PERCENTILES = {50: None, 99: Target(10, AT_MOST), 99.9: Target(25, AT_MOST)}
SUSTAINED = Target(100_000)
SUSTAINED_P99_MS = 50.0

Ints = npt.NDArray[np.int64]


class Ticks(NamedTuple):
    """Frames of the log as columns: their n, when they were received, how many ticks they hold."""

    n: Ints
    at_ns: Ints
    held: Ints


def run(trial: Trial) -> list[Case]:
    """Measure ages at the rates of the targets, and climb the ladder."""
    cases, seconds = [], trial.part(SECONDS)
    for rate in SANDBOX_RATES[:1] if trial.quick else SANDBOX_RATES:
        trial.say(f"sandbox at {rate} ticks/s: starting everything")
        sandbox = {"BAHI_SANDBOX_INSTRUMENTS": str(INSTRUMENTS), "BAHI_SANDBOX_RATE": str(rate)}
        with _everything(sandbox, SANDBOX_STREAM) as (bahi, loop):
            trial.say("measuring")
            cases += _of_ages(f"{rate:,} ticks/s from the sandbox", bahi.watch(loop, seconds), rate)
    trial.say("fed: starting everything")
    with _everything(QUIET_SANDBOX, feeder.STREAM) as (bahi, loop), feeder.running(bahi.settings) as feeding:
        trial.say(f"fed at {FED_RATE} ticks/s")
        feeding.begin(FED_RATE / PACKETS, seconds)
        cases += _of_ages(f"{FED_RATE:,} ticks/s fed", bahi.watch(loop, seconds * WATCHED), FED_RATE)
        feeding.ended()
        cases += _ladder(trial, bahi, loop, feeding)
    return cases


class _Bahi:
    """What runs, seen from outside: its log and its commits."""

    def __init__(self, settings: Settings, stream: str, trace: Path) -> None:
        assert settings.redis_url is not None, "a running Bahi has one"
        self.settings = settings
        self._stream = stream
        self._commits = Commits(trace, NAME, stream)
        self._url = settings.redis_url

    def watch(self, loop: Runner, seconds: float) -> list[npt.NDArray[np.float64]]:
        """Give the ages (ms, one for each tick) of what is received from now on, in ROUNDS parts of the time."""
        return loop.run(self._watch(seconds))

    async def _watch(self, seconds: float) -> list[npt.NDArray[np.float64]]:
        log = RedisLog.connect(self._url)
        first = (await log.last(self._stream))[0]
        await asyncio.sleep(seconds)
        last = (await log.last(self._stream))[0]
        await self.caught_up(last)
        ticks = await self._read(log, first, last)
        await log.close()
        return np.array_split(self._ages(ticks), ROUNDS)

    async def caught_up(self, n: int) -> bool:
        """Wait until n is committed; say whether it was in time."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._commits.look() < n:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def read(self, first: int, last: int) -> npt.NDArray[np.float64]:
        """Give the ages of the ticks in the events first..last, which must be committed."""
        log = RedisLog.connect(self._url)
        ticks = await self._read(log, first - 1, last)
        await log.close()
        return self._ages(ticks)

    async def _read(self, log: Log, after: int, last: int) -> Ticks:
        reader = Reader(log, Archive.at(self.settings))
        rows: list[tuple[int, int, int]] = []
        while after < last:
            batch = await reader.read(self._stream, after)
            after = batch[-1].n
            rows += [(each.n, each.at_ns, packets(each.payload)) for each in batch if each.type == FRAME_TYPE]
        return Ticks(*np.array([row for row in rows if row[0] <= last], np.int64).T)

    def _ages(self, ticks: Ticks) -> npt.NDArray[np.float64]:
        times, numbers = np.array(self._commits.found, np.int64).T
        committed_ns = times[np.searchsorted(numbers, ticks.n)]
        ages: npt.NDArray[np.float64] = np.repeat((committed_ns - ticks.at_ns) / 1e6, ticks.held)
        return ages


@contextmanager
def _everything(sandbox: dict[str, str], stream: str) -> Iterator[tuple[_Bahi, Runner]]:
    """Run the programs of the Procfile, the projectors with a trace."""
    with bed.folder() as data_dir:
        trace = data_dir / "commits"
        programs = {name: " ".join(words) for name, words in procfile.read().items()}
        programs["project"] = f"bahi project --trace {trace}"
        with running.up(data_dir, programs, sandbox) as settings, bed.loop() as loop:
            time.sleep(SETTLE_SECONDS)
            yield _Bahi(settings, stream, trace), loop


def _of_ages(name: str, ages: list[npt.NDArray[np.float64]], rate: int) -> list[Case]:
    """Give the cases of one rate; the targets stand at TARGET_RATE."""
    note = f"{sum(map(len, ages)):,} ticks"
    return [
        alone(
            f"append to commit, {name}: p{percent:g}",
            "ms",
            [float(np.percentile(part, percent)) for part in ages],
            target if rate == TARGET_RATE else None,
            note,
        )
        for percent, target in PERCENTILES.items()
    ]


def _ladder(trial: Trial, bahi: _Bahi, loop: Runner, feeding: feeder.Feeder) -> list[Case]:
    """Raise the rate until it is not held; give the highest that was."""
    held: list[tuple[int, float]] = []
    seconds = trial.part(RUNG_SECONDS)
    for rate in LADDER[:1] if trial.quick else LADDER:
        trial.say(f"fed at {rate} ticks/s")
        feeding.begin(rate / PACKETS, seconds)
        fed = feeding.ended()
        began = time.monotonic()
        in_time = loop.run(bahi.caught_up(fed.last)) and time.monotonic() - began <= CATCH_UP_SECONDS_MAX
        if not in_time or fed.seconds > seconds + CATCH_UP_SECONDS_MAX:
            break
        p99 = float(np.percentile(loop.run(bahi.read(fed.first, fed.last)), 99))
        trial.say(f"held, p99 {p99:.1f} ms")
        if p99 > SUSTAINED_P99_MS:
            break
        held.append((rate, p99))
    highest, p99 = held[-1] if held else (0, float("nan"))
    note = f"p99 {p99:.1f} ms; held: the lag does not grow and p99 is at most {SUSTAINED_P99_MS:g} ms"
    return [alone("sustained, fed", "ticks/s", [highest], SUSTAINED, note)]
