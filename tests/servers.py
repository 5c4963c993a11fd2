"""Real PostgreSQL and Redis for tests, started from the embedded binaries; one of each for each worker process.

A test gets a database of its own, cloned from a migrated template (some 40 ms), and an empty Redis. Both servers die
with the test run, also when it is killed.
"""

import asyncio
import contextlib
import inspect
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from ops.embedded import postgres as embedded_postgres
from ops.embedded import redis as embedded_redis
from ops.embedded.owner import first_closed, server_owner
from ops.embedded.server import Server
from tests.redis_cluster import Everywhere

TOOLS = Path(__file__).resolve().parent.parent / "var" / "tools"
"""Where a downloaded redis-server stays between test runs."""

TEMPLATE = "bahi_template"

_numbers = itertools.count(1)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a new folder that the embedded servers' user can enter (pytest's own are closed to it), removed after."""
    owner = server_owner()
    bases = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    base = next((base for base in bases if base.is_dir() and first_closed(base, owner) is None), bases[0])
    folder = Path(tempfile.mkdtemp(prefix="bahi-test-", dir=base))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres_server() -> Iterator[Server]:
    """Run a PostgreSQL with a migrated template database until the context ends."""
    with open_folder() as folder:
        server = embedded_postgres.start(folder)
        try:
            _make_template(server)
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def redis_server() -> Iterator[Server]:
    """Run a Redis until the context ends."""
    with open_folder() as folder:
        server = embedded_redis.start(folder, TOOLS)
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def cloned_database(server: Server) -> Iterator[str]:
    """Yield the URL of a new migrated database, dropped after with whatever is still connected to it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with _admin(server) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        try:
            yield with_database(server.url, name)
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def redis_client(url: str) -> redis.Redis:
    """Give a client of the Redis at a URL; of a cluster one that reaches all of it."""
    client = redis.Redis.from_url(url)
    if not client.info("cluster")["cluster_enabled"]:
        return client
    client.close()
    return cast("redis.Redis", Everywhere.from_url(url))


def empty_redis(server: Server) -> str:
    """Drop all keys, scripts and other clients of the server; return its URL."""
    with redis.Redis.from_url(server.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
        client.flushall()
        client.script_flush()
    return server.url


def redis_file(data_dir: Path) -> Path:
    """Give the append-only file that Redis writes to now; since Redis 7 it lies in a folder of its own."""
    files = [path for path in (data_dir / "redis").rglob("*.aof") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_mtime_ns)


def cut_redis_file(data_dir: Path, cut_bytes: int) -> None:
    """Cut the end off the append-only file, or all of it, as a power cut may."""
    path = redis_file(data_dir)
    os.truncate(path, max(0, path.stat().st_size - cut_bytes))


def with_database(url: str, name: str) -> str:
    """Return the URL with another database name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _make_template(server: Server) -> None:
    """Make the template database and migrate it."""
    with _admin(server) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
    _migrate(with_database(server.url, TEMPLATE))


def _migrate(url: str) -> None:
    if find_spec("sql.migrate") is None:
        return
    report = import_module("sql.migrate").run(url)
    if inspect.iscoroutine(report):
        asyncio.run(report)


def _admin(server: Server) -> psycopg.Connection:
    """Connect to the maintenance database: a template must have no sessions while it is cloned."""
    return psycopg.connect(with_database(server.url, "postgres"), autocommit=True)
