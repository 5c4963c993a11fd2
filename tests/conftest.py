"""Fixtures that every test may use: real servers, settings, a data directory, the asyncio backend."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from ops.embedded import place as embedded_place
from ops.embedded.server import Server
from runtime import settings as settings_module
from runtime.settings import Settings
from tests import buckets, ports, servers, shelves, timescale
from tests.redis_cluster import NO_DEATH_MS, Cluster, running

# A slow machine is no defect: no example has a time limit, and none is refused because drawing it took long. Everybody
# sees the same examples; `--hypothesis-profile=explore` draws new ones.
hypothesis.settings.register_profile(
    "explore", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.register_profile("same", hypothesis.settings.get_profile("explore"), derandomize=True)
hypothesis.settings.load_profile("same")

# With TEST_REDIS_CLUSTER=1 all tests but those of one server's own ways run on a cluster of three.
ON_CLUSTER = os.environ.get("TEST_REDIS_CLUSTER") == "1"
# With TEST_ON_TIMESCALE=1 all tests get their databases on the server that TEST_TIMESCALE_URL names.
ON_TIMESCALE = os.environ.get("TEST_ON_TIMESCALE") == "1"


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    """Leave the log to the next test as nobody has set it: many look for words on standard output."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests (`@pytest.mark.anyio`) on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _servers_ports() -> None:
    """Let embedded servers of this worker take their ports from a part of the range that is this worker's alone."""
    first, last = ports.share(embedded_place.PORT_MIN, embedded_place.PORT_MAX)
    embedded_place.PORT_MIN, embedded_place.PORT_MAX = first, last


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """Give this worker's PostgreSQL. Kill or stop servers of your own, never this one."""
    with servers.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """Give this worker's Redis. Kill or stop servers of your own, never this one."""
    with servers.redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[Cluster]:
    """Give this worker's Redis Cluster. Kill nodes of a cluster of your own, never of this one."""
    with servers.open_folder() as folder, running(folder, servers.TOOLS, NO_DEATH_MS) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """Give the address of this worker's server that speaks S3."""
    with buckets.server() as address:
        yield address


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> shelves.Place:
    """Give each place in turn where an archive can stand, empty."""
    if request.param == "folder":
        return shelves.FolderPlace(tmp_path / "archive")
    return shelves.BucketPlace(request.getfixturevalue("s3_address"), tmp_path)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a migrated database that is this test's alone."""
    if ON_TIMESCALE:
        yield str(request.getfixturevalue("timescale_url"))
        return
    server: Server = request.getfixturevalue("postgres_server")
    with servers.cloned_database(server) as url:
        yield url


@pytest.fixture
def timescale_url() -> Iterator[str]:
    """Give the URL of a migrated TimescaleDB database that is this test's alone; skip where there is no server."""
    server = timescale.server_url()
    if server is None:
        pytest.skip(timescale.MISSING)
    with timescale.database(server) as url:
        yield url


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty Redis, or Redis Cluster, that is this test's alone while it runs."""
    if ON_CLUSTER:
        return str(request.getfixturevalue("cluster_url"))
    server: Server = request.getfixturevalue("redis_server")
    return servers.empty_redis(server)


@pytest.fixture
def one_server() -> None:
    """Skip a test of one server's own ways where all others run on a cluster: no proxy stands before its nodes."""
    if ON_CLUSTER:
        pytest.skip("about one Redis, not a cluster")


@pytest.fixture
def plain_postgres() -> None:
    """Skip a test of a database without TimescaleDB's own schemas and sessions where all have them."""
    if ON_TIMESCALE:
        pytest.skip("about plain PostgreSQL, not TimescaleDB")


@pytest.fixture
def cluster_url(redis_cluster: Cluster) -> str:
    """Give the URL of an empty Redis Cluster that is this test's alone while it runs."""
    redis_cluster.empty()
    return redis_cluster.url


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Give an empty data directory that embedded servers can live in, removed after the test."""
    with servers.open_folder() as folder:
        yield folder


@pytest.fixture
def settings(data_dir: Path, database_url: str, redis_url: str) -> Settings:
    """Give the settings of a sandbox on this test's database, Redis and data directory; nothing of the environment."""
    return settings_module.load(
        {
            "BAHI_DATA_DIR": str(data_dir),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "BROKER": "sandbox",
            "BAHI_SANDBOX_PORT": "0",
        }
    )


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """Let what is made be closed to others, as on a machine whose administrator is careful."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port of the loopback address on which somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port
