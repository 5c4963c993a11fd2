"""bahi explain: where an event lies, what it says, what became of it."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from ops.explain.life import look_up
from runtime.errors import BadInput
from runtime.settings import Settings
from tests.frames import Packet, frame
from tests.small_log import SmallLog, market, small_log

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[SmallLog]:
    async with small_log(settings) as log:
        await log.connect()
        yield log


async def test_a_frame_is_followed_from_the_spool_to_the_candle(settings: Settings, log: SmallLog) -> None:
    n = await log.receive(*market(0, 3))
    life = await look_up(settings, log.stream, n)
    assert life.type == "kite.frame.v1"
    assert [(place.store, place.same) for place in life.places] == [("spool", True), ("Redis", True)]
    assert [tick["instrument_token"] for tick in life.ticks] == [408_065, 738_561, 2_953_217]
    assert life.passed == {}
    assert life.rows == []
    await log.project()
    life = await look_up(settings, log.stream, n)
    assert life.passed == {"ticks": True, "candles": True, "gaps": True}
    assert [row["instrument_token"] for row in life.rows] == [408_065, 738_561, 2_953_217]
    assert [(candle["instrument_token"], candle["tick_count"]) for candle in life.candles] == [
        (408_065, 3),
        (738_561, 3),
        (2_953_217, 3),
    ]
    assert life.received_at.endswith("+05:30")


async def test_an_archived_event_names_its_segment(settings: Settings, log: SmallLog) -> None:
    n = await log.receive(*market(0, 3))
    await log.archive_closed()
    await log.trim(n)
    (place,) = (await look_up(settings, log.stream, n)).places
    assert place.store == "archive"
    assert f"{log.stream}/00000000000000000001.seg, chunk 1 of 1" in place.where


async def test_what_could_not_be_read_is_shown(settings: Settings, log: SmallLog) -> None:
    n = await log.receive(frame(Packet("full"), Packet("ltp"))[:-3])
    await log.project()
    life = await look_up(settings, log.stream, n)
    assert len(life.ticks) == len(life.rows) == 1
    assert "a cut frame" in life.unread[0]
    assert (life.parked[0]["projector"], life.parked[0]["packets"]) == ("ticks", 1)


async def test_a_loss_shows_its_gap(settings: Settings, log: SmallLog) -> None:
    await log.receive(*market(0, 3))
    lost = await log.lose()
    await log.return_with(*market(3, 3))
    await log.project()
    life = await look_up(settings, log.stream, lost)
    assert life.said["reason"] == "cut"
    (gap,) = life.gaps
    assert gap["to_time"] > gap["from_time"]


async def test_what_no_store_has_is_said(settings: Settings, log: SmallLog) -> None:
    with pytest.raises(BadInput, match="n = 99"):
        await look_up(settings, log.stream, 99)
    with pytest.raises(BadInput):
        await look_up(settings, "unknown", 1)


def run_explain(environ: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "ops.cli", "explain", *words]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)


async def test_the_command_says_it_for_people_and_for_scripts(settings: Settings, log: SmallLog) -> None:
    n = await log.receive(*market(0, 3))
    await log.project()
    environ = {"PATH": os.environ["PATH"], "BAHI_DATA_DIR": str(settings.bahi_data_dir)}
    environ |= {"DATABASE_URL": str(settings.database_url), "REDIS_URL": str(settings.redis_url)}
    said = run_explain(environ, log.stream, str(n))
    assert said.returncode == 0, said.stderr
    for word in ("kite.frame.v1", "in spool", "in Redis", "rows of ticks", "candles has", "408065"):
        assert word in said.stdout
    said = run_explain(environ, log.stream, str(n), "--json")
    assert len(json.loads(said.stdout)["rows"]) == 3
