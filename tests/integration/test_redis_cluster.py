"""The log in a Redis Cluster: slots that move, nodes that die and come back, replicas that take over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
import redis

from events import redis_facts
from events.log import Appended
from events.redis_log import RedisLog
from events.redis_nodes import server_urls
from ops.doctor import servers as doctor
from ops.facts.gather import gather
from runtime.clock import SystemClock
from runtime.errors import Unreachable
from runtime.settings import Settings, load
from tests import servers
from tests.entries import entries
from tests.patience import PATIENCE_SECONDS
from tests.redis_cluster import NO_DEATH_MS, PRIMARIES, Cluster, running, wait

T = TypeVar("T")

pytestmark = pytest.mark.anyio

NO_MAP = "no-map"
RIGHTS = ("on", ">word", "~*", "+@all", "-cluster", "-info", "-hello")
STREAMS = [f"ticks-kite-{number}" for number in range(1, 31)]


@pytest.fixture
def own() -> Iterator[Cluster]:
    """Give a cluster of this test's own, whose nodes may be killed."""
    with servers.open_folder() as folder, running(folder, servers.TOOLS) as cluster:
        yield cluster


@pytest.fixture
def lasting() -> Iterator[Cluster]:
    """Give a cluster of this test's own that gives up no node: what is away comes back."""
    with servers.open_folder() as folder, running(folder, servers.TOOLS, NO_DEATH_MS) as cluster:
        yield cluster


@pytest.fixture
def no_map(redis_cluster: Cluster) -> Iterator[str]:
    """Give the name of a user who may not ask for the map, nor for anything of the kind."""
    for node in range(PRIMARIES):
        redis_cluster.ask(node, "ACL", "SETUSER", NO_MAP, *RIGHTS)
    yield NO_MAP
    for node in range(PRIMARIES):
        redis_cluster.ask(node, "ACL", "DELUSER", NO_MAP)


@pytest.fixture
async def log(cluster_url: str) -> AsyncIterator[RedisLog]:
    log = RedisLog.connect(cluster_url)
    yield log
    await log.close()


def stream_on(cluster: Cluster, node: int) -> str:
    return next(stream for stream in STREAMS if cluster.node_of(stream) == node)


