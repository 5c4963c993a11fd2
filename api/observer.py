"""What the API sees of everybody else, as metrics: an alarm must not die with what it watches.

A projector that is dead, halted or frozen says nothing of itself, and neither does an archiver. So positions are
compared with the log from outside, by the one process that has both before it and without which nobody reads metrics
anyway. Once a second what costs a few short questions (invariant 8 wants its alarm after five), four times a minute
what costs more: the archive's listing, disks, what is parked.

What cannot be asked is not shown: the metric of its server is 0 then, and nothing is shown as it was before. Each look
that came to its end leaves its time, so that a look that hangs or fails shows as well.
"""

import asyncio
from collections.abc import Iterator
from typing import Literal, get_args

import msgspec
from prometheus_client import Gauge

from api.accounts.watched import AccountGauges
from api.disks import Disks
from api.gauges import Gauges, Labels
from api.tables import Tables
from events import codec, redis_facts
from events.archive import Archive
from events.log import Log
from runtime import calendar, metrics
from runtime.clock import NS_PER_SECOND, Clock
from runtime.errors import BahiError, SettingError, Unreachable
from runtime.log import get
from runtime.settings import Settings

LOOK_SECONDS = 1.0
FAR_SECONDS = 15.0  # a segment comes once in a minute at most, and each listing of a bucket costs
ARCHIVE_SECONDS_MAX = 5.0  # an archive that needs longer is one that does not answer

Values = dict[Labels, float]
Look = Literal["positions", "stores", "disks"]
_log = get("observer")


class Checkpoint(msgspec.Struct, frozen=True):
    """A row of the checkpoints."""

    projector: str
    stream: str
    n: int


class Parked(msgspec.Struct, frozen=True):
    """How many events of a stream a projector could not read; those that were set aside do not count."""

    projector: str
    stream: str
    events: int


class Lost(msgspec.Struct, frozen=True):
    """Of how many events that a takeover gave up a projector has rows."""

    projector: str
    stream: str
    lost: int


class _Seen(msgspec.Struct):
    """What one look sees of the checkpoints."""

    n: Values = {}
    behind: Values = {}
    seconds: Values = {}
    still: Values = {}
    ahead: Values = {}


