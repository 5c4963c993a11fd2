"""The real KiteConnect client gets from the sandbox what it gets from Kite."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite

from ops.sandbox.server import Exchange
from runtime.calendar import IST
from runtime.errors import SettingError
from tests.exchange import call, exchange, log_in, root
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Exchange]:
    """Give a sandbox without limits of requests."""
    async with exchange(tmp_path) as opened:
        yield opened


async def connected(running: Exchange) -> KiteConnect:
    return KiteConnect("sandbox", await log_in(running), root=root(running))


async def test_a_session_is_opened_and_closed_as_kite_does_it(running: Exchange) -> None:
    client = KiteConnect("sandbox", root=root(running))
    _, answer = await call(running, "POST", "/sandbox/login")
    session = await asyncio.to_thread(client.generate_session, answer["data"]["request_token"], "sandbox-secret")
    assert session["access_token"] == client.access_token
    assert isinstance(session["login_time"], datetime.datetime)
    assert (await asyncio.to_thread(client.profile))["user_id"] == session["user_id"] == "SB0001"
    await asyncio.to_thread(client.invalidate_access_token)
    with pytest.raises(kite.TokenException) as caught:
        await asyncio.to_thread(client.profile)
    assert caught.value.code == 403


@pytest.mark.parametrize("form", [True, False])
async def test_a_user_is_named_in_the_query_or_in_a_form(running: Exchange, form: bool) -> None:
    named = {"api_key": "mine", "user_id": "AB1234"}
    _, answer = await call(running, "POST", "/sandbox/login", **({"data": named} if form else {"params": named}))
    client = KiteConnect("mine", root=root(running))
    found = await asyncio.to_thread(client.generate_session, answer["data"]["request_token"], "sandbox-secret")
    assert found["user_id"] == "AB1234"


async def test_the_login_page_leads_back_with_a_request_token(running: Exchange) -> None:
    page = f"{root(running)}/connect/login?v=3&api_key=sandbox"
    async with aiohttp.ClientSession() as session, session.get(page, allow_redirects=False) as answer:
        target = answer.headers["Location"]
    assert answer.status == 302
    assert target.startswith("http://127.0.0.1:8000/?")
    token = target.split("request_token=")[1]
    client = KiteConnect("sandbox", root=root(running))
    assert (await asyncio.to_thread(client.generate_session, token, "sandbox-secret"))["access_token"]


async def test_wrong_credentials_raise_the_sdks_own_errors(running: Exchange) -> None:
    client = KiteConnect("sandbox", root=root(running))
    with pytest.raises(kite.TokenException):
        await asyncio.to_thread(client.generate_session, "never given", "sandbox-secret")
    with pytest.raises(kite.TokenException):
        await asyncio.to_thread(client.instruments)
    client.set_access_token("wrong")
    with pytest.raises(kite.TokenException):
        await asyncio.to_thread(client.quote, "NSE:INFY")


async def test_the_sdk_reads_the_instruments(running: Exchange) -> None:
    client = await connected(running)
    everything = await asyncio.to_thread(client.instruments)
    assert [row["instrument_token"] for row in everything] == list(running.stage.places)
    options = [row for row in everything if row["instrument_type"] in ("CE", "PE")]
    assert all(row["expiry"] >= datetime.datetime.now(datetime.UTC).date() for row in options)
    currency = await asyncio.to_thread(client.instruments, "CDS")
    assert {row["exchange"] for row in currency} == {"CDS"}
    assert await asyncio.to_thread(client.instruments, "BSE") == []
    with pytest.raises(kite.GeneralException):
        await asyncio.to_thread(client.instruments, "NYSE")


async def test_quotes_are_the_boards_and_unknown_keys_are_absent(running: Exchange) -> None:
    client = await connected(running)
    keys = ["NSE:INFY", "NSE:NIFTY 50", "408065", "CDS:NOSUCH", "77"]
    quotes = await asyncio.to_thread(client.quote, *keys)
    assert set(quotes) == {"NSE:INFY", "NSE:NIFTY 50", "408065"}
    infy = quotes["NSE:INFY"]
    assert infy["instrument_token"] == 408065
    assert infy["ohlc"]["low"] <= infy["last_price"] <= infy["ohlc"]["high"]
    assert len(infy["depth"]["buy"]) == len(infy["depth"]["sell"]) == 5
    assert infy["lower_circuit_limit"] < infy["last_price"] < infy["upper_circuit_limit"]
    # The stamp has India's hour and no zone, whatever this machine's zone is.
    now = datetime.datetime.now(IST).replace(tzinfo=None)
    assert abs(infy["timestamp"] - now) < datetime.timedelta(minutes=10)
    assert "volume" not in quotes["NSE:NIFTY 50"]
    assert set((await asyncio.to_thread(client.ohlc, keys))["NSE:INFY"]) == {"instrument_token", "last_price", "ohlc"}
    assert set((await asyncio.to_thread(client.ltp, keys))["NSE:INFY"]) == {"instrument_token", "last_price"}
    with pytest.raises(kite.InputException):
        await asyncio.to_thread(client.quote, [f"NSE:X{n}" for n in range(501)])


async def test_history_comes_with_its_zone_and_wrong_requests_are_input_errors(running: Exchange) -> None:
    client = await connected(running)
    today = datetime.datetime.now()  # noqa: DTZ005  # the SDK sends the numbers of a naive time
    start = today - datetime.timedelta(days=10)
    candles = await asyncio.to_thread(client.historical_data, 408065, start, today, "day", False, True)
    assert 5 <= len(candles) <= 9
    assert all(candle["date"].utcoffset() == datetime.timedelta(hours=5, minutes=30) for candle in candles)
    assert all(candle["low"] <= candle["close"] <= candle["high"] and candle["oi"] == 0 for candle in candles)
    for token, days, interval in ((1, 10, "day"), (408065, 10, "2minute"), (408065, 61, "minute")):
        begin = today - datetime.timedelta(days=days)
        with pytest.raises(kite.InputException):
            await asyncio.to_thread(client.historical_data, token, begin, today, interval)


async def test_the_limits_of_an_api_key_answer_429(tmp_path: Path) -> None:
    async with exchange(tmp_path, limits=True) as limited:
        client = await connected(limited)

        async def ask_on() -> None:
            while True:  # until two fall into one second
                await asyncio.to_thread(client.ltp, "NSE:INFY")

        with pytest.raises(kite.NetworkException) as caught:
            await asyncio.wait_for(ask_on(), PATIENCE_SECONDS)
        assert caught.value.code == 429
        await asyncio.to_thread(client.profile)


async def test_unknown_routes_and_methods_answer_in_kites_envelope(running: Exchange) -> None:
    for method, path, status in (("GET", "/no/such", 404), ("PUT", "/user/profile", 405), ("GET", "/", 403)):
        found, answer = await call(running, method, path)
        assert (found, answer["status"]) == (status, "error")
        assert answer["error_type"]


async def test_a_port_in_use_is_named(tmp_path: Path, taken_port: int) -> None:
    from ops.sandbox.server import Options

    with pytest.raises(SettingError, match=f"{taken_port}.*BAHI_SANDBOX_PORT"):
        async with Exchange(Options(folder=tmp_path, port=taken_port)):
            pass


async def test_the_port_that_was_found_is_written_down(running: Exchange, tmp_path: Path) -> None:
    assert int((tmp_path / "port").read_text()) == running.port
