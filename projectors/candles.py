"""One-minute candles, from the log, live and the same on every database.

    ticks -> in memory until OPEN_CANDLE_SECONDS are over -> fold -> merged into candles_1m, with all that is
    remembered (highest volumes, the stream's clock, uncovered seconds) and the checkpoint, in one transaction

What is in memory is a difference to what the tables hold: open stays, high and low widen, close is the newest, volume
and ticks add up. So a late tick for any minute, however old, is a merge like every other, and after a crash the log is
read again from the checkpoint.

The watermark says up to where candles are closed. It follows the stream's own time: the newest exchange time seen plus
the time that went by since, told by the beats, never ahead of the beat's own clock, less GRACE. So quiet candles close,
and a tape of an old day keeps its own time. A tick for a closed minute counts as a revision.

Coverage is the part of a minute in which the instrument could be received, in receive time: the stream's gaps, the day
before its first subscription, and when the instrument was not subscribed are taken off, also from candles that were
written before it was known.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import numpy as np

from events.decode import decode
from events.decode.tick import Ticks
from events.event import Recorded
from events.messages import Gap, Subscribed, unpack
from projectors.binary import Shape, microseconds
from projectors.fold import DAY_NS, NO_VOLUME, Folded, Highest, Ints, days, fold, keys, narrowed, split
from projectors.projector import Projection, is_tick_stream
from runtime.calendar import IST_NS
from sql.store import Rows

NAME = "candles"
OPEN_CANDLE_SECONDS = 1.0  # how often open candles are written: the contract shows them within 5 s of the first tick
REST_SECONDS = 0.1  # between two reads: small against OPEN_CANDLE_SECONDS
PENDING_TICKS_MAX = 100_000  # written before its time at this many: 7 MB of memory, and quick to read again
GRACE_NS = 2_000_000_000  # exchange stamps are whole seconds and come up to a second late
VOLUME_DAYS = 3  # highest volumes held in memory count back from the newest day; older ones are asked for
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)

_SHARED = [
    ("bucket", ">i8"),
    ("instrument_token", ">i8"),
    ("open", ">f8"),
    ("high", ">f8"),
    ("low", ">f8"),
    ("close", ">f8"),
    ("volume", ">i8"),
    ("oi", ">i8"),
    ("tick_count", ">i8"),
    ("late", ">i8"),
    ("falls", ">i8"),
]
_WITH_OI, _WITHOUT_OI = Shape(_SHARED), Shape(_SHARED, frozenset({"oi"}))
_VOLUME_FIELDS = ("instrument_token", "day_number", "highest", "seen_number")
_VOLUMES = Shape([(name, ">i8") for name in _VOLUME_FIELDS])


class StreamClock:
    """The stream's own time: where its ticks are, and up to where its candles are closed."""

    def __init__(self, newest_ns: int = 0, newest_at_ns: int = 0, watermark_ns: int = 0) -> None:
        """Begin where the tables say, or before everything."""
        self.newest_ns, self.newest_at_ns, self.watermark_ns = newest_ns, newest_at_ns, watermark_ns

    def see(self, time_ns: int, at_ns: int) -> None:
        """Take the newest exchange time of some ticks, and when it came."""
        if time_ns > self.newest_ns:
            self.newest_ns, self.newest_at_ns = time_ns, at_ns

    def beat(self, at_ns: int) -> None:
        """Let time go by up to at_ns."""
        own = self.newest_ns + (at_ns - self.newest_at_ns) if self.newest_ns else at_ns
        self.watermark_ns = max(self.watermark_ns, min(at_ns, own) - GRACE_NS)


