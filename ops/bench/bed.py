"""What a benchmark stands on: a folder of its own, and embedded servers that end with it."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvloop

from ops.embedded import postgres, redis
from ops.embedded.owner import first_closed, server_owner
from ops.embedded.server import Server
from runtime import settings

BASES = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108  # only for a folder with an unguessable name


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a new folder on a real disk that the embedded servers' user can enter, removed after."""
    owner = server_owner()
    wanted = [Path(tempfile.gettempdir()), *BASES]
    base = next((each for each in wanted if each.is_dir() and first_closed(each, owner) is None), wanted[0])
    made = Path(tempfile.mkdtemp(prefix="bahi-bench-", dir=base))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def redis_server(data_dir: Path) -> Iterator[Server]:
    """Run the embedded Redis, as `bahi up` does. A downloaded one is taken from the usual data directory."""
    server = redis.start(data_dir, settings.load().bahi_data_dir / "tools")
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def postgres_server(data_dir: Path) -> Iterator[Server]:
    """Run the embedded PostgreSQL, as `bahi up` does; without tables yet."""
    server = postgres.start(data_dir)
    try:
        yield server
    finally:
        server.stop()


def loop() -> asyncio.Runner:
    """Give a loop as our processes have it, to be used from code that is not async."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
