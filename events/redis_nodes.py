"""Which server has a stream: the one that stands alone, or the node of a cluster that has the stream's slot.

Promise: a command is carried out at most once, and by the server that has the stream. Nothing needs to be set: a server
that stands alone never says MOVED, and the nodes of a cluster say it at the first command that comes to the wrong one.

    known?   ask that node, by the map that the first server gave; else a server of the URL, or of that map
    MOVED    the slot is there: remember it, ask there        (said before anything is carried out: safe to follow)
    ASK      this once, while the slot is on its way: ask there, with ASKING before it on the same connection
    no answer, or the cluster is down: forget where the slot is, and raise; whoever called asks again, or not

Who may not ask for the map still finds each stream by MOVED, but not all streams: that is an error, never half a list.

A node that dies takes its slots away until it is back, or a replica takes its place; the streams of the others go on.
A replica may lack the last entries: for writers and readers that is a Redis that lost its tail (`events.writer`).

Why not the library's own client for clusters: where a slot is not served it closes its connections to all nodes, which
breaks off what other streams wait for, and it sends ASKING on a connection of the pool's choice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from runtime.errors import Unreachable

CONNECT_TIMEOUT_SECONDS = 2.0
REDIRECTIONS_MAX = 5  # one for a map that is old, one or two for a slot on its way; more is a cluster that disagrees
# A node that does not answer, also not before whoever called gave up; or one of a cluster that is not whole.
GONE = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ClusterDownError,
    OSError,
    asyncio.CancelledError,
)
# What a server that stands alone answers to the question for a map; some do not know it.
ALONE = ("cluster support disabled", "unknown command")

Client: TypeAlias = redis.asyncio.Redis


class Nodes:
    """The servers behind a REDIS_URL. It may name several, for when one of them is down at the start."""

    def __init__(self, url: str) -> None:
        """No connection is made before the first command."""
        self._urls = server_urls(url)
        self._clients: dict[str, Client] = {}
        self._slots: dict[int, str] = {}  # the URL of the node that has it, as far as anybody told
        self._has_map = False  # or knows that there is none, since the server stands alone

    async def execute(self, key: str, *command: str | int | bytes) -> Any:
        """Carry out a command on one key where it is. Raises what the client raises, and never sends it twice."""
        slot = key_slot(key.encode())
        if not self._has_map:  # the one node that is known may be the one that dies
            await self._learn()
        url, asking = self._slots.get(slot, self._urls[0]), False
        for _ in range(REDIRECTIONS_MAX):
            try:
                return await self._send(url, command, asking=asking)
            except redis.exceptions.AskError as error:  # MOVED is a kind of it
                told, url = url, _beside(url, error.host, error.port)
                asking = not isinstance(error, redis.exceptions.MovedError)
                if not asking:
                    await self._learn(told)
                    self._slots[slot] = url  # the newest word
            except GONE:
                self._slots.pop(slot, None)
                self._ask_another(url)
                raise
        raise redis.exceptions.ClusterError(f"{key} was sent from node to node {REDIRECTIONS_MAX} times")

    async def all(self) -> list[Client]:
        """Give every server that has streams of its own.

        Raises what the client raises, and Unreachable where the user may not ask a cluster for its map.
        """
        return [self._client(each) for each in await self._map_of_any()]

    async def _map_of_any(self) -> list[str]:
        """Ask one server after the other for the map until one answers; the next time it is the first."""
        failed: BaseException | None = None
        for url in list(self._urls):
            try:
                return await self._map(url)
            except GONE as error:
                failed = error
                self._ask_another(url)
                if isinstance(error, asyncio.CancelledError):
                    break
        assert failed is not None, "there is at least one URL"
        raise failed

    async def _learn(self, url: str | None = None) -> None:
        """Ask for the map, of a node that knows more than we do, or of any: there must be others when one dies."""
        with suppress(redis.exceptions.RedisError, OSError, Unreachable):  # what is known is enough for now
            await (self._map(url) if url else self._map_of_any())

    async def _map(self, url: str) -> list[str]:
        """Ask a server for the map of its cluster, and remember it; give the primaries, itself where it is alone."""
        try:
            ranges = await self._send(url, ("CLUSTER SLOTS",), asking=False)
        except redis.exceptions.NoPermissionError as error:
            alone = not self._slots and await self._stands_alone(url)
            self._has_map = True  # it is not to be had: MOVED has to do
            if not alone:
                raise Unreachable(
                    "the map of the Redis Cluster, by CLUSTER SLOTS",
                    str(error),
                    "give the user of REDIS_URL the right, on every node: ACL SETUSER <user> +cluster|slots",
                ) from error
            return [url]
        except redis.exceptions.ResponseError as error:
            if self._slots or not any(said in str(error) for said in ALONE):
                raise
            self._has_map = True
            return [url]
        primaries = set()
        for first, last, primary, *_ in ranges:
            node = _beside(url, (primary[0] or b"").decode(), primary[1])
            self._slots.update(dict.fromkeys(range(first, last + 1), node))
            primaries.add(node)
        self._urls += sorted(primaries - set(self._urls))
        self._has_map = True
        return sorted(primaries)

    async def _stands_alone(self, url: str) -> bool:
        """Ask a server how it runs: HELLO says it, and no access list can forbid it."""
        try:
            said = await self._send(url, ("HELLO",), asking=False)
        except redis.exceptions.ResponseError:
            return False
        return bool(said[said.index(b"mode") + 1] == b"standalone")

    def _ask_another(self, url: str) -> None:
        """Ask this server last where nothing is known."""
        if url in self._urls:
            self._urls.remove(url)
            self._urls.append(url)

    async def _send(self, url: str, command: tuple[str | int | bytes, ...], *, asking: bool) -> Any:
        client = self._client(url)
        carry_out: Callable[..., Awaitable[Any]] = client.execute_command  # the library leaves it untyped
        if not asking:
            return await carry_out(*command)
        async with client.pipeline(transaction=False) as both:
            both.execute_command("ASKING")
            both.execute_command(*command)
            return (await both.execute())[-1]

    def _client(self, url: str) -> Client:
        if url not in self._clients:
            self._clients[url] = _connect(url)
        return self._clients[url]

    async def close(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()


def server_urls(url: str) -> list[str]:
    """Give the URL of each server that a REDIS_URL names: redis://:password@one:7000,two:7000,three:7000/0."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    return [urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")]


def _beside(url: str, host: str, port: int) -> str:
    """Give the URL of another node of the same cluster; one without a host is on the machine of who told of it."""
    parts = urlsplit(url)
    user, at, mine = parts.netloc.rpartition("@")
    name = f"[{host}]" if ":" in host else host or mine.removesuffix(f":{parts.port}")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{name}:{port}"))


def _connect(url: str) -> Client:
    client = redis.asyncio.Redis.from_url(
        url,
        decode_responses=False,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        socket_timeout=None,  # the client's would make a task of every write; who calls has a time-out of his own
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_keepalive=True,
    )
    # The raw answer is quicker to take apart than the dictionaries that the client would make of it.
    for name in ("XREAD", "XREVRANGE", "CLUSTER SLOTS", "HELLO"):
        client.set_response_callback(name, _raw)
    return client


def _raw(response: Any, **_: Any) -> Any:
    return response
