"""Kite's frames once more, packet by packet in plain Python: a second opinion on `events.decode`.

Nothing here is shared with what fills the tables, so that a mistake there shows. A frame is a count u16, then for each
packet its length u16 and body, big-endian; token and last price are the first two words of every body.
"""

import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ops.verify.entries import FRAME, Entry

LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL = 8, 28, 32, 44, 184
KNOWN = frozenset({LTP, INDEX_QUOTE, INDEX_FULL, QUOTE, FULL})
HEAD = struct.Struct(">II")  # token, last price in paise or finer
WORD = struct.Struct(">I")
VOLUME_OFFSET, OI_OFFSET = 16, 48
TIME_OFFSET = {FULL: 60, INDEX_FULL: 28}
DIVISORS = {3: 1e7, 6: 1e4, 12: 1e4}  # currency; bcd and nco; all others 100
DIVISOR = 100.0
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
IST_NS = 19_800 * SECOND_NS  # India is 5 h 30 min ahead of UTC
TIME_MIN_NS = 946_684_800 * SECOND_NS  # 2000-01-01 UTC


class Frame(NamedTuple):
    """What a frame holds.

    declared: packets by its header; packets: (length, offset) of the readable ones; unread: those of unknown length,
    and those that a cut took away; length: where all packets have one and none is unread, else 0.
    """

    declared: int
    packets: list[tuple[int, int]]
    unread: int
    length: int = 0


@lru_cache(maxsize=4096)
def _even(count: int, length: int) -> Frame:
    return Frame(count, [(length, 4 + place * (2 + length)) for place in range(count)], 0, length)


def take_apart(payload: bytes) -> Frame:
    """Find the packets of a frame."""
    size = len(payload)
    left = declared = int.from_bytes(payload[:2], "big") if size >= 2 else 0
    first = payload[2:4]
    step = 2 + int.from_bytes(first, "big")
    even = left > 0 and step - 2 in KNOWN and size == 2 + left * step
    if even and payload[2::step] == first[:1] * left and payload[3::step] == first[1:] * left:
        return _even(left, step - 2)  # the usual frame: all packets of one length
    packets: list[tuple[int, int]] = []
    unread, at = 0, 2
    while left and at + 2 <= size:
        length = payload[at] << 8 | payload[at + 1]
        if at + 2 + length > size:
            break
        if length in KNOWN:
            packets.append((length, at + 2))
        else:
            unread += 1
        at += 2 + length
        left -= 1
    return Frame(declared, packets, unread + left)


def of(entry: Entry) -> Frame | None:
    """Give the frame of an event, None where it is none."""
    return take_apart(entry.payload) if entry.kind == FRAME else None


def time_ns(payload: bytes, length: int, offset: int, at_ns: int) -> int:
    """Give a packet's time: the exchange's where it has a sensible one, else when it was received."""
    place = TIME_OFFSET.get(length)
    if place is None:
        return at_ns
    stamped: int = WORD.unpack_from(payload, offset + place)[0] * SECOND_NS
    return stamped if TIME_MIN_NS <= stamped <= at_ns + DAY_NS else at_ns


def count_since(payload: bytes, frame: Frame, at_ns: int, from_ns: int) -> int:
    """Give how many of a frame's readable packets have a time of at least from_ns."""
    place = TIME_OFFSET.get(frame.length)
    if place is not None:
        count, step = len(frame.packets), 2 + frame.length
        stamps = np.ndarray((count,), ">u4", payload, 4 + place, (step,))
        low, high = int(stamps.min()) * SECOND_NS, int(stamps.max()) * SECOND_NS
        if max(from_ns, TIME_MIN_NS) <= low <= high <= at_ns + DAY_NS:
            return count
    return sum(time_ns(payload, *packet, at_ns) >= from_ns for packet in frame.packets)


def price(token: int, paise: int) -> float:
    """Give the price that the wire's whole number means."""
    return paise / DIVISORS.get(token & 0xFF, DIVISOR)


def ist_day(ns: int) -> int:
    """Give the number of the IST day since 1970."""
    return (ns + IST_NS) // DAY_NS
