"""The trading accounts in `bahi status` and `bahi doctor`: how each stands, and what mends one that is not well."""

import io
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from events.accounts import Known, Pulled
from ops import status
from ops.doctor.accounts import NAMED_MAX, accounts, reconciled
from ops.doctor.finding import Finding, State
from ops.facts.gather import Facts, gather
from ops.facts.processes import Process
from projectors.accounts.projector import ACCOUNTS
from runtime.calendar import IST
from runtime.clock import ManualClock
from runtime.settings import Settings
from runtime.staleness import pulls_at
from tests.account_log import AccountLog, a_day, at_ns, position, positions
from tests.loops import Desk

pytestmark = pytest.mark.anyio


async def look(settings: Settings, folder: Path, log: AccountLog, clock: str, *, runs: bool = True) -> Facts:
    """Project a log, and look at a moment of its day."""
    assert settings.database_url is not None
    await Desk(settings.database_url, folder).project(ACCOUNTS, log.events)
    facts = await gather(settings, ManualClock(at_ns(clock)))
    if runs:
        facts.processes = [Process("sync", 1, running=True)]
    return facts


def told(facts: Facts) -> list[tuple[State, str, str]]:
    return [(each.state, each.found, each.remedy) for each in accounts(facts)]


async def test_accounts_that_are_well_are_said_to_be(settings: Settings, tmp_path: Path) -> None:
    facts = await look(settings, tmp_path, a_day(), "09:25:00")
    main, other = facts.accounts
    assert (main.account_id, main.status, main.failures, main.stale) == ("main", "ok", 0, False)
    assert (main.age_seconds, main.asked_seconds["orders"]) == (540.0, 240.0)  # positions were asked for at 09:16
    assert [(each.state, each.found) for each in accounts(facts)] == [
        (State.GOOD, "2 accounts, each known as it was asked for")
    ]
    assert other.account_id == "other"
    said = msgspec.json.decode(msgspec.json.encode(msgspec.structs.asdict(facts)))
    assert said["accounts"][0]["asked_seconds"]["orders"] == 240.0
    assert said["database"]["facts"]["accounts"] == []


async def test_a_refused_token_failing_runs_and_old_answers_are_found(settings: Settings, tmp_path: Path) -> None:
    log = a_day()
    log.run("main", "09:26:00", outcome="refused", error="found the token refused")
    for clock in ("09:23:00", "09:28:00", "09:33:00"):
        log.run("other", clock, outcome="partial", error="no answer", kinds={"orders": Pulled(ok=False)})
    log.add(Known(account="new", broker="kite"))
    log.add(Known(account="old", broker="kite"))
    log.snapshot("old", "orders", [], "09:10:00")
    log.run("old", "09:10:01")
    log.add(Known(account="gone", broker="kite", active=False))
    facts = await look(settings, tmp_path, log, "09:34:00")
    assert told(facts) == [
        (
            State.WRONG,
            "main: its token is refused, nothing new comes: found the token refused",
            "bahi login kite main",
        ),
        (State.NOTE, "new was not pulled yet", ""),
        (
            State.WRONG,
            "old: what is known is 24 minutes old, though bahi sync runs",
            "read what bahi sync says; bahi status: its lag",
        ),
        (
            State.WRONG,
            "other: 3 runs in a row did not bring everything; the last was partial: no answer",
            "read what bahi sync says; docs/accounts.md has each cause",
        ),
    ]
    assert {each.check for each in status.troubles(facts)} >= {"account"}
    screen = Console(width=200, record=True, file=io.StringIO())
    screen.print(status.shown(facts))
    text = screen.export_text()
    lines = [line.split() for line in text.splitlines() if line.split()[:1] in (["main"], ["other"], ["gone"], ["old"])]
    assert [line[0] for line in lines] == ["main", "old", "other", "gone"]
    assert lines[0][:3] == ["main", "refused", "kite"]


async def test_books_that_do_not_agree_are_found_and_what_may_settle_is_not(settings: Settings, tmp_path: Path) -> None:
    log = one()
    facts = await look(settings, tmp_path, log, "09:21:00")
    assert [each.state for each in reconciled(facts)] == [State.GOOD]
    known = len(log.events)
    for clock in ("09:22:00", "09:23:00"):
        for kind in ("orders", "trades", "holdings"):
            log.snapshot("main", kind, [], clock)
        log.snapshot("main", "positions", positions([position(5), position(3, tradingsymbol="TCS")]), clock)
    assert log.events[known + 3].type == "account.snapshot.v1"
    desk = Desk(str(settings.database_url), tmp_path)
    await desk.write(log.events[:known])
    await desk.project(ACCOUNTS, log.events[known : known + 4])
    facts = await gather(settings, ManualClock(at_ns("09:24:00")))
    assert [each.state for each in reconciled(facts)] == [State.GOOD]
    await desk.project(ACCOUNTS, log.events[known + 4 :])
    facts = await gather(settings, ManualClock(at_ns("09:24:00")))
    (finding,) = reconciled(facts)
    assert finding.found == "main: its books and its broker do not agree on 2 of manual_trade"
    assert finding in status.troubles(facts)


async def test_old_answers_are_no_trouble_while_nothing_pulls(settings: Settings, tmp_path: Path) -> None:
    (finding,) = accounts(await look(settings, tmp_path, one(), "11:00:00", runs=False))
    assert (finding.state, finding.remedy) == (State.NOTE, "bahi up, or bahi sync")


def one() -> AccountLog:
    log = AccountLog()
    log.add(Known(account="main", broker="kite"))
    log.snapshot("main", "orders", [], "09:20:00")
    log.run("main", "09:20:01")
    return log


@pytest.mark.parametrize(
    ("at", "pulled"),
    [("2026-04-13 11:00", True), ("2026-04-13 23:58", False), ("2026-04-12 11:00", False), ("2090-04-13 11:00", False)],
)
def test_accounts_are_pulled_in_market_hours_and_always_in_the_sandbox(
    settings: Settings, at: str, pulled: bool
) -> None:
    moment_ns = int(datetime.fromisoformat(at).replace(tzinfo=IST).timestamp()) * 10**9
    kite = msgspec.structs.replace(settings, broker=("kite",), market_hours_only=True)
    assert pulls_at(kite, moment_ns) == pulled
    assert pulls_at(msgspec.structs.replace(kite, market_hours_only=False), moment_ns)
    assert pulls_at(settings, moment_ns)


async def test_hundreds_of_accounts_with_one_cause_are_counted(settings: Settings, tmp_path: Path) -> None:
    log = AccountLog()
    for number in range(NAMED_MAX + 5):
        log.run(f"account-{number:03}", outcome="refused", error="no token")
    facts = await look(settings, tmp_path, log, "10:05:00")
    found: list[Finding] = list(accounts(facts))
    assert len(found) == NAMED_MAX + 1
    assert found[-1].found == "5 more accounts are not well"
