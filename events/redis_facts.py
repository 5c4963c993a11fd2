"""What kind of Redis the log is in, for those who look after it. Nothing of the log itself is asked here."""

import asyncio
from typing import Any

import msgspec
import redis.exceptions

from events.redis_log import ANSWER_SECONDS_MAX
from events.redis_nodes import Nodes
from runtime.errors import Unreachable


class RedisFacts(msgspec.Struct, frozen=True):
    """A server as it says it is; of a cluster, what is worst of any node. clock_ns: its own UTC time.

    memory_bytes, memory_bytes_max: of the fullest node; 0 where there is no limit. nodes: how many have streams.
    """

    software: str
    version: str
    memory_bytes: int
    memory_bytes_max: int
    policy: str
    keeps_file: bool
    loading: bool
    clock_ns: int
    nodes: int = 1


async def look(url: str) -> RedisFacts:
    """Ask the server at `url`, and all others of its cluster. Raises Unreachable where one does not answer."""
    nodes = Nodes(url)
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            servers = await nodes.all()
            said = [await server.info() for server in servers]
            seconds, micros = await servers[0].time()
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        raise Unreachable(
            "Redis to answer", f"{type(error).__name__}: {error}", "is it running, and REDIS_URL right?"
        ) from error
    finally:
        await nodes.close()
    fullest = max(said, key=_share)
    oldest = min(said, key=lambda each: [int(part) for part in _version(each).split(".") if part.isdigit()])
    return RedisFacts(
        software=str(oldest.get("server_name", "redis")),
        version=_version(oldest),
        memory_bytes=int(fullest["used_memory"]),
        memory_bytes_max=int(fullest["maxmemory"]),
        policy=next((each for each in map(_policy, said) if each != "noeviction"), "noeviction"),
        keeps_file=all(each["aof_enabled"] for each in said),
        loading=any(each["loading"] for each in said),
        clock_ns=(seconds * 1_000_000 + micros) * 1000,
        nodes=len(servers),
    )


def _share(said: dict[str, Any]) -> tuple[float, int]:
    """Give what of its limit a node uses, and how much that is."""
    limit = int(said["maxmemory"])
    return (int(said["used_memory"]) / limit if limit else 0.0, int(said["used_memory"]))


def _version(said: dict[str, Any]) -> str:
    return str(said.get("valkey_version", said["redis_version"]))


def _policy(said: dict[str, Any]) -> str:
    return str(said["maxmemory_policy"])
