"""A span played to live clients: the API's protocol, every tick once, in order, from archive and Redis as one log."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from events.archive import Archive
from events.event import Event
from events.redis_log import RedisLog
from events.span import Wanted
from ops.replay import run
from runtime.lifecycle import Stop
from runtime.settings import Settings
from tests.entries import START_NS
from tests.frames import DAY_NS, INFY, NIFTY, RELIANCE, SECOND_NS, Packet, frame
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port
from tests.replay.recorded_log import CUT, ONE, STRANGE, TWO, Told, frames_of_one, frames_of_two, keep

KEY = "an-administrator-key-for-tests"
HEADERS = {"authorization": f"Bearer {KEY}"}
COUNT = 400
Socket = aiohttp.ClientWebSocketResponse[bool]


class Replaying:
    """A replay at work in this process."""

    def __init__(self, settings: Settings, wish: run.Wish) -> None:
        self.stop, self.told = Stop(), Told()
        self.url = f"http://127.0.0.1:{wish.port}"
        self.task = asyncio.ensure_future(run.run(settings, self.stop, wish, self.told))

    @contextlib.asynccontextmanager
    async def socket(self, **headers: str) -> AsyncIterator[Socket]:
        """Open the tick socket, as soon as there is one."""
        async with aiohttp.ClientSession(self.url, headers=headers or HEADERS) as session:
            await self._serves(session)
            async with session.ws_connect("/api/ws/ticks", max_msg_size=0) as socket:
                yield socket

    async def get(self, path: str, headers: dict[str, str] | None = None) -> int:
        """Give the status of an answer."""
        given = HEADERS if headers is None else headers
        async with aiohttp.ClientSession(self.url, headers=given) as session, session.get(path) as answer:
            return answer.status

    async def _serves(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.task.done():
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with session.get("/health") as answer:
                        if answer.status == 200:
                            return
                await asyncio.wait([self.task], timeout=0.02)
        self.task.result()


@pytest.fixture
async def recorded(settings: Settings) -> Settings:
    assert settings.redis_url
    log = RedisLog.connect(settings.redis_url)
    await keep(log, Archive.at(settings), ONE, frames_of_one(COUNT))
    await keep(log, Archive.at(settings), TWO, frames_of_two(COUNT))
    await log.close()
    return msgspec.structs.replace(settings, bahi_api_key=KEY)


@contextlib.asynccontextmanager
async def replaying(settings: Settings, **wish: object) -> AsyncIterator[Replaying]:
    chosen = {"to": "live", "streams": (), "wanted": Wanted(), "speed": None, "port": free_port(), **wish}
    running = Replaying(settings, msgspec.convert(chosen, run.Wish))
    try:
        yield running
    finally:
        running.stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running.task


async def ask(socket: Socket, *tokens: int, **more: object) -> dict[str, object]:
    await socket.send_json({"action": "subscribe", "tokens": list(tokens), **more})
    told: dict[str, object] = await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS)
    assert told["type"] == "subscribed"
    return told


async def heard(socket: Socket, most: int = 1 << 40) -> tuple[list[tuple[int, float]], str]:
    """Give (token, price) of the ticks up to the end, or until there are `most`, and the last cursor."""
    found: list[tuple[int, float]] = []
    place = ""
    while len(found) < most:
        message = await socket.receive(PATIENCE_SECONDS)
        if message.type != aiohttp.WSMsgType.TEXT:
            assert message.data == 1001
            break
        body = msgspec.json.decode(message.data)
        if body["type"] == "ticks":
            place = body["cursor"]
            found += [(tick["instrument_token"], tick["last_price"]) for tick in body["ticks"]]
        else:
            assert body["type"] == "error", body
            assert "none is" in body["detail"]
    return found, place


def wanted(first: int = 0) -> list[tuple[int, float]]:
    """Give what was received from a second on, in the order of receive time."""
    found: list[tuple[int, int, float]] = []
    one, two = frames_of_one(COUNT), frames_of_two(COUNT)
    for second, event in enumerate(one):
        found.append((event.at_ns, INFY, 1400 + second / 100))
        if second != CUT:
            found.append((event.at_ns, RELIANCE, 2500 + second / 100))
    found += [(event.at_ns, NIFTY, 24000 + place / 100) for place, event in enumerate(two)]
    since: Event = one[first]
    found = sorted((each for each in found if each[0] >= since.at_ns), key=lambda each: each[0])
    return [(token, price) for _, token, price in found]


async def test_every_tick_comes_once_in_order_and_then_it_ends(recorded: Settings) -> None:
    async with replaying(recorded) as running:
        async with running.socket() as socket:
            told = await ask(socket, INFY, RELIANCE, NIFTY)
            assert told["tokens"] == sorted([INFY, RELIANCE, NIFTY])
            found, _ = await heard(socket)
            assert found == wanted()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await running.task == 2 * COUNT
    assert running.told.moves[-1] == (2 * COUNT, 2 * COUNT)
    assert STRANGE < COUNT // 2 < len(frames_of_one(COUNT)), "what cannot be read lies in the archived half"


async def test_a_span_begins_with_the_prices_before_it(recorded: Settings) -> None:
    since = frames_of_one(COUNT)[150].at_ns
    async with replaying(recorded, wanted=Wanted(from_ns=since)) as running, running.socket() as socket:
        assert await running.get(f"/api/latest/{INFY}") == 200
        await ask(socket, INFY, RELIANCE, NIFTY)
        found, _ = await heard(socket)
        assert found == wanted(150)


async def test_a_cursor_brings_back_what_was_missed(recorded: Settings) -> None:
    assert recorded.redis_url
    log = RedisLog.connect(recorded.redis_url)
    last = frames_of_two(1)[0]
    days_later = Event(last.type, last.at_ns + 30 * DAY_NS, last.payload)  # so that it does not end meanwhile
    await keep(log, Archive.at(recorded), "ticks-kite-3", [last, days_later])
    await log.close()
    async with replaying(recorded, speed=10_000.0) as running:
        async with running.socket() as socket:
            told = await ask(socket, INFY, RELIANCE, NIFTY)
            found, place = await heard(socket, 300)
        async with running.socket() as socket:
            await ask(socket, INFY, RELIANCE, NIFTY, resume_from=place)
            found += (await heard(socket, len(wanted()) + 1 - len(found)))[0]
            assert sorted(found) == sorted([*wanted(), (NIFTY, 24000.0)])
        async with running.socket() as socket:
            await ask(socket, INFY, resume_from=told["cursor"])
            found, _ = await heard(socket, COUNT)
            assert found == [each for each in wanted() if each[0] == INFY][:COUNT]


async def played(running: Replaying, events: int) -> None:
    """Wait until so many events were played."""
    while running.told.moves[-1][0] < events:
        await asyncio.wait([running.task], timeout=0.02)


async def test_a_slow_client_is_waited_for_and_skips_nothing(recorded: Settings) -> None:
    assert recorded.redis_url
    log = RedisLog.connect(recorded.redis_url)
    tokens = [INFY + 256 * place for place in range(10)]
    many = [
        Event("kite.frame.v1", START_NS + n * SECOND_NS, frame(*(Packet("full", token, 1000 + n) for token in tokens)))
        for n in range(2500)  # 30 MB as text with the book: more than sockets and a client's queue take
    ]
    await keep(log, Archive.at(recorded), "ticks-kite-9", many)
    await log.close()
    async with replaying(recorded, streams=("ticks-kite-9",)) as running, running.socket() as socket:
        await ask(socket, *tokens, depth=True)
        with pytest.raises(TimeoutError):  # nobody reads: it does not come to its end
            await asyncio.wait_for(played(running, len(many)), 3)
        assert running.told.moves[-1][0] > 0
        found, _ = await heard(socket)  # "skipped" would be another message
    assert found == [(token, (1000 + n) / 100) for n in range(2500) for token in tokens]


async def test_nobody_comes_in_without_the_key(recorded: Settings) -> None:
    async with replaying(recorded) as running:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with running.socket(authorization="Bearer wrong"):
                pass
        assert await running.get("/api/latest", {}) == 401
        assert await running.get("/api/latest") == 200
        assert await running.get("/api/status") == 404  # what asks the tables or writes is not here


async def test_it_can_be_stopped_before_anybody_listens_and_while_it_waits(recorded: Settings) -> None:
    async with replaying(recorded) as running:
        running.stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await running.task == 0
    async with replaying(recorded, speed=0.001) as running, running.socket() as socket:
        await ask(socket, INFY, RELIANCE, NIFTY)
        found, _ = await heard(socket, 3)
        assert found == wanted()[:3]
        running.stop.set()
        assert (await heard(socket))[0] == []
