"""Parked events through the API and the command: looked at, tried again, set aside; real servers, real processes."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from ops.verify import audit
from runtime.settings import Settings
from tests.api_server import KEY, Api, serving
from tests.blindness import Blindness, planted
from tests.frames import INFY, RELIANCE, Packet, frame
from tests.patience import LOOK_SECONDS, PATIENCE_SECONDS
from tests.small_log import SmallLog, small_log
from tests.stack import select_nothing

pytestmark = pytest.mark.anyio

GARBAGE = b"\x00\x02\x00\x08\x00\x06\x3a\x01\x00\x02\x27\xef\x00\x05hello"


@pytest.fixture
def blind() -> Iterator[Blindness]:
    with planted() as bug:
        yield bug


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[SmallLog]:
    async with small_log(settings) as log:
        await log.connect()
        yield log


def pair(n: int) -> bytes:
    return frame(Packet("full", INFY, 10_000 + n, volume=n), Packet("quote", RELIANCE, 20_000 + n, volume=n))


def sql(settings: Settings, statement: str, *parameters: object) -> list[Any]:
    assert settings.database_url
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def environ(settings: Settings, api: Api | None = None) -> dict[str, str]:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    port = {"API_PORT": str(api.parts.settings.api_port), "BAHI_API_KEY": KEY} if api else {}
    stores = {"DATABASE_URL": str(settings.database_url), "REDIS_URL": str(settings.redis_url)}
    return {**plain, **stores, "BAHI_DATA_DIR": str(settings.bahi_data_dir), **port}


async def bahi(
    settings: Settings, *words: str, api: Api | None = None, code: int = 0
) -> "subprocess.CompletedProcess[str]":
    """Run a command that ends with this code."""
    argv = [sys.executable, "-m", "ops.cli", *words]
    said = await asyncio.to_thread(
        subprocess.run, argv, env=environ(settings, api), capture_output=True, text=True, check=False
    )
    assert said.returncode == code, said.stdout + said.stderr
    return said


@contextlib.contextmanager
def projecting(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `bahi project` until the context ends."""
    argv = [sys.executable, "-m", "ops.cli", "project"]
    process = subprocess.Popen(argv, env=environ(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


async def post(api: Api, path: str, body: dict[str, object], status: int = 202, key: str = "") -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    async with api.client.post(path, json=body, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def until(settings: Settings, statement: str, *parameters: object) -> None:
    """Wait until a statement gives a row."""
    assert settings.database_url
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection,
    ):
        while not await (await connection.execute(statement.encode(), parameters)).fetchall():
            await asyncio.to_thread(select_nothing, LOOK_SECONDS)


# ---- looking ------------------------------------------------------------------------------------------------------


async def test_a_frame_with_garbage_is_listed_and_shown_by_api_and_command(settings: Settings, log: SmallLog) -> None:
    n = await log.receive(GARBAGE)
    await log.project()
    async with serving(settings) as api:
        (listed,) = await api.listed("/api/parked")
        seen = await api.get(f"/api/parked/ticks/{log.stream}/{n}")
        await api.get(f"/api/parked/candles/{log.stream}/{n}", status=404)
    assert (listed["projector"], listed["stream"], listed["n"], listed["packets"]) == ("ticks", log.stream, n, 1)
    assert (listed["state"], listed["error"]) == ("waiting", "a packet of 5 bytes; wanted one of 8, 28, 32, 44, 184")
    assert str(listed["at"]).endswith("+05:30")
    said = json.loads((await bahi(settings, "parked", "show", "ticks", log.stream, str(n), "--json")).stdout)
    for found in (msgspec.convert(seen, dict[str, Any]), said):
        assert found["case"]["event"] == listed
        assert [part["payload"] for part in found["case"]["parts"]] == [b"hello".hex()]
        assert [tick["last_price"] for tick in found["decoded"]["ticks"]] == [1412.95]
        assert found["decoded"]["unread"] == ["a packet of 5 bytes; wanted one of 8, 28, 32, 44, 184 (1 packets)"]
    assert said["payload"] == GARBAGE.hex()
    shown = (await bahi(settings, "parked", "show", "ticks", log.stream, str(n))).stdout
    assert "68 65 6c 6c 6f" in shown
    assert "last_price 1412.95" in shown
    assert f"bahi parked show ticks {log.stream} {n}" in (await bahi(settings, "parked")).stdout
    assert json.loads((await bahi(settings, "parked", "--json")).stdout) == {"parked": [listed], "next": None}
    await bahi(settings, "parked", "show", "ticks", log.stream, "1", code=2)


async def test_lists_are_paged_and_filtered(settings: Settings, log: SmallLog, blind: Blindness) -> None:
    await log.receive(*(pair(n) for n in range(5)))
    await log.project()
    async with serving(settings) as api:
        pages, cursor = [], ""
        while True:
            page = await api.get("/api/parked", {"limit": 2, **({"cursor": cursor} if cursor else {})})
            pages.append([each["n"] for each in msgspec.convert(page["parked"], list[dict[str, Any]])])
            if page["next"] is None:
                break
            cursor = str(page["next"])
        assert [len(numbers) for numbers in pages] == [2, 2, 1]
        assert [n for numbers in pages for n in numbers] == sorted({n for numbers in pages for n in numbers})
        assert await api.listed("/api/parked", {"state": "set_aside"}) == []
        assert await api.listed("/api/parked", {"projector": "candles"}) == []
        assert len(await api.listed("/api/parked", {"stream": log.stream, "state": "waiting"})) == 5
        await api.get("/api/parked", {"cursor": "x!"}, status=400)
        await api.get("/api/parked", {"state": "gone"}, status=400)
        async with api.client.get("/api/parked", headers={"authorization": ""}) as answer:
            assert answer.status == 401
    first = json.loads((await bahi(settings, "parked", "list", "--limit", "2", "--json")).stdout)
    more = await bahi(settings, "parked", "list", "--limit", "2", "--json", "--cursor", first["next"])
    assert [each["n"] for each in json.loads(more.stdout)["parked"]] == pages[1]


# ---- deciding -----------------------------------------------------------------------------------------------------


async def test_retry_and_set_aside_from_the_first_look_to_the_last_account(
    settings: Settings, log: SmallLog, blind: Blindness
) -> None:
    mended = await log.receive(pair(1), pair(2))
    broken = await log.receive(GARBAGE)
    await log.project()
    blind.mend()
    async with serving(settings) as api:
        with projecting(settings):
            words = ("parked", "retry", "ticks", log.stream)
            said = await bahi(settings, *words, str(broken), "--reason", "hope", api=api, code=1)
            assert "is refused again: a packet of 5 bytes" in said.stdout
            said = await bahi(settings, *words, str(mended), "--by", "desk", api=api)
            assert "1 packets are rows now that were not; candles were made without them" in said.stdout
            await bahi(settings, *words, str(mended), api=api, code=2)
            aside = ("parked", "set-aside", "ticks", log.stream, str(broken))
            await bahi(settings, *aside, api=api, code=2)
            said = await bahi(settings, *aside, "--reason", "the broker sent [nonsense]", api=api)
            assert said.stdout == f"ticks {log.stream} {broken} is set aside\n"
            said = await bahi(settings, *words, str(mended - 1), "--json", api=api)
            assert json.loads(said.stdout)["gained"] == 1
        shown = (await bahi(settings, "parked", "show", "ticks", log.stream, str(broken))).stdout
        assert "set aside: the broker sent [nonsense]" in shown
        assert "tried for requests" in shown
        assert "0 parked events wait, 1 are set aside" in (await bahi(settings, "status", "--once")).stdout
    assert sql(settings, "select n, count(*) from ticks group by n order by n") == [
        (mended - 1, 2),
        (mended, 2),
        (broken, 1),
    ]
    assert sql(settings, "select n, state, reason from parked") == [(broken, "set_aside", "the broker sent [nonsense]")]
    await asyncio.to_thread(sql, settings, "truncate candles_1m")  # they lack the quotes, as was said
    report = await audit.run(settings, full=True)
    assert (report.received, report.stored, report.parked, report.set_aside) == (6, 5, 1, 1)
    assert (report.lost, report.doubled) == (0, 0)


async def test_a_projector_killed_between_retries_brings_each_missing_row_once(
    settings: Settings, log: SmallLog, blind: Blindness
) -> None:
    last = await log.receive(*(pair(n) for n in range(60)))
    await log.project()
    blind.mend()
    first = last - 59
    async with serving(settings) as api:
        for n in range(first, last + 1):
            await post(api, "/api/parked/retry", {"projector": "ticks", "stream": log.stream, "n": n})
        for kills in (1, 17, 40):
            with projecting(settings) as process:
                await until(settings, "select 1 from parked_tries having count(*) >= %s", kills)
                process.send_signal(signal.SIGKILL)
        with projecting(settings):
            await until(settings, "select 1 from parked_tries having count(*) = 60")
    assert sql(settings, "select count(*), sum(gained) from parked_tries where refused is null") == [(60, 60)]
    assert sql(settings, "select n, count(*) from ticks group by n having count(*) <> 2") == []
    assert sql(settings, "select count(*) from ticks") == [(120,)]
    assert sql(settings, "select n from parked_events") == []


async def test_what_cannot_be_tried_one_by_one_is_refused_in_words(settings: Settings, log: SmallLog) -> None:
    await log.project()
    async with serving(settings) as api:
        body: dict[str, object] = {"projector": "candles", "stream": log.stream, "n": 2}
        refused = await post(api, "/api/parked/retry", body, 400)
        assert "bahi rebuild candles" in refused["detail"]
        said = await bahi(settings, "parked", "retry", "candles", log.stream, "2", api=api, code=2)
        assert "bahi rebuild candles" in said.stderr
        place = {"projector": "ticks", "stream": log.stream}
        assert "not parked" in (await post(api, "/api/parked/retry", {**place, "n": 2}, 404))["detail"]
        assert "reason" in (await post(api, "/api/parked/set-aside", {**place, "n": 2, "reason": " "}, 400))["detail"]
        await post(api, "/api/parked/retry", {**place, "n": 0}, 400)
        await post(api, "/api/parked/retry", {**place, "n": 2, "reason": "x" * 1001}, 400)
        await post(api, "/api/parked/retry", {**place, "n": 2, "what": 1}, 400)


async def test_decisions_are_taken_with_the_database_down(settings: Settings) -> None:
    nowhere = msgspec.structs.replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")
    body: dict[str, object] = {"projector": "ticks", "stream": "ticks-sandbox-1", "n": 9, "reason": "known"}
    async with serving(settings) as api:  # the stream has to be opened once with all stores
        await post(api, "/api/instruments/sync", {})
    async with serving(nowhere, whole=False) as api:
        first = await post(api, "/api/parked/set-aside", body, key="once")
        again = await post(api, "/api/parked/set-aside", body, key="once")
        assert first == again
        assert (first["stream"], first["checked"]) == ("requests", False)
        await api.get("/api/parked", status=503)
    with projecting(settings):
        await until(settings, "select 1 from parked_decisions where n = 9 and requests_n = %s", first["request"])


async def test_the_api_down_is_said_and_looking_goes_on(settings: Settings, log: SmallLog) -> None:
    n = await log.receive(GARBAGE)
    await log.project()
    said = await bahi(settings, "parked", "set-aside", "ticks", log.stream, str(n), "--reason", "x", code=2)
    assert "administrator's key" in said.stderr
    assert b"hello".hex(" ") in (await bahi(settings, "parked", "show", "ticks", log.stream, str(n))).stdout
