"""Outages: PostgreSQL away, Redis away, Redis with a shorter memory or none. Ticks go on, nothing is missing."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.test_exactly_once import SETTINGS, flowing, settle, tell
from tests.servers import cut_redis_file, redis_file
from tests.small_disk import small_disk
from tests.stack import TICK_STREAM, Stack, select_nothing

AOF_TAIL_BYTES = 64 * 1024
SMALL_DISK_BYTES = 8 * 1024 * 1024  # about eight seconds of load
FULL_BYTES = 128 * 1024  # less than one commit under this load
FULL_SECONDS = 30.0
LATE_SECONDS = 1.0
FROZEN_SECONDS = 9.0


def away(stack: Stack, name: str, seconds: float) -> None:
    """Take a server away for a while."""
    stack.stop_server(name)
    select_nothing(seconds)
    stack.start_server(name)


def no_gap(stack: Stack, record_property: Callable[[str, object], None]) -> None:
    """Account for everything; not a single gap may be among it."""
    account = settle(stack)
    assert account.gap_seconds == []
    assert account.sent == account.stored + account.in_gaps  # the latter were on their way when the ticker was stopped
    tell(account, record_property)


def test_postgres_and_redis_away_for_a_moment(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """PostgreSQL, then Redis, killed and away for seconds: ticks go on into the spool and all are there after."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        away(stack, "postgres", 3)
        away(stack, "redis", 3)
        no_gap(stack, record_property)


@pytest.mark.prove
@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_server_away_for_half_a_minute(
    data_dir: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    """A server away for 30 s under load: ticks go on being spooled, and all are there after, without a gap."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        away(stack, name, 30)
        no_gap(stack, record_property)


def aof_bytes(stack: Stack) -> int:
    """Give the size of Redis' append-only file; a slow disk lets it grow late."""
    return redis_file(stack.data_dir).stat().st_size


@pytest.mark.parametrize("held_back", [False, pytest.param(True, marks=pytest.mark.prove)])
def test_redis_with_its_tail_cut_off(
    data_dir: Path, held_back: bool, record_property: Callable[[str, object], None]
) -> None:
    """Redis restarted with the last 64 KB of its AOF cut off: the writer fills it again, nothing is lost or doubled."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        stack.wait("the file has a tail to lose", lambda: aof_bytes(stack) > AOF_TAIL_BYTES)
        if held_back:  # then what Redis loses is in no table yet
            stack.signal("project", signal.SIGSTOP)
            select_nothing(LATE_SECONDS)
        stack.stop_server("redis")
        cut_redis_file(stack.data_dir, AOF_TAIL_BYTES)
        stack.start_server("redis")
        stack.signal("project", signal.SIGCONT)
        no_gap(stack, record_property)


@pytest.mark.parametrize("behind", [False, pytest.param(True, marks=pytest.mark.prove)])
def test_redis_emptied(data_dir: Path, behind: bool, record_property: Callable[[str, object], None]) -> None:
    """Redis emptied while a part of the stream is in the archive only: readers cross from archive to Redis."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        archived = data_dir / "archive" / TICK_STREAM
        stack.wait("segments are archived", lambda: len(list(archived.glob("*.seg"))) >= 3)
        if behind:
            stack.kill("project")
            before = len(list(archived.glob("*.seg")))
            stack.wait("the archive goes on", lambda: len(list(archived.glob("*.seg"))) >= before + 5)
        with stack.redis() as client:
            client.flushall()
        if behind:
            stack.start("project")
        no_gap(stack, record_property)


@pytest.mark.prove
def test_a_full_disk_under_the_spool(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """The spool's disk full for half a minute under load: what was received is all there, the rest lies in a gap."""
    with small_disk(data_dir, "spool", SMALL_DISK_BYTES) as disk, Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        stack.kill("archive")
        stack.wait("the disk is full", lambda: room(disk) < FULL_BYTES)
        select_nothing(FULL_SECONDS)
        assert "spool_full" in stack.log("ticks")
        stack.start("archive")
        account = settle(stack)
        tell(account, record_property)


def room(disk: Path) -> int:
    """Give how many bytes a disk still takes."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


@pytest.mark.prove
def test_a_ticker_that_was_frozen_reads_what_waited(
    data_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    """A ticker frozen for longer than its watchdog waits reads on when it wakes up: no gap, nothing missing."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        stack.signal("ticks", signal.SIGSTOP)
        select_nothing(FROZEN_SECONDS)
        stack.signal("ticks", signal.SIGCONT)
        no_gap(stack, record_property)
