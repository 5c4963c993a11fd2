"""How each stream stands in its three stores, and how its feed does, by the end of the log."""

import asyncio
from pathlib import Path

import msgspec

from events import codec
from events.archive import Archive
from events.event import Recorded
from events.messages import Beat, Subscribed, is_rest, unpack
from events.redis_log import RedisLog
from ops.facts import spools
from ops.facts.spools import SpoolEnds
from runtime.clock import NS_PER_SECOND

TAIL_ENTRIES = (64, 1024, 8192)  # looked through for two beats: the last holds ten seconds of the busiest connection
RATE_SECONDS = 2.0  # a rate is of at least so long, where so many entries reach back so far
SILENT_SECONDS = 5.0  # a beat comes once a second; invariant 8 gives an idle stream as long


class ProjectorFacts(msgspec.Struct, frozen=True):
    """A projector on a stream. lag_seconds: how long ago its next event was received; owner: `host:pid:start`.

    marked: where its consumer group in Redis stood before the checkpoint was read, 0 where there is none.
    """

    projector: str
    n: int
    lag_events: int
    lag_seconds: float
    held: bool
    owner: str | None
    epoch: int = 0
    marked: int = 0


class StreamFacts(msgspec.Struct):
    """A stream: its last n over all stores, and each store's ends; None where a store does not have it.

    trimmed: the last n that Redis does not hold any more; unarchived_seconds: the age of the oldest event that is not
    in the archive. in_spool_differs: the spool holds another content than Redis under Redis's last n.
    events_per_second: of the last seconds, or of the last events where they come slowly.
    """

    stream: str
    last: int
    spool_first: int | None
    spool_last: int | None
    spool_bytes: int
    redis_last: int | None
    trimmed: int | None
    archived: int | None
    unarchived_seconds: float | None
    newest_ns: int
    in_spool_differs: bool = False
    events_per_second: float = 0.0
    projectors: list[ProjectorFacts] = []


class FeedFacts(msgspec.Struct, frozen=True):
    """A connection of a feed by its beats.

    state: connected, lost (a gap is open, or it never was connected: `down` says why), closed (its markets are), or
    silent (no beat comes).
    """

    stream: str
    state: str
    ticks_per_second: float
    frames_per_second: float
    last_message_seconds: float | None
    beat_seconds: float | None
    gap_from_ns: int | None
    instruments: int | None
    waiting_bytes: int
    down: str | None = None


