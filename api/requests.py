"""What users ask for, as events: the API's one hand on the log.

A request is taken when it is on this machine's disk; Redis and PostgreSQL may be down. The API process owns the stream
`requests`, a second one `requests-2`. Who carries a request out reads it from the log, and drops a repeated key.

States: opening (waits, where the stream is new, until every store has said so) -> open -> closed, with the reason.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec

from events.accounts import (
    AccountSet,
    ActionSet,
    FillSet,
    OrderUpdated,
    PullAccounts,
    RuleRemoved,
    RuleSet,
    StrategySet,
    TariffSet,
)
from events.archive import Archive
from events.log import Log
from events.messages import Retry, SetAside, Subscribe, Sync, Unsubscribe, pack
from events.spool import Spool
from events.takeover import Fence
from events.writer import Writer
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import BadInput, Halt, SpoolMismatch, TakeoverDue, Unreachable
from runtime.log import get
from runtime.settings import Settings
from runtime.waiting import Backoff

STREAM = "requests"
PROCESSES_MAX = 8  # of the API on one data directory; each has a stream of its own
OPENING_SECONDS_MAX = 2.0  # a request that comes during the start waits so long for the stream to open
STOPPING_SECONDS_MAX = 1.0  # for an opening that the stop meets
APPEND_SECONDS_MAX = 5.0  # a healthy disk takes milliseconds; a full one takes nothing
KEYS_MAX = 10_000  # idempotency keys remembered; the consumer of the log knows the older ones

Decision = StrategySet | RuleSet | RuleRemoved | ActionSet | TariffSet | FillSet
Request = Subscribe | Unsubscribe | Sync | Retry | SetAside | PullAccounts | OrderUpdated | AccountSet | Decision

_log = get("requests")


class Taken(msgspec.Struct, frozen=True):
    """Where a request stands in the log."""

    stream: str
    n: int


class Requests:
    """The writer of the requests stream."""

    def __init__(self, settings: Settings, log: Log, archive: Archive, clock: Clock, fence: Fence) -> None:
        """Open nothing yet; `run` does."""
        self._settings = settings
        self._near, self._far, self._clock, self._fence = log, archive, clock, fence
        self._writer: Writer | None = None
        self._by_key: dict[str, tuple[bytes, asyncio.Future[Taken]]] = {}
        self._complaints = Complaints(_log)
        self._decided = asyncio.Event()  # open, or closed for good
        self.shut: str | None = "the request log is being opened"

    async def run(self, stop: asyncio.Event) -> None:
        """Own a stream until the stop. A stream that cannot be written closes requests, and nothing else."""
        backoff = Backoff()
        try:
            while not stop.is_set():
                try:
                    await self._own(stop)
                except Unreachable as error:  # the disk is full, or away
                    self.shut = f"wanted {error.wanted}; found {error.found}; {error.remedy}"
                    self._complaints.say("requests_wait", wanted=error.wanted, found=error.found, remedy=error.remedy)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), backoff.next_seconds())
        except Halt as error:
            self.shut = f"wanted {error.wanted}; found {error.found}; {error.remedy}"
            self._decided.set()
            _log.error("requests_closed", wanted=error.wanted, found=error.found, remedy=error.remedy)

    async def _own(self, stop: asyncio.Event) -> None:
        """Open the stream and write until the stop, or until the log refuses it: the next opening takes it over."""
        writer = await self._open(await asyncio.to_thread(self._take_spool), stop)
        if writer is None:
            return
        self._writer, self.shut = writer, None
        self._decided.set()
        try:
            await self._write(writer, stop)
        except TakeoverDue as error:
            _log.error("requests_refused", wanted=error.wanted, found=error.found, remedy=error.remedy)

    async def _write(self, writer: Writer, stop: asyncio.Event) -> None:
        running = asyncio.ensure_future(writer.run())
        try:
            await _first_of(running, stop)
            if running.done():
                await running
            await writer.drained()
        except* (Halt, TakeoverDue) as group:
            raise _first_error(group) from None
        finally:
            self._writer, self.shut = None, "the API is stopping" if stop.is_set() else "the request log is taken over"
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await writer.close()

    def _take_spool(self) -> Spool:
        root: Path = self._settings.bahi_data_dir / "spool"
        for number in range(1, PROCESSES_MAX + 1):
            stream = STREAM if number == 1 else f"{STREAM}-{number}"
            try:
                return Spool(root / stream, stream)
            except SpoolMismatch:
                if number == PROCESSES_MAX:
                    raise
        raise AssertionError("the last one was returned or raised")

    async def _open(self, spool: Spool, stop: asyncio.Event) -> Writer | None:
        """Open the stream, or give it up at the stop."""
        opening = asyncio.ensure_future(
            Writer.open(
                spool,
                self._near,
                self._far,
                self._clock,
                self._fence,
                roll_bytes=self._settings.spool_file_bytes,
                roll_seconds=self._settings.spool_file_seconds,
            )
        )
        await _first_of(opening, stop)
        # A connection that is being made is let be: given up half-way, the server would hold its end for a minute.
        await asyncio.wait([opening], timeout=STOPPING_SECONDS_MAX)
        if opening.done() and not opening.exception():
            return opening.result()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await asyncio.to_thread(spool.close)
        if not opening.cancelled():
            opening.result()
        return None

    async def take(self, request: Request) -> Taken:
        """Write a request; give its place once it is on disk. One with a known key is the one that was.

        Raises Unreachable while the stream cannot be written, BadInput where the key was another request's.
        """
        if not request.key:
            return await self._append(request)
        body = msgspec.json.encode(request)
        held = self._by_key.get(request.key)
        if held is None:
            return await self._first(request, body)
        if held[0] != body:
            raise BadInput(
                "an Idempotency-Key of its own for each request",
                f"{request.key[:40]!r}, which another request had",
                "send a new key, or the request as it was",
            )
        return await asyncio.shield(held[1])

    async def before(self, key: str) -> tuple[bytes, Taken] | None:
        """Give the request that had this key, as JSON, and its place; None where none is remembered.

        Raises Unreachable where it came to nothing.
        """
        held = self._by_key.get(key)
        return None if held is None else (held[0], await asyncio.shield(held[1]))

    async def _first(self, request: Request, body: bytes) -> Taken:
        taken = asyncio.ensure_future(self._append(request))
        self._by_key[request.key] = (body, taken)
        if len(self._by_key) > KEYS_MAX:
            del self._by_key[next(iter(self._by_key))]
        try:
            return await asyncio.shield(taken)
        except Unreachable:
            self._by_key.pop(request.key, None)
            raise

    async def _append(self, request: Request) -> Taken:
        with suppress(TimeoutError):
            async with asyncio.timeout(OPENING_SECONDS_MAX):
                await self._decided.wait()
        writer = self._writer
        if writer is None:
            raise Unreachable("the request log to be open", self.shut or "", "try again; /ready says what is missing")
        try:
            async with asyncio.timeout(APPEND_SECONDS_MAX):
                n = await writer.append([pack(request, self._clock.now_ns())])
        except TimeoutError:
            raise Unreachable(
                "the disk to take a request",
                f"nothing within {APPEND_SECONDS_MAX:.0f} s",
                "make room under BAHI_DATA_DIR and send it again with the same Idempotency-Key",
            ) from None
        return Taken(writer.stream, n)


async def _first_of(work: "asyncio.Future[Writer] | asyncio.Future[None]", stop: asyncio.Event) -> None:
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()


def _first_error(group: BaseExceptionGroup[Halt | TakeoverDue]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
