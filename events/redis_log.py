"""The log in Redis Streams: one stream a key, the entry n at id `n-0`, its bytes in the field `e`.

The client's own retries are off: a command that is sent again without the comparison is how entries are lost and
doubled. Reading and appending have connections of their own, so that a blocked read never holds up an append. The
streams may be spread over a cluster (`events.redis_nodes`); each is whole on one node.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import redis.exceptions

from events import codec
from events.log import READ_ENTRIES_MAX, Appended
from events.redis_nodes import Nodes
from runtime.errors import LogRefused, Unreachable
from runtime.waiting import heed_cancel

ANSWER_SECONDS_MAX = 5.0  # an answer that takes longer is counted as lost; a local one takes under a millisecond
BLOCK_MS_MAX = 2000  # a blocked read ends well before the socket's own time-out
SCAN_COUNT = 1000  # a database of Bahi has a few dozen keys
assert BLOCK_MS_MAX / 1000 < ANSWER_SECONDS_MAX, "a quiet stream must not look like a dead server"


class Script:
    """A script that touches one key, known to a server by its hash from its first use on."""

    def __init__(self, nodes: Nodes, name: str) -> None:
        """Read the file of this name."""
        self._nodes = nodes
        self._text = files("events").joinpath(name).read_text("utf-8")
        self._hash = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, key: str, *arguments: int | bytes) -> Any:
        """Run it where the key is."""
        try:
            return await self._nodes.execute(key, "EVALSHA", self._hash, 1, key, *arguments)
        except redis.exceptions.NoScriptError:
            return await self._nodes.execute(key, "EVAL", self._text, 1, key, *arguments)


class RedisLog:
    """`events.log.Log` over one Redis or Valkey server (6.2 or later), or a cluster of them."""

    def __init__(self, nodes: Nodes) -> None:
        """Take the servers."""
        self._nodes = nodes
        self._append, self._trim = Script(nodes, "append.lua"), Script(nodes, "trim.lua")

    @classmethod
    def connect(cls, url: str) -> "RedisLog":
        """Give the log at `url`; no connection is made before the first call."""
        return cls(Nodes(url))

    async def append(
        self, stream: str, entries: Sequence[bytes], archived: int, previous: bytes | None = None
    ) -> Appended:
        """Append entries, in order, comparing those that are there already (see `events.log`)."""
        checksum = previous[: codec.CHECKSUM_BYTES] if previous is not None else b""
        async with reaching(f"append to {stream}"):
            answer = await self._append(stream, archived, codec.entry_n(entries[0]), checksum, *entries)
        status, number = bytes(answer[0]), int(answer[1])
        if status == b"differs":
            raise LogRefused(
                f"entry {number} of {stream} as this writer has it",
                "another content, or none, under that n in Redis",
                "stop the other writer of this stream; if there is none, a disk forgot: see docs/durability.md",
            )
        return Appended(number, gap=status == b"gap")

    async def read(self, stream: str, after: int, limit: int = READ_ENTRIES_MAX, block_ms: int = 0) -> list[bytes]:
        """Give up to `limit` entries with n > after (see `events.log`)."""
        command: list[str | int] = ["XREAD", "COUNT", limit]
        if block_ms > 0:
            command += ["BLOCK", min(block_ms, BLOCK_MS_MAX)]
        async with reaching(f"read of {stream}"):
            answer = await self._nodes.execute(stream, *command, "STREAMS", stream, f"{after}-0")
        if not answer:
            return []
        return [fields[1] for _, fields in answer[0][1]]

    async def last(self, stream: str) -> tuple[int, bytes | None]:
        """Give the last n with its entry, or (0, None)."""
        async with reaching(f"last entry of {stream}"):
            answer = await self._nodes.execute(stream, "XREVRANGE", stream, "+", "-", "COUNT", 1)
        if not answer:
            return 0, None
        (entry_id, fields) = answer[0]
        return int(entry_id.split(b"-")[0]), fields[1]

    async def trim(self, stream: str, upto: int) -> int:
        """Drop entries with n <= upto but never the last one; give how many."""
        async with reaching(f"trim of {stream}"):
            return int(await self._trim(stream, upto))

    async def streams(self) -> list[str]:
        """Give the names of all streams, of all nodes: where one does not answer nobody knows what it has."""
        async with reaching("list of streams"):
            found = [
                name
                for server in await self._nodes.all()
                async for name in server.scan_iter(count=SCAN_COUNT, _type="STREAM")
            ]
        return sorted({name.decode() for name in found})  # one on its way is on two nodes

    async def mark(self, stream: str, projector: str, n: int) -> None:
        """Set the projector's consumer group to n, for operators to see: the checkpoint alone is the truth."""
        async with reaching(f"position of {projector}"):
            try:
                await self._nodes.execute(stream, "XGROUP SETID", stream, projector, f"{n}-0")
            except redis.exceptions.ResponseError as error:
                if "NOGROUP" in str(error):
                    await self._nodes.execute(stream, "XGROUP CREATE", stream, projector, f"{n}-0")
                elif "requires the key to exist" not in str(error):
                    raise

    async def marked(self, stream: str) -> dict[str, int]:
        """Give the n to which each consumer group of a stream is set, by projector. Raises Unreachable."""
        async with reaching(f"positions on {stream}"):
            try:
                groups = await self._nodes.execute(stream, "XINFO GROUPS", stream)
            except redis.exceptions.ResponseError as error:
                if "no such key" not in str(error):
                    raise
                groups = []
        return {each["name"].decode(): int(each["last-delivered-id"].split(b"-")[0]) for each in groups}

    async def close(self) -> None:
        """Close all connections."""
        await self._nodes.close()


@asynccontextmanager
async def reaching(what: str) -> AsyncIterator[None]:
    """Turn every way in which a server fails to answer, in time, into Unreachable."""
    try:
        with heed_cancel():
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                yield
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        raise Unreachable(
            f"Redis to answer: {what}", f"{type(error).__name__}: {error}", "it is tried again; is REDIS_URL right?"
        ) from error
