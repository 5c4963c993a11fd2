"""A tape from a segment of the archive: the frames of one ticker connection, packet by packet, as they were received.

Packets are played at the distance of their receive times and keep their bytes, exchange times among them. Of a packet
that was recorded in a shorter mode than a client asks for, what is known is sent. Cut packets and those of unknown
length are left out. A segment holds no names: instruments that the sandbox knows have theirs, others are named after
their token.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from events import codec, segment
from events.event import Recorded
from ops.sandbox import wire
from ops.sandbox.instruments import Instrument
from ops.sandbox.market import Market
from ops.sandbox.tape import Rows, Tape
from ops.sandbox.wire import Bytes, Field, IndexField, Ints
from runtime.errors import BahiError, SettingError

SUFFIX = segment.SUFFIX
FRAME = "kite.frame.v1"
SECOND_NS = 1_000_000_000
EXCHANGES = {number: name for name, number in wire.SEGMENTS.items()}
SEED = 1  # only names are taken from the market, and these hardly depend on it


def read(path: Path) -> Tape:
    """Read the segment at `path`; raise `SettingError` where it is none, or one without ticks."""
    packets, times = _packets(path)
    if not packets:
        raise SettingError(f"a segment with ticks of Kite in {path}", "none", "give a segment of a ticks-... stream")
    lengths = np.array([len(packet) for packet in packets])
    joined = b"".join(packet.ljust(wire.FULL_BYTES, b"\0") for packet in packets)
    bodies = np.frombuffer(joined, np.uint8).reshape(-1, wire.FULL_BYTES)
    words = bodies.view(">u4").astype(np.int64)
    tokens, place = np.unique(words[:, Field.TOKEN], return_inverse=True)
    at_ns = np.array(times)
    rows = _rows(place, words, lengths, at_ns)
    return Tape(listed(tokens.tolist(), times[0]), rows, lambda first, end: _drawn(bodies, first, end))


def listed(tokens: Sequence[int], at_ns: int) -> list[Instrument]:
    """Give instruments by their tokens: under their names where the sandbox's market of that time has them."""
    known = {i.instrument_token: i for i in Market(SEED, at_ns).instruments}
    return [known.get(token) or _nameless(token) for token in tokens]


def _packets(path: Path) -> tuple[list[bytes], list[int]]:
    """Give every whole packet of a known length, and when its frame was received."""
    packets: list[bytes] = []
    times: list[int] = []
    for recorded in _events(path):
        if recorded.type == FRAME:
            found = [packet for packet in wire.split(recorded.payload) if len(packet) in wire.KNOWN_LENGTHS]
            packets += found
            times += [recorded.at_ns] * len(found)
    return packets, times


def _events(path: Path) -> list[Recorded]:
    try:
        data = memoryview(path.read_bytes())
        chunks = segment.read_all(lambda offset, size: bytes(data[offset:][:size]), path.name)
        return [codec.decode(path.name, entry) for entries in chunks for entry in entries]
    except (OSError, BahiError) as error:
        raise SettingError(f"a segment of the archive as tape in {path}", str(error), "give another") from error


def _rows(place: Ints, words: Ints, lengths: Ints, at_ns: Ints) -> Rows:
    index = words[:, Field.TOKEN] & 0xFF == wire.INDEX_SEGMENT
    seconds = at_ns // SECOND_NS
    full = lengths == wire.FULL_BYTES
    index_full = index & (lengths == wire.INDEX_FULL_BYTES)
    seconds[full], seconds[index_full] = words[full, Field.TIME], words[index_full, IndexField.TIME]
    volume = np.where(~index & (lengths >= wire.QUOTE_BYTES), words[:, Field.VOLUME], 0)
    return Rows(place, seconds, np.maximum.accumulate(at_ns), words[:, Field.LTP], volume, lengths)


def _drawn(bodies: Bytes, first: int, end: int) -> Bytes:
    return bodies[first:end]


def _nameless(token: int) -> Instrument:
    exchange = EXCHANGES.get(token & 0xFF, "NSE")
    index = token & 0xFF == wire.INDEX_SEGMENT
    return Instrument(
        token,
        token >> 8,
        f"TOKEN{token}",
        f"TOKEN{token}",
        expiry=None,
        strike=0.0,
        tick_size=0.0 if index else 1 / wire.divisor(token),
        lot_size=1,
        instrument_type="EQ",
        segment="INDICES" if index else exchange,
        exchange="NSE" if index else exchange,
        spot=0,
    )
