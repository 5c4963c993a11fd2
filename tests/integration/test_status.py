"""bahi status: how everything stands, asked of the stores themselves."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import msgspec
import pytest
from rich.console import Console

from events.archive import Archive
from events.event import Event
from events.messages import LOGIN_REFUSED, Beat
from events.redis_log import RedisLog
from events.spool import spool_files
from ops import status
from ops.doctor.log import apart
from ops.facts import spools
from ops.facts.gather import Facts, gather
from ops.facts.processes import processes
from ops.facts.streams import Stores
from runtime import layout
from runtime.clock import ManualClock, SystemClock
from runtime.settings import Settings
from tests.ports import free_port
from tests.small_log import SmallLog, market, small_log

pytestmark = pytest.mark.anyio


async def live(log: SmallLog) -> None:
    """Let a ticker run now: 30 ticks in a second, the last of it this moment."""
    log.clock = ManualClock(SystemClock().now_ns() - 1_030_000_000)
    await log.connect()
    log.clock = ManualClock(SystemClock().now_ns() - 1_030_000_000)
    await log.receive(*market(0, 5))
    log.clock.advance(0.99)
    await log.receive(*market(5, 10))


async def look(log: SmallLog) -> Facts:
    return await gather(log.settings, log.clock)


async def test_a_feed_is_told_by_its_beats(settings: Settings) -> None:
    async with small_log(settings) as log:
        await live(log)
        (feed,) = (await look(log)).feeds
        assert (feed.state, feed.instruments, feed.gap_from_ns) == ("connected", 1, None)
        assert feed.ticks_per_second == 30.0
        assert feed.last_message_seconds == 0.0
        log.clock.advance(6)
        assert (await look(log)).feeds[0].state == "silent"


@pytest.mark.parametrize(("down", "remedy"), [(LOGIN_REFUSED, "bahi login sandbox"), ("1006: gone", "bahi ticks says")])
async def test_a_feed_that_is_not_open_says_why_and_what_to_do(settings: Settings, down: str, remedy: str) -> None:
    async with small_log(settings) as log:
        await live(log)
        await log.tell(Beat(run="r", frames=9, packets=9, bytes=9, heartbeats=0, texts=0, last_message_ns=1, down=down))
        facts = await look(log)
        assert (facts.feeds[0].state, facts.feeds[0].down) == ("lost", down)
        (finding,) = [each for each in status.troubles(facts) if each.check == "feed"]
        assert down in finding.found
        assert remedy in finding.remedy


async def test_a_stream_shows_its_rate(settings: Settings) -> None:
    async with small_log(settings) as log:
        await log.append([Event("kite.text.v1", log.clock.now_ns(), b"{}")] * 100)
        for _ in range(4):
            log.clock.advance(0.5)
            await log.append([Event("kite.text.v1", log.clock.now_ns(), b"{}")] * 25)
        log.clock.advance(0.5)
        assert (await look(log)).streams[0].events_per_second == pytest.approx(80, abs=1)
        log.clock.advance(97.5)
        (stream,) = (await look(log)).streams
        assert stream.events_per_second == pytest.approx(0.65, abs=0.1)
        screen = Console(width=300, record=True, file=io.StringIO())
        screen.print(status.shown(await look(log)))
        assert f" {stream.events_per_second} " in screen.export_text()


async def test_a_stream_shows_where_each_store_stands(settings: Settings) -> None:
    async with small_log(settings) as log:
        await live(log)
        archived = await log.archive_closed()
        await log.trim(archived - 5)
        await log.receive(*market(20, 3))
        (stream,) = (await look(log)).streams
        assert (stream.stream, stream.last, stream.spool_last) == (log.stream, log.writer.last, log.writer.last)
        assert (stream.archived, stream.trimmed, stream.spool_first) == (archived, archived - 5, archived + 1)
        assert stream.unarchived_seconds == pytest.approx(0, abs=0.1)


class Growing(RedisLog):
    """A log that is written to whenever somebody looks at its end."""

    small: SmallLog

    async def last(self, stream: str) -> tuple[int, bytes | None]:
        await self.small.receive(*market(20, 3))
        return await super().last(stream)


async def test_a_stream_that_grows_while_it_is_looked_at_fits_together(settings: Settings) -> None:
    async with small_log(settings) as log:
        await live(log)
        assert settings.redis_url
        near = cast("Growing", Growing.connect(settings.redis_url))
        near.small = log
        stores = Stores(near, Archive.at(settings), log.spool.parent, log.clock.now_ns())
        stream = await stores.look(log.stream)
        await near.close()
        assert stream.redis_last == log.writer.last
        assert list(apart(stream)) == []


async def test_a_projector_shows_its_position_and_lag(settings: Settings) -> None:
    async with small_log(settings) as log:
        await live(log)
        await log.project()
        committed = log.writer.last
        await log.receive(*market(20, 3))
        log.clock.advance(2)
        (stream,) = (await look(log)).streams
        assert {each.projector for each in stream.projectors} == {"ticks", "candles", "gaps"}
        for each in stream.projectors:
            assert (each.n, each.lag_events, each.held) == (committed, 4, False)
            assert each.lag_seconds == pytest.approx(2, abs=0.1)


async def test_what_does_not_answer_is_said_and_the_rest_is_shown(settings: Settings) -> None:
    async with small_log(settings) as log:
        await live(log)
        away = msgspec.structs.replace(
            settings,
            redis_url=f"redis://127.0.0.1:{free_port()}",
            database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none",
        )
        facts = await gather(away, log.clock)
        (stream,) = facts.streams
        assert (stream.last, stream.redis_last) == (log.writer.last, None)
        assert [each.check for each in status.troubles(facts)] == ["PostgreSQL", "Redis"]


async def test_the_spools_end_is_found_without_reading_it(settings: Settings) -> None:
    async with small_log(settings) as log:
        await live(log)
        folder = settings.bahi_data_dir / "spool"
        (file,) = spool_files(log.spool)
        entries = file.entries(log.stream)
        ends = spools.ends(folder, log.stream)
        assert ends
        assert (ends.first, ends.last, ends.entry) == (1, len(entries), entries[-1])
        assert [spools.entry(folder, log.stream, n) for n in range(1, len(entries) + 1)] == entries
        with file.path.open("ab") as torn:
            torn.write(entries[-1][:20])
        assert spools.ends(folder, log.stream) == msgspec.structs.replace(ends, size=ends.size + 20)
        assert spools.entry(folder, log.stream, len(entries) + 1) is None
        assert spools.ends(folder, "unknown") is None


def test_a_process_is_known_by_its_lock(data_dir: Path) -> None:
    layout.prepare(data_dir)
    assert processes(data_dir) == []
    with layout.present("ticks", data_dir), layout.present("ticks", data_dir):
        found = [(each.name, each.pid, each.running) for each in processes(data_dir)]
        assert found == [("ticks", os.getpid(), True), ("ticks-2", os.getpid(), True)]
    assert [each.running for each in processes(data_dir)] == [False, False]


# ---- the command --------------------------------------------------------------------------------------------------


def run_status(environ: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "ops.cli", "status", *words]
    return subprocess.run(
        argv, env={"PATH": os.environ["PATH"], **environ}, capture_output=True, text=True, check=False
    )


async def test_the_command_says_it_for_people_and_for_scripts(settings: Settings) -> None:
    environ = {
        "BAHI_DATA_DIR": str(settings.bahi_data_dir),
        "DATABASE_URL": str(settings.database_url),
        "REDIS_URL": str(settings.redis_url),
    }
    async with small_log(settings) as log:
        await log.connect()
        await log.receive(*market(0, 5))
        await log.project()
        said = run_status(environ)
        assert said.returncode == 0, said.stderr
        for word in ("ticks-sandbox-1", "projector", "candles", "PostgreSQL", "archived", "silent"):
            assert word in said.stdout
        assert "\x1b" not in said.stdout
        told = json.loads(run_status(environ, "--json").stdout)
    assert told["broker"] == ["sandbox"]
    assert told["streams"][0]["projectors"][0]["lag_events"] == 0
    assert told["problems"] == []


def test_it_works_where_nothing_was_ever_started(tmp_path: Path) -> None:
    said = run_status({"BAHI_DATA_DIR": str(tmp_path / "none")}, "--once")
    assert said.returncode == 0, said.stderr
    assert "nothing runs" in said.stdout
