"""A pull of every account, the real REST worker against a sandbox that keeps Kite's limits and answers in 50 ms.

All accounts share one API key, so what limits a pull is the key's budget: the calls of all accounts at its rate. What
counts is how much longer it takes, from the first call's turn to the last account's end in the log, logins apart.
"""

import asyncio
from pathlib import Path

import aiohttp

from events.accounts import KINDS, STREAM, PullAccounts, SyncRun
from events.archive import Archive
from events.messages import pack, unpack
from events.reader import Reader
from events.redis_log import RedisLog
from events.spool import Spool
from events.writer import Writer
from ops.bench import bed
from ops.bench.measure import AT_MOST, Case, Target, Trial, alone, compare
from ops.sandbox.server import Exchange, Options
from producers import sync
from producers.kite.calls import REST_RATE
from runtime import settings as settings_module
from runtime.clock import NS_PER_SECOND, SystemClock
from runtime.lifecycle import Stop
from runtime.settings import Settings

ACCOUNTS = 200
ANSWER_SECONDS = 0.05
ROUNDS_MAX = 2  # of 100 s each
ROUND_SECONDS_MAX = 600.0  # a pull that takes six times what it may has failed
FAULT_SECONDS = 3600.0


def run(trial: Trial) -> list[Case]:
    """Measure pulls of 200 accounts of one API key."""
    accounts, rounds = round(trial.part(ACCOUNTS)), min(trial.rounds, ROUNDS_MAX)
    with bed.folder() as folder, bed.redis_server(folder) as server, bed.loop() as loop:
        settings = settings_module.load(
            {
                "BAHI_DATA_DIR": str(folder),
                "REDIS_URL": server.url,
                "BAHI_SANDBOX_PORT": "0",
                "SYNC_INTERVAL_SECONDS": str(settings_module.DAY_SECONDS),
            }
        )
        runs = loop.run(_measured(settings, accounts, rounds, trial))
    calls = accounts * len(KINDS)
    seconds = [(max(run.finished_ns for run in each) - each_asked_ns) / NS_PER_SECOND for each_asked_ns, each in runs]
    again = [float(sum(kind.tries - 1 for run in each for kind in run.kinds.values())) for _, each in runs]
    allowed = calls / REST_RATE.calls * REST_RATE.seconds
    against = f"{calls} calls at {REST_RATE.calls} a second"
    name = f"pull of {accounts} accounts, {len(KINDS)} kinds each"
    return [
        compare(name, "seconds", against, (seconds, [allowed] * rounds), Target(1.3, AT_MOST)),
        alone(
            "calls that had to be made again",
            "calls",
            again,
            None,
            "Kite's limits, as the sandbox keeps them",
        ),
    ]


async def _measured(settings: Settings, accounts: int, rounds: int, trial: Trial) -> list[tuple[int, list[SyncRun]]]:
    """Give the runs of each round, with the time at which it was asked for."""
    options = Options(folder=settings.bahi_data_dir / "sandbox", port=0, instruments=50, traders=accounts - 1)
    stop, found = Stop(), []
    async with Exchange(options) as exchange:
        driving = asyncio.ensure_future(exchange.drive())
        syncing = asyncio.ensure_future(sync.run(settings, stop, _nobody))
        try:
            log = RedisLog.connect(settings.redis_url or "")
            hand = _Hand(settings, log)
            trial.say(f"logging {accounts} accounts in, and pulling them once")
            await hand.runs(accounts)
            await _slow_down(exchange.port)
            for number in range(rounds):
                trial.say(f"pulling {accounts} accounts, {number + 1} of {rounds}")
                asked_ns = await hand.ask(number)
                found.append((asked_ns, (await hand.runs(accounts * (number + 2)))[-accounts:]))
            await log.close()
        finally:
            stop.set()
            driving.cancel()
            await asyncio.gather(driving, syncing, return_exceptions=True)
    return found


async def _slow_down(port: int) -> None:
    """Let every answer come a little later, as over a network."""
    fault = {"fault": "latency", "delay": ANSWER_SECONDS, "lasting": FAULT_SECONDS}
    url = f"http://127.0.0.1:{port}/sandbox/faults"
    async with aiohttp.ClientSession() as session, session.post(url, json=fault) as answer:
        answer.raise_for_status()


async def _nobody(_: str) -> dict[str, int]:
    """Stand for the checkpoints of a stream that is new."""
    return {}


class _Hand:
    """Asks for pulls, and reads what came of them."""

    def __init__(self, settings: Settings, log: RedisLog) -> None:
        self._settings, self._log = settings, log
        self._reader = Reader(log, Archive(Path(settings.bahi_data_dir) / "archive"))
        self._n, self._found = 0, list[SyncRun]()

    async def ask(self, number: int) -> int:
        """Ask for a pull of all accounts; give the time at which it was asked."""
        asked_ns = SystemClock().now_ns()
        spool = Spool(self._settings.bahi_data_dir / "spool" / "requests", "requests")
        archive = Archive.at(self._settings)
        limits = {"roll_bytes": self._settings.spool_file_bytes, "roll_seconds": self._settings.spool_file_seconds}
        writer = await Writer.open(spool, self._log, archive, SystemClock(), _nobody, **limits)
        running = asyncio.ensure_future(writer.run())
        await writer.append([pack(PullAccounts(kinds=list(KINDS), key=str(number)), asked_ns)])
        await writer.drained()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await writer.close()
        return asked_ns

    async def runs(self, number: int) -> list[SyncRun]:
        """Wait until there are so many runs in the log; give them."""
        async with asyncio.timeout(ROUND_SECONDS_MAX):
            while len(self._found) < number:
                batch = await self._reader.read(STREAM, self._n, block_ms=200)
                self._n += len(batch)
                self._found += [unpack(each, SyncRun) for each in batch if each.type == "account.sync.v1"]
        return self._found
