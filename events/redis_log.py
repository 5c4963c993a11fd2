"""The log in Redis Streams: one stream a key, the entry n at id `n-0`, its bytes in the field `e`.

The client's own retries are off: a command that is sent again without the comparison is how entries are lost and
doubled. Reading and appending have connections of their own, so that a blocked read never holds up an append.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from events import codec
from events.log import READ_ENTRIES_MAX, Appended
from runtime.errors import LogRefused, Unreachable
from runtime.waiting import heed_cancel

ANSWER_SECONDS_MAX = 5.0  # an answer that takes longer is counted as lost; a local one takes under a millisecond
CONNECT_TIMEOUT_SECONDS = 2.0
BLOCK_MS_MAX = 2000  # a blocked read ends well before the socket's own time-out
SCAN_COUNT = 1000  # a database of Bahi has a few dozen keys
assert BLOCK_MS_MAX / 1000 < ANSWER_SECONDS_MAX, "a quiet stream must not look like a dead server"

_APPEND = files("events").joinpath("append.lua").read_text("utf-8")
_TRIM = files("events").joinpath("trim.lua").read_text("utf-8")


class RedisLog:
    """`events.log.Log` over one Redis or Valkey server (6.2 or later)."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        """Take a client made by `connect`."""
        self._client = client
        self._command: Callable[..., Awaitable[Any]] = client.execute_command  # the library leaves it untyped
        self._append = client.register_script(_APPEND)
        self._trim = client.register_script(_TRIM)

    @classmethod
    def connect(cls, url: str) -> "RedisLog":
        """Give the log at `url`; no connection is made before the first call."""
        client = redis.asyncio.Redis.from_url(
            url,
            decode_responses=False,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            socket_timeout=None,  # the client's would make a task of every write; ours is in `_reaching`
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_keepalive=True,
        )
        # The raw answer is quicker to take apart than the dictionaries that the client would make of it.
        client.set_response_callback("XREAD", _raw)
        client.set_response_callback("XREVRANGE", _raw)
        return cls(client)

    async def append(
        self, stream: str, entries: Sequence[bytes], archived: int, previous: bytes | None = None
    ) -> Appended:
        """Append entries, in order, comparing those that are there already (see `events.log`)."""
        checksum = previous[: codec.CHECKSUM_BYTES] if previous is not None else b""
        async with _reaching(f"append to {stream}"):
            answer = await self._append(keys=[stream], args=[archived, codec.entry_n(entries[0]), checksum, *entries])
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
        async with _reaching(f"read of {stream}"):
            answer = await self._command(*command, "STREAMS", stream, f"{after}-0")
        if not answer:
            return []
        return [fields[1] for _, fields in answer[0][1]]

    async def last(self, stream: str) -> tuple[int, bytes | None]:
        """Give the last n with its entry, or (0, None)."""
        async with _reaching(f"last entry of {stream}"):
            answer = await self._command("XREVRANGE", stream, "+", "-", "COUNT", 1)
        if not answer:
            return 0, None
        (entry_id, fields) = answer[0]
        return int(entry_id.split(b"-")[0]), fields[1]

    async def trim(self, stream: str, upto: int) -> int:
        """Drop entries with n <= upto but never the last one; give how many."""
        async with _reaching(f"trim of {stream}"):
            return int(await self._trim(keys=[stream], args=[upto]))

    async def streams(self) -> list[str]:
        """Give the names of all streams in this database."""
        async with _reaching("list of streams"):
            names = [name async for name in self._client.scan_iter(count=SCAN_COUNT, _type="STREAM")]
        return sorted(name.decode() for name in names)

    async def mark(self, stream: str, projector: str, n: int) -> None:
        """Set the projector's consumer group to n, for operators to see: the checkpoint alone is the truth."""
        async with _reaching(f"position of {projector}"):
            try:
                await self._client.xgroup_setid(stream, projector, f"{n}-0")
            except redis.exceptions.ResponseError as error:
                if "NOGROUP" in str(error):
                    await self._client.xgroup_create(stream, projector, f"{n}-0")
                elif "requires the key to exist" not in str(error):
                    raise

    async def marked(self, stream: str) -> dict[str, int]:
        """Give the n to which each consumer group of a stream is set, by projector. Raises Unreachable."""
        async with _reaching(f"positions on {stream}"):
            try:
                groups = await self._client.xinfo_groups(stream)
            except redis.exceptions.ResponseError as error:
                if "no such key" not in str(error):
                    raise
                groups = []
        return {each["name"].decode(): int(each["last-delivered-id"].split(b"-")[0]) for each in groups}

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _raw(response: Any, **_: Any) -> Any:
    return response


@asynccontextmanager
async def _reaching(what: str) -> AsyncIterator[None]:
    """Turn every way in which a server fails to answer, in time, into Unreachable."""
    try:
        with heed_cancel():
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                yield
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        raise Unreachable(
            f"Redis to answer: {what}", f"{type(error).__name__}: {error}", "it is tried again; is REDIS_URL right?"
        ) from error
