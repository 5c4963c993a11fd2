"""The poller while something is away: what the brokers say is on the disk, and in Redis when it is back."""

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from events.accounts import STREAM, SyncRun
from events.codec import decode
from events.event import Recorded
from events.spool import spool_files
from ops.embedded import redis as embedded_redis
from runtime.settings import Settings
from tests import servers
from tests.patience import PATIENCE_SECONDS
from tests.pollers import syncing, told, until_runs, whole
from tests.tickers import Watcher, market


def on_disk(settings: Settings) -> Sequence[Recorded]:
    """Read all that the spool holds."""
    folder = settings.bahi_data_dir / "spool" / STREAM
    return [decode(STREAM, each) for file in spool_files(folder) for each in file.entries(STREAM)]


async def runs_on_disk(settings: Settings, number: int) -> None:
    """Wait until so many runs are in the spool."""
    seen = asyncio.Event()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(told(await asyncio.to_thread(on_disk, settings), SyncRun)) < number:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(seen.wait(), 0.1)


async def test_pulls_go_on_while_redis_is_away_and_are_in_it_when_it_is_back(settings: Settings) -> None:
    with servers.open_folder() as folder:
        server = embedded_redis.start(folder, servers.TOOLS)
        settings = msgspec.structs.replace(settings, redis_url=server.url, sync_interval_seconds=1)
        try:
            async with market(settings, traders=1), syncing(settings):
                watcher = Watcher(settings)
                before = len(await until_runs(watcher, 2, whole))
                server.stop()
                await runs_on_disk(settings, before + 4)
                server = embedded_redis.start(folder, servers.TOOLS)
                assert server.url == settings.redis_url, "the same place"
                await watcher.close()
                watcher = Watcher(settings)  # of the Redis that is back, from the beginning
                runs = await until_runs(watcher, before + 4, whole)
                await watcher.close()
        finally:
            server.stop()
    assert len({run.run for run in runs}) == len(runs)
