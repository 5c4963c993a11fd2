"""One run over one account: each kind fetched on its own, so that what arrived is kept when another fails.

turn of the rate budget -> call -> rows counted          ok
  network, time-out, 429, 5xx, cut, no JSON              again, TRIES in all, with growing waits; then failed
  token refused                                          the run's other calls are not made: refused
  any other refusal                                      failed at once: it would be refused again
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from typing import TypeAlias

import msgspec

from events.accounts import KINDS, Kind, Outcome, Pulled, SyncRun, Trigger
from events.budget import Budget, Haste
from events.event import Event
from events.messages import Message, pack
from producers.accounts import note
from producers.accounts.snapshots import Snapshots
from producers.kite.address import Address
from producers.kite.calls import CHARGES_PATH, PATHS, PROFILE_PATH, Answer, CallFailed, Calls
from runtime.clock import Clock
from runtime.errors import BadInput, TokenRefused, Unreachable

TRIES = 3  # of one call in a run; the next run begins anew
# Kite's limits count a second ("API rate limits"): after one that is over, the second try is within the next one. A
# server that restarts is back within a few.
WAITS_SECONDS = (1.0, 3.0)
JITTER = 0.3  # of each wait, so that hundreds of accounts do not come back at once
assert len(WAITS_SECONDS) == TRIES - 1, "a wait before each further try"
ERROR_CHARACTERS_MAX = 500


Failure: TypeAlias = TokenRefused | Unreachable | BadInput


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is for. kinds: in the order of KINDS. answers: the requests (stream, n) that it answers.

    haste: whether somebody waits for it, or came to wait for its end meanwhile. charges: the IST day whose executed
    orders the broker is asked the charges of as well; None for no such question.
    """

    account: str
    broker: str
    kinds: Sequence[Kind] = KINDS
    trigger: Trigger = "schedule"
    answers: Sequence[tuple[str, int]] = ()
    haste: Haste = msgspec.field(default_factory=Haste)
    charges: date | None = None


class Got(msgspec.Struct, frozen=True):
    """What came of one kind."""

    answer: Answer | None
    rows: int
    tries: int
    error: Failure | None = None

    @property
    def said(self) -> str:
        """Say what was wrong, empty where nothing was."""
        return f"wanted {self.error.wanted}; found {self.error.found}"[:ERROR_CHARACTERS_MAX] if self.error else ""

    @property
    def error_type(self) -> str:
        """The class of the error as metrics and tables name it, empty without one."""
        match self.error:
            case TokenRefused():
                return "refused"
            case CallFailed(kind=kind):
                return kind
            case Unreachable():
                return "network"
            case BadInput():
                return "input"
        return ""

    def pulled(self, *, unchanged: bool = False) -> Pulled:
        """Say it as the log has it."""
        return Pulled(
            ok=self.answer is not None,
            rows=self.rows,
            tries=self.tries,
            unchanged=unchanged,
            error_type=self.error_type,
            error=self.said,
        )


class Charged(msgspec.Struct, frozen=True):
    """What the broker said of charges: the calls that it answered, and what became of the last one."""

    told: Sequence[note.Told]
    last: Got


class Run(msgspec.Struct, frozen=True):
    """A run that is over, not yet in the log. charges: None where nothing was asked of them."""

    asked: Asked
    run: str
    started_ns: int
    finished_ns: int
    got: dict[Kind, Got]
    charges: Charged | None = None

    @property
    def outcome(self) -> Outcome:
        """What became of it as a whole.

        Of its kinds, not of charges: they are a second opinion, and an app may be refused them alone.
        """
        if any(isinstance(each.error, TokenRefused) for each in self.got.values()):
            return "refused"
        good = sum(each.answer is not None for each in self.got.values())
        return "ok" if good == len(self.got) else "partial" if good else "failed"

    @property
    def error(self) -> str:
        """Say what was wrong first, empty where nothing was."""
        return next((said for each in self.got.values() if (said := each.said)), "")

    def events(self, snapshots: Snapshots) -> list[Event]:
        """Give its events, in order, its end last."""
        found: list[Message] = []
        for kind, got in self.got.items():
            if got.answer:
                found += snapshots.events(self.asked.account, self.asked.broker, self.run, kind, got.answer)
        if self.charges:
            found += [each.event(self.asked.account, self.asked.broker, self.run) for each in self.charges.told]
        return [pack(each, self.finished_ns) for each in (*found, self._end(snapshots))]

    def _end(self, snapshots: Snapshots) -> SyncRun:
        kinds: dict[str, Pulled] = {}
        for kind, got in self.got.items():
            same = got.answer is not None and snapshots.unchanged(self.asked.account, kind, got.answer)
            kinds[kind] = got.pulled(unchanged=same)
        return SyncRun(
            account=self.asked.account,
            broker=self.asked.broker,
            run=self.run,
            trigger=self.asked.trigger,
            started_ns=self.started_ns,
            finished_ns=self.finished_ns,
            outcome=self.outcome,
            kinds=kinds,
            error=self.error,
            asked=list(self.asked.answers),
            charges=self.charges.last.pulled() if self.charges else msgspec.UNSET,
        )


