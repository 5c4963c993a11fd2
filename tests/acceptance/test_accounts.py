"""The trading accounts, end to end: traders on the sandbox, poller, log, tables; killed, refused, throttled."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.books_truth import differences
from tests.patience import PATIENCE_SECONDS
from tests.stack import COMMAND_SECONDS, Stack, select_nothing

SETTINGS = {
    "BAHI_SANDBOX_INSTRUMENTS": 300,
    "BAHI_SANDBOX_RATE": 300,
    "BAHI_SANDBOX_LIMITS": "true",
    "SYNC_INTERVAL_SECONDS": 5,
    "SPOOL_FILE_BYTES": 4 * 1024 * 1024,
    "SPOOL_FILE_SECONDS": 5,
}
PROCESSES = ("sandbox", "sync", "project", "archive")
KILLED = ("sync", "project")
EXPIRED = "TR0001"  # its session ends while it trades, and it logs in again when all is over
KILL_SECONDS = 4.0  # about so long between two kills: a start takes one or two


def runs_of_all(stack: Stack, since: float) -> bool:
    """Say whether each account's newest run began after a moment and went well."""
    rows = stack.query(
        "select coalesce(bool_and(newest.at is not null), false) from trading_accounts left join lateral ("
        " select max(started_at) as at from sync_runs where sync_runs.account_id = trading_accounts.account_id"
        " and success and started_at > to_timestamp(%s)) newest on true",
        since,
    )
    return bool(rows[0][0])


def trade_under_faults(stack: Stack, seconds: float, seed: int) -> dict[str, int]:
    """Let the traders trade while the poller and the projector are killed, and Kite refuses and throttles."""
    draw, done = random.Random(seed), {"kills": 0, "faults": 0}
    faults: list[dict[str, Any]] = [
        {"fault": "too_many", "lasting": 2},
        {"fault": "refuse_token", "user": "TR0002", "lasting": 3},
        {"fault": "server_error", "status": 502, "count": 5},
        {"fault": "half", "count": 3},
        {"fault": "html", "count": 3},
        {"fault": "strings", "user": "TR0003", "lasting": 3},
        {"fault": "no_tags", "user": "TR0004", "lasting": 3},
    ]
    stack.misbehave("expire_token", user=EXPIRED)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        victim, fault = draw.choice(KILLED), draw.choice(faults)
        stack.misbehave(**fault)
        select_nothing(min(draw.expovariate(1 / KILL_SECONDS), 2 * KILL_SECONDS))
        stack.kill(victim)
        stack.start(victim)
        done["kills"] += 1
        done["faults"] += 1
    return done


def come_to_rest(stack: Stack, ended: str, patience_seconds: float) -> None:
    """Let the traders stop, everything be pulled once more, and all of it be projected. ended: whose session was."""
    stack.ask_sandbox("/sandbox/faults", method="DELETE")
    stack.ask_sandbox("/sandbox/traders", {"orders_per_second": 0, "cancel": True})
    acts = stack.ask_sandbox("/sandbox/traders")
    while (now := stack.ask_sandbox("/sandbox/traders")) != acts:
        acts = now
    stack.behave()  # a login would meet what nobody has met yet
    stack.run("login", "sandbox", ended)  # as its user does who reads that it was refused
    rested = time.time()
    stack.wait("a run over each account", lambda: runs_of_all(stack, rested), patience_seconds)


def rebuilt_as_live(stack: Stack, patience_seconds: float) -> None:
    """Make all tables of the accounts again beside the live ones; nothing may differ."""
    stack.stop("sync")
    done = stack.run("rebuild", "accounts", "--json", patience_seconds=patience_seconds)
    (outcome,) = json.loads(done.stdout)["rebuilds"]
    assert outcome["swapped"], outcome
    assert not any(table["parts_different"] for table in outcome["comparison"]["tables"]), outcome


def a_trading_hour(stack: Stack, seconds: float, per_second: float, seed: int, record: Any) -> None:
    """Trade, come to rest, and hold every table against the sandbox's own books."""
    for name in PROCESSES:
        stack.start(name)
    traders = int(stack.environment()["BAHI_SANDBOX_TRADERS"])
    accounts = "select count(*) from trading_accounts where last_sync_status = 'ok'"
    stack.wait("all accounts", lambda: stack.query(accounts) == [(traders + 1,)], PATIENCE_SECONDS + traders)
    stack.ask_sandbox("/sandbox/traders", {"orders_per_second": per_second})
    for name, count in trade_under_faults(stack, seconds, seed).items():
        record(name, count)
    come_to_rest(stack, EXPIRED, PATIENCE_SECONDS + 2 * traders)
    assert differences(stack) == []
    assert stack.query("select n, error from parked_events") == []
    ((trades, orders, most),) = stack.query(
        "select sum(trades_count)::bigint, sum(orders_count)::bigint, max(trades_count) from trading_accounts"
    )
    ((runs, refused, failed),) = stack.query(
        "select count(*), count(*) filter (where outcome = 'refused'),"
        " count(*) filter (where outcome in ('failed', 'partial')) from sync_runs"
    )
    for name, count in (("accounts", traders + 1), ("trades", trades), ("orders", orders), ("most trades", most)):
        record(name, count)
    for name, count in (("runs", runs), ("refused", refused), ("failed or partial", failed), ("seed", seed)):
        record(name, count)
    assert trades > 0
    rebuilt_as_live(stack, COMMAND_SECONDS * (1 + traders / 50))


def test_the_tables_are_the_sandboxs_books(data_dir: Path, record_property: Any) -> None:
    """A short hour of four traders, killed and refused: tables, the sandbox's own books and a rebuild agree."""
    with Stack(data_dir, BAHI_SANDBOX_TRADERS=4, **SETTINGS) as stack:
        a_trading_hour(stack, seconds=15, per_second=4, seed=1, record=record_property)


@pytest.mark.prove
@pytest.mark.parametrize("seed", [11, 12])
def test_an_hour_of_two_hundred_accounts(data_dir: Path, record_property: Any, seed: int) -> None:
    """200 accounts, 1,000 trades and more in some, kill -9, refused tokens, 429s: tables, books and rebuild agree."""
    settings = {**SETTINGS, "SYNC_INTERVAL_SECONDS": 60, "BAHI_SANDBOX_LIMITS": "false"}
    with Stack(data_dir, BAHI_SANDBOX_TRADERS=200, **settings) as stack:
        a_trading_hour(stack, seconds=240, per_second=6, seed=seed, record=record_property)
        ((most,),) = stack.query("select max(trades_count) from trading_accounts")
        assert most > 1000, "some have a thousand trades"
