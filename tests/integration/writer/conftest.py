"""Fixtures of the writer's tests: a desk on a disk, a Redis and an archive of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.archive import Archive
from events.redis_log import RedisLog
from tests.desk import Desk
from tests.entries import STREAM


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run on the loop that the processes use."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[RedisLog]:
    log = RedisLog.connect(redis_url)
    yield log
    await log.close()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / STREAM


@pytest.fixture
def desk(folder: Path, log: RedisLog, archive: Archive) -> Desk:
    return Desk(folder, log, archive)
