"""What kind of Redis the log is in, for those who look after it. Nothing of the log itself is asked here."""

import msgspec
import redis.asyncio
import redis.exceptions

from events.redis_log import ANSWER_SECONDS_MAX, CONNECT_TIMEOUT_SECONDS
from runtime.errors import Unreachable


class RedisFacts(msgspec.Struct, frozen=True):
    """A server as it says it is. memory_bytes_max: 0 where there is no limit; clock_ns: its own UTC time."""

    software: str
    version: str
    memory_bytes: int
    memory_bytes_max: int
    policy: str
    keeps_file: bool
    loading: bool
    clock_ns: int


async def look(url: str) -> RedisFacts:
    """Ask the server at `url`. Raises Unreachable."""
    client = redis.asyncio.Redis.from_url(
        url, socket_timeout=ANSWER_SECONDS_MAX, socket_connect_timeout=CONNECT_TIMEOUT_SECONDS
    )
    try:
        said = await client.info()
        seconds, micros = await client.time()
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        raise Unreachable(
            "Redis to answer", f"{type(error).__name__}: {error}", "is it running, and REDIS_URL right?"
        ) from error
    finally:
        await client.aclose()
    return RedisFacts(
        software=str(said.get("server_name", "redis")),
        version=str(said.get("valkey_version", said["redis_version"])),
        memory_bytes=int(said["used_memory"]),
        memory_bytes_max=int(said["maxmemory"]),
        policy=str(said["maxmemory_policy"]),
        keeps_file=bool(said["aof_enabled"]),
        loading=bool(said["loading"]),
        clock_ns=(seconds * 1_000_000 + micros) * 1000,
    )
