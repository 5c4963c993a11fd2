"""Disaster recovery: Redis, PostgreSQL and spool are gone, the archive is left, and every table comes back from it."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from events.archive import Archive
from events.memory_log import MemoryLog
from events.reader import Reader
from projectors.building import READ_EVENTS_MAX
from projectors.catalogue import PROJECTIONS
from tests import accounting
from tests.acceptance.test_tape import DAY
from tests.frames import entry
from tests.stack import TICK_STREAM, Stack

TABLES = tuple(table for each in PROJECTIONS.values() for table in each.tables)
TICKS_MIN = 500_000
"""What the recorded day has; without it the sandbox's own market makes as many."""

SETTINGS = {"SPOOL_FILE_BYTES": 8 * 1024 * 1024, "SPOOL_FILE_SECONDS": 5, "TRIM_WINDOW_SECONDS": 2}
SUM = (
    "select count(*), md5(string_agg(row, ',' order by row)) from (select md5((to_jsonb(held) - 'stream_id')::text "
    "|| coalesce((select stream from streams where to_jsonb(held) ->> 'stream_id' = stream_id::text), '')) as row "
    "from {table} held) rows"
)


def checksums(url: str) -> dict[str, tuple[int, str]]:
    """Give the number of rows of every table, and a checksum over them that knows no order."""
    with psycopg.connect(url) as connection:
        found = {}
        for table in TABLES:
            (row,) = connection.execute(SUM.format(table=table).encode()).fetchall()
            found[table] = (row[0], row[1])
    return found


async def archive_the_rest(stack: Stack, streams: list[str]) -> dict[str, int]:
    """Put what the open spool files still hold into the archive; give each stream's last n."""
    archive, lasts = Archive(stack.data_dir / "archive"), {}
    for stream in streams:
        events = await accounting.read_all(stack.redis_url, stack.data_dir / "archive", stream)
        lasts[stream] = len(events)
        if rest := events[await archive.last(stream) :]:
            await archive.put(stream, [entry(event) for event in rest])
    return lasts


async def reading_seconds(stack: Stack, lasts: dict[str, int]) -> float:
    """Give how long it takes to read and unpack every segment, and no more."""
    began = time.monotonic()
    for stream, last in lasts.items():
        reader, after = Reader(MemoryLog(), Archive(stack.data_dir / "archive")), 0
        while batch := await reader.read(stream, after, READ_EVENTS_MAX):
            after = batch[-1].n
        assert after == last
    return time.monotonic() - began


def live_seconds(stack: Stack, lasts: dict[str, int]) -> float:
    """Let live projectors load everything into an empty database; give the seconds from first to last commit."""
    stack.start("project")
    stack.wait("the first commit", lambda: stack.checkpoint("ticks") > 0)
    began, first = time.monotonic(), stack.checkpoint("ticks")
    stack.wait("live loading", lambda: stack.caught_up(lasts[TICK_STREAM]), 300)
    seconds = time.monotonic() - began
    stack.stop("project")
    return seconds * lasts[TICK_STREAM] / (lasts[TICK_STREAM] - first)


@pytest.mark.prove
def test_a_day_comes_back_from_the_archive_alone(
    data_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    """A day archived; Redis, PostgreSQL and spool emptied; `bahi rebuild --all`: every table equal by checksum."""
    tape = ("--tape", str(DAY), "--speed", "max") if DAY.is_dir() else ()
    rate = {} if tape else {"BAHI_SANDBOX_RATE": 20_000, "BAHI_SANDBOX_INSTRUMENTS": 1000}
    with Stack(data_dir, **SETTINGS, **rate) as stack:
        stack.start_all(*tape)
        stack.wait("the day is there", lambda: stack.query("select count(*) >= %s from ticks", TICKS_MIN)[0][0], 240)
        for name in ("ticks", "sync", "api"):
            assert stack.stop(name) == 0
        streams = ["reference", TICK_STREAM]
        lasts = asyncio.run(archive_the_rest(stack, streams))
        stack.wait("all is committed", lambda: stack.caught_up(lasts[TICK_STREAM]))
        stack.wait("the names too", lambda: stack.checkpoint("instruments", "reference") >= lasts["reference"])
        for name in ("project", "archive", "sandbox"):
            stack.stop(name)
        before = checksums(stack.database_url)

        with stack.redis() as client:
            client.flushall()
        shutil.rmtree(data_dir / "spool")
        stack.use_database("recovered")
        outcomes = json.loads(stack.run("rebuild", "--all", "--yes", "--json").stdout)["rebuilds"]
        after = checksums(stack.database_url)
        assert after == before
        assert before["ticks"][0] >= TICKS_MIN

        rebuilding = {each["projection"]: each["seconds"] for each in outcomes}
        reading = asyncio.run(reading_seconds(stack, lasts))
        stack.use_database("live")
        loading = live_seconds(stack, lasts)
        assert checksums(stack.database_url) == before
        total = sum(rebuilding.values())
        record_property("log", "the recorded day" if tape else "generated")
        record_property("ticks", before["ticks"][0])
        record_property("candles", before["candles_1m"][0])
        record_property("rebuild --all, s", round(total, 1))
        record_property("of it ticks, s", round(rebuilding["ticks"], 1))
        record_property("live loading, s", round(loading, 1))
        record_property("speed to live loading", round(loading / total, 2))
        record_property("speed to reading the segments only", round(reading / total, 3))