async def settled(call: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer: nodes that are held up on a busy machine take one another for dead."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(Unreachable):
                return await call()


async def persist(log: RedisLog, stream: str, n: int) -> None:
    """Append entry n as a writer does: until it is in, asking after each failure what is there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                last, _ = await log.last(stream)
                if last >= n:
                    return
                await log.append(stream, entries(last + 1, n), archived=0)
            except Unreachable:
                continue


async def test_streams_are_spread_over_the_nodes_and_all_are_found(log: RedisLog, redis_cluster: Cluster) -> None:
    for stream in STREAMS:
        assert await log.append(stream, entries(1, 3), archived=0) == Appended(3)
        await log.mark(stream, "ticks", 2)
    assert await log.streams() == sorted(STREAMS)
    for node in range(PRIMARIES):
        with redis_cluster.client(node) as client:
            assert 0 < client.dbsize() < len(STREAMS)
    for stream in STREAMS:
        assert await log.read(stream, 1) == entries(2, 3)
        assert await log.marked(stream) == {"ticks": 2}
        assert await log.trim(stream, 2) == 2


async def test_the_facts_are_those_of_the_worst_node(
    settings: Settings, cluster_url: str, redis_cluster: Cluster
) -> None:
    found = await redis_facts.look(cluster_url)
    assert (found.nodes, found.policy, found.keeps_file) == (PRIMARIES, "noeviction", True)
    ready = load({"REDIS_URL": cluster_url, "DATABASE_URL": settings.database_url or "", "BAHI_DATA_DIR": "/nowhere"})
    redis_cluster.ask(2, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        facts = await gather(ready, SystemClock())
    finally:  # others use this cluster after us
        redis_cluster.ask(2, "CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert any("allkeys-lru" in finding.found for finding in doctor.redis(facts))


async def test_a_slot_is_moved_while_somebody_writes_and_reads(log: RedisLog, redis_cluster: Cluster) -> None:
    stream = STREAMS[0]
    target = (redis_cluster.node_of(stream) + 1) % PRIMARIES
    reader = RedisLog.connect(redis_cluster.url)
    n = 0

    async def write(count: int) -> None:
        nonlocal n
        for _ in range(count):
            n += 1
            previous = entries(n - 1, n - 1)[0] if n > 1 else None
            assert await log.append(stream, entries(n, n), archived=0, previous=previous) == Appended(n)

    await write(20)
    redis_cluster.begin_move(stream, target)
    await write(20)
    redis_cluster.carry(stream, target)
    await write(20)
    assert await reader.read(stream, 0) == entries(1, 60), "by ASK"
    assert stream in await log.streams()
    redis_cluster.end_move(stream, target)
    await write(20)
    assert await reader.read(stream, 0) == entries(1, 80), "by MOVED"
    assert await log.last(stream) == (80, entries(80, 80)[0])
    assert redis_cluster.node_of(stream) == target
    await reader.close()


async def test_a_new_stream_begins_in_a_slot_that_is_on_its_way(log: RedisLog, redis_cluster: Cluster) -> None:
    stream = STREAMS[1]
    target = (redis_cluster.node_of(stream) + 1) % PRIMARIES
    redis_cluster.begin_move(stream, target)
    assert await log.append(stream, entries(1, 3), archived=0) == Appended(3)
    assert await log.append(stream, entries(4, 5), archived=0) == Appended(5)
    redis_cluster.end_move(stream, target)
    assert await log.read(stream, 0) == entries(1, 5)


async def test_a_read_that_waits_where_a_slot_moves_away_goes_on_there(log: RedisLog, redis_cluster: Cluster) -> None:
    stream = STREAMS[2]
    target = (redis_cluster.node_of(stream) + 1) % PRIMARIES
    await log.append(stream, entries(1, 2), archived=0)
    waiting = asyncio.create_task(log.read(stream, 2, block_ms=2000))
    await log.last(stream)  # the read has been sent by now
    redis_cluster.begin_move(stream, target)
    redis_cluster.carry(stream, target)
    redis_cluster.end_move(stream, target)
    await log.append(stream, entries(3, 3), archived=0)
    assert await waiting in (entries(3, 3), []), "it follows, or ends empty and is asked again"
    assert await log.read(stream, 2) == entries(3, 3)


async def test_a_killed_node_takes_its_streams_away_and_no_others(lasting: Cluster) -> None:
    gone, kept = stream_on(lasting, 0), stream_on(lasting, 1)
    log = RedisLog.connect(lasting.url)  # names the node that dies
    for stream in (gone, kept):
        await persist(log, stream, 5)
    waiting = asyncio.create_task(log.read(kept, 5, block_ms=2000))
    await log.last(kept)
    lasting.kill(0)
    for _ in range(3):
        with pytest.raises(Unreachable):
            await log.append(gone, entries(6, 6), archived=0)
    with pytest.raises(Unreachable):
        await log.streams()
    await persist(log, kept, 6)
    assert await waiting in (entries(6, 6), []), "what waits on another node is not disturbed, but for its own end"
    assert await log.read(kept, 5) == entries(6, 6)
    late = RedisLog.connect(lasting.all_urls)
    await persist(late, kept, 7)
    lasting.start(0)
    await persist(log, gone, 9)
    assert await late.read(gone, 0) == entries(1, 9), "with its file it comes back, with the writer the rest"
    assert sorted([gone, kept]) == await late.streams()
    await late.close()
    await log.close()


async def test_a_replica_takes_over_for_a_killed_node(own: Cluster) -> None:
    stream = stream_on(own, 0)
    replica = own.add_replica(of=0)
    log = RedisLog.connect(own.url)
    await persist(log, stream, 50)
    assert own.ask(0, "WAIT", 1, int(PATIENCE_SECONDS * 1000)) == 1
    own.kill(0)
    await persist(log, stream, 100)
    wait("all have heard of it", lambda: own.node_of(stream) == replica)
    assert await settled(lambda: log.read(stream, 0)) == entries(1, 100)
    own.start(0)
    wait("it follows the new one", lambda: own.info(0, "replication")["role"] == "slave")
    await persist(log, stream, 120)
    assert await settled(lambda: log.read(stream, 0)) == entries(1, 120)
    await log.close()


async def test_a_replica_that_is_made_the_first_one_while_somebody_writes(own: Cluster) -> None:
    stream = stream_on(own, 1)
    replica = own.add_replica(of=1)
    log = RedisLog.connect(own.url)
    n = 0

    async def write() -> None:
        nonlocal n
        while own_primary() != replica or n < 200:
            n += 1
            await persist(log, stream, n)

    def own_primary() -> int:
        return own.node_of(stream) if n % 20 == 0 else -1

    async with asyncio.timeout(2 * PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(write())
        await persist(log, stream, 20)
        await asyncio.to_thread(own.replace, replica)
    assert await settled(lambda: log.read(stream, 0, limit=n)) == entries(1, n)
    await log.close()


async def test_a_database_number_that_a_cluster_does_not_have_is_told(cluster_url: str) -> None:
    log = RedisLog.connect(cluster_url.removesuffix("0") + "3")
    with pytest.raises(Unreachable, match="SELECT is not allowed in cluster mode"):
        await log.last(STREAMS[0])
    await log.close()


def as_user(url: str, name: str) -> str:
    return url.replace(urlsplit(url).netloc.rpartition("@")[0], f"{name}:word")


async def test_who_may_not_ask_for_the_map_is_told_so_and_never_given_half_a_list(
    log: RedisLog, redis_cluster: Cluster, no_map: str
) -> None:
    url = as_user(redis_cluster.url, no_map)
    limited = RedisLog.connect(url)
    with pytest.raises(Unreachable, match=r"\+cluster\|slots"):
        await limited.streams()
    with pytest.raises(Unreachable, match=r"\+cluster\|slots"):
        await redis_facts.look(url)
    for stream in STREAMS:
        assert await limited.append(stream, entries(1, 2), archived=0) == Appended(2), "by MOVED"
    with pytest.raises(Unreachable, match=r"\+cluster\|slots"):
        await limited.streams()
    for node in range(PRIMARIES):
        redis_cluster.ask(node, "ACL", "SETUSER", no_map, "+cluster|slots")
    assert await limited.streams() == sorted(STREAMS) == await log.streams()
    await limited.close()


def test_a_url_may_name_several_nodes() -> None:
    urls = server_urls("rediss://user:pass@one:7000,[::1]:7001,three/0?ssl_cert_reqs=none")
    assert urls == [f"rediss://user:pass@{host}/0?ssl_cert_reqs=none" for host in ("one:7000", "[::1]:7001", "three")]
    assert server_urls("unix:///run/redis.sock?db=1") == ["unix:///run/redis.sock?db=1"]


async def test_answers_lost_and_connections_cut_lose_and_double_nothing(log: RedisLog, redis_cluster: Cluster) -> None:
    stream, n = STREAMS[3], 0
    while n < 60:
        n += 1
        await persist(log, stream, n)
        if n % 7 == 0:
            for node in range(PRIMARIES):
                with redis.Redis.from_url(redis_cluster.nodes[node].url) as client:
                    client.client_kill_filter(_type="normal", skipme=True)
    assert await log.read(stream, 0) == entries(1, 60)
