"""The tick socket over a real server: what is subscribed comes, once, in order, and a cursor brings back the rest."""

import asyncio

import aiohttp
import msgspec
import pytest

from events import cursor
from events.messages import Subscribed
from runtime.settings import Settings
from tests.api_server import Api, Feed, feeding, full_frame, ltp_frame, serving
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.anyio

INFY, TCS, NIFTY = 408065, 2953217, 256265
Socket = aiohttp.ClientWebSocketResponse[bool]


async def said(socket: Socket, kind: str) -> dict[str, object]:
    """Give the next message, which is of this kind."""
    message = await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS)
    assert message["type"] == kind, message
    return dict(message)


async def subscribe(socket: Socket, *tokens: int, **more: object) -> dict[str, object]:
    await socket.send_json({"action": "subscribe", "tokens": list(tokens), **more})
    return await said(socket, "subscribed")


async def ticks_of(socket: Socket, count: int) -> tuple[list[dict[str, object]], str]:
    """Give the next `count` ticks, over as many messages as they take, and the last cursor."""
    ticks: list[dict[str, object]] = []
    place = ""
    while len(ticks) < count:
        message = await said(socket, "ticks")
        place = str(message["cursor"])
        ticks += msgspec.convert(message["ticks"], list[dict[str, object]])
    assert len(ticks) == count
    return ticks, place


