"""Instruments: each day's dump of a broker as descriptions with the days for which they held.

A dump is parts (`instruments.part.v1`) and a closing event; the checkpoint moves only over whole dumps, so that a
crash in the middle reads the parts again. One real line of Kite's CSV, below its header:

    408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE
"""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from events.event import Recorded
from events.messages import InstrumentsDump, InstrumentsPart, unpack
from projectors.bodies import unpacked
from projectors.projector import Projection
from runtime.errors import BadEvent
from sql.store import Rows

NAME = "instruments"
_COLUMNS = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)
Line = tuple[int, int, str, str, date | None, float, float, int, str, str, str]


class Dump(msgspec.Struct, frozen=True):
    """A whole dump, read."""

    n: int
    told: InstrumentsDump
    day: date
    lines: list[Line]


class InstrumentProjector:
    """`projectors.projector.Projector` for the table `instruments`."""

    def __init__(self, stream: str) -> None:
        """Begin with no part of any dump."""
        self._stream = stream
        self._last = 0
        self._parts: dict[str, dict[int, bytes]] = {}
        self._dumps: list[Dump] = []

    async def recall(self, rows: Rows) -> None:
        """Nothing is remembered: the checkpoint never stands inside a dump."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        """Collect parts, read a dump at its end."""
        for event in batch:
            if event.type == "instruments.part.v1":
                part = unpack(event, InstrumentsPart)
                self._parts.setdefault(part.dump, {})[part.part] = part.body
                continue
            if event.type == "instruments.dump.v1":
                told = unpack(event, InstrumentsDump)
                parts = self._parts.pop(told.dump, {})
                self._dumps.append(Dump(event.n, told, _day(told), read_csv(_body(told, parts))))
                self._parts = {}  # parts of a dump that was cut short by a crash never get their end
            if not self._parts:
                self._last = event.n

    def due(self, waited_seconds: float) -> int | None:  # noqa: ARG002 - the port's name; a whole dump never waits
        """Give the last n that is not inside a dump."""
        return self._last or None

    async def write(self, rows: Rows) -> None:
        """Compare each dump with what held until now."""
        for dump in self._dumps:
            known = await rows.run("last_dump", {"broker": dump.told.broker})
            if known and known[0]["day"] > dump.day:
                continue  # what holds is newer
            if not known or known[0]["sha256"] != dump.told.sha256:
                await self._compare(rows, dump)
            told = {"n": dump.n, "rows": dump.told.rows, "sha256": dump.told.sha256}
            at = datetime.fromtimestamp(dump.told.answered_ns / 1e9, UTC)
            await rows.run("keep_dump", {"broker": dump.told.broker, "day": dump.day, **told, "at": at})

    async def _compare(self, rows: Rows, dump: Dump) -> None:
        """Begin and end descriptions so that those of the dump hold from its day on."""
        shared: dict[str, Any] = {"broker": dump.told.broker, "day": dump.day}
        await rows.run("make_dump")
        await rows.load_text("copy_dump", dump.lines)
        await rows.run("forget_today", shared)
        await rows.run("reopen_yesterday", shared)
        await rows.run("end_changed_instruments", shared)
        await rows.run("begin_instruments", shared)
        await rows.run("drop_dump")

    def committed(self) -> None:
        """Forget what is in the table."""
        self._dumps = []


def _day(told: InstrumentsDump) -> date:
    try:
        return date.fromisoformat(told.day)
    except ValueError as error:
        raise BadEvent(f"the day of the dump {told.dump}", told.day, "run bahi instruments sync") from error


def _body(told: InstrumentsDump, parts: dict[int, bytes]) -> str:
    missing = [part for part in range(1, told.parts + 1) if part not in parts]
    if missing:
        raise BadEvent(
            f"parts 1..{told.parts} of the dump {told.dump}", f"none of {missing}", "run bahi instruments sync"
        )
    packed = b"".join(parts[part] for part in range(1, told.parts + 1))
    what = f"the dump {told.dump}"
    try:
        return unpacked(what, packed, told.sha256, "run bahi instruments sync").decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadEvent(f"{what} as text", str(error), "run bahi instruments sync") from error


def read_csv(text: str) -> list[Line]:
    """Give the lines of a dump in the order of the table `dump`.

    Raises BadEvent for another set of columns, and for none at all: that would end every instrument.
    """
    lines = csv.reader(text.splitlines())
    head = tuple(next(lines, ()))
    if head != _COLUMNS:
        raise BadEvent(f"the columns {','.join(_COLUMNS)}", ",".join(head)[:200], "the broker changed its dump")
    found = list(_lines(lines))
    if not found:
        raise BadEvent("at least one instrument", "none", "the broker's dump is not ready: run bahi instruments sync")
    return found


def _lines(lines: Iterator[list[str]]) -> Iterator[Line]:
    line: list[str] = []
    try:
        for line in lines:
            yield _line(line)
    except (ValueError, csv.Error) as error:
        found = f"{','.join(line)[:120]} ({error})"
        raise BadEvent("a line for each instrument", found, "look at the broker's dump") from error


def _line(line: list[str]) -> Line:
    token, exchange_token, symbol, name, _, expiry, strike, tick_size, lot_size, kind, segment, exchange = line
    day = date.fromisoformat(expiry) if expiry else None
    whole = (int(token), int(exchange_token), symbol, name, day)
    return (*whole, float(strike or 0), float(tick_size or 0), int(lot_size or 1), kind, segment, exchange)


TABLES = ("instruments", "instrument_dumps")
INSTRUMENTS = Projection(NAME, lambda stream: stream == "reference", InstrumentProjector, TABLES)