class Puller:
    """Fetches accounts, all under the budgets of their API keys."""

    def __init__(
        self, calls: Calls, budget: Budget, clock: Clock, waits_seconds: Sequence[float] = WAITS_SECONDS
    ) -> None:
        """waits_seconds: before each further try."""
        self.calls = calls
        self._budget, self._clock, self._waits = budget, clock, waits_seconds

    async def pull(self, asked: Asked, where: Address, token: str) -> Run:
        """Fetch what is asked for."""
        started_ns, refused = self._clock.now_ns(), asyncio.Event()
        fetching = (
            self._fetch(_Call(where, token, PATHS[kind], kind), partial(rows_in, kind), asked.haste, refused)
            for kind in asked.kinds
        )
        got = dict(zip(asked.kinds, await asyncio.gather(*fetching), strict=True))
        orders, charges = got.get("orders"), None
        if asked.charges and orders and orders.answer and not refused.is_set():
            charges = await self._charges(where, token, orders.answer, asked.haste)
        return Run(asked, uuid.uuid4().hex[:12], started_ns, self._clock.now_ns(), got, charges)

    async def _charges(self, where: Address, token: str, orders: Answer, haste: Haste) -> Charged | None:
        """Ask what the orders that filled cost, call by call until one fails; None where nothing was filled."""
        told: list[note.Told] = []
        last: Got | None = None
        rows = 0
        for asked, number in note.questions(orders):
            call = _Call(where, token, CHARGES_PATH, note.WHAT, asked)
            last = await self._fetch(call, partial(note.rows_in, number), haste, asyncio.Event())
            rows += last.rows
            if last.answer is None:
                break
            told.append(note.Told(asked, last.answer))
        return Charged(told, msgspec.structs.replace(last, rows=rows)) if last else None

    async def turn(self, where: Address, haste: Haste) -> None:
        """Wait until one more call may leave under the API key of this address."""
        await self._budget.turn(where.api_key, haste)

    def without(self, asked: Asked, error: Failure) -> Run:
        """Give the run that could not begin, for the reason that `error` tells."""
        now_ns = self._clock.now_ns()
        got = {kind: Got(None, 0, 0, error) for kind in asked.kinds}
        return Run(asked, uuid.uuid4().hex[:12], now_ns, now_ns, got)

    async def user(self, where: Address, token: str, haste: Haste) -> str:
        """Give the broker's id of the customer whose token it is. Raises TokenRefused, CallFailed and BadInput."""
        what = "whose token it is"
        got = await self._fetch(_Call(where, token, PROFILE_PATH, what), lambda _: 1, haste, asyncio.Event())
        if got.answer is None:
            assert got.error is not None, "what brought nothing says why"
            raise got.error
        try:
            return msgspec.json.decode(got.answer.data, type=_Profile).user_id
        except msgspec.DecodeError as error:
            raise CallFailed("unreadable", what, str(error)) from error

    async def _fetch(self, call: "_Call", rows: Callable[[Answer], int], haste: Haste, refused: asyncio.Event) -> Got:
        error: CallFailed | None = None
        for tries, wait_seconds in enumerate((*self._waits, 0.0), start=1):
            await self._budget.turn(call.where.api_key, haste)
            if refused.is_set():
                found = "the token refused for another kind"
                return Got(None, 0, tries - 1, TokenRefused(f"Kite to give {call.what}", found, "log in"))
            try:
                answer = await self.calls.ask(call.where, call.token, call.path, call.what, call.asked)
                return Got(answer, rows(answer), tries)
            except TokenRefused as refusal:
                refused.set()
                return Got(None, 0, tries, refusal)
            except BadInput as refusal:
                return Got(None, 0, tries, refusal)
            except CallFailed as failure:
                error = failure
            if tries <= len(self._waits):
                await asyncio.sleep(wait_seconds * (1 + JITTER * (2 * random.random() - 1)))
        return Got(None, 0, len(self._waits) + 1, error)


class _Call(msgspec.Struct, frozen=True):
    """One thing to ask for. asked: the body of a POST, None for a GET."""

    where: Address
    token: str
    path: str
    what: str
    asked: bytes | None = None


class _Profile(msgspec.Struct):
    user_id: str


class _Positions(msgspec.Struct):
    net: list[msgspec.Raw] | None = None
    day: list[msgspec.Raw] | None = None


def rows_in(kind: Kind, answer: Answer) -> int:
    """Count the rows of an answer; of positions the net ones. Raises CallFailed where it is none of this kind."""
    try:
        if kind == "positions":
            return len((msgspec.json.decode(answer.data, type=_Positions | None) or _Positions()).net or ())
        if kind == "margins":
            return len(msgspec.json.decode(answer.data, type=dict[str, msgspec.Raw] | None) or ())
        return len(msgspec.json.decode(answer.data, type=list[msgspec.Raw] | None) or ())
    except msgspec.DecodeError as error:
        raise CallFailed("unreadable", kind, str(error)) from error
