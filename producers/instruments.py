"""The instruments of each trading day, and the daily login to the sandbox: one part of `bahi sync`.

    schedule, requests -> REST -> events of the stream `reference` -> spool -> Redis

A refused token stops nothing: it is said, and the part waits for `bahi login` or the API to bring another.
"""

import asyncio
from datetime import UTC, datetime

from events.event import Recorded
from events.messages import Sync, unpack
from events.reader import Reader
from events.writer import Writer
from producers import requests
from producers.kite import dump
from producers.kite.address import SANDBOX, SANDBOX_SECRET, Address, Tokens
from producers.kite.hours import DUMP_TIME, TOKEN_END, business_day
from producers.kite.rest import Rest
from runtime.calendar import IST
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import BadEvent, BadInput, Halt, TokenRefused, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.metrics import SYNC_INSTRUMENTS, SYNC_RUNS
from runtime.settings import Settings
from runtime.waiting import Backoff

STREAM = "reference"
LOOK_SECONDS = 0.5  # how often requests, vault and schedule are looked at
RETRY_SECONDS_MAX = 30.0  # a pull that fails is tried again this often at the most

_log = get("sync")


class Kept(requests.State, kw_only=True):
    """What the worker keeps. dump_day: the trading day of the last dump, ISO; login_day: the same of the sandbox."""

    dump_day: str = ""
    login_day: str = ""


class Worker:
    """The instruments of one broker."""

    def __init__(self, settings: Settings, where: Address, writer: Writer, reader: Reader, clock: Clock) -> None:
        """Take the writer of `reference`; it runs elsewhere."""
        self._where, self._writer, self._reader, self._clock = where, writer, reader, clock
        self._tokens = Tokens(settings, where.broker, clock)
        self._path = settings.bahi_data_dir / "spool" / "sync.json"
        self._kept = requests.load(self._path, Kept)
        self._asked = False  # a user asked for instruments
        self._backoff = Backoff(RETRY_SECONDS_MAX)
        self._again_at = 0.0
        self._complaints = Complaints(_log.bind(broker=where.broker), clock)

    async def run(self, stop: Stop) -> None:
        """Look at schedule and requests until the stop."""
        while not stop.is_set():
            await self._follow()
            if self._clock.monotonic() >= self._again_at:
                await self._pull()
            await stop.pause(LOOK_SECONDS)

    async def _follow(self) -> None:
        try:
            found = await requests.follow(self._reader, self._kept)
        except Unreachable as error:
            self._complaints.say("sync.requests_unreachable", found=error.found)
            return
        except Halt as error:  # the schedule goes on without requests
            self._complaints.say("sync.requests_halted", wanted=error.wanted, found=error.found, remedy=error.remedy)
            return
        self._complaints.heal("sync.requests_unreachable", "sync.requests_halted")
        for request in found:
            self._asked |= self._asks_for_instruments(request)
        if found and not self._asked:  # what was asked is kept as done only when it is
            await self._keep()

    def _asks_for_instruments(self, request: Recorded) -> bool:
        if request.type != "request.sync.v1":
            return False
        try:
            wanted = unpack(request, Sync)
        except BadEvent as error:
            self._complaints.say("sync.request_refused", wanted=error.wanted, found=error.found)
            return False
        return wanted.what == "instruments" and self._kept.is_new(wanted.key)

    async def _pull(self) -> None:
        now = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)
        day = business_day(now, DUMP_TIME).isoformat()
        try:
            if self._where.broker == SANDBOX:
                await self._log_in_to_sandbox(business_day(now, TOKEN_END).isoformat())
            if self._asked or self._kept.dump_day != day:
                await self._pull_instruments(now)
                self._asked, self._kept.dump_day = False, day
                await self._keep()
        except TokenRefused as error:
            SYNC_RUNS.labels("instruments", "refused").inc()
            self._complaints.say("sync.waits_for_token", wanted=error.wanted, found=error.found, remedy=error.remedy)
            self._again_at = self._clock.monotonic() + LOOK_SECONDS
        except (Unreachable, BadInput) as error:
            SYNC_RUNS.labels("instruments", "unreachable").inc()
            said = {"wanted": error.wanted, "found": error.found, "remedy": error.remedy}
            self._complaints.say_late("sync.failed", "sync.waits_for_broker", **said)
            self._again_at = self._clock.monotonic() + self._backoff.next_seconds()
        else:
            self._complaints.heal("sync.waits_for_token", "sync.failed", "sync.waits_for_broker")
            self._backoff.reset()

    async def _log_in_to_sandbox(self, day: str) -> None:
        """Log in at first start and when the day's token has ended; one that was refused before waits for a user."""
        if self._kept.login_day == day:
            return
        rest = Rest(self._where)
        request_token = await asyncio.to_thread(rest.sandbox_request_token)
        token = await asyncio.to_thread(rest.log_in, request_token, SANDBOX_SECRET)
        self._tokens.keep(token)
        self._kept.login_day = day
        await self._keep()
        _log.info("sync.logged_in", broker=self._where.broker)

    async def _pull_instruments(self, now: datetime) -> None:
        token = self._tokens.current()
        asked_ns = self._clock.now_ns()
        try:
            body = await asyncio.to_thread(Rest(self._where, token).instruments)
        except TokenRefused:
            self._tokens.refuse(token)
            raise
        today = now.astimezone(IST).date()
        events = dump.events(self._where.broker, body, today, asked_ns, self._clock.now_ns())
        n = await self._writer.append(events)
        rows = max(0, body.count(b"\n") - 1)
        SYNC_INSTRUMENTS.labels(self._where.broker).set(rows)
        SYNC_RUNS.labels("instruments", "ok").inc()
        _log.info("sync.instruments", rows=rows, parts=len(events) - 1, n=n)

    async def _keep(self) -> None:
        """Keep what was done; where the disk is full, it is done once more after a restart."""
        try:
            await asyncio.to_thread(requests.keep, self._path, self._kept)
        except Unreachable as error:
            self._complaints.say("sync.state_not_kept", wanted=error.wanted, found=error.found, remedy=error.remedy)
        else:
            self._complaints.heal("sync.state_not_kept")
