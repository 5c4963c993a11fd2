"""The log in Redis: every way in which a server fails to answer is one, and nothing half done is left behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from events.log import Appended
from events.redis_log import RedisLog
from ops.embedded import redis as embedded_redis
from ops.embedded.server import Server, start
from runtime.errors import Unreachable
from tests import servers
from tests.cutting_proxy import cutting_proxy
from tests.entries import STREAM, entries
from tests.patience import PATIENCE_SECONDS

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[RedisLog]:
    log = RedisLog.connect(redis_url)
    yield log
    await log.close()


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return servers.redis_client(redis_url)


async def test_where_nobody_listens_every_call_is_unreachable() -> None:
    log = RedisLog.connect(NOBODY)
    for call in (
        log.append(STREAM, entries(1, 1), 0),
        log.read(STREAM, 0),
        log.last(STREAM),
        log.trim(STREAM, 1),
        log.streams(),
        log.mark(STREAM, "ticks", 1),
    ):
        with pytest.raises(Unreachable, match="is REDIS_URL right"):
            await call
    await log.close()


async def test_a_wrong_password_is_told(redis_url: str) -> None:
    log = RedisLog.connect(redis_url.replace("redis://:", "redis://:wrong"))
    with pytest.raises(Unreachable, match=r"invalid username-password pair|WRONGPASS"):
        await log.last(STREAM)
    await log.close()


async def test_a_key_of_another_kind_is_told_and_left_alone(log: RedisLog, client: redis.Redis) -> None:
    client.set(STREAM, "somebody else's")
    with pytest.raises(Unreachable, match="wrong kind of value"):
        await log.append(STREAM, entries(1, 1), 0)
    assert client.get(STREAM) == b"somebody else's"
    assert await log.streams() == []


async def test_a_full_server_takes_a_batch_whole_or_not_at_all(log: RedisLog, client: redis.Redis) -> None:
    await log.append(STREAM, entries(1, 3), 0)
    client.config_set("maxmemory", 1)
    with pytest.raises(Unreachable, match="maxmemory"):
        await log.append(STREAM, entries(4, 9), 0)
    assert await log.last(STREAM) == (3, entries(3, 3)[0])
    assert await log.trim(STREAM, 2) == 2, "room can be made"
    client.config_set("maxmemory", 0)
    assert await log.append(STREAM, entries(4, 9), 0) == Appended(9)


async def test_a_server_that_forgot_the_scripts_is_told_them_again(log: RedisLog, client: redis.Redis) -> None:
    await log.append(STREAM, entries(1, 3), 0)
    client.script_flush()
    assert await log.append(STREAM, entries(4, 5), 0) == Appended(5)
    client.script_flush()
    assert await log.trim(STREAM, 2) == 2


@pytest.mark.usefixtures("one_server")
async def test_a_server_that_does_not_let_us_ask_for_a_cluster_stands_alone(
    redis_url: str, client: redis.Redis
) -> None:
    forbidden = ["-cluster", "-info", "-hello"]
    client.acl_setuser(
        "limited", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"], commands=forbidden
    )
    limited = RedisLog.connect(f"redis://limited:secret@{redis_url.rpartition('@')[2]}")
    try:
        await limited.append(STREAM, entries(1, 3), 0)
        assert await limited.read(STREAM, 0) == entries(1, 3)
        assert await limited.streams() == [STREAM]
    finally:
        await limited.close()
        client.acl_deluser("limited")


async def test_a_stream_emptied_by_hand_begins_again(log: RedisLog, client: redis.Redis) -> None:
    await log.append(STREAM, entries(1, 9), 0)
    client.xtrim(STREAM, maxlen=0, approximate=False)
    assert await log.last(STREAM) == (0, None)
    assert await log.append(STREAM, entries(1, 9), 0) == Appended(9)
    client.xtrim(STREAM, maxlen=0, approximate=False)
    assert await log.append(STREAM, entries(6, 9), archived=5) == Appended(9)


async def test_a_mark_is_there_for_operators(log: RedisLog, client: redis.Redis) -> None:
    await log.mark(STREAM, "ticks", 1)
    assert not client.exists(STREAM), "a mark makes no stream"
    await log.append(STREAM, entries(1, 9), 0)
    for n in (3, 7, 5):
        await log.mark(STREAM, "ticks", n)
        (group,) = client.xinfo_groups(STREAM)
        assert (group["name"], group["last-delivered-id"]) == (b"ticks", f"{n}-0".encode())


async def test_a_call_given_up_at_any_moment_is_given_up(log: RedisLog) -> None:
    """The client loses a cancelling now and then; ours must not, or a writer could not be stopped."""

    async def ask_for_ever() -> None:
        while True:
            await log.last(STREAM)

    for moment in range(60):
        asking = asyncio.create_task(ask_for_ever())
        for _ in range(moment):
            await log.trim("another", 0)
        asking.cancel()
        done, _ = await asyncio.wait([asking], timeout=PATIENCE_SECONDS)
        assert done, f"at moment {moment}"
    assert await log.append(STREAM, entries(1, 1), 0) == Appended(1)


async def test_a_server_that_restarts_is_found_again(data_dir: Path) -> None:
    server: Server = embedded_redis.start(data_dir, servers.TOOLS)
    log = RedisLog.connect(server.url)
    try:
        await log.append(STREAM, entries(1, 3), 0)
        server.stop()
        with pytest.raises(Unreachable):
            await log.last(STREAM)
        server = start(server.launch)
        assert await log.append(STREAM, entries(4, 4), 0, previous=entries(3, 3)[0]) == Appended(4)
        assert await log.read(STREAM, 0) == entries(1, 4)
    finally:
        await log.close()
        server.stop()


@pytest.mark.usefixtures("one_server")
@pytest.mark.parametrize("seed", range(1, 6))
async def test_a_lost_answer_is_unreachable_and_not_tried_again_unseen(
    redis_url: str, log: RedisLog, seed: int
) -> None:
    """What the caller was told decides: taken means taken once; unreachable means that only `last` knows."""
    async with cutting_proxy(redis_url, share=0.3, seed=seed) as (url, proxy):
        cut = RedisLog.connect(url)
        n = 1
        while n <= 60:
            try:
                answer = await cut.append(STREAM, entries(n, n), 0)
            except Unreachable:
                n = max(n, (await log.last(STREAM))[0] + 1)
                continue
            assert answer == Appended(n)
            n += 1
        await cut.close()
        assert sum(proxy.cuts.values()) > 0
    assert await log.read(STREAM, 0) == entries(1, 60)
