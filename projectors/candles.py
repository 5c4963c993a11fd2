"""One-minute candles, from the log, live and the same on every database.

    ticks -> in memory until OPEN_CANDLE_SECONDS are over -> fold -> merged into candles_1m, with all that is
    remembered (highest volumes, the stream's clock, uncovered seconds) and the checkpoint, in one transaction

What is in memory is a difference to what the tables hold: open stays, high and low widen, close is the newest, volume
and ticks add up. So a late tick for any minute, however old, is a merge like every other, and after a crash the log is
read again from the checkpoint.

The watermark says up to where candles are closed. It follows the stream's own time: the newest exchange time seen plus
the time that went by since, told by the beats, never ahead of the beat's own clock, less GRACE. So quiet candles close,
and a tape of an old day keeps its own time. A tick for a closed minute counts as a revision.

Coverage is the part of a minute in which the instrument could be received: the stream's gaps and the seconds before its
first subscription are taken off, also from candles that were written before the gap was known.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from events.decode import decode
from events.decode.tick import Ticks
from events.event import Recorded
from events.messages import Gap, Subscribed, unpack
from projectors.binary import Shape, microseconds
from projectors.fold import DAY_NS, IST_NS, MINUTE_NS, Folded, Ints, days, fold
from projectors.projector import Projection, is_tick_stream
from sql.store import Rows

NAME = "candles"
OPEN_CANDLE_SECONDS = 1.0  # how often open candles are written: the contract shows them within 5 s of the first tick
PENDING_TICKS_MAX = 100_000  # written before its time at this many: 40 MB of memory, and quick to read again
GRACE_NS = 2_000_000_000  # exchange stamps are whole seconds and come up to a second late
VOLUME_DAYS = 3  # highest volumes held in memory count back from the newest day; older ones are asked for
GAP_MINUTES_MAX = 7 * 24 * 60  # a longer gap's minutes before its last week have no candles to tell
ALL = 0  # "token" of the whole stream in candle_uncovered

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
    ("coverage", ">f8"),
    ("late", ">i8"),
    ("falls", ">i8"),
]
_WITH_OI, _WITHOUT_OI = Shape(_SHARED), Shape(_SHARED, frozenset({"oi"}))
_VOLUMES = Shape([("instrument_token", ">i8"), ("day_number", ">i8"), ("highest", ">i8")])


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
        self._highest: dict[tuple[int, int], int] = {}
        self._uncovered: Counter[tuple[int, int]] = Counter()  # (token or ALL, minute_ns) -> ns, of the last day
        self._lost: Counter[tuple[int, int]] = Counter()  # the same, not yet written
        self._subscribed: set[int] = set()
        self._subscribed_anew = False
        self._folded: Folded | None = None

    async def recall(self, rows: Rows) -> None:
        """Read the highest volumes, the stream's clock and the uncovered seconds."""
        stream = {"stream_id": rows.stream_id}
        for row in await rows.run("read_volumes", {**stream, "days": VOLUME_DAYS}):
            self._highest[row["instrument_token"], row["day_number"]] = row["highest"]
        for row in await rows.run("read_clock", stream):
            self._clock = StreamClock(row["newest_ns"], row["newest_at_ns"], row["watermark_ns"])
        for row in await rows.run("read_uncovered", stream):
            minute = int(row["bucket"].timestamp()) * 1_000_000_000
            self._uncovered[row["instrument_token"], minute] = round(row["seconds"] * 1e9)
        for row in await rows.run("read_candle_subscriptions", stream):
            self._subscribed.add(row["instrument_token"])

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
            self._pending.append(ticks)
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
            self._lose(ALL, max(gap.from_ns, gap.to_ns - GAP_MINUTES_MAX * MINUTE_NS), gap.to_ns)
        elif event.type == "feed.subscribed.v1":
            tokens = set(unpack(event, Subscribed).tokens)
            if not self._subscribed:  # the stream's first: nothing was received on this day before
                self._lose(ALL, (event.at_ns + IST_NS) // DAY_NS * DAY_NS - IST_NS, event.at_ns)
                self._subscribed = tokens
            for token in tokens - self._subscribed:
                self._lose(token, event.at_ns // MINUTE_NS * MINUTE_NS, event.at_ns)
            self._subscribed, self._subscribed_anew = tokens, True

    def _lose(self, token: int, from_ns: int, to_ns: int) -> None:
        """Note that nothing of a token could be received in from_ns..to_ns, minute by minute."""
        minute = from_ns // MINUTE_NS * MINUTE_NS
        while minute < to_ns:
            lost = min(to_ns, minute + MINUTE_NS) - max(from_ns, minute)
            self._lost[token, minute] += lost
            self._uncovered[token, minute] += lost
            minute += MINUTE_NS

    def due(self, waited_seconds: float) -> int | None:
        """Give the last n absorbed, once in OPEN_CANDLE_SECONDS or when much is waiting."""
        if waited_seconds >= OPEN_CANDLE_SECONDS or self._pending_count >= PENDING_TICKS_MAX:
            return self._last or None
        return None

    async def write(self, rows: Rows) -> None:
        """Merge the candles of all pending ticks and keep what must be remembered."""
        stream = {"stream_id": rows.stream_id}
        if self._pending:
            await self._write_candles(rows, stream)
        if self._lost:
            await self._write_lost(rows, stream)
        clock = self._clock
        times = {"newest_ns": clock.newest_ns, "newest_at_ns": clock.newest_at_ns, "watermark_ns": clock.watermark_ns}
        await rows.run("keep_clock", {**stream, **times})
        if self._subscribed_anew:
            await rows.run("keep_candle_subscriptions", {**stream, "tokens": sorted(self._subscribed)})

    async def _write_candles(self, rows: Rows, stream: dict[str, Any]) -> None:
        ticks = np.concatenate(self._pending)
        await self._recall_old_days(rows, ticks)
        folded = self._folded = fold(ticks, np.concatenate(self._watermarks), self._highest)
        await rows.run("make_candle_input")
        await rows.load("copy_candle_input", self._copy_rows(folded))
        await rows.run("merge_candles", stream)
        if folded.highest:
            await rows.run("make_volume_input")
            keys = np.array(list(folded.highest), np.int64)
            values = np.array(list(folded.highest.values()), np.int64)
            columns = {"instrument_token": keys[:, 0], "day_number": keys[:, 1], "highest": values}
            await rows.load("copy_volume_input", [_VOLUMES.rows(len(keys), columns)])
            await rows.run("keep_volumes", stream)

    async def _recall_old_days(self, rows: Rows, ticks: Ticks) -> None:
        """Ask for the highest volumes of days that are older than those in memory."""
        newest = max((day for _, day in self._highest), default=0)
        numbers = days(ticks)
        old = ticks[numbers <= newest - VOLUME_DAYS]
        keys = set(zip(old["instrument_token"].tolist(), days(old).tolist(), strict=True))
        for token, day in keys - self._highest.keys():
            wanted = {"stream_id": rows.stream_id, "instrument_token": token, "day_number": day}
            for row in await rows.run("read_volume", wanted):
                self._highest[token, day] = row["highest"]

    def _copy_rows(self, folded: Folded) -> list[memoryview]:
        columns = {
            "bucket": microseconds(folded.minute_ns),
            "coverage": self._coverage(folded),
            **{name: getattr(folded, name) for name, _ in _SHARED if name not in ("bucket", "coverage")},
        }
        pieces = []
        for shape, chosen in ((_WITH_OI, folded.oi >= 0), (_WITHOUT_OI, folded.oi < 0)):
            count = int(np.count_nonzero(chosen))
            if count:
                pieces.append(shape.rows(count, {name: column[chosen] for name, column in columns.items()}))
        return pieces

    def _coverage(self, folded: Folded) -> np.ndarray[Any, np.dtype[np.float64]]:
        coverage = np.ones(len(folded.minute_ns))
        minutes = {minute for _, minute in self._uncovered}
        for place in np.flatnonzero(np.isin(folded.minute_ns, list(minutes))).tolist() if minutes else []:
            minute, token = int(folded.minute_ns[place]), int(folded.instrument_token[place])
            lost = self._uncovered[ALL, minute] + self._uncovered[token, minute]
            coverage[place] = max(0.0, 1 - lost / MINUTE_NS)
        return coverage

    async def _write_lost(self, rows: Rows, stream: dict[str, Any]) -> None:
        each = [
            {**stream, "instrument_token": token, "bucket": _instant(minute), "seconds": lost / 1e9}
            for (token, minute), lost in self._lost.items()
        ]
        await rows.run_many("keep_uncovered", each)
        buckets = sorted({row["bucket"] for row in each})
        await rows.run("lower_coverage", {**stream, "buckets": buckets})

    def committed(self) -> None:
        """Forget the ticks, remember what they came to."""
        if self._folded is not None:
            self._highest.update(self._folded.highest)
        newest = max((day for _, day in self._highest), default=0)
        for key in [key for key in self._highest if key[1] <= newest - VOLUME_DAYS]:
            del self._highest[key]
        oldest = max((minute for _, minute in self._uncovered), default=0) - 24 * 60 * MINUTE_NS
        for place in [place for place in self._uncovered if place[1] < oldest]:
            del self._uncovered[place]
        self._pending, self._watermarks, self._pending_count, self._folded = [], [], 0, None
        self._lost = Counter()
        self._subscribed_anew = False


def _instant(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


CANDLES = Projection(NAME, is_tick_stream, CandleProjector)
