"""The one writer of a stream: takes events, keeps them on disk, and brings them to Redis.

Promise: `append` returns when the events are on this machine's disk; from then on they reach Redis, in order, once,
whatever dies. Redis never knows what the disk has not.

    append -> waiting -> [commit loop: spool.write, fdatasync] -> recent -> [send loop: compare-and-append] -> Redis

States of the send loop:

    ASKING   the last n in Redis is not known: read it together with its entry, compare that with our own record,
             and go on behind it; also after every lost answer, every gap, and while nothing is sent for a second
    SENDING  batches from `recent`, or from the spool where Redis was away for long

Failures. Redis slow or gone: the spool goes on, sending is tried again for ever with growing waits. Redis lost its
tail or everything: ASKING finds the lower last n and sends again from there; what is archived already is jumped.
Redis holds another content, or more than the disk: `LogRefused` or `SpoolMismatch` ends the process, because two
writers are at work or a disk forgot. The disk is full: nothing is accepted until there is room, and the caller waits.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from events import codec
from events.archive import Archive
from events.event import Event
from events.log import Log
from events.messages import Takeover, pack
from events.spool import Spool
from runtime.clock import Clock
from runtime.errors import SpoolMismatch, Unreachable
from runtime.log import get
from runtime.waiting import Backoff

SEND_ENTRIES_MAX = 128  # one append; more gains nothing and holds Redis up for longer
SEND_BYTES_MAX = 1024 * 1024
RECENT_BYTES_MAX = 32 * 1024 * 1024  # kept in memory for sending; behind it the spool is read
IDLE_CHECK_SECONDS = 1.0  # a quiet writer asks Redis for its last n this often: it may have lost its tail
CLOSE_SECONDS_MAX = 3.0  # for Redis to take the rest at a stop; what it has not taken is on the disk

AskCheckpoints = Callable[[str], Awaitable[int]]  # the highest n that any projector has of a stream; raises Unreachable

_log = get("writer")


class Writer:
    """Owner of one stream. Its verbs: open, append, run, close."""

    def __init__(self, spool: Spool, log: Log, archive: Archive, clock: Clock, roll_bytes: int, roll_seconds: int) -> None:
        """Use `open`, which also looks at what is there already."""
        self.stream = spool.stream
        self._spool, self._near, self._far, self._clock = spool, log, archive, clock
        self._roll_bytes, self._roll_seconds = roll_bytes, roll_seconds
        self._rolled_at = clock.monotonic()
        self._waiting: deque[tuple[Sequence[Event], asyncio.Future[int]]] = deque()
        self._wake = asyncio.Event()
        self._recent: deque[tuple[int, bytes]] = deque()
        self._recent_bytes = 0
        self._reread: list[bytes] = []  # the rest of the spool file that Redis is being filled from
        self._grown = asyncio.Event()
        self.last = 0  # the last n that is on the disk: written and synced
        self.sent = 0  # the last n that Redis is known to have
        self.reaches_log = False

    @classmethod
    async def open(
        cls,
        spool: Spool,
        log: Log,
        archive: Archive,
        clock: Clock,
        checkpoints: AskCheckpoints,
        *,
        roll_bytes: int,
        roll_seconds: int,
    ) -> "Writer":
        """Take up the stream of `spool` where it stands, or begin a new one with an empty log.takeover at n = 1.

        Raises SpoolMismatch where the spool is missing or behind though the stream is known elsewhere. Waits, saying
        for which, until all stores have answered, but only where the spool is empty.
        """
        writer = cls(spool, log, archive, clock, roll_bytes, roll_seconds)
        if await asyncio.to_thread(spool.load):
            writer.last = spool.last
            await writer._compare_archive()
        else:
            await writer._begin(checkpoints)
        return writer

    @property
    def unsent(self) -> int:
        """How many events are on the disk and not known to be in Redis."""
        return self.last - self.sent

    async def append(self, events: Sequence[Event]) -> int:
        """Keep events, in order; give the n of the first, once all are on the disk."""
        assert events, "nothing is never appended"
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Commit and send until cancelled. Raises Halt where going on would lose or double something."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commit_loop())
            tasks.create_task(self._send_loop())

    async def close(self) -> None:
        """Let go of the spool; call it when `run` has ended."""
        await asyncio.to_thread(self._spool.close)

    async def drained(self) -> bool:
        """Wait until Redis has all that is on the disk, at most CLOSE_SECONDS_MAX; say whether it has."""
        deadline = self._clock.monotonic() + CLOSE_SECONDS_MAX
        while self.unsent and self._clock.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not self.unsent

    # ---- opening -----------------------------------------------------------------------------------------------

    async def _compare_archive(self) -> None:
        archived = await self._far.last(self.stream)
        if archived > self._spool.last:
            raise self._mismatch(f"the archive ends at {archived} and the spool at {self._spool.last}")

    async def _begin(self, checkpoints: AskCheckpoints) -> None:
        known = {
            "the checkpoints": await self._asked("the checkpoints", lambda: checkpoints(self.stream)),
            "Redis": await self._asked("Redis", self._ask_redis),
            "the archive": await self._asked("the archive", lambda: self._far.last(self.stream)),
        }
        if any(known.values()):
            said = ", ".join(f"{who} up to {n}" for who, n in known.items() if n)
            raise self._mismatch(f"an empty spool in {self._spool.folder}, though the stream is known to {said}")
        await asyncio.to_thread(self._spool.begin, 1)
        opening = Takeover(host=socket.gethostname(), tombstones=[], checkpoints={})
        entries = [codec.encode(1, pack(opening, self._clock.now_ns()))]
        await asyncio.to_thread(self._write, entries)
        self._keep(entries)

    async def _ask_redis(self) -> int:
        return (await self._near.last(self.stream))[0]

    async def _asked(self, who: str, ask: Callable[[], Awaitable[int]]) -> int:
        backoff = Backoff()
        while True:
            try:
                return await ask()
            except Unreachable as error:
                _log.warning("stream_opening_waits", stream=self.stream, waits_for=who, found=error.found)
                await backoff.wait()

    def _mismatch(self, found: str) -> SpoolMismatch:
        return SpoolMismatch(
            f"the spool of {self.stream} to hold all that is not archived",
            found,
            f"bring back the folder {self._spool.folder}; if that disk is lost, see docs/durability.md",
        )

    # ---- committing --------------------------------------------------------------------------------------------

    async def _commit_loop(self) -> None:
        backoff = Backoff()
        while True:
            await self._wait_for_work()
            taken = list(self._waiting)
            events = [event for batch, _ in taken for event in batch]
            first = self._spool.last + 1
            entries = [codec.encode(first + place, event) for place, event in enumerate(events)]
            try:
                if entries:
                    await asyncio.to_thread(self._write, entries)
                await self._roll_if_due()
            except Unreachable as error:  # the disk is full: all stays waiting
                _log.error("spool_full", stream=self.stream, wanted=error.wanted, found=error.found)
                await backoff.wait()
                if self._spool.last < first + len(entries) - 1:
                    continue
            backoff.reset()
            self._keep(entries)
            for batch, done in taken:
                self._waiting.popleft()
                if not done.done():
                    done.set_result(first)
                first += len(batch)

    async def _wait_for_work(self) -> None:
        while not self._waiting:
            self._wake.clear()
            try:
                async with asyncio.timeout(IDLE_CHECK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                return  # a file may be due to be closed

    def _write(self, entries: list[bytes]) -> None:
        self._spool.write(entries)
        self._spool.sync()

    async def _roll_if_due(self) -> None:
        now = self._clock.monotonic()
        holds = self._spool.last - self._spool.first + 1
        due = self._spool.size >= self._roll_bytes or now - self._rolled_at >= self._roll_seconds
        if holds > 0 and due:
            await asyncio.to_thread(self._spool.begin, self._spool.last + 1)
            self._rolled_at = now

    def _keep(self, entries: list[bytes]) -> None:
        for entry in entries:
            self._recent.append((codec.entry_n(entry), entry))
            self._recent_bytes += len(entry)
        while self._recent_bytes > RECENT_BYTES_MAX:
            self._recent_bytes -= len(self._recent.popleft()[1])
        self.last = self._spool.last
        self._grown.set()

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
                self._tell_reached(False, found=error.found)
                await backoff.wait()

    def _tell_reached(self, reached: bool, found: str = "") -> None:
        if reached != self.reaches_log:
            self.reaches_log = reached
            _log.info("log_reached" if reached else "log_unreachable", stream=self.stream, unsent=self.unsent, found=found)

    async def _ask_place(self) -> int:
        """ASKING: set `sent` from the log's last entry, compared with our own; give the archived n (rule 6)."""
        last, entry = await self._near.last(self.stream)
        archived = await self._far.last(self.stream)
        if last > self.last:
            raise self._mismatch(f"Redis ends at {last} and the spool at {self.last}")
        if entry is not None:
            own = await self._own(last)
            if own is not None and own != entry:
                raise self._mismatch(f"Redis holds another content under n = {last}")
        oldest = await asyncio.to_thread(self._spool.oldest)
        if last + 1 < oldest and archived < oldest - 1:
            raise self._mismatch(f"Redis ends at {last}, the archive at {archived}, the spool begins at {oldest}")
        self.sent = max(last, oldest - 1)
        return archived

    async def _own(self, n: int) -> bytes | None:
        entries = await self._after(n - 1)
        if not entries:
            entries = await self._far.entries(self.stream, n, 1)
        return entries[0] if entries else None

    async def _after(self, n: int) -> list[bytes]:
        """Give entries from n + 1 on, as many as one append takes, from memory or from the spool."""
        if self._recent and self._recent[0][0] <= n + 1:
            self._reread = []
            start = n + 1 - self._recent[0][0]
            entries = [self._recent[place][1] for place in range(start, min(len(self._recent), start + SEND_ENTRIES_MAX))]
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
        answer = await self._near.append(self.stream, entries, archived)
        self.sent = answer.last
        return not answer.gap
