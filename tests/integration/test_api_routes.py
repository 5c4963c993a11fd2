"""The routes over a real server and real tables: what they give, how they page, what they refuse."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
import psycopg
import pytest

from events.event import Recorded
from events.messages import Beat, Subscribe, Subscribed, unpack
from runtime.settings import Settings
from tests.api_server import Api, Json, feeding, full_frame, ltp_frame, serving

pytestmark = pytest.mark.anyio

Query = Mapping[str, str | int]

INFY, TCS, NIFTY, CALL = 408065, 2953217, 256265, 12345602
OPEN = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)  # 09:15 in India


def put_rows(settings: Settings, table: str, rows: Sequence[dict[str, object]]) -> None:
    """Put rows into a table."""
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as connection, connection.cursor() as cursor:
        for row in rows:
            names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
            cursor.execute(f"insert into {table} ({names}) values ({places})".encode(), row)


def instrument(token: int, symbol: str, kind: str = "EQ", **more: object) -> dict[str, object]:
    """Give a row of instruments."""
    row: dict[str, object] = {
        "instrument_token": token, "exchange": "NSE", "tradingsymbol": symbol, "name": f"{symbol} LIMITED",
        "segment": "NSE", "instrument_type": kind, "expiry": None, "strike": 0, "tick_size": 0.05, "lot_size": 1,
        "exchange_token": token >> 8, "broker": "sandbox", "valid_from": date(2026, 11, 20),
    }  # fmt: skip
    return row | more


def put_instruments(settings: Settings) -> None:
    option = {"exchange": "NFO", "segment": "NFO-OPT", "expiry": date(2026, 11, 26), "strike": 1500}
    put_rows(
        settings,
        "instruments",
        [
            instrument(INFY, "INFY", name="INFOSYS"),
            instrument(TCS, "TCS", name="TATA CONSULTANCY"),
            instrument(NIFTY, "NIFTY 50", segment="INDICES"),
            instrument(CALL, "INFY26NOV1500CE", "CE", **option),
            instrument(77, "GONE", valid_to=date(2026, 11, 20)),
        ],
    )


def candle(token: int, minute: int, price: float, **more: object) -> dict[str, object]:
    """Give a row of candles_1m, `minute` minutes after the open."""
    row: dict[str, object] = {
        "bucket": OPEN + timedelta(minutes=minute), "instrument_token": token, "open": price, "high": price + 2,
        "low": price - 1, "close": price + 1, "volume": 10, "oi": None, "tick_count": 3, "coverage": 1.0,
        "source": "ticks", "stream_id": 1,
    }  # fmt: skip
    return row | more


async def symbols(api: Api, **query: str | int) -> list[str]:
    return [str(each["tradingsymbol"]) for each in await api.listed("/api/instruments", query)]


async def walk(api: Api, path: str, query: Query) -> list[list[Json]]:
    """Give all pages of a list, following `next`."""
    pages = []
    cursor: object = ""
    while cursor is not None:
        page = await api.get(path, {**query, "cursor": str(cursor)} if cursor else query)
        pages.append(msgspec.convert(next(iter(page.values())), list[Json]))
        cursor = page["next"]
    return pages


async def test_instruments_are_listed_searched_and_filtered(settings: Settings) -> None:
    put_instruments(settings)
    async with serving(settings) as api:
        assert await symbols(api) == ["INFY", "INFY26NOV1500CE", "NIFTY 50", "TCS"]
        assert await symbols(api, search="infy") == ["INFY", "INFY26NOV1500CE"]
        assert await symbols(api, search="Consult") == ["TCS"]
        assert await symbols(api, exchange="NFO") == ["INFY26NOV1500CE"]
        assert await symbols(api, instrument_type="CE", expiry="2026-11-26") == ["INFY26NOV1500CE"]
        assert await symbols(api, segment="indices") == ["NIFTY 50"]
        assert await symbols(api, search="%") == []


async def test_instruments_are_paged_by_cursor(settings: Settings) -> None:
    put_instruments(settings)
    async with serving(settings) as api:
        pages = await walk(api, "/api/instruments", {"limit": 1})
        assert [[each["tradingsymbol"] for each in page] for page in pages] == [
            ["INFY"],
            ["INFY26NOV1500CE"],
            ["NIFTY 50"],
            ["TCS"],
        ]
        assert "cursor" in str((await api.get("/api/instruments", {"cursor": "x!"}, status=400))["detail"])


async def test_one_instrument_is_described_also_when_it_is_gone(settings: Settings) -> None:
    put_instruments(settings)
    async with serving(settings) as api:
        found = await api.get(f"/api/instruments/{CALL}")
        assert (found["strike"], found["expiry"], found["valid_to"]) == (1500, "2026-11-26", None)
        assert (await api.get("/api/instruments/77"))["valid_to"] == "2026-11-20"
        assert "1" in str((await api.get("/api/instruments/1", status=404))["found"])
        await api.get("/api/instruments/INFY", status=404)


async def test_requests_go_through_the_log_and_say_their_number(settings: Settings) -> None:
    put_instruments(settings)
    async with serving(settings) as api:
        body = {"tokens": [INFY], "symbols": ["nse:TCS"], "instruments": [INFY, "NFO:INFY26NOV1500CE"]}
        async with api.client.post("/api/instruments/subscribe", json=body) as answer:
            assert answer.status == 202, await answer.text()
            told = await answer.json()
        assert told["instruments"] == [str(INFY), "NSE:TCS", "NFO:INFY26NOV1500CE"]
        assert told["checked"] is True
        async with api.client.post("/api/instruments/sync") as answer:
            assert (answer.status, (await answer.json())["request"]) == (202, told["request"] + 1)
        async with api.client.post("/api/instruments/unsubscribe", json={"tokens": [INFY]}) as answer:
            assert answer.status == 202
        recorded = await _read(api, "requests", told["request"], 3)
        assert [event.type for event in recorded] == [
            "request.subscribe.v1",
            "request.sync.v1",
            "request.unsubscribe.v1",
        ]
        assert unpack(recorded[0], Subscribe).instruments == told["instruments"]


async def _read(api: Api, stream: str, n: int, count: int) -> list[Recorded]:
    reader = api.parts.make_reader()
    found: list[Recorded] = []
    while len(found) < count:
        found += await reader.read(stream, n - 1 + len(found), count - len(found), 1000)
    return found


async def test_a_repeated_idempotency_key_is_the_same_request(settings: Settings) -> None:
    async with serving(settings) as api:
        numbers = []
        for _ in range(3):
            async with api.client.post("/api/instruments/sync", headers={"Idempotency-Key": "once"}) as answer:
                numbers.append((await answer.json())["request"])
        assert len(set(numbers)) == 1
        other = {"tokens": [INFY]}
        headers = {"Idempotency-Key": "once"}
        async with api.client.post("/api/instruments/subscribe", json=other, headers=headers) as answer:
            assert answer.status == 400
            assert "Idempotency-Key" in (await answer.json())["detail"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"symbols": ["NSE:NONE"]}, 404, "NSE:NONE"),
        ({"tokens": [1, INFY]}, 404, "found 1;"),
        ({"symbols": ["INFY"]}, 400, "EXCHANGE:SYMBOL"),
        ({"tokens": [-5]}, 400, "-5"),
        ({"tokens": ["x"]}, 400, "tokens"),
        ({}, 400, "from 1 to 9000"),
        ({"token": [1]}, 400, "token"),
        ({"tokens": list(range(1, 9002))}, 400, "9001"),
    ],
)
async def test_an_unknown_or_malformed_instrument_is_refused(
    settings: Settings, body: dict[str, object], status: int, said: str
) -> None:
    put_instruments(settings)
    async with serving(settings) as api, api.client.post("/api/instruments/subscribe", json=body) as answer:
        assert answer.status == status, await answer.text()
        assert said in (await answer.json())["detail"]


async def test_before_the_first_dump_nothing_can_be_judged_and_all_is_taken(settings: Settings) -> None:
    body = {"symbols": ["NSE:NONE"]}
    async with serving(settings) as api, api.client.post("/api/instruments/subscribe", json=body) as answer:
        assert answer.status == 202
        assert (await answer.json())["checked"] is False


async def test_candles_of_a_minute_are_paged(settings: Settings) -> None:
    put_rows(settings, "candles_1m", [candle(INFY, minute, 100 + minute) for minute in range(10)])
    put_rows(settings, "candles_1m", [candle(TCS, 0, 1)])
    async with serving(settings) as api:
        query: Query = {"instrument_token": INFY, "from": "2026-11-20", "to": "2026-11-20", "limit": 4}
        pages = await walk(api, "/api/historical/candles", query)
        assert [len(page) for page in pages] == [4, 4, 2]
        buckets = [str(each["bucket"]) for page in pages for each in page]
        assert buckets[0] == "2026-11-20T09:15:00+05:30"
        assert buckets == sorted(set(buckets))
        assert len(buckets) == 10


async def test_longer_candles_roll_up_from_the_sessions_open(settings: Settings) -> None:
    put_rows(settings, "candles_1m", [candle(INFY, minute, 100 + minute) for minute in range(61)])
    async with serving(settings) as api:
        for interval, count, first_close in (("5m", 13, 105), ("15m", 5, 115), ("1h", 2, 160), ("1d", 1, 161)):
            query: Query = {"from": "2026-11-20T09:15:00 05:30", "to": "2026-11-20T15:30:00", "interval": interval}
            found = await api.listed("/api/historical/candles", {**query, "instrument_token": INFY})
            assert len(found) == count, interval
            first = found[0]
            assert first["bucket"] == "2026-11-20T09:15:00+05:30"
            assert (first["open"], first["close"]) == (100, first_close)
            assert sum(int(str(each["volume"])) for each in found) == 610


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"interval": "1m"}, "instrument_token"),
        ({"instrument_token": 1, "interval": "2m"}, "interval"),
        ({"instrument_token": 1, "from": "yesterday"}, "from"),
        ({"instrument_token": 1, "from": "2026-11-21", "to": "2026-11-20"}, "`from` before `to`"),
        ({"instrument_token": 1, "limit": 10_001}, "limit"),
        ({"instrument_token": 1, "cursor": "abc"}, "cursor"),
    ],
)
async def test_a_wrong_question_for_candles_is_refused(settings: Settings, query: Query, said: str) -> None:
    async with serving(settings) as api:
        assert said in str((await api.get("/api/historical/candles", query, status=400))["detail"])


async def test_the_latest_price_is_there_with_its_book(settings: Settings) -> None:
    put_instruments(settings)
    async with feeding(settings) as feed, serving(settings) as api:
        n = await feed.frames(full_frame(INFY, 1412.95), ltp_frame({NIFTY: 24_800.5}))
        while api.parts.live.position.get(feed.stream, 0) < n:
            await api.parts.live.moved(1)
        tick = await api.get(f"/api/latest/{INFY}")
        assert (tick["last_price"], tick["bid_price"], tick["change_percent"]) == (1412.95, 1412.9, 0.71)
        many = await api.listed("/api/latest", {"tokens": f"{NIFTY},{INFY},1"})
        assert [each["instrument_token"] for each in many] == [NIFTY, INFY]
        assert len(await api.listed("/api/latest")) == 2
        assert "subscribe" in str((await api.get("/api/latest/1", status=404))["detail"])
        await api.get("/api/latest/x", status=404)
        await api.get("/api/latest", {"tokens": "1,x"}, status=400)
        watched = await api.listed("/api/watchlist")
        assert [each["tradingsymbol"] for each in watched] == ["NIFTY 50", "INFY"]


async def test_a_quiet_market_shows_the_last_day(settings: Settings) -> None:
    yesterday = [candle(INFY, minute - 1440, 90, oi=4) for minute in range(3)]
    put_rows(settings, "candles_1m", [*yesterday, *(candle(INFY, minute, 100 + minute) for minute in range(5))])
    async with serving(settings) as api:
        while not len(api.parts.live.prices):
            await api.get("/health")
        tick = await api.get(f"/api/latest/{INFY}")
        wanted = {"last_price": 105, "open": 100, "high": 106, "low": 99, "close": 91, "volume": 50, "bid_price": None}
        assert {name: tick[name] for name in wanted} == wanted
        assert tick["change_percent"] == 15.38
        assert tick["depth"] is None


async def test_the_status_shows_feeds_streams_projectors_and_gaps(settings: Settings) -> None:
    put_rows(settings, "projection_checkpoints", [{"projector": "ticks", "stream": "ticks-sandbox-1", "n": 1}])
    gap = {"feed": "sandbox", "connection": 1, "stream": "ticks-sandbox-1", "reason": "socket closed", "n": 1}
    now = datetime.now(UTC)
    put_rows(settings, "feed_gaps", [gap | {"from_time": now - timedelta(days=2)}, gap | {"from_time": now}])
    async with feeding(settings) as feed, serving(settings) as api:
        beat = Beat(run="r", frames=1, packets=1, bytes=1, heartbeats=0, texts=0, last_message_ns=1)
        await feed.tell(Subscribed(run="r", tokens=[INFY, TCS], mode="full"), beat)
        n = await feed.frames(full_frame(INFY, 1412.95))
        while api.parts.live.position.get(feed.stream, 0) < n:
            await api.parts.live.moved(1)
        status = await api.get("/api/status")
        assert status["problems"] == []
        (shown,) = msgspec.convert(status["feeds"], list[Json])
        assert (shown["state"], shown["instruments"], shown["mode"]) == ("connected", 2, "full")
        assert status["gaps"] == {"open": 2, "recent": 1}
        (projector,) = msgspec.convert(status["projectors"], list[Json])
        assert (projector["lag_events"], projector["held"]) == (n - 1, False)
        streams = msgspec.convert(status["streams"], list[Json])
        assert {"stream": feed.stream, "last": n, "archived": 0} in streams


async def test_gaps_are_paged_newest_first(settings: Settings) -> None:
    gap = {"feed": "sandbox", "connection": 1, "stream": "ticks-sandbox-1", "reason": "lost", "n": 1}
    rows = [gap | {"from_time": OPEN + timedelta(minutes=i), "to_time": OPEN if i else None} for i in range(3)]
    put_rows(settings, "feed_gaps", rows)
    async with serving(settings) as api:
        first, second = await walk(api, "/api/gaps", {"limit": 2})
        assert [str(each["from_time"])[11:16] for each in first] == ["09:17", "09:16"]
        assert [each["to_time"] for each in second] == [None]
        assert len(await api.listed("/api/gaps", {"open": "true"})) == 1


async def test_openapi_names_every_route(settings: Settings) -> None:
    async with serving(settings) as api:
        schema = await api.get("/schema")
        paths = schema["paths"]
        assert isinstance(paths, dict)
        wanted = {"/api/instruments", "/api/instruments/{token}", "/api/historical/candles", "/api/latest/{token}"}
        assert wanted | {"/api/status", "/api/gaps", "/health", "/ready", "/metrics"} <= set(paths)
        for path, methods in paths.items():
            for method in methods.values():
                assert method["summary"], path


async def test_metrics_and_errors_have_their_form(settings: Settings) -> None:
    async with serving(settings) as api:
        async with api.client.get("/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/plain")
        assert "found /nowhere" in str((await api.get("/nowhere", status=404))["detail"])
        async with api.client.put("/api/status") as answer:
            assert answer.status == 405
            assert (await answer.json())["wanted"] == "a method that /api/status has"
        async with api.client.post(
            "/api/instruments/subscribe", data=b"{", headers={"content-type": "application/json"}
        ) as answer:
            assert answer.status == 400
            assert (await answer.json())["wanted"] == "POST /api/instruments/subscribe as GET /schema describes it"
        async with api.client.post(
            "/api/instruments/subscribe", data=b"[" * 100_000, headers={"content-type": "application/json"}
        ) as answer:
            assert answer.status == 400
            assert (await answer.json())["found"] == "one nested without end"
