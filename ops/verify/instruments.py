"""The newest dump of each broker in the log against the descriptions that hold in `instruments` today."""

import csv
import io
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import zstandard

from events.messages import InstrumentsDump, InstrumentsPart
from ops.verify.entries import Entry
from ops.verify.report import Findings

PART, DUMP = b"instruments.part.v1", b"instruments.dump.v1"
REFERENCE = "reference"  # the one stream with dumps
NAMED_MAX = 5  # instruments that a problem names; the count says how many there are
DUMP_BYTES_MAX = 1 << 30  # what a dump may unpack to; a real one is 7 MB


class Described(NamedTuple):
    """An instrument as the dump and the table have it."""

    exchange: str
    tradingsymbol: str
    name: str
    segment: str
    instrument_type: str
    expiry: str
    strike: float
    tick_size: float
    lot_size: int


class Instruments(NamedTuple):
    """What the tables say: descriptions that hold today, by broker and token, and the n of dumps that were parked."""

    held: dict[str, dict[int, Described]]
    parked: frozenset[int]


class InstrumentAccount:
    """The dumps of the stream `reference`, fed with its events in order."""

    def __init__(self, stream: str, checkpoint: int, instruments: Instruments, findings: Findings) -> None:
        """Begin before the first dump; what is behind the checkpoint is not in the table yet."""
        self.compared = self.different = 0
        self._stream, self._checkpoint, self._table, self._findings = stream, checkpoint, instruments, findings
        self._parts: dict[str, dict[int, bytes]] = {}
        self._newest: dict[str, tuple[str, int, bytes]] = {}  # broker to day, n, packed CSV

    def take(self, entries: Iterable[Entry]) -> None:
        """Take the next events."""
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        if entry.n > self._checkpoint:
            return
        if entry.kind == PART:
            part = msgspec.json.decode(entry.payload, type=InstrumentsPart)
            self._parts.setdefault(part.dump, {})[part.part] = part.body
        elif entry.kind == DUMP:
            told = msgspec.json.decode(entry.payload, type=InstrumentsDump)
            parts, self._parts = self._parts.pop(told.dump, {}), {}
            newest, _, _ = self._newest.get(told.broker, ("", 0, b""))
            if entry.n not in self._table.parked and newest <= told.day:
                body = b"".join(body for _, body in sorted(parts.items()))
                self._newest[told.broker] = (told.day, entry.n, body)

    def close(self) -> None:
        """Compare what the newest dump of each broker says with what holds."""
        if self._stream != REFERENCE:
            return
        for broker in sorted(self._newest.keys() | self._table.held.keys()):
            _, n, packed = self._newest.get(broker, ("", 0, b""))
            wanted, found = _read(packed) if packed else {}, self._table.held.get(broker, {})
            same = {token for token, described in found.items() if described in wanted.get(token, [])}
            wrong = sorted((wanted.keys() | found.keys()) - same)
            self.compared += len(wanted)
            self.different += len(wrong)
            if wrong:
                named = ", ".join(map(str, wrong[:NAMED_MAX])) + (" ..." if len(wrong) > NAMED_MAX else "")
                said = f"{len(wrong)} instruments of {broker} are not what the dump at n = {n} says: {named}"
                self._findings.problem("instrument", self._stream, said, "bahi rebuild instruments")


def _read(packed: bytes) -> dict[int, list[Described]]:
    """Read a dump's CSV by its header; a token may stand there more than once, and one of its lines holds."""
    text = zstandard.ZstdDecompressor().decompress(packed, max_output_size=DUMP_BYTES_MAX).decode("utf-8")
    found: dict[int, list[Described]] = {}
    for line in csv.DictReader(io.StringIO(text)):
        described = Described(
            line["exchange"],
            line["tradingsymbol"],
            line["name"],
            line["segment"],
            line["instrument_type"],
            line["expiry"],
            float(line["strike"] or 0),
            float(line["tick_size"] or 0),
            int(line["lot_size"] or 1),
        )
        found.setdefault(int(line["instrument_token"]), []).append(described)
    return found
