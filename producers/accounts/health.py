"""What other programs are told in Redis of each account's pulls: of the last run, the token, and the next run.

Promise: it is told after each run and once a minute, by a task of its own: pulls never wait for it. Where Redis does
not take it, that is said once, and it is told again. Nothing is ever read back.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from events.accounts import Outcome, Trigger
from events.health import LIVES_SECONDS, HealthBoard
from producers.accounts.pull import Run
from producers.accounts.schedule import Moment, Timetable
from producers.accounts.standing import Standing
from runtime.calendar import IST
from runtime.clock import Clock, instant
from runtime.complaints import Complaints
from runtime.errors import Unreachable
from runtime.lifecycle import Stop
from runtime.log import get

LOOK_SECONDS = 0.5  # runs that end within it are told together
AGAIN_SECONDS = 60.0  # without news: a Redis that lost it has it again, and it does not expire while anybody pulls
assert AGAIN_SECONDS * 2 < LIVES_SECONDS, "one writing that fails must not let it expire"

Token = Literal["accepted", "refused", "unknown"]

_log = get("accounts")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """One account, as `bahi sync` has seen it since its start; the names are those of GET /accounts. Times are IST.

    last_sync_status: ok, partial (some kinds did not come), failed, refused. failures: runs since the last one that
    brought everything. token: unknown until the broker answered. next_due_at: when it is pulled by itself, if nothing
    makes it sooner. remedy: the command that mends a refused token.
    """

    account_id: str
    broker: str
    name: str
    last_sync_at: datetime
    last_sync_status: Outcome
    last_sync_trigger: Trigger
    last_sync_error: str | None
    last_success_at: datetime | None
    failures: int
    token: Token
    next_due_at: datetime
    remedy: str | None
    written_at: datetime


class _Seen(msgspec.Struct):
    """What is remembered of an account's runs."""

    last: Run
    success_ns: int | None = None
    failures: int = 0
    answered: bool = False  # the broker took its token at least once


class HealthTeller:
    """Tells of all accounts of one worker."""

    def __init__(self, redis_url: str, standings: Mapping[str, Standing], timetable: Timetable, clock: Clock) -> None:
        """Take the worker's own standings, which change below our hands."""
        self._board = HealthBoard(redis_url)
        self._standings, self._timetable, self._clock = standings, timetable, clock
        self._seen: dict[str, _Seen] = {}
        self._news = False
        self._told_at = 0.0
        self._complaints = Complaints(_log)

    def ran(self, run: Run) -> None:
        """Note how a run ended."""
        seen = self._seen.setdefault(run.asked.account, _Seen(run))
        seen.last = run
        seen.failures = 0 if run.outcome == "ok" else seen.failures + 1
        seen.success_ns = run.finished_ns if run.outcome == "ok" else seen.success_ns
        seen.answered = seen.answered or run.outcome in ("ok", "partial")
        self._news = True

    def forget(self, account: str) -> None:
        """Note that an account is not pulled any more."""
        self._seen.pop(account, None)
        self._news = True

    async def run(self, stop: Stop) -> None:
        """Tell until the stop."""
        try:
            while not stop.is_set():
                try:
                    await stop.cut(self._look())
                except Exception as error:  # noqa: BLE001  # no defect in the telling may stop a pull
                    _log.exception("health.failed", found=f"{type(error).__name__}: {error}")
                await stop.pause(LOOK_SECONDS)
        finally:
            await self._board.close()

    async def _look(self) -> None:
        """Write it where there is news, or it was long ago; if that fails, it is tried again at the next such look."""
        if not self._news and not (self._seen and self._clock.monotonic() - self._told_at >= AGAIN_SECONDS):
            return
        self._news, self._told_at = False, self._clock.monotonic()
        now = self._timetable.moment(self._clock.now_ns())
        news = {
            account: msgspec.json.encode(self._health(self._standings[account], seen, now))
            for account, seen in self._seen.items()
            if account in self._standings
        }
        try:
            await self._board.write(list(self._standings), news)
        except Unreachable as error:
            self._complaints.say("health.not_written", wanted=error.wanted, found=error.found, remedy=error.remedy)
        else:
            self._complaints.heal("health.not_written")

    def _health(self, standing: Standing, seen: _Seen, now: Moment) -> Health:
        account, run = standing.account, seen.last
        refused = standing.is_refused
        return Health(
            account_id=account.account,
            broker=account.broker,
            name=account.name,
            last_sync_at=_at(run.finished_ns),
            last_sync_status=run.outcome,
            last_sync_trigger=run.asked.trigger,
            last_sync_error=run.error or None,
            last_success_at=_at(seen.success_ns) if seen.success_ns else None,
            failures=seen.failures,
            token="refused" if refused else "accepted" if seen.answered else "unknown",
            next_due_at=_at(standing.next_ns(self._timetable, now)),
            remedy=f"bahi login {account.broker} {account.account}" if refused else None,
            written_at=_at(now.at_ns),
        )


def _at(ns: int) -> datetime:
    return instant(ns).astimezone(IST)
