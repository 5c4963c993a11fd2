"""A whole API for tests: the real application on a real socket, and a hand that writes what a ticker would.

`serving` runs everything of `bahi api` in this process; `Feed` owns a ticks stream and appends Kite frames to it.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import msgspec

from api import parts as parts_module
from api.parts import Parts
from api.server import serve
from events.event import Event
from events.messages import Message, pack
from events.redis_log import RedisLog
from events.writer import Writer
from runtime.clock import SystemClock
from runtime.settings import Settings
from tests.desk import taken_by_redis, writing
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

Json = dict[str, object]
KEY = "an-administrator-key-for-tests"


class Api:
    """A running API: its parts, and a client that carries the key."""

    def __init__(self, parts: Parts, client: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        self.parts = parts
        self.client = client
        self.stop = stop
        self.url = f"http://127.0.0.1:{parts.settings.api_port}"

    async def get(self, path: str, query: Mapping[str, str | int] | None = None, status: int = 200) -> Json:
        """Give the JSON of a GET that answers with `status`."""
        async with self.client.get(path, params=query) as answer:
            assert answer.status == status, f"{answer.status}: {await answer.text()}"
            return msgspec.json.decode(await answer.read(), type=Json)

    async def listed(self, path: str, query: Mapping[str, str | int] | None = None) -> list[Json]:
        """Give the list of a page: the answer's first field."""
        page = await self.get(path, query)
        return msgspec.convert(next(iter(page.values())), list[Json])

    def socket(self) -> "aiohttp.client._WSRequestContextManager":
        """Open the tick socket."""
        return self.client.ws_connect("/api/ws/ticks")


@asynccontextmanager
async def serving(settings: Settings, *, whole: bool = True) -> AsyncIterator[Api]:
    """Serve on a free port until the context ends; where something is away on purpose, the API is not `whole`."""
    assert settings.redis_url is not None
    log = RedisLog.connect(settings.redis_url)
    settings = msgspec.structs.replace(settings, api_port=free_port(), bahi_api_key=KEY)
    parts = parts_module.make(settings, log)
    parts.keys.load()
    base = f"http://127.0.0.1:{settings.api_port}"
    async with AsyncExitStack() as stack:
        stack.push_async_callback(log.close)
        stack.push_async_callback(parts.tables.close)
        await parts.tables.open()
        stop = asyncio.Event()
        running = asyncio.create_task(serve(parts, stop))
        stack.push_async_callback(asyncio.wait, [running])
        stack.callback(stop.set)
        client = await stack.enter_async_context(
            aiohttp.ClientSession(base, headers={"authorization": f"Bearer {KEY}"})
        )
        await _until_answers(client, running, "/ready" if whole else "/health")
        yield Api(parts, client, stop)
    await running


async def _until_answers(client: aiohttp.ClientSession, running: asyncio.Task[None], path: str) -> None:
    """Wait for a 200: a route that is asked before the first connection to its server is there may answer 503."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not running.done():
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with client.get(path) as answer:
                    if answer.status == 200:
                        return
            await asyncio.wait([running], timeout=0.02)
    await running


class Feed:
    """A ticks stream and its writer."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.stream = writer.stream

    async def frames(self, *frames: bytes, at_ns: int | None = None) -> int:
        """Append frames, and give the n of the last once Redis has it."""
        at = at_ns or SystemClock().now_ns()
        return await self._append([Event("kite.frame.v1", at, frame) for frame in frames])

    async def tell(self, *messages: Message) -> int:
        """Append the feed's own events."""
        return await self._append([pack(message, SystemClock().now_ns()) for message in messages])

    async def _append(self, events: Sequence[Event]) -> int:
        last = await self.writer.append(events) + len(events) - 1
        await taken_by_redis(self.writer)
        return last


@asynccontextmanager
async def feeding(settings: Settings, stream: str = "ticks-sandbox-1") -> AsyncIterator[Feed]:
    """Own a ticks stream until the context ends."""
    assert settings.redis_url is not None
    log = RedisLog.connect(settings.redis_url)
    try:
        async with writing(settings, log, stream, SystemClock()) as writer:
            yield Feed(writer)
    finally:
        await log.close()


def ltp_frame(prices: dict[int, float]) -> bytes:
    """Give a frame of ltp packets: instrument token to price in rupees."""
    packets = [struct.pack(">HII", 8, token, round(price * 100)) for token, price in prices.items()]
    return struct.pack(">H", len(packets)) + b"".join(packets)


def full_frame(token: int, price: float, volume: int = 1000, at: int = 1_790_000_000) -> bytes:
    """Give a frame of one full packet: day's ohlc 1400, 1420, 1390 and 1403 before, five levels around the price."""
    paise = round(price * 100)
    words = [token, paise, 5, paise, volume, 100, 200, 140000, 142000, 139000, 140300, at, 7, 8, 6, at]
    levels = [(310 + i, paise - 5 * (i + 1), 3) for i in range(5)] + [
        (320 + i, paise + 5 * (i + 1), 4) for i in range(5)
    ]
    body = struct.pack(">16I", *words) + b"".join(struct.pack(">IIHH", *level, 0) for level in levels)
    return struct.pack(">HH", 1, len(body)) + body
