"""`bahi sync`: the one REST worker. Each part looks at its own schedule and requests, and owns its stream.

instruments   the broker's dump of each day, the sandbox's login              -> stream `reference`
accounts      orders, trades, positions, holdings and margins of all accounts,
              and what users decided about them                               -> stream `accounts`
alerts        messages to ALERT_URLS about what is wrong                      -> no stream: it only reads
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.accounts import STREAM as ACCOUNTS
from events.archive import Archive
from events.budget import Budget
from events.log import Log
from events.reader import Reader
from events.redis_log import RedisLog
from events.spool import Spool
from events.takeover import Fence
from events.writer import Writer
from producers import instruments
from producers.accounts.file import AccountsFile
from producers.accounts.pull import Puller
from producers.accounts.worker import Worker as AccountsWorker
from producers.alerts import reactor as alerts
from producers.kite.address import Address, reachable
from producers.kite.calls import REST_RATE, Calls
from runtime.clock import SystemClock
from runtime.errors import SettingError
from runtime.lifecycle import Stop
from runtime.settings import Settings


async def run(settings: Settings, stop: Stop, fence: Fence) -> None:
    """Run the worker for the first broker in BROKER until the stop."""
    if settings.redis_url is None:
        raise SettingError("REDIS_URL", "none", "run bahi up, or set it")
    if settings.accounts_file:
        AccountsFile(settings, settings.accounts_file).read()  # a wrong one is said before anything is opened
    where = await reachable(settings, stop)
    if where is None:
        return
    log = RedisLog.connect(settings.redis_url)
    try:
        async with asyncio.TaskGroup() as parts:
            parts.create_task(_instruments(settings, stop, where, log, fence))
            parts.create_task(_accounts(settings, stop, where, log, fence))
            parts.create_task(alerts.run(settings, stop, log, Reader(log, Archive.at(settings)), SystemClock()))
    finally:
        await log.close()


async def _instruments(settings: Settings, stop: Stop, where: Address, log: Log, fence: Fence) -> None:
    archive, clock = Archive.at(settings), SystemClock()
    async with _writing(settings, stop, log, instruments.STREAM, fence) as writer:
        if writer:
            await instruments.Worker(settings, where, writer, Reader(log, archive), clock).run(stop)


async def _accounts(settings: Settings, stop: Stop, where: Address, log: Log, fence: Fence) -> None:
    assert settings.redis_url is not None, "checked at the start"
    archive, clock = Archive.at(settings), SystemClock()
    calls, budget = Calls(clock), Budget(settings.redis_url, REST_RATE, clock)
    try:
        async with _writing(settings, stop, log, ACCOUNTS, fence) as writer:
            if writer:
                puller = Puller(calls, budget, clock)
                await AccountsWorker(settings, where, writer, Reader(log, archive), puller, clock).run(stop)
    finally:
        await calls.close()
        await budget.close()


@asynccontextmanager
async def _writing(settings: Settings, stop: Stop, log: Log, stream: str, fence: Fence) -> AsyncIterator[Writer | None]:
    """Own a stream: open it, write behind the back of what is inside, and let Redis have the rest at the end.

    Gives None where the stop comes before the stream is open.
    """
    spool = Spool(settings.bahi_data_dir / "spool" / stream, stream)
    limits = {"roll_bytes": settings.spool_file_bytes, "roll_seconds": settings.spool_file_seconds}
    opening = Writer.open(spool, log, Archive.at(settings), SystemClock(), fence, **limits)
    writer = await stop.cut(opening)
    if writer is None:
        yield None
        return
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(writer.run())
        yield writer
        await writer.drained()
        writing.cancel()
    await writer.close()