class Stores:
    """The stores of a data directory, looked at from outside."""

    def __init__(self, log: RedisLog | None, archive: Archive | None, spool_folder: Path, now_ns: int) -> None:
        """log, archive: None where they do not answer."""
        self._log, self._archive, self._spools, self._now_ns = log, archive, spool_folder, now_ns

    async def names(self) -> list[str]:
        """Give all streams that any store knows."""
        folders = [each.name for each in self._spools.iterdir() if each.is_dir()] if self._spools.is_dir() else []
        in_spools = [name for name in folders if any((self._spools / name).glob("*.spool"))]
        in_redis = await self._log.streams() if self._log else []
        in_archive = await self._archive.streams() if self._archive else []
        return sorted({*in_spools, *in_redis, *in_archive})

    async def look(self, stream: str) -> StreamFacts:
        """Look at one stream. Raises Unreachable, ArchiveRotten.

        It grows meanwhile, and is archived. So each store is looked at in the order in which it can only be seen to
        fit: the spool's oldest before the archive, which has what is removed there; Redis and the archive before the
        spool's newest, which has all that they have.
        """
        first = await asyncio.to_thread(spools.oldest, self._spools, stream)
        redis_last, entry = await self._log.last(stream) if self._log else (0, None)
        oldest = await self._entries(stream, 0, 1)
        archived = await self._archive.last(stream) if self._archive else None
        ends = await asyncio.to_thread(spools.ends, self._spools, stream)
        last = max(redis_last, archived or 0, ends.last if ends else 0)
        newest = max([ends.entry if ends else b"", entry or b""], key=lambda each: codec.entry_n(each) if each else 0)
        return StreamFacts(
            stream=stream,
            last=last,
            spool_first=(first or ends.first) if ends else None,
            spool_last=ends.last if ends else None,
            spool_bytes=ends.size if ends else 0,
            redis_last=redis_last if self._log else None,
            trimmed=codec.entry_n(oldest[0]) - 1 if oldest else None,
            archived=archived,
            unarchived_seconds=None if archived in (None, last) else await self._age(stream, (archived or 0) + 1),
            newest_ns=codec.entry_at_ns(newest) if newest else 0,
            in_spool_differs=await asyncio.to_thread(self._differs, stream, ends, entry),
            events_per_second=await self._rate(stream, last),
        )

    async def _rate(self, stream: str, last: int) -> float:
        """Give the events a second up to now, by when one of some time ago was received."""
        for count in TAIL_ENTRIES:
            first = max(1, last - count)
            age = await self._age(stream, first) if last else None
            if age and (age >= RATE_SECONDS or first == 1 or count == TAIL_ENTRIES[-1]):
                return round((last - first) / age, 1)
        return 0.0

    def _differs(self, stream: str, ends: SpoolEnds | None, entry: bytes | None) -> bool:
        if ends is None or entry is None or not ends.first <= codec.entry_n(entry) <= ends.last:
            return False
        mine = spools.entry(self._spools, stream, codec.entry_n(entry))
        return mine is not None and mine != entry

    async def _age(self, stream: str, n: int) -> float | None:
        """Give how many seconds ago event n was received; None where only a store that is away has it."""
        found = await self._entries(stream, n - 1, 1)
        entry = found[0] if found else await asyncio.to_thread(spools.entry, self._spools, stream, n)
        return self._seconds(codec.entry_at_ns(entry)) if entry else None

    async def _entries(self, stream: str, after: int, limit: int) -> list[bytes]:
        return await self._log.read(stream, after, limit) if self._log else []

    def _seconds(self, ns: int) -> float:
        return round(max(0, self._now_ns - ns) / NS_PER_SECOND, 3)

    async def lag_seconds(self, stream: str, n: int, last: int) -> float:
        """Give how long ago the event behind n was received, 0 where there is none."""
        return (await self._age(stream, n + 1) or 0.0) if n < last else 0.0

    async def feed(self, stream: str, last: int) -> FeedFacts:
        """Look at a ticker's stream through its last beats."""
        beats: list[Beat] = []
        events: list[Recorded] = []
        for count in TAIL_ENTRIES:
            events = await self._tail(stream, last, count)
            beats = [unpack(event, Beat) for event in events if event.type == "feed.beat.v1"]
            if len(beats) > 1 and beats[-1].run == beats[-2].run:
                break
        told = [event for event in events if event.type == "feed.subscribed.v1"]
        at = [event.at_ns for event in events if event.type == "feed.beat.v1"]
        return self._feed(stream, beats, at, len(unpack(told[-1], Subscribed).tokens) if told else None)

    async def _tail(self, stream: str, last: int, count: int) -> list[Recorded]:
        after = max(0, last - count)
        entries: list[bytes] = []
        while more := await self._entries(stream, after, count):
            entries += more
            after = codec.entry_n(more[-1])
            if after >= last:
                break
        return [codec.decode(stream, entry) for entry in entries]

    def _feed(self, stream: str, beats: list[Beat], at: list[int], instruments: int | None) -> FeedFacts:
        if not beats:
            return FeedFacts(stream, "silent", 0.0, 0.0, None, None, None, instruments, 0)
        beat, age = beats[-1], self._seconds(at[-1])
        down = beat.down or None
        whole = beat.gap_from_ns is None and down is None
        state = "silent" if age > SILENT_SECONDS else _state(down, whole=whole)
        before = next((place for place, each in enumerate(beats) if each.run == beat.run), len(beats) - 1)
        seconds = (at[-1] - at[before]) / NS_PER_SECOND
        rates = (beat.packets - beats[before].packets, beat.frames - beats[before].frames)
        ticks, frames = (round(each / seconds, 1) if seconds > 0 and state != "silent" else 0.0 for each in rates)
        heard = self._seconds(beat.last_message_ns) if beat.last_message_ns else None
        return FeedFacts(
            stream, state, ticks, frames, heard, age, beat.gap_from_ns, instruments, beat.waiting_bytes, down
        )


def _state(down: str | None, *, whole: bool) -> str:
    """Give the state of a feed whose beats come."""
    if is_rest(down):
        return "closed"
    return "connected" if whole else "lost"
