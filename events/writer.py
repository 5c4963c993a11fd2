"""The one writer of a stream: takes events, keeps them on disk, and brings them to Redis.

Promise: `append` returns when the events are on this machine's disk; from then on they reach Redis, in order, once,
whatever dies. Redis never knows what the disk has not.

    append -> waiting -> [commit loop: spool.write, fdatasync] -> recent -> [send loop: compare-and-append] -> Redis

States of the send loop:

    ASKING   the last n in Redis is not known: read it together with its entry, compare that with our own record,
             and go on behind it; also after every lost answer, every gap, and while nothing is sent for a second
    SENDING  batches from `recent`, or from the spool where Redis was away for long; each names the entry before it,
             so that a server that took another's place between two batches is found out by the append itself

Failures. Redis slow or gone: the spool goes on, sending is tried again for ever with growing waits. Redis lost its
tail or everything: ASKING finds the lower last n and sends again from there; what is archived already is jumped.
Redis holds another content, or more than the disk: two writers are at work or a disk forgot. `TakeoverDue` ends this
writer and the next start takes the stream over (`events.takeover`); refused again after that, it is `SpoolMismatch` and
it starts no more. The disk is full: nothing is accepted until there is room, and the caller waits.
The archive is away: no feed waits for it, but where Redis is empty and nobody else can tell what is missing.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from events import codec
from events.archive import Archive
from events.event import Event
from events.log import Log
from events.opening import archived_last, behind_archive, mismatch, open_spool
from events.spool import Spool
from events.standing import refused
from events.takeover import Fence
from runtime import metrics
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import BahiError, LogRefused, SpoolMismatch, TakeoverDue, Unreachable
from runtime.log import get
from runtime.waiting import Backoff, in_thread

SEND_ENTRIES_MAX = 128  # one append; more gains nothing and holds Redis up for longer
SEND_BYTES_MAX = 1024 * 1024
RECENT_BYTES_MAX = 32 * 1024 * 1024  # kept in memory for sending; behind it the spool is read
IDLE_CHECK_SECONDS = 1.0  # a quiet writer asks Redis for its last n this often: it may have lost its tail
CLOSE_SECONDS_MAX = 3.0  # for Redis to take the rest at a stop; what it has not taken is on the disk

_log = get("writer")


class Writer:
    """Owner of one stream. Its verbs: open, append, run, drained, close."""

    def __init__(
        self, spool: Spool, log: Log, archive: Archive, clock: Clock, roll_bytes: int, roll_seconds: int
    ) -> None:
        """Use `open`, which also looks at what is there already."""
        self.stream = spool.stream
        self._spool, self._near, self._far, self._clock = spool, log, archive, clock
        self._roll_bytes, self._roll_seconds = roll_bytes, roll_seconds
        self._rolled_at = clock.monotonic()
        self._waiting: deque[tuple[Sequence[Event], asyncio.Future[int]]] = deque()
        self._complaints = Complaints(_log.bind(stream=spool.stream))
        self._wake = asyncio.Event()
        self._recent: deque[tuple[int, bytes]] = deque()
        self._recent_bytes = 0
        self._reread: list[bytes] = []  # the rest of the spool file that Redis is being filled from
        self._grown = asyncio.Event()
        self._moved = asyncio.Event()
        self._ended = False
        self._archive_seen = False  # the spool's place behind the archive has been checked
        self.last = 0  # the last n that is on the disk: written and synced
        self.sent = 0  # the last n that Redis is known to have
        self._sent_entry: bytes | None = None  # what stands there; None where Redis is filled across the archive
        self.reaches_log = False

    @classmethod
    async def open(
        cls,
        spool: Spool,
        log: Log,
        archive: Archive,
        clock: Clock,
        fence: Fence,
        *,
        roll_bytes: int,
        roll_seconds: int,
    ) -> "Writer":
        """Take up the stream of `spool` where it stands, or take it over; a new one begins with a log.takeover.

        Raises SpoolMismatch where another writer is at work. Waits, saying for which, until all stores have answered,
        but only where the stream is taken over.
        """
        writer = cls(spool, log, archive, clock, roll_bytes, roll_seconds)
        writer._archive_seen = await open_spool(spool, log, archive, fence, clock)
        writer.last = spool.last
        return writer

    @property
    def unsent(self) -> int:
        """How many events are on the disk and not known to be in Redis."""
        return self.last - self.sent

    async def append(self, events: Sequence[Event]) -> int:
        """Keep events, in order; give the n of the first, once all are on the disk.

        Raises BadInput for an event that cannot be in the log, and then keeps none of them; Unreachable where the
        writer ended meanwhile. Then, and where the caller gives up waiting, it is not known whether they are kept.
        """
        assert events, "nothing is never appended"
        for event in events:
            codec.check(event)
        if self._ended:
            raise self._over()
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Commit and send until cancelled. Raises TakeoverDue, or Halt where a new start would not help either."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._commit_loop())
                tasks.create_task(self._send_loop())
        finally:
            self._end()

    def _end(self) -> None:
        self._ended = True
        for _, done in self._waiting:
            if not done.done():
                done.set_exception(self._over())
        self._waiting.clear()

    def _over(self) -> Unreachable:
        return Unreachable(f"the writer of {self.stream} to run", "it has ended", "see its log for why; start it again")

    async def drained(self) -> bool:
        """Wait until Redis has all that is on the disk, at most CLOSE_SECONDS_MAX; say whether it has."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                while self.unsent:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Let go of the spool; call it when `run` has ended."""
        self._end()
        await asyncio.to_thread(self._spool.close)

    # ---- committing --------------------------------------------------------------------------------------------

    async def _commit_loop(self) -> None:
        backoff = Backoff()
        while True:
            await self._wait_for_work()
            try:
                await self._commit_waiting()
                await self._roll_if_due()
                self._complaints.heal("spool_full")
                backoff.reset()
            except Unreachable as error:  # the disk is full: what is not written stays waiting
                self._complaints.say("spool_full", wanted=error.wanted, found=error.found, remedy=error.remedy)
                await backoff.wait()

    async def _wait_for_work(self) -> None:
        if self._waiting:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(IDLE_CHECK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return  # a file may be due to be closed

    async def _commit_waiting(self) -> None:
        taken = [each for each in self._waiting if not each[1].cancelled()]  # who gave up is told of nothing
        self._waiting = deque(taken)
        if not taken:
            return
        n = self._spool.last + 1
        events = [event for batch, _ in taken for event in batch]
        await self._commit([codec.encode(n + place, event) for place, event in enumerate(events)])
        for batch, done in taken:
            self._waiting.popleft()
            if not done.done():
                done.set_result(n)
            n += len(batch)

    async def _commit(self, entries: list[bytes]) -> None:
        """Bring entries to the disk as one commit, and to the send loop."""
        with metrics.LOG_SYNC_SECONDS.labels(self.stream).time():
            await in_thread(lambda: self._write(entries))
        for entry in entries:
            self._recent.append((codec.entry_n(entry), entry))
            self._recent_bytes += len(entry)
        while self._recent_bytes > RECENT_BYTES_MAX:
            self._recent_bytes -= len(self._recent.popleft()[1])
        self.last = self._spool.last
        self._grown.set()
        metrics.LOG_EVENTS.labels(self.stream).inc(len(entries))
        metrics.LOG_LAST_N.labels(self.stream).set(self.last)

    def _write(self, entries: list[bytes]) -> None:
        self._spool.write(entries)
        self._spool.sync()

    async def _roll_if_due(self) -> None:
        now = self._clock.monotonic()
        holds = self._spool.last - self._spool.first + 1
        due = self._spool.size >= self._roll_bytes or now - self._rolled_at >= self._roll_seconds
        if holds > 0 and due:
            await in_thread(lambda: self._spool.begin(self._spool.last + 1))
            self._rolled_at = now
            await self._measure()

    async def _measure(self) -> None:
        metrics.LOG_SPOOL_BYTES.labels(self.stream).set(await asyncio.to_thread(self._spool.held_bytes))

    # ---- sending -----------------------------------------------------------------------------------------------

    async def _send_loop(self) -> None:
        backoff = Backoff()
        while True:
            try:
                archived = await self._ask_place()
                self._tell_reached(True)
                backoff.reset()
                while await self._send_batch(archived):
                    pass
            except Unreachable as error:
                metrics.LOG_FAILURES.labels(self.stream).inc()
                self._tell_reached(False, found=error.found)
                await backoff.wait()
            except (LogRefused, SpoolMismatch) as error:
                raise await self._refused(error) from error

    async def _refused(self, error: BahiError) -> BahiError:
        """Remember the refusal for the next start; give the error that ends this run."""
        why = f"wanted {error.wanted}; found {error.found}"
        standing = await in_thread(lambda: refused(self._spool.folder, why, self._clock.now_ns()))
        if standing.state == "stopped":
            return SpoolMismatch(
                f"to be the only writer of {self.stream}",
                f"a refusal again after a takeover: {error.found}",
                "stop the other writer; see docs/durability.md",
            )
        return TakeoverDue(error.wanted, error.found, f"at its next start {self.stream} is taken over")

    def _tell_reached(self, reached: bool, found: str = "") -> None:
        if reached != self.reaches_log:
            self.reaches_log = reached
            event = "log_reached" if reached else "log_unreachable"
            _log.info(event, stream=self.stream, unsent=self.unsent, **({"found": found} if found else {}))

    async def _ask_place(self) -> int:
        """ASKING: set `sent` from the log's last entry, compared with our own; give the archived n (rule 6)."""
        await self._measure()
        last, entry = await self._near.last(self.stream)
        if not self._archive_seen:
            await self._see_archive(needed=last == 0)
        if last > self.last:
            raise mismatch(self._spool, f"Redis ends at {last} and the spool at {self.last}")
        if entry is not None and entry != await self._own(last):
            raise mismatch(self._spool, f"Redis holds another content under n = {last}")
        # In this order, so that what the archiver removed after copying it is seen in the archive.
        oldest = await asyncio.to_thread(self._spool.oldest)
        archived = await archived_last(self._far, self.stream) if last + 1 < oldest else 0
        if last + 1 < oldest and archived < oldest - 1:
            found = f"Redis ends at {last}, the archive at {archived}, the spool begins at {oldest}"
            raise mismatch(self._spool, found)
        self._move(max(last, oldest - 1), entry if last >= oldest - 1 else None)
        return archived

    async def _see_archive(self, needed: bool) -> None:
        """Check the spool's place behind the archive, once; where it is away, go on if Redis can tell a short spool."""
        try:
            await behind_archive(self._spool, self._far)
            self._archive_seen = True
        except Unreachable as error:
            _log.warning("archive_unreachable", stream=self.stream, found=error.found)
            if needed:
                raise

    def _move(self, sent: int, entry: bytes | None) -> None:
        self.sent, self._sent_entry = sent, entry
        self._moved.set()
        metrics.LOG_SENT_N.labels(self.stream).set(sent)

    async def _own(self, n: int) -> bytes | None:
        if n == self.sent and self._sent_entry is not None:
            return self._sent_entry
        entries = await self._after(n - 1) or await self._far.entries(self.stream, n, 1)
        return entries[0] if entries else None

    async def _after(self, n: int) -> list[bytes]:
        """Give entries from n + 1 on, as many as one append takes, from memory or from the spool."""
        if n >= self.last:
            return []
        if self._recent and self._recent[0][0] <= n + 1:
            self._reread = []
            start = n + 1 - self._recent[0][0]
            stop = min(len(self._recent), start + SEND_ENTRIES_MAX)
            entries = [self._recent[place][1] for place in range(start, stop)]
        else:
            entries = await self._from_spool(n + 1)
        size = 0
        for place, entry in enumerate(entries):
            size += len(entry)
            if size > SEND_BYTES_MAX and place:
                return entries[:place]
        return entries

    async def _from_spool(self, n: int) -> list[bytes]:
        """Give entries from n on out of the spool, whose files are read once, not once for each batch."""
        place = n - codec.entry_n(self._reread[0]) if self._reread else -1
        if not 0 <= place < len(self._reread):
            synced = self.last  # read before the file, which may hold records that are not synced yet
            entries = await asyncio.to_thread(self._spool.read, n)
            self._reread, place = [entry for entry in entries if codec.entry_n(entry) <= synced], 0
        return self._reread[place : place + SEND_ENTRIES_MAX]

    async def _send_batch(self, archived: int) -> bool:
        """SENDING: bring one batch to Redis, or wait for one; say whether the place is still known."""
        if self.sent == self.last:
            self._grown.clear()
            try:
                async with asyncio.timeout(IDLE_CHECK_SECONDS):
                    await self._grown.wait()
            except TimeoutError:
                return False
        entries = await self._after(self.sent)
        if not entries:
            return False
        with metrics.LOG_APPEND_SECONDS.labels(self.stream).time():
            answer = await self._near.append(self.stream, entries, archived, self._sent_entry)
        taken = answer.last == codec.entry_n(entries[-1])  # else there is a gap, or a lost request came late
        self._move(answer.last, entries[-1] if taken else None)
        return taken
