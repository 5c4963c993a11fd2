"""A parked event tried again, because a user asked for it after a fix.

Promise: what can be read of the event now has its rows, once; what cannot is parked as before, with the newest reason;
one request is one try. The pair's own loop does it, which holds the lease, so nobody else writes meanwhile.

    request to retry n, not tried yet -> read n from the log -> BEGIN; the checkpoint stays where it is (the epoch is
    compared); the rows that n has, and what is parked of it, are taken away; a fresh projector absorbs n alone and
    writes; what came of it is noted under the request's number; COMMIT

Only projections whose rows each stand for themselves can do this (`Projection.forget`).

Failures. Killed, or the answer to the commit lost: the note is there or it is not, with the rows, and the next look
goes by it. The event is refused again, by the decoder or by PostgreSQL, or this code has a defect, or the log does not
have it any more: all stays as it is but the reason, that is noted, and the pair goes on. A server or the archive does
not answer: tried again later, behind all others, because a live feed waits for nobody's retry. An event that the
pair has not come to yet, after a loss of the database: tried when it has. One beyond the log's end: refused.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from events.event import Recorded
from events.reader import Reader
from projectors.projector import Projection
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import BadEvent, BahiError, LeaseLost, Unreachable
from runtime.log import get
from runtime.metrics import PROJECTOR_TRIED
from sql.store import LEASE_SECONDS, Lease, Rows, Store

TRIES_MAX = 16  # in one look: well under a second; the next look comes a second later
READ_SECONDS_MAX = LEASE_SECONDS / 4  # from an archive that hangs: the lease is kept, and live events wait no longer
STATEMENT_SECONDS_MAX = READ_SECONDS_MAX  # of PostgreSQL in a try, for the same reason; it needs milliseconds
LOCK_SECONDS_MAX = 0.5  # in a try: whoever holds the rows of an old event, live ones do not wait for him
LOOK_SECONDS_MAX = 1.0  # then live events have their turn, also where each try is slow
LATER_SECONDS = 30.0  # after no answer, from an archive or a server: so live events wait for about a tenth
TOMBSTONE = "log.tombstone.v1"


class Asked(msgspec.Struct, frozen=True):
    """A request to retry event n, by its place in the log."""

    requests_stream: str
    requests_n: int
    n: int

    @property
    def name(self) -> str:
        """Give the request's own place in one word, as `Store.open_retries` has it."""
        return f"{self.requests_stream} {self.requests_n}"


class Came(msgspec.Struct, frozen=True):
    """What came of a try.

    gained: packets that are rows now and were not. packets_left: that still cannot be read. unread: whether it had been
    the decoder that refused the event or a part of it, and not the database. refused: why nothing was gained.
    """

    gained: int = 0
    packets_left: int = 0
    unread: bool = False
    refused: str | None = None


