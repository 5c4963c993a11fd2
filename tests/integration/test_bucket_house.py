"""The whole house on an archive in a bucket: archiver, projectors, verify, status, doctor and explain."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from events.archive import Archive
from events.bucket import PROBE
from events.redis_log import RedisLog
from events.spool import spool_files
from ops.doctor.examine import examine
from ops.doctor.finding import State
from ops.explain.life import look_up
from ops.facts.gather import gather
from ops.verify import audit
from runtime.clock import ManualClock
from runtime.errors import Unreachable
from runtime.settings import Settings, load
from tests import buckets
from tests.buckets import Inside, Way
from tests.desk import Desk, said, say, taken_by_redis
from tests.patience import PATIENCE_SECONDS
from tests.small_log import SmallLog, market, small_log

pytestmark = pytest.mark.anyio

SEED = int(os.environ.get("SEED", "1"))
ROLL_BYTES = 600
KILLS = 4


@pytest.fixture
def bucket(s3_address: str) -> str:
    return buckets.new_bucket(s3_address)


@pytest.fixture
def settings(data_dir: Path, database_url: str, redis_url: str, s3_address: str, bucket: str) -> Settings:
    return load(
        {
            "BAHI_DATA_DIR": str(data_dir),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "BAHI_SANDBOX_PORT": "0",
            "TRIM_WINDOW_BYTES": "1",
            "TRIM_WINDOW_SECONDS": "1",
            **buckets.environ(s3_address, bucket),
        }
    )


@pytest.fixture
def inside(s3_address: str, bucket: str) -> Inside:
    return Inside(s3_address, bucket)


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[SmallLog]:
    """Give a stream of which the archive alone has the beginning, in two segments, and which is projected."""
    async with small_log(settings) as log:
        await log.connect()
        for first in (0, 40):
            await log.receive(*market(first, 40))
            archived = await log.archive_closed()
        await log.trim(archived)
        await log.receive(*market(80, 20))
        await log.project()
        yield log


def segments(inside: Inside) -> list[str]:
    return [name for name in inside.names() if name != PROBE]


async def test_the_tables_are_made_from_the_bucket_and_verify_accounts_for_all(
    settings: Settings, log: SmallLog, inside: Inside
) -> None:
    report = await audit.run(settings, full=True)
    assert report.problems == []
    assert report.ok
    assert (report.received, report.stored) == (300, 300)
    (account,) = report.streams
    assert (account.segments, account.checked) == (2, account.last)
    assert account.archived < account.last
    assert len(segments(inside)) == 2


async def test_verify_finds_what_rots_in_the_bucket(settings: Settings, log: SmallLog, inside: Inside) -> None:
    first, _ = segments(inside)
    content = bytearray(inside.content(first))
    content[len(content) // 2] ^= 1
    inside.replace(first, bytes(content))
    report = await audit.run(settings, full=False)
    assert not report.ok
    assert any(first in problem.found for problem in report.problems if problem.kind == "archive")


async def test_verify_finds_a_segment_that_is_missing(settings: Settings, log: SmallLog, inside: Inside) -> None:
    first, _ = segments(inside)
    inside.remove(first)
    report = await audit.run(settings, full=False)
    holes = [problem.found for problem in report.problems if problem.kind == "hole"]
    assert len(holes) == 1
    assert holes[0].startswith("n = 1..")


async def test_verify_says_that_the_bucket_does_not_answer(settings: Settings, log: SmallLog) -> None:
    away = msgspec.structs.replace(settings, aws_endpoint_url="http://127.0.0.1:9")
    with pytest.raises(Unreachable, match="s3://"):
        await audit.run(away, full=False)


async def test_status_sees_what_the_bucket_holds(settings: Settings, log: SmallLog) -> None:
    facts = await gather(settings, ManualClock(log.clock.now_ns()))
    assert facts.trouble == []
    (stream,) = facts.streams
    assert stream.trimmed is not None
    assert stream.archived is not None
    assert 0 < stream.trimmed <= stream.archived < stream.last


async def test_status_sees_the_rest_while_the_bucket_does_not_answer(settings: Settings, log: SmallLog) -> None:
    away = msgspec.structs.replace(settings, aws_endpoint_url="http://127.0.0.1:9")
    facts = await gather(away, ManualClock(log.clock.now_ns()))
    assert "is the server there?" in facts.trouble[0]
    (stream,) = facts.streams
    assert (stream.archived, stream.unarchived_seconds) == (None, None)
    assert stream.last == log.writer.last
    assert len(facts.feeds) == 1


async def test_doctor_says_what_is_wrong_with_the_bucket(settings: Settings, log: SmallLog) -> None:
    assert not [each for each in await examine(settings) if each.state is State.WRONG and each.check == "log"]
    gone = msgspec.structs.replace(settings, archive_url="s3://nobody-made-it")
    found = [each for each in await examine(gone) if each.state is State.WRONG]
    assert any("NoSuchBucket" in each.found and "make that bucket" in each.found for each in found), found


async def test_explain_names_the_segment_in_the_bucket(settings: Settings, log: SmallLog, inside: Inside) -> None:
    (place,) = (await look_up(settings, log.stream, 5)).places
    assert place.store == "archive"
    assert place.where.startswith(f"{settings.archive_url}/{segments(inside)[0]}, chunk 1 of ")


# ---- real processes -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def archiving(settings: Settings, server: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `bahi archive`; at the end it is killed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own = {
        "BAHI_DATA_DIR": str(settings.bahi_data_dir),
        "REDIS_URL": str(settings.redis_url),
        "TRIM_WINDOW_BYTES": "1",
        "TRIM_WINDOW_SECONDS": "1",
        **buckets.environ(server, settings.archive_url.split("/")[2]),
    }
    command = [sys.executable, "-m", "ops.cli", "archive"]
    with subprocess.Popen(command, env=clean | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


async def test_an_archiver_killed_again_and_again_on_a_bad_way_to_its_bucket_loses_nothing(
    settings: Settings, s3_address: str, inside: Inside
) -> None:
    """Killed with -9 between any two of its requests, on a way that is busy and loses answers."""
    chance = random.Random(SEED)
    print(f"SEED={SEED}")
    assert settings.redis_url
    near, far = RedisLog.connect(settings.redis_url), Archive.at(settings)
    desk = Desk(settings.bahi_data_dir / "spool" / "ticks-sandbox-1", near, far, ROLL_BYTES)
    written = 0
    async with asyncio.timeout(PATIENCE_SECONDS * (KILLS + 1)), Way(s3_address).open() as way:
        for _ in range(KILLS):
            with archiving(settings, way.address) as process:
                way.fault = chance.choice(["none", "none", "busy", "unanswered"])
                async with desk.writing() as (writer, _):
                    await say(writer, written + 1, written + 60)
                    written += 60
                    await taken_by_redis(writer)
                for _ in range(chance.randrange(4, 20)):
                    await way.heard()
                way.fault = "none"
                for _ in range(chance.randrange(4, 40)):
                    await way.heard()
                process.send_signal(signal.SIGKILL)
            assert await desk.texts() == said(1, written)
        with archiving(settings, way.address):
            while len(spool_files(desk.folder)) > 1:
                await way.heard()
    assert await desk.texts() == said(1, written)
    last = await far.last(desk.stream)
    assert last == spool_files(desk.folder)[0].first - 1 > 200
    held = [each async for each in far.chunks_back(desk.stream)]
    assert [held[-1].first, held[0].last] == [1, last]
    assert len(await desk.in_redis()) < written - 200, "what is archived is trimmed"
    await near.close()


async def test_an_archiver_whose_bucket_does_not_answer_stops_when_asked(settings: Settings, s3_address: str) -> None:
    assert settings.redis_url
    near = RedisLog.connect(settings.redis_url)
    desk = Desk(settings.bahi_data_dir / "spool" / "ticks-sandbox-1", near, Archive.at(settings), ROLL_BYTES)
    async with asyncio.timeout(PATIENCE_SECONDS), Way(s3_address).open() as way:
        way.fault = "hang"
        async with desk.writing() as (writer, _):
            await say(writer, 1, 60)
            await taken_by_redis(writer)
        with archiving(settings, way.address) as process:
            await way.struck.wait()
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(process.wait)
    assert await desk.texts() == said(1, 60)
    await near.close()
