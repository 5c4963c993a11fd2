"""Kite's binary frames, made many at a time.

A packet is a row of 46 big-endian words (184 bytes) in one of two layouts, and every kind of packet is a prefix
of its row: 8 bytes are ltp, 44 quote, 184 full; of an index 28 are quote and 32 full.

    tradable  token ltp last_quantity average volume buy_quantity sell_quantity open high low close
              last_trade_time oi oi_high oi_low time, then 5 bids and 5 asks of (quantity, price, orders << 16)
    index     token ltp high low open close change time

A message is `>H` packet count, then `>H` length and bytes of each packet. On the wire a websocket header stands
before it, unmasked as a server sends it. Two ltp packets, 12345 paise of 408065 and 6789 of 738561:

    82 16  0002  0008 00063a01 00003039  0008 000b4501 00001a85
"""

import zlib
from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Words = NDArray[np.uint32]
Bools = NDArray[np.bool_]

LTP_BYTES, INDEX_QUOTE_BYTES, INDEX_FULL_BYTES, QUOTE_BYTES, FULL_BYTES = 8, 28, 32, 44, 184
WORDS = FULL_BYTES // 4
DEPTH_LEVELS = 5

# The largest message of full packets whose websocket header still has a 16-bit length: 352 * 186 + 2 < 65,536.
MESSAGE_PACKETS_MAX = 352
SHORT_BYTES_MAX = 125  # RFC 6455: up to here the length stands in the second byte
BINARY_FINAL, TEXT_FINAL = 0x82, 0x81
LENGTH_16, LENGTH_64 = 126, 127  # in the second byte: the length stands in the next two, or eight
HEARTBEAT = b"\x00"
HEARTBEAT_WIRE = bytes((BINARY_FINAL, len(HEARTBEAT))) + HEARTBEAT