class Retries:
    """The retries of one pair."""

    def __init__(self, projection: Projection, store: Store, reader: Reader, clock: Clock) -> None:
        """Share the store and the reader of the pair's loop, which calls `look` between two batches."""
        self._projection, self._store, self._reader, self._clock = projection, store, reader, clock
        self._log = get("projector").bind(projector=projection.name)
        self._complaints = Complaints(self._log)
        self._not_before = -math.inf
        self._put_off: set[str] = set()  # requests that found no answer since the others had their turn

    async def look(self, lease: Lease) -> None:
        """Try what users have asked for since. Raises LeaseLost where another owner has the pair."""
        if self._projection.forget is None or self._clock.monotonic() < self._not_before:
            return
        began = self._clock.monotonic()
        try:
            wanted = await self._wanted(lease)
            for asked in wanted:
                if asked.n <= lease.n:
                    await self._try(lease, asked, lease.n)
                if self._clock.monotonic() - began > LOOK_SECONDS_MAX:
                    return
            await self._refuse_beyond(lease, [asked for asked in wanted if asked.n > lease.n])
            self._complaints.heal("projector.retry_waits")
        except Unreachable as error:
            self._not_before = self._clock.monotonic() + LATER_SECONDS
            self._complaints.say("projector.retry_waits", wanted=error.wanted, found=error.found, remedy=error.remedy)

    async def _wanted(self, lease: Lease) -> list[Asked]:
        """Give requests, those put off only when all others had their turn."""
        found = msgspec.convert(await self._store.open_retries(lease, TRIES_MAX, self._put_off), list[Asked])
        if fresh := [asked for asked in found if asked.name not in self._put_off]:
            return fresh
        self._put_off.clear()
        return found

    async def _refuse_beyond(self, lease: Lease, ahead: list[Asked]) -> None:
        """Refuse what the log does not have; what it has, and the pair has not come to, waits."""
        end = await self._end(lease.stream) if ahead else 0
        for asked in ahead:
            if asked.n > end:
                await self._try(lease, asked, end)

    async def _end(self, stream: str) -> int:
        """Give the last n of the log. Raises Unreachable."""
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                return await self._reader.last(stream)
        except TimeoutError:
            raise Unreachable(f"the end of {stream}", "no answer in time", "it is tried again") from None

    async def _try(self, lease: Lease, asked: Asked, end: int) -> None:
        """Try one event, and note what came of it. end: of the log, as far as it had to be asked for."""
        self._put_off.add(asked.name)
        try:
            event = await self._read(lease.stream, asked.n, end)
            async with self._begin(lease) as rows:
                came = await self._again(rows, event)
                await self._note(rows, lease, asked, came)
        except (LeaseLost, Unreachable):
            raise
        except BahiError as error:
            came = await self._refuse(lease, asked, str(error))
        except Exception as error:  # noqa: BLE001  # a defect that this event meets stops no live one
            self._log.exception("projector.retry_failed", stream=lease.stream, n=asked.n)
            came = await self._refuse(lease, asked, f"a defect: {type(error).__name__}: {error}")
        self._put_off.discard(asked.name)
        outcome = "refused" if came.refused else "read"
        PROJECTOR_TRIED.labels(lease.projector, outcome).inc()
        self._log.info(
            "projector.retried",
            stream=lease.stream,
            n=asked.n,
            gained=came.gained,
            left=came.packets_left,
            refused=came.refused,
        )

    async def _read(self, stream: str, n: int, end: int) -> Recorded:
        if n > end:
            raise BadEvent(f"n = {n} in the log", f"{stream} ends at n = {end}", "bahi parked lists what can be tried")
        return await self._reader.event(stream, n, READ_SECONDS_MAX)

    @asynccontextmanager
    async def _begin(self, lease: Lease) -> AsyncIterator[Rows]:
        """Begin a transaction that lets the checkpoint stand, and holds up live events for a moment only."""
        async with self._store.begin(lease, lease.n) as rows:
            limits = {"statement_ms": round(STATEMENT_SECONDS_MAX * 1000), "lock_ms": round(LOCK_SECONDS_MAX * 1000)}
            await rows.run("hurry", limits)
            yield rows

    async def _again(self, rows: Rows, event: Recorded) -> Came:
        """Take away what is there of an event, and write what can be read of it now. Raises BadEvent."""
        forget = self._projection.forget
        assert forget is not None, "asked before"
        before = await rows.run("parked_parts", self._place(event))
        if not before:
            raise BadEvent(f"n = {event.n} of {event.stream} to be parked", "it is not", "nothing is to be done")
        if event.type == TOMBSTONE:
            found = "a tombstone: the event was lost with a disk"
            raise BadEvent(f"n = {event.n} of {event.stream} in the log", found, "what is parked is all there is")
        declared, unread = self._projection.packets(event), _packets(before)
        projector = self._projection.make(event.stream)
        await projector.recall(rows)
        projector.absorb([event])
        removed = await forget(rows, event) if declared > unread else 0
        if removed != max(0, declared - unread):
            raise BadEvent(
                f"{declared - unread} rows of n = {event.n}, at the times of its packets",
                f"{removed}: they were made otherwise, or are past retention",
                f"bahi rebuild {self._projection.name} makes all rows again",
            )
        await rows.run("forget_parked", self._place(event))
        projector.due(math.inf)
        await projector.write(rows)
        left = await rows.run("parked_parts", self._place(event))
        gained = unread - _packets(left)
        whole = len(before) == 1 and bytes(before[0]["payload"]) == event.payload and unread == declared > 0
        return Came(gained, _packets(left), not whole, left[0]["error"] if left and not gained else None)

    async def _refuse(self, lease: Lease, asked: Asked, error: str) -> Came:
        """Leave all as it is but the reason."""
        async with self._begin(lease) as rows:
            place = {"projector": lease.projector, "stream": lease.stream, "n": asked.n}
            await rows.run("refuse_parked", {**place, "error": error})
            came = Came(packets_left=_packets(await rows.run("parked_parts", place)), refused=error)
            await self._note(rows, lease, asked, came)
        return came

    async def _note(self, rows: Rows, lease: Lease, asked: Asked, came: Came) -> None:
        pair = {"projector": lease.projector, "stream": lease.stream}
        await rows.run("keep_try", {**msgspec.structs.asdict(asked), **pair, **msgspec.structs.asdict(came)})

    def _place(self, event: Recorded) -> dict[str, Any]:
        return {"projector": self._projection.name, "stream": event.stream, "n": event.n}


def _packets(parts: list[dict[str, Any]]) -> int:
    return sum(int(part["packets"]) for part in parts)
