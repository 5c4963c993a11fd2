"""The instruments dump as events: numbered parts and a closing event, so that no event is above its limit."""

import hashlib
from datetime import date

import zstandard

from events.event import Event
from events.messages import InstrumentsDump, InstrumentsPart, pack

PART_BYTES = 512 * 1024  # base64 in JSON makes a part a third longer; the limit of an event is 1 MiB
ZSTD_LEVEL = 9  # once a day, 7 MB: better small than quick


def events(broker: str, dump: bytes, day: date, asked_ns: int, answered_ns: int) -> list[Event]:
    """Give the events of one dump, which came as `dump`, in order."""
    packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(dump)
    name = f"{broker}-{day.isoformat()}-{answered_ns}"
    bodies = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
    parts = [InstrumentsPart(dump=name, part=number, body=body) for number, body in enumerate(bodies, start=1)]
    end = InstrumentsDump(
        dump=name,
        broker=broker,
        day=day.isoformat(),
        parts=len(parts),
        rows=max(0, dump.count(b"\n") - 1),
        sha256=hashlib.sha256(dump).hexdigest(),
        asked_ns=asked_ns,
        answered_ns=answered_ns,
    )
    return [pack(each, answered_ns) for each in (*parts, end)]