class CandleProjector:
    """`projectors.projector.Projector` for the table `candles_1m` and what it remembers."""

    def __init__(self, stream: str) -> None:
        """Begin with nothing in memory; `recall` brings the rest."""
        self._stream = stream
        self._last = 0
        self._pending: list[Ticks] = []
        self._watermarks: list[Ints] = []
        self._pending_count = 0
        self._clock = StreamClock()
        self._highest = Highest()
        self._folded: Folded | None = None
        self._subscribed: frozenset[int] | None = None  # None before the stream's first subscription
        self._subscribed_anew = False
        self._lost_until_ns = 0  # nothing that is known not to have been received ends later, absences that last apart
        self._losses: list[tuple[LiteralString, dict[str, Any]]] = []  # statements about them, not yet run

    async def recall(self, rows: Rows) -> None:
        """Read the highest volumes, the stream's clock, what is subscribed and until when something was lost."""
        stream = {"stream_id": rows.stream_id}
        self._learn(await rows.run("read_volumes", {**stream, "days": VOLUME_DAYS}))
        for row in await rows.run("read_clock", stream):
            self._clock = StreamClock(row["newest_ns"], row["newest_at_ns"], row["watermark_ns"])
        for row in await rows.run("read_candle_subscriptions", stream):
            self._subscribed = frozenset(row["tokens"])
        for row in await rows.run("read_lost_until", stream):
            self._lost_until_ns = row["until_ns"] or 0

    def absorb(self, batch: Sequence[Recorded]) -> None:
        """Keep a batch's ticks with the watermark in force at each, and follow beats, gaps and subscriptions."""
        ticks = decode(batch).ticks
        self._last = batch[-1].n
        stamped = np.where(ticks["flags"] == 0, ticks["time_ns"], 0)
        start, marks = 0, np.empty(len(ticks), np.int64)
        for event in batch:
            if event.type == "kite.frame.v1":
                continue
            stop = int(np.searchsorted(ticks["n"], event.n))
            marks[start:stop] = self._clock.watermark_ns
            self._see(ticks, stamped, start, stop)
            start = stop
            self._hear(event)
        marks[start:] = self._clock.watermark_ns
        self._see(ticks, stamped, start, len(ticks))
        if len(ticks):
            self._pending.append(narrowed(ticks))
            self._watermarks.append(marks)
            self._pending_count += len(ticks)

    def _see(self, ticks: Ticks, stamped: Ints, start: int, stop: int) -> None:
        if stop > start:
            place = start + int(np.argmax(stamped[start:stop]))
            self._clock.see(int(stamped[place]), int(ticks["at_ns"][place]))

    def _hear(self, event: Recorded) -> None:
        if event.type == "feed.beat.v1":
            self._clock.beat(event.at_ns)
        elif event.type == "feed.gap.v1":
            gap = unpack(event, Gap)
            self._lose("keep_loss", gap.from_ns, gap.to_ns)
        elif event.type == "feed.subscribed.v1":
            self._subscribe(event.at_ns, frozenset(unpack(event, Subscribed).tokens))

    def _subscribe(self, at_ns: int, tokens: frozenset[int]) -> None:
        """Note what could not be received before, and what cannot from now on."""
        midnight_ns = (at_ns + IST_NS) // DAY_NS * DAY_NS - IST_NS
        if self._subscribed is None:
            self._lose("keep_loss", midnight_ns, at_ns)
        elif added := tokens - self._subscribed:
            self._lose("end_absences", midnight_ns, at_ns, added)
        if self._subscribed and (gone := self._subscribed - tokens):
            self._lose("begin_absences", at_ns, at_ns, gone)
        self._subscribed, self._subscribed_anew = tokens, True

    def _lose(self, statement: LiteralString, from_ns: int, to_ns: int, tokens: frozenset[int] | None = None) -> None:
        stretch = {"from": _instant(from_ns), "to": _instant(to_ns), "midnight": _instant(from_ns)}
        self._losses.append((statement, {**stretch, "tokens": sorted(tokens) if tokens is not None else None}))
        self._lost_until_ns = max(self._lost_until_ns, to_ns)

    def due(self, waited_seconds: float) -> int | None:
        """Give the last n absorbed, once in OPEN_CANDLE_SECONDS or when much is waiting."""
        if waited_seconds >= OPEN_CANDLE_SECONDS or self._pending_count >= PENDING_TICKS_MAX:
            return self._last or None
        return None

    async def write(self, rows: Rows) -> None:
        """Merge the candles of all pending ticks and keep what must be remembered."""
        stream = {"stream_id": rows.stream_id}
        for statement, loss in self._losses:
            await rows.run(statement, {**stream, **loss})
        if self._pending:
            await self._write_candles(rows, stream)
        for statement, loss in self._losses:
            to = loss["to"] + (_MINUTE if statement == "begin_absences" else timedelta(0))
            await rows.run("cover_loss", {**stream, **loss, "to": to})
        clock = self._clock
        times = {"newest_ns": clock.newest_ns, "newest_at_ns": clock.newest_at_ns, "watermark_ns": clock.watermark_ns}
        await rows.run("keep_clock", {**stream, **times})
        if self._subscribed_anew:
            await rows.run("keep_candle_subscriptions", {**stream, "tokens": sorted(self._subscribed or ())})

    async def _write_candles(self, rows: Rows, stream: dict[str, Any]) -> None:
        ticks = np.concatenate(self._pending)
        await self._recall_old_days(rows, ticks)
        # In a thread: a second's ticks take some milliseconds, for which this process's other projectors would wait.
        marks = np.concatenate(self._watermarks)
        folded = self._folded = await asyncio.to_thread(fold, ticks, marks, self._highest)
        await rows.run("make_candle_input")
        await rows.load("copy_candle_input", _copy_rows(folded))
        await rows.run("merge_candles", stream)
        if self._touches_loss(folded):
            await rows.run("cover_input", stream)
        counters = folded.counters
        if len(counters.highest):
            await rows.run("make_volume_input")
            columns = {name: getattr(counters, name) for name in _VOLUME_FIELDS}
            await rows.load("copy_volume_input", [_VOLUMES.rows(len(counters.highest), columns)])
            await rows.run("keep_volumes", stream)

    def _touches_loss(self, folded: Folded) -> bool:
        """Say whether anything of these candles may not have been received; nearly always nothing."""
        if not len(folded.minute_ns):
            return False
        if folded.minute_ns.min() < self._lost_until_ns:
            return True
        return self._subscribed is not None and not self._subscribed.issuperset(folded.instrument_token.tolist())

    async def _recall_old_days(self, rows: Rows, ticks: Ticks) -> None:
        """Ask for the highest volumes of days that are older than those in memory."""
        numbers = days(ticks["time_ns"])
        old = numbers <= self._newest_day() - VOLUME_DAYS
        wanted = np.unique(keys(ticks["instrument_token"][old], numbers[old]))
        missing = wanted[self._highest.of(wanted) == NO_VOLUME]
        if len(missing):
            tokens, day_numbers = split(missing)
            pairs = {"tokens": tokens.tolist(), "day_numbers": day_numbers.tolist()}
            self._learn(await rows.run("read_old_volumes", {"stream_id": rows.stream_id, **pairs}))

    def _learn(self, volumes: list[dict[str, Any]]) -> None:
        columns = ("instrument_token", "day_number", "highest")
        tokens, numbers, highest = (np.array([row[name] for row in volumes], np.int64) for name in columns)
        self._highest.keep(keys(tokens, numbers), highest)

    def _newest_day(self) -> int:
        return int(split(self._highest.keys)[1].max(initial=0))

    def committed(self) -> None:
        """Forget the ticks, remember what they came to."""
        if self._folded is not None:
            latest = self._folded.counters.keys
            self._highest.keep(latest, self._folded.counters.highest)
            old = split(self._highest.keys)[1] <= self._newest_day() - VOLUME_DAYS
            self._highest.forget(old & ~np.isin(self._highest.keys, latest))
        self._pending, self._watermarks, self._pending_count, self._folded = [], [], 0, None
        self._losses, self._subscribed_anew = [], False


def _copy_rows(folded: Folded) -> list[memoryview]:
    columns = {name: getattr(folded, name) for name, _ in _SHARED if name != "bucket"}
    columns["bucket"] = microseconds(folded.minute_ns)
    pieces = []
    for shape, chosen in ((_WITH_OI, folded.oi >= 0), (_WITHOUT_OI, folded.oi < 0)):
        count = int(np.count_nonzero(chosen))
        if count:
            pieces.append(shape.rows(count, {name: column[chosen] for name, column in columns.items()}))
    return pieces


def _instant(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1000)


TABLES = ("candles_1m", "candle_volumes", "candle_clocks", "candle_uncovered", "candle_subscriptions")
CANDLES = Projection(NAME, is_tick_stream, CandleProjector, TABLES, weight=2, rest_seconds=REST_SECONDS)