async def until(api: Api, feed: Feed, n: int) -> None:
    """Wait until the hub has taken n."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while api.parts.live.position.get(feed.stream, 0) < n:
            await api.parts.live.moved(1)


async def test_what_is_subscribed_comes_live(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api, api.socket() as socket:
        told = await subscribe(socket, INFY)
        assert told["tokens"] == [INFY]
        await feed.frames(ltp_frame({INFY: 1412.95, TCS: 3000.0}), full_frame(INFY, 1413.0, volume=7))
        (first, second), _ = await ticks_of(socket, 2)
        assert (first["instrument_token"], first["last_price"], first["volume"]) == (INFY, 1412.95, None)
        assert (second["last_price"], second["volume"], second["bid_price"]) == (1413.0, 7, 1412.95)
        assert str(second["time"]).endswith("+05:30")
        assert "depth" not in second


async def test_a_cursor_brings_back_what_was_missed_once_and_runs_into_live(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api:
        async with api.socket() as socket:
            await subscribe(socket, INFY)
            await feed.frames(*(ltp_frame({INFY: 100 + i}) for i in range(5)))
            _, place = await ticks_of(socket, 5)
        await feed.frames(*(ltp_frame({INFY: 200 + i, TCS: 1}) for i in range(2000)))
        async with api.socket() as socket:
            told = await subscribe(socket, INFY, resume_from=place)
            assert told["cursor"] == place
            await feed.frames(*(ltp_frame({INFY: 3000 + i}) for i in range(50)))
            ticks, _ = await ticks_of(socket, 2050)
        wanted = [200 + i for i in range(2000)] + [3000 + i for i in range(50)]
        assert [tick["last_price"] for tick in ticks] == wanted


async def test_resuming_while_the_market_runs_leaves_no_hole_and_no_repeat(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api:
        start = await feed.frames(ltp_frame({INFY: 1}))
        await until(api, feed, start)
        place = api.parts.live.cursor
        count = 3000

        async def market() -> None:
            for i in range(0, count, 10):
                await feed.frames(*(ltp_frame({INFY: 10 + i + j}) for j in range(10)))

        running = asyncio.create_task(market())
        async with api.socket() as socket:
            await subscribe(socket, INFY, resume_from=place)
            ticks, _ = await ticks_of(socket, count)
            for _ in range(3):
                await socket.send_json({"action": "subscribe", "tokens": [INFY], "resume_from": place})
            prices = await _prices_of_last_replay(socket, count)
        await running
        assert [tick["last_price"] for tick in ticks] == [10 + i for i in range(count)]
        assert prices == [10 + i for i in range(count)]


async def _prices_of_last_replay(socket: Socket, count: int) -> list[object]:
    """Give what came behind the third `subscribed`: each resume begins the replay anew."""
    prices: list[object] = []
    answers = 0
    while answers < 3 or len(prices) < count:
        message = await asyncio.wait_for(socket.receive_json(), PATIENCE_SECONDS)
        if message["type"] == "subscribed":
            answers, prices = answers + 1, []
        else:
            prices += [tick["last_price"] for tick in message["ticks"]]
    return prices


async def test_streams_that_appear_later_are_read_from_their_beginning(settings: Settings) -> None:
    async with serving(settings) as api, api.socket() as socket:
        await asyncio.wait_for(api.parts.live.found_streams.wait(), PATIENCE_SECONDS)
        await subscribe(socket, INFY, TCS)
        async with feeding(settings, "ticks-sandbox-1") as one, feeding(settings, "ticks-sandbox-2") as two:
            await one.frames(ltp_frame({INFY: 1}))
            await two.frames(ltp_frame({TCS: 2}))
            ticks, _ = await ticks_of(socket, 2)
        assert {tick["instrument_token"]: tick["last_price"] for tick in ticks} == {INFY: 1.0, TCS: 2.0}


async def test_depth_and_unsubscribe(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api, api.socket() as socket:
        await subscribe(socket, INFY, TCS, depth=True)
        await feed.frames(full_frame(INFY, 1413.0))
        (tick,), _ = await ticks_of(socket, 1)
        depth = tick["depth"]
        assert isinstance(depth, dict)
        assert [level["price"] for level in depth["buy"]] == [1412.95, 1412.9, 1412.85, 1412.8, 1412.75]
        await socket.send_json({"action": "unsubscribe", "tokens": [INFY]})
        assert (await said(socket, "subscribed"))["tokens"] == [TCS]
        await feed.frames(full_frame(INFY, 1.0), full_frame(TCS, 2.0))
        (tick,), _ = await ticks_of(socket, 1)
        assert tick["instrument_token"] == TCS


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("nonsense", "malformed"),
        ('{"action":"buy"}', "buy"),
        ('{"action":"subscribe","tokens":["INFY"]}', "tokens"),
        ('{"action":"subscribe","token":[1]}', "token"),
        ('{"action":"subscribe","tokens":[-1]}', ">= 1"),
        ('{"action":"subscribe","tokens":[99999999999999999999999]}', "tokens"),
        ("[1]", "object"),
        ('{"action":"subscribe","tokens":[1],"resume_from":"x!"}', "cursor"),
        (f'{{"action":"subscribe","tokens":{list(range(1, 9002))}}}', "9000"),
    ],
)
async def test_a_malformed_message_gets_a_clear_error_and_changes_nothing(
    settings: Settings, sent: str, told: str
) -> None:
    async with feeding(settings) as feed, serving(settings) as api, api.socket() as socket:
        await subscribe(socket, INFY)
        await socket.send_str(sent)
        assert told in str((await said(socket, "error"))["detail"])
        await feed.frames(ltp_frame({INFY: 5}))
        (tick,), _ = await ticks_of(socket, 1)
        assert tick["last_price"] == 5


async def test_an_instrument_that_no_feed_gives_is_named_and_comes_when_it_comes(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api, api.socket() as socket:
        n = await feed.tell(Subscribed(run="r", tokens=[INFY], mode="ltp"))
        await until(api, feed, n)
        await socket.send_json({"action": "subscribe", "tokens": [INFY, 123]})
        assert (await said(socket, "subscribed"))["tokens"] == [123, INFY]
        detail = str((await said(socket, "error"))["detail"])
        assert "found 123, of which none is" in detail
        assert "POST /api/instruments/subscribe" in detail
        await feed.frames(ltp_frame({123: 5}))
        (tick,), _ = await ticks_of(socket, 1)
        assert tick["instrument_token"] == 123


async def test_a_message_that_is_too_big_ends_the_connection(settings: Settings) -> None:
    async with serving(settings) as api, api.socket() as socket:
        await socket.send_str(" " * (256 * 1024 + 1))
        message = await asyncio.wait_for(socket.receive(), PATIENCE_SECONDS)
        assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_a_cursor_ahead_of_the_log_is_refused(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api, api.socket() as socket:
        n = await feed.frames(ltp_frame({INFY: 1}))
        await until(api, feed, n)
        await subscribe(socket, INFY, resume_from=cursor.to_word({feed.stream: n + 100}))
        assert "ahead" in str((await said(socket, "error"))["detail"])


async def test_a_slow_client_is_told_what_it_missed_and_holds_nobody_up(settings: Settings) -> None:
    async with feeding(settings) as feed, serving(settings) as api, api.socket() as quick, api.socket() as slow:
        await subscribe(quick, NIFTY)
        await subscribe(slow, *range(1, 300))
        frame = ltp_frame(dict.fromkeys(range(1, 300), 1.0))
        sent = 0
        # The slow client reads nothing: what the kernel and its queue cannot take is dropped, the oldest first.
        while not any(viewer._skipped for viewer in api.parts.live.viewers):
            n = await feed.frames(*[frame] * 20)
            await until(api, feed, n)
            sent += 20 * 299
            assert sent < 30_000_000
        await feed.frames(ltp_frame({NIFTY: 1}))
        await ticks_of(quick, 1)
        received, skipped = 0, 0
        while received + skipped < sent:
            message = await asyncio.wait_for(slow.receive_json(), PATIENCE_SECONDS)
            received += len(message.get("ticks", ()))
            skipped += int(message.get("count", 0))
        assert received + skipped == sent
        assert skipped > 0


async def test_a_stop_ends_open_connections_at_once(settings: Settings) -> None:
    async with serving(settings) as api, api.socket() as socket:
        await subscribe(socket, INFY)
        api.stop.set()
        message = await asyncio.wait_for(socket.receive(), PATIENCE_SECONDS)
        # A connection that is only cut when the stop's time is over closes without this word.
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
