"""Exactly once: real processes, really killed, frozen and cut off, while ticks flow and the archive works."""

import math
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.sandbox import journal
from sql.store import LEASE_SECONDS
from tests import accounting
from tests.accounting import Account
from tests.servers import cut_redis_file
from tests.stack import TICK_STREAM, Stack, select_nothing

RATE = 5000
REDIS_TAIL_BYTES = 16 * 1024  # what a Redis that syncs once a second may forget, and a little
FROZEN_SECONDS = LEASE_SECONDS + 2
GAP_SECONDS_MAX = 12.0
"""The SDK waits up to 5 s before it connects again, and a process needs one or two to start on a busy machine."""

GAP_STARTS_MAX = 6
"""Where a process takes longer than that to start, a gap may last as long as so many starts: some are killed again."""

SETTINGS = {
    "BAHI_SANDBOX_INSTRUMENTS": 1000,
    "BAHI_SANDBOX_RATE": RATE,
    "SPOOL_FILE_BYTES": 256 * 1024,
    "SPOOL_FILE_SECONDS": 1,
    "TRIM_WINDOW_SECONDS": 1,
    "TRIM_WINDOW_BYTES": 512 * 1024,
}


def kill(name: str) -> Callable[[Stack], None]:
    """Give the fault that kills a process and starts it again, as the supervisor does."""

    def fault(stack: Stack) -> None:
        stack.kill(name)
        stack.start(name)

    return fault


def cut_postgres(stack: Stack) -> None:
    """Cut every connection to PostgreSQL."""
    stack.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null"
    )


def cut_redis(stack: Stack) -> None:
    """Cut every connection to Redis."""
    with stack.redis() as client:
        client.client_kill_filter(_type="normal", skipme=True)


def crash_postgres(stack: Stack) -> None:
    """Stop PostgreSQL at once, as a power cut would, and start it again."""
    stack.stop_server("postgres")
    stack.start_server("postgres")


def crash_redis(stack: Stack) -> None:
    """Kill Redis, cut the tail of what it had written, and start it again."""
    stack.stop_server("redis")
    cut_redis_file(stack.data_dir, REDIS_TAIL_BYTES)
    stack.start_server("redis")


def freeze_worker(stack: Stack) -> None:
    """Freeze one of the two that run projectors; `chaos` thaws it after its leases have run out."""
    stack.signal("project2", signal.SIGSTOP)


def drop_socket(stack: Stack) -> None:
    """Drop the feed's socket."""
    stack.misbehave("drop")


def further(stack: Stack) -> Callable[[], bool]:
    """Give the question whether 200 more events are in the tables than now."""
    at = stack.checkpoint("ticks")
    return lambda: stack.checkpoint("ticks") > at + 200


FAULTS = {
    "kill ticks": kill("ticks"),
    "kill project": kill("project"),
    "kill project2": kill("project2"),
    "kill archive": kill("archive"),
    "kill api": kill("api"),
    "cut postgres": cut_postgres,
    "cut redis": cut_redis,
    "crash postgres": crash_postgres,
    "crash redis": crash_redis,
    "freeze project2": freeze_worker,
    "drop socket": drop_socket,
}


def flowing(stack: Stack, projector: str = "ticks") -> None:
    """Wait until rows are being committed."""
    stack.wait("ticks flow", lambda: stack.checkpoint(projector) > 100)


def settle(stack: Stack) -> Account:
    """Stop the feed, let everything catch up, and account for all of it."""
    (at,) = stack.query("select clock_timestamp()")[0]
    stack.wait("ticks flow again", lambda: stack.query("select max(received_at) from ticks")[0][0] > at)
    stack.wait("the feed is whole again", lambda: not stack.query("select from feed_gaps where to_time is null"))
    assert stack.stop("ticks") == 0
    events = accounting.events_of(stack.redis_url, stack.data_dir / "archive", TICK_STREAM)
    stack.wait("all is committed", lambda: stack.caught_up(len(events)))
    account = accounting.audit(events, stack.data_dir / "sandbox" / "journal", stack.database_url)
    assert account.lost == []
    assert account.doubled == []
    assert account.received == account.stored + account.parked
    assert accounting.stored_candles(stack.database_url) == accounting.candles_of(accounting.ticks_of(events))
    return account


def tell(account: Account, record_property: Callable[[str, object], None]) -> None:
    """Put the account into the report."""
    record_property("sent", account.sent)
    record_property("received", account.received)
    record_property("stored", account.stored)
    record_property("in gaps", account.in_gaps)
    record_property("gaps", len(account.gap_seconds))
    record_property("longest gap, s", max(account.gap_seconds, default=0))


def start_seconds(stack: Stack) -> float:
    """Give how long a process takes to start here, now, under this load."""
    began = time.monotonic()
    stack.run("status", "--once")
    return time.monotonic() - began


def sent(stack: Stack) -> int:
    """Give how many ticks were handed to sockets so far."""
    return sum(each.packets for each in journal.read(stack.data_dir / "sandbox" / "journal"))


def chaos(stack: Stack, seed: int, seconds: float) -> list[str]:
    """Play seeded faults for a while; return them."""
    draw, played, left, thaw_at = random.Random(seed), [], seconds, -math.inf
    while left > 0:
        wait = draw.uniform(0.3, 2.5)
        select_nothing(wait)
        left -= wait
        name = draw.choice(sorted(FAULTS))
        FAULTS[name](stack)
        played.append(name)
        if name == "freeze project2" and thaw_at < 0:
            thaw_at = left - FROZEN_SECONDS
        if left <= thaw_at:
            stack.signal("project2", signal.SIGCONT)
            thaw_at = -math.inf
    stack.signal("project2", signal.SIGCONT)
    return played


def run(data_dir: Path, seed: int, seconds: float, record_property: Callable[[str, object], None]) -> None:
    """Play one seed to its end."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        stack.start("project2")
        flowing(stack)
        gap_seconds_max = max(GAP_SECONDS_MAX, GAP_STARTS_MAX * start_seconds(stack))
        played = chaos(stack, seed, seconds)
        stack.wait("there was load", lambda: sent(stack) > RATE * seconds / 4)
        account = settle(stack)
        assert len(account.gap_seconds) <= played.count("kill ticks") + played.count("drop socket")
        assert max(account.gap_seconds, default=0) <= gap_seconds_max
        record_property("seed", seed)
        record_property("faults", len(played))
        record_property("kinds", len(set(played)))
        tell(account, record_property)


def test_nothing_lost_nothing_twice_for_a_while(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """Under kills and cuts for some seconds every tick is committed once or lies in a declared gap."""
    run(data_dir, 1, 12, record_property)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(11, 21))
def test_nothing_lost_nothing_twice_for_a_minute(
    data_dir: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Under kills and cuts for a minute every tick is committed once or lies in a declared gap."""
    run(data_dir, seed, 60, record_property)


@pytest.mark.prove
def test_a_frozen_owner_writes_nothing_after_its_lease(
    data_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    """A projector frozen past its lease, taken over and thawed, doubles nothing."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        for first, second in (("project", "project2"), ("project2", "project")):
            stack.signal(first, signal.SIGSTOP)
            if second not in stack.processes:
                stack.start(second)
            stack.wait("the other one goes on", further(stack))
            stack.signal(first, signal.SIGCONT)
            stack.wait("both live, one works", further(stack))
        tell(settle(stack), record_property)
