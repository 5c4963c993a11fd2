"""A ticker that is killed: the next one declares exactly what is missing."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from events.messages import Gap, Lost, unpack
from runtime.settings import Settings
from tests.ports import free_port
from tests.tickers import STREAM, Running, Watcher, account, bring_token, count, last_of, market, seen

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from ops.cli import main; sys.argv[1:] = ['ticks']; sys.exit(main())"


@pytest.fixture
async def watcher(settings: Settings) -> AsyncIterator[Watcher]:
    made = Watcher(settings)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def ticker_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `bahi ticks` as a process of its own."""
    assert settings.redis_url is not None
    assert settings.database_url is not None
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "BAHI_DATA_DIR": str(settings.bahi_data_dir),
        "REDIS_URL": settings.redis_url,
        "DATABASE_URL": settings.database_url,
        "BAHI_SANDBOX_PORT": "0",
        "SPOOL_FILE_SECONDS": str(settings.spool_file_seconds),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=environ, cwd=settings.bahi_data_dir, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_after_kill_9_the_gap_covers_exactly_what_is_missing(settings: Settings, watcher: Watcher) -> None:
    async with market(settings, instruments=300, rate=3_000) as exchange:
        await bring_token(settings, exchange)
        for kills in range(3):
            async with ticker_process(settings) as process:
                frames = count("frame", await watcher.all())
                await watcher.until(seen(gap=kills, frame=frames + 60))
                process.send_signal(signal.SIGKILL)
                await process.wait()
        async with ticker_process(settings) as process:
            await watcher.until(seen(gap=3))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    heard = await watcher.all()
    account(settings, heard)
    frames_at = [event.at_ns for event in heard if event.type == "kite.frame.v1"]
    for event in heard:
        if event.type == "feed.gap.v1":
            gap = unpack(event, Gap)
            assert gap.reason == "the ticker ended without a word"
            assert gap.to_ns in frames_at
            last_before = max(at for at in frames_at if at < gap.to_ns)
            assert last_before <= gap.from_ns < gap.to_ns


async def test_a_loss_that_lasts_over_kills_and_closed_spool_files_is_one(settings: Settings, watcher: Watcher) -> None:
    often = msgspec.structs.replace(settings, spool_file_seconds=1)
    port = free_port()
    async with market(settings, port=port) as exchange:
        await bring_token(settings, exchange)
        async with ticker_process(often):
            await watcher.until(seen(frame=10))
            await exchange.__aexit__(None, None, None)
            heard = await watcher.until(seen(lost=1))
            await watcher.until(seen(beat=count("beat", heard) + 4))  # in files of their own
    lost = unpack(last_of("lost", await watcher.all()), Lost)
    files = sorted((settings.bahi_data_dir / "spool" / STREAM).glob("*.spool"))
    assert len(files) > 2
    async with ticker_process(often):
        await watcher.until(seen(beat=count("beat", heard) + 6))
    async with market(settings, port=port), Running(settings):
        await watcher.until(seen(gap=1))
    heard = await watcher.all()
    ended = last_of("gap", heard)
    assert unpack(ended, Gap).from_ns == lost.from_ns
    assert count("lost", heard[: ended.n]) == count("gap", heard) == 1