# Kite's numbering: instrument_token = exchange_token * 256 + segment.
SEGMENTS = {"NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "BFO": 5, "BCD": 6, "MCX": 7, "MCXSX": 8, "INDICES": 9, "NCO": 12}
INDEX_SEGMENT = SEGMENTS["INDICES"]
DIVISORS = {SEGMENTS["CDS"]: 10_000_000, SEGMENTS["BCD"]: 10_000, SEGMENTS["NCO"]: 10_000}
DIVISOR = 100


class Mode(IntEnum):
    """How much of an instrument a client wants."""

    NONE = 0
    LTP = 1
    QUOTE = 2
    FULL = 3


class Field(IntEnum):
    """The word of a tradable instrument's row where a value stands."""

    TOKEN = 0
    LTP = 1
    LAST_QUANTITY = 2
    AVERAGE = 3
    VOLUME = 4
    BUY_QUANTITY = 5
    SELL_QUANTITY = 6
    OPEN = 7
    HIGH = 8
    LOW = 9
    CLOSE = 10
    LAST_TRADE_TIME = 11
    OI = 12
    OI_HIGH = 13
    OI_LOW = 14
    TIME = 15
    DEPTH = 16


class IndexField(IntEnum):
    """The word of an index's row where a value stands; token and ltp are where tradable rows have them."""

    HIGH = 2
    LOW = 3
    OPEN = 4
    CLOSE = 5
    CHANGE = 6
    TIME = 7


class Oddity(IntFlag):
    """What was done on purpose to a message that is not a plain one."""

    NONE = 0
    REPEATED = 1
    REORDERED = 2
    CUT = 4
    UNKNOWN_LENGTH = 8


# LENGTHS[is index][mode]: bytes of the packet.
LENGTHS: Ints = np.array(
    [[0, LTP_BYTES, QUOTE_BYTES, FULL_BYTES], [0, LTP_BYTES, INDEX_QUOTE_BYTES, INDEX_FULL_BYTES]], dtype=np.int64
)
KNOWN_LENGTHS = frozenset(LENGTHS.ravel().tolist()) - {0}


class Messages(NamedTuple):
    """Some messages as they go over the wire, headers between them.

    wire: all bytes; starts, ends: where each message's payload lies in it; packets: whole packets in each;
    oddities: an `Oddity` for each.
    """

    wire: bytes
    starts: list[int]
    ends: list[int]
    packets: list[int]
    oddities: list[int]

    def payloads(self) -> list[bytes]:
        """Give each message without its header."""
        return [self.wire[start:end] for start, end in zip(self.starts, self.ends, strict=True)]

    def checksums(self) -> list[int]:
        """Give the CRC-32 of each payload."""
        view = memoryview(self.wire)
        return [zlib.crc32(view[start:end]) for start, end in zip(self.starts, self.ends, strict=True)]


def divisor(token: int) -> int:
    """Give what an instrument's prices are multiplied by on the wire."""
    return DIVISORS.get(token & 0xFF, DIVISOR)


def rows(words: Words) -> Bytes:
    """Give the (k, 184) bytes of (k, 46) words in the machine's order."""
    assert words.shape[1:] == (WORDS,), "a row is one packet of 46 words"
    return words.astype(">u4").view(np.uint8)


def pack(bodies: Bytes, lengths: Ints, per_message: int) -> Messages:
    """Make messages of `per_message` packets each: of row i the first `lengths[i]` bytes.

    `bodies` is (k, 184) bytes with k > 0, `lengths` k lengths of 8..184.
    """
    assert 0 < per_message <= MESSAGE_PACKETS_MAX, "a longer message needs another websocket header"
    count = len(lengths)
    assert 0 < count == len(bodies), "packets without lengths, or none"
    firsts = np.arange(0, count, per_message)
    of_message = np.arange(count) // per_message
    packets = np.diff(np.append(firsts, count))
    before = np.cumsum(lengths + 2) - (lengths + 2)
    sizes = np.add.reduceat(lengths, firsts) + 2 * packets + 2
    heads = np.where(sizes > SHORT_BYTES_MAX, 4, 2)
    ends = np.cumsum(sizes + heads)
    starts = ends - sizes
    wire = np.zeros(int(ends[-1]), np.uint8)
    _head(wire, starts, sizes, heads)
    wire[starts], wire[starts + 1] = packets >> 8, packets & 0xFF
    places = before + (starts + 2 - before[firsts])[of_message]
    wire[places + 1] = lengths
    _fill(wire, places + 2, bodies, lengths)
    return Messages(wire.tobytes(), starts.tolist(), ends.tolist(), packets.tolist(), [0] * len(firsts))


def _head(wire: Bytes, starts: Ints, sizes: Ints, heads: Ints) -> None:
    wire[starts - heads] = BINARY_FINAL
    wire[starts - heads + 1] = np.where(heads == 2, sizes, LENGTH_16)
    long = heads == 4
    wire[starts[long] - 2], wire[starts[long] - 1] = sizes[long] >> 8, sizes[long] & 0xFF


def _fill(wire: Bytes, places: Ints, bodies: Bytes, lengths: Ints) -> None:
    """Copy each packet to its place, all of one length at once.

    The view has an element of that many bytes at every byte of the wire, so that one fancy assignment is a
    memcpy for each packet.
    """
    shortest = int(lengths.min())
    for length in (shortest,) if shortest == int(lengths.max()) else np.unique(lengths).tolist():
        chosen = lengths == length
        cells = np.ndarray((wire.size - length + 1,), f"V{length}", wire, strides=(1,))
        cells[places[chosen]] = np.ascontiguousarray(bodies[chosen, :length]).view(f"V{length}").ravel()


def text(payload: bytes) -> bytes:
    """Put a websocket header before a text shorter than 65,536 bytes."""
    return _header(TEXT_FINAL, len(payload)) + payload


def _header(kind: int, size: int) -> bytes:
    if size <= SHORT_BYTES_MAX:
        return bytes((kind, size))
    if size < 1 << 16:
        return bytes((kind, LENGTH_16)) + size.to_bytes(2, "big")
    return bytes((kind, LENGTH_64)) + size.to_bytes(8, "big")


def frame(payloads: list[bytes], packets: list[int], oddities: list[int]) -> Messages:
    """Put websocket headers before payloads of any content and length."""
    wire, starts, ends = bytearray(), [], []
    for payload in payloads:
        wire += _header(BINARY_FINAL, len(payload))
        starts.append(len(wire))
        wire += payload
        ends.append(len(wire))
    return Messages(bytes(wire), starts, ends, packets, oddities)


def split(payload: bytes) -> list[bytes]:
    """Give the whole packets of one message; what a cut one lacks at its end is left out."""
    found: list[bytes] = []
    place = 2
    for _ in range(int.from_bytes(payload[:2], "big")):
        end = place + 2 + int.from_bytes(payload[place : place + 2], "big")
        if end > len(payload) or place + 2 > len(payload):
            break
        found.append(payload[place + 2 : end])
        place = end
    return found


def join(packets: list[bytes]) -> bytes:
    """Make one message of packets of any length."""
    return len(packets).to_bytes(2, "big") + b"".join(len(packet).to_bytes(2, "big") + packet for packet in packets)
