"""Candles of one minute once more, in plain Python, by the rules at the head of `projectors/fold.py`.

A tick's minute is that of its time. Open and close are the first and the last in the order of the log. A tick adds
max(0, v - the highest v of that instrument in that IST day so far) to the volume, the day's first tick 0. A tick
without a price makes no candle; unless it is the day's first, what it adds waits for the next one with a price.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from ops.verify.entries import Entry
from ops.verify.frames import (
    FULL,
    HEAD,
    OI_OFFSET,
    QUOTE,
    SECOND_NS,
    VOLUME_OFFSET,
    WORD,
    Frame,
    ist_day,
    price,
    time_ns,
)
from ops.verify.report import Candles, Findings
from ops.verify.tables import CANDLE, Tables

MINUTE_SECONDS = 60
SHARED = "more than one stream"  # in place of the stream: whose ticks came first is not said anywhere
_REBUILD = "rebuild candles"


class Candle:
    """One candle as it grows."""

    __slots__ = ("close", "high", "low", "oi", "open", "stream", "tick_count", "volume")

    def __init__(self, stream: str, price: float) -> None:
        """Begin with the first tick's price."""
        self.stream = stream
        self.open = self.high = self.low = self.close = price
        self.volume = self.tick_count = 0
        self.oi = -1


class Minutes:
    """The candles of one pass over the log: of the instruments that it looks at."""

    def __init__(self, tables: Tables, number: int) -> None:
        """number: of the pass, from 0."""
        self.priced = 0  # ticks that make candles, of all instruments
        self._tables, self._number = tables, number
        wanted = tables.candles.instruments
        self._chosen = None if wanted is None else frozenset(wanted)
        self._candles: dict[tuple[int, int], Candle] = {}  # (instrument, minute's beginning in seconds)
        self._highest: dict[tuple[str, int, int], int] = {}

    def take(self, stream: str, checkpoint: int, entries: Sequence[Entry], frames: Sequence[Frame | None]) -> None:
        """Take a piece of a stream, up to the checkpoint of `candles`."""
        for entry, frame in zip(entries, frames, strict=True):
            if frame is None or entry.n > checkpoint:
                continue
            for length, offset in frame.packets:
                token, paise = HEAD.unpack_from(entry.payload, offset)
                self.priced += paise > 0
                if self._wants(token):
                    self._add(stream, entry, length, offset, price(token, paise))

    def _wants(self, token: int) -> bool:
        if self._chosen is not None:
            return token in self._chosen
        return self._tables.candles.wants(token, self._number)

    def _add(self, stream: str, entry: Entry, length: int, offset: int, price: float) -> None:
        payload = entry.payload
        token = HEAD.unpack_from(payload, offset)[0]
        at = time_ns(payload, length, offset, entry.at_ns)
        added = 0
        if length in (QUOTE, FULL):
            volume = WORD.unpack_from(payload, offset + VOLUME_OFFSET)[0]
            key = (stream, token, ist_day(at))
            before = self._highest.get(key)
            if before is None or (price > 0 and volume > before):
                added = 0 if before is None else volume - before
                self._highest[key] = volume
        if price <= 0:
            return
        place = (token, at // SECOND_NS // MINUTE_SECONDS * MINUTE_SECONDS)
        candle = self._candles.get(place)
        if candle is None:
            candle = self._candles[place] = Candle(stream, price)
        elif candle.stream != stream:
            candle.stream = SHARED
        candle.high, candle.low, candle.close = max(candle.high, price), min(candle.low, price), price
        candle.volume += added
        candle.tick_count += 1
        if length == FULL:
            candle.oi = WORD.unpack_from(payload, offset + OI_OFFSET)[0]

    def compare(self, report: Candles, findings: Findings) -> None:
        """Compare with what the table has, adding to the report."""
        seen = set()
        for record in self._tables.candles.read(self._number).tolist():
            token, found = record[0], _Found(*record[1:])
            seen.add(token)
            report.compared += 1
            candle = self._candles.pop((token, found.minute), None)
            different = _differences(candle, found) if candle else "not in the log"
            if different:
                _tell(report, findings, token, found.minute, different)
        for token, minute in sorted(self._candles):
            seen.add(token)
            _tell(report, findings, token, minute, "not in candles_1m")
        report.instruments += len(seen)


class _Found(NamedTuple):
    minute: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    oi: int
    tick_count: int


assert _Found._fields == CANDLE.names, "a record of the table is read field by field"


def _differences(wanted: Candle, found: _Found) -> str:
    fields = ["high", "low", "volume", "tick_count"]
    if wanted.stream != SHARED:
        fields += ["open", "close", "oi"]
    apart = [(name, getattr(found, name), getattr(wanted, name)) for name in fields]
    return ", ".join(f"{name} is {has}, the log gives {gives}" for name, has, gives in apart if has != gives)


def _tell(report: Candles, findings: Findings, token: int, minute: int, different: str) -> None:
    report.different += 1
    findings.problem("candle", "", f"the candle of {token} at {_clock(minute)}: {different}", _REBUILD)


def _clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