class Observer:
    """Looks at log, tables, archive, servers and disks, and shows what it sees."""

    def __init__(self, settings: Settings, clock: Clock, tables: Tables, near: Log, far: Archive) -> None:
        """Take the log's two ends, an archive of its own."""
        self._settings, self._clock, self._tables = settings, clock, tables
        self._near, self._far = near, far
        self._disks = Disks(settings)
        self._gauges = Gauges()
        self._accounts = AccountGauges(settings, clock, tables)
        self._stood: dict[Labels, tuple[int, float]] = {}  # where each pair stands, and since when
        self._archived: dict[str, int] = {}

    async def run(self) -> None:
        """Look for ever."""
        for each in get_args(Look):
            self._looked(each)  # from here on its age tells that it never came
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_disks())  # apart: a disk that hangs blinds nobody to the rest
            tasks.create_task(self._watch_stores())

    async def _watch_stores(self) -> None:
        far_at = -FAR_SECONDS
        while True:
            try:
                if self._clock.monotonic() - far_at >= FAR_SECONDS:
                    far_at = self._clock.monotonic()
                    await self.look_far()
                await self.look()
            except BahiError as error:  # a log that cannot be read is said by whoever reads it
                _log.debug("observer.saw_nothing", wanted=error.wanted, found=error.found)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Compare the checkpoints with the log. Raises BahiError where the log holds what cannot be read."""
        now_ns = self._clock.now_ns()
        self._show(metrics.MARKET_OPEN, dict(_open_markets(now_ns)))
        checkpoints = await self._checkpoints()  # before the log's ends, so that none seems to be ahead of them
        lasts = await self._lasts()
        self._show(metrics.STREAM_LAST_N, {(stream,): n for stream, n in (lasts or {}).items()})
        seen = _Seen()
        for each in checkpoints:
            pair = (each.projector, each.stream)
            seen.n[pair] = each.n
            if lasts is not None:
                last = lasts.get(each.stream, 0)  # a stream that nobody has is short of all its events
                seen.behind[pair], seen.ahead[pair] = max(0, last - each.n), max(0, each.n - last)
                seen.seconds[pair] = await self._age(each.stream, each.n, now_ns) if last > each.n else 0.0
                seen.still[pair] = self._still(pair, each.n, is_behind=last > each.n)
        self._show(metrics.CHECKPOINT_N, seen.n)
        self._show(metrics.CHECKPOINT_LAG_EVENTS, seen.behind)
        self._show(metrics.CHECKPOINT_LAG_SECONDS, seen.seconds)
        self._show(metrics.CHECKPOINT_STILL_SECONDS, seen.still)
        self._show(metrics.CHECKPOINT_AHEAD_EVENTS, seen.ahead)
        self._looked("positions")

    async def look_far(self) -> None:
        """Look at what changes slowly or costs more: archive, tables, servers."""
        now_ns = self._clock.now_ns()
        await self._look_at_archive(now_ns)
        await self._look_at_tables()
        await self._look_at_redis()
        self._looked("stores")

    async def look_at_disks(self) -> None:
        """Look at the disks and at what lies beside the spools; it takes a while where one does not answer."""
        seen = await self._disks.look()
        self._show(metrics.DISK_FREE_BYTES, {(place,): room.free for place, room in seen.room.items()})
        self._show(metrics.DISK_BYTES, {(place,): room.total for place, room in seen.room.items()})
        self._show(metrics.WRITER_STANDING, seen.standings)
        if seen.is_whole:
            self._looked("disks")

    async def _checkpoints(self) -> list[Checkpoint]:
        try:
            found = await self._tables.rows("read_checkpoints", {}, Checkpoint)
        except Unreachable:
            metrics.SERVER_UP.labels("postgresql").set(0)
            return []
        metrics.SERVER_UP.labels("postgresql").set(1)
        return found

    async def _lasts(self) -> dict[str, int] | None:
        """Give the last n of each stream that Redis or the archive has; None while Redis does not answer."""
        try:
            names = {*await self._near.streams(), *self._archived}
            lasts = {name: max((await self._near.last(name))[0], self._archived.get(name, 0)) for name in sorted(names)}
        except Unreachable:
            metrics.SERVER_UP.labels("redis").set(0)
            return None
        metrics.SERVER_UP.labels("redis").set(1)
        return lasts

    def _still(self, pair: Labels, n: int, *, is_behind: bool) -> float:
        """Give for how many seconds a pair has stood still with events before it."""
        now = self._clock.monotonic()
        before, since = self._stood.get(pair, (n, now))
        self._stood[pair] = (n, since if n == before and is_behind else now)
        return now - self._stood[pair][1]

    async def _age(self, stream: str, n: int, now_ns: int) -> float:
        """Give how many seconds ago the event behind n was received, or the oldest behind it that Redis has."""
        entries = await self._near.read(stream, n, 1)
        return max(0, now_ns - codec.entry_at_ns(entries[0])) / NS_PER_SECOND if entries else 0.0

    async def _look_at_archive(self, now_ns: int) -> None:
        try:
            async with asyncio.timeout(ARCHIVE_SECONDS_MAX):
                self._archived = {name: await self._far.last(name) for name in await self._far.streams()}
            lasts = await self._lasts() or {}
            ages: Values = {
                (stream,): await self._age(stream, self._archived.get(stream, 0), now_ns)
                for stream in lasts
                if lasts[stream] > self._archived.get(stream, 0)
            }
            whole: Values = {(stream,): 0.0 for stream in lasts}
        except (OSError, BahiError) as error:  # also of the time that is over
            _log.debug("observer.saw_no_archive", found=str(error))
            metrics.SERVER_UP.labels("archive").set(0)
            return
        metrics.SERVER_UP.labels("archive").set(1)
        self._show(metrics.STREAM_UNARCHIVED_SECONDS, whole | ages)

    async def _look_at_tables(self) -> None:
        try:
            parked = await self._tables.rows("parked_sums", {}, Parked)
            lost = await self._tables.rows("read_lost_rows", {}, Lost)
            await self._accounts.look()
        except Unreachable:
            return  # the checkpoints say so each second
        self._show(metrics.PARKED_EVENTS, {(each.projector, each.stream): each.events for each in parked})
        self._show(metrics.LOST_EVENTS, {(each.projector, each.stream): each.lost for each in lost})

    async def _look_at_redis(self) -> None:
        assert self._settings.redis_url is not None, "the API does not start without"
        try:
            found = await redis_facts.look(self._settings.redis_url)
        except Unreachable:
            return
        metrics.REDIS_MEMORY_BYTES.set(found.memory_bytes)
        metrics.REDIS_MEMORY_LIMIT_BYTES.set(found.memory_bytes_max)
        metrics.REDIS_EVICTS.set(found.policy != "noeviction")

    async def _watch_disks(self) -> None:
        while True:
            await self.look_at_disks()
            await asyncio.sleep(FAR_SECONDS)

    def _looked(self, at: Look) -> None:
        metrics.OBSERVER_LOOKED.labels(at).set(self._clock.now_ns() / NS_PER_SECOND)

    def _show(self, gauge: Gauge, values: Values) -> None:
        self._gauges.show(gauge, values)


def _open_markets(now_ns: int) -> Iterator[tuple[Labels, float]]:
    for exchange in calendar.exchanges():
        try:
            yield (exchange,), calendar.is_open(exchange, now_ns)
        except SettingError:
            continue  # a year that the calendar does not cover: neither open nor closed, and an alert of its own
