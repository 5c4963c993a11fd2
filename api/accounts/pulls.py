"""`fresh=true`: have the broker asked now, and wait until the tables show it, or until it is plain that they will not.

    asked     the request is in the log; the REST worker pulls the account
    fresh     a run that answers the request, or began after it, has brought the kind, and its rows are committed
    not       that run failed, or none ended in time, or nobody can be asked: it is said why, with what is known

A run's rows are committed with the run or before it: one stream, one projector, one order. So who sees the run sees
its rows.
"""

import asyncio
import contextlib
from datetime import UTC, datetime

import msgspec

from api.requests import Requests
from api.tables import Tables
from events.accounts import Kind, PullAccounts
from runtime.clock import NS_PER_SECOND, Clock
from runtime.errors import Unreachable

# A pull of one kind takes a second or two: half of it until the worker looks, the call, the projection. The budget of
# a busy API key and a slow broker (seven seconds a try) can take longer: who wants to wait for that says so.
WAIT_SECONDS, WAIT_SECONDS_MAX = 15.0, 60.0
LOOK_SECONDS = 0.2  # one row by its index
WAITING_MAX = 32  # at once; each asks the tables five times a second


class Wanted(msgspec.Struct, frozen=True):
    """One kind of an account. last_run_n: the newest run that is known; no older one answers."""

    account: str
    broker: str
    kind: Kind
    last_run_n: int


class Ended(msgspec.Struct, frozen=True):
    """A run that is over, and what came of one kind in it. own: it answers the very request."""

    own: bool
    outcome: str
    ok: bool
    error: str


class Pulls:
    """Asks for pulls and waits for them."""

    def __init__(self, tables: Tables, requests: Requests, clock: Clock, closing: asyncio.Event) -> None:
        """closing: ends every wait."""
        self._tables, self._requests, self._clock, self._closing = tables, requests, clock, closing
        self._waiting = 0

    async def pull(self, wanted: Wanted, seconds: float) -> str | None:
        """Have a kind of an account pulled; give None once its rows are there, else why they are not.

        seconds: how long to wait at most.
        """
        if self._waiting >= WAITING_MAX:
            return f"{WAITING_MAX} others wait for a pull already; try again"
        self._waiting += 1
        try:
            since = datetime.fromtimestamp(self._clock.now_ns() / NS_PER_SECOND, UTC)
            taken = await self._requests.take(PullAccounts(accounts=[wanted.account], kinds=[wanted.kind]))
            asked = msgspec.json.encode([[taken.stream, taken.n]]).decode()
            return await self._wait(wanted, {"asked": asked, "since": since}, seconds)
        except Unreachable as error:
            return f"wanted {error.wanted}; found {error.found}; {error.remedy}"
        finally:
            self._waiting -= 1

    async def _wait(self, wanted: Wanted, request: dict[str, object], seconds: float) -> str | None:
        asked = {**request, "account": wanted.account, "kind": wanted.kind, "after_n": wanted.last_run_n}
        deadline = self._clock.monotonic() + seconds
        while True:
            ended = await self._tables.rows("answering_runs", asked, Ended)
            if any(each.ok for each in ended):
                return None
            if own := [each for each in ended if each.own]:
                return f"the pull {_said(own[-1], wanted)}"
            left = deadline - self._clock.monotonic()
            if left <= 0:
                failed = f"; one that began meanwhile {_said(ended[-1], wanted)}" if ended else ""
                return (
                    f"no pull ended within {seconds:g} s{failed}; is bahi sync running, and is it well (bahi doctor)?"
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), min(left, LOOK_SECONDS))
                return "the API is stopping"


def _said(run: Ended, wanted: Wanted) -> str:
    remedy = f"; bahi login {wanted.broker} {wanted.account}" if run.outcome == "refused" else ""
    return f"ended as {run.outcome}: {run.error or 'nothing came'}{remedy}"
