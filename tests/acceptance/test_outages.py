"""Outages: PostgreSQL away, Redis away, Redis with a shorter memory or none. Ticks go on, nothing is missing."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.embedded.server import start
from tests.acceptance.test_exactly_once import SETTINGS, flowing, settle, tell
from tests.servers import cut_redis_file, redis_file
from tests.stack import TICK_STREAM, Stack, select_nothing

AOF_TAIL_BYTES = 64 * 1024
LATE_SECONDS = 1.0
FROZEN_SECONDS = 9.0


def stop_server(stack: Stack, name: str, *, politely: bool = False) -> None:
    """End a server at once, or with time to write."""
    server = stack.servers[name]
    server.stop() if politely else os.kill(server.pid, signal.SIGKILL)
    server.process.wait()


def start_server(stack: Stack, name: str) -> None:
    """Start a server again, where it was."""
    stack.servers[name] = start(stack.servers[name].launch)


def away(stack: Stack, name: str, seconds: float) -> None:
    """Take a server away for a while."""
    stop_server(stack, name)
    select_nothing(seconds)
    start_server(stack, name)


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
        stop_server(stack, "redis")
        cut_redis_file(stack.data_dir, AOF_TAIL_BYTES)
        start_server(stack, "redis")
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
