"""Kite's binary frames to ticks.

A frame (Kite Connect v3, "WebSocket streaming"): packet count u16, then for each packet its length u16 and body; all
numbers big-endian u32. One ltp packet of INFY (token 408065) at 1412.95 is

    0001 0008 00063a01 000227ef

Bodies by length: 8 ltp; 28 index quote; 32 index full; 44 quote; 184 full. The segment is the token's last byte and
tells the price's divisor. Volume is the day's so far; times are true UTC epoch seconds; ltp and quote have none.

Of a cut frame the whole packets are used; what is left over, and packets of unknown length, are parked.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from events.decode import tick
from events.decode.tick import TICK, WORDS
from events.event import Recorded

HEADER_BYTES = 2
LENGTH_BYTES = 2
KIND_OF_LENGTH = {8: tick.LTP, 44: tick.QUOTE, 184: tick.FULL, 28: tick.INDEX_QUOTE, 32: tick.INDEX_FULL}
DIVISOR_OF_SEGMENT = {3: 1e7, 6: 1e4, 12: 1e4}  # cds; bcd and nco; all others 100 (kiteconnect 5.2, ticker.py)
DIVISOR = 100.0
_DIVISORS = np.array([DIVISOR_OF_SEGMENT.get(segment, DIVISOR) for segment in range(256)])
NS_PER_SECOND = 1_000_000_000
TIME_MIN_NS = 946_684_800 * 10**9  # 2000-01-01 UTC: no tick of these exchanges is older
TIME_AHEAD_NS = 86_400 * 10**9  # a stamp later than a day after receipt is nonsense

_BODY = tick.column("instrument_token")
_PRICES = slice(tick.column("last_price"), tick.column("average_price") + 1, 2)  # these two, and not the one between
assert tick.column("average_price") == tick.column("last_price") + 2
_DAY_PRICES = slice(tick.column("open"), tick.column("close") + 1)
_LEVEL_PRICES = slice(tick.column("bids") + 1, WORDS, 3)
_LEVEL_ORDERS = slice(tick.column("bids") + 2, WORDS, 3)
# Index packets give high, low, open, close, change (and the time) where tradable ones have other things.
_INDEX_ORDER = [tick.column(name) for name in ("instrument_token", "last_price", "high", "low", "open", "close")]
_LAST_TRADE, _EXCHANGE = tick.column("last_trade_ns"), tick.column("exchange_ns")

Matrix = npt.NDArray[np.int64]


class Parked(msgspec.Struct, frozen=True):
    """A part of an event that could not be decoded: why, its bytes, and how many packets it was said to hold."""

    n: int
    error: str
    payload: bytes
    packets: int


def packets(payload: bytes) -> int:
    """Give how many packets a frame says that it holds; 0 for a heartbeat."""
    return int.from_bytes(payload[:HEADER_BYTES], "big") if len(payload) >= HEADER_BYTES else 0


def decode(frames: Sequence[Recorded]) -> tuple[tick.Ticks, list[Parked]]:
    """Give the ticks of frames, in the order of n and of packets in a frame, and what could not be read."""
    batch = _Batch()
    for place, frame in enumerate(frames):
        batch.take(place, frame)
    tables = batch.tables(frames)
    if not tables:
        return np.empty(0, TICK), batch.parked
    if len(tables) == 1:
        return tables[0][1].view(TICK)[:, 0], batch.parked
    orders = np.concatenate([orders for orders, _ in tables])
    joined = np.concatenate([table for _, table in tables])
    return joined[np.argsort(orders, kind="stable")].view(TICK)[:, 0], batch.parked


class _Runs:
    """Frames of one kind, each a run of packets: the frame's place, the first packet's order number, how many."""

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []
        self._places: list[int] = []
        self._orders: list[int] = []
        self._counts: list[int] = []

    def add(self, place: int, order: int, count: int) -> None:
        self._places.append(place)
        self._orders.append(order)
        self._counts.append(count)

    def spread(self) -> tuple[Matrix, Matrix]:
        """Give the frame's place and the own order number of each packet."""
        counts = np.array(self._counts)
        firsts = np.array(self._orders) - (np.cumsum(counts) - counts)
        return np.repeat(np.array(self._places), counts), np.repeat(firsts, counts) + np.arange(counts.sum())


class _Batch:
    """Frames taken apart: those of equal packets by that length, whole; the others packet by packet.

    The order number of a packet is its place in the whole batch.
    """

    def __init__(self) -> None:
        self.parked: list[Parked] = []
        self._order = 0
        self._equal: dict[int, _Runs] = {}  # by the packets' length
        self._walked: list[bytes] = []  # the other frames, joined for numpy later
        self._walked_bytes = 0
        self._offsets: list[int] = []  # of each packet in them
        self._runs = _Runs()

    def take(self, place: int, frame: Recorded) -> None:
        payload = frame.payload
        count = int.from_bytes(payload[:HEADER_BYTES], "big")
        length = int.from_bytes(payload[HEADER_BYTES : HEADER_BYTES + LENGTH_BYTES], "big")
        step = LENGTH_BYTES + length
        whole = HEADER_BYTES + count * step == len(payload) and count > 0 and length in KIND_OF_LENGTH
        if whole and payload[2::step] == payload[2:3] * count and payload[3::step] == payload[3:4] * count:
            runs = self._equal.get(length)
            if runs is None:
                runs = self._equal[length] = _Runs()
            runs.add(place, self._order, count)
            runs.pieces.append(memoryview(payload)[HEADER_BYTES:])
            self._order += count
        else:
            self._walk(place, frame)

    def _walk(self, place: int, frame: Recorded) -> None:
        payload, start, left = frame.payload, HEADER_BYTES, packets(frame.payload)
        if len(payload) < HEADER_BYTES:
            found = f"a frame of {len(payload)} bytes; wanted a count of 2 bytes"
            self.parked.append(Parked(frame.n, found, payload, 0))
            return
        base, end, offsets = self._walked_bytes, len(payload) - LENGTH_BYTES, self._offsets
        had = len(offsets)
        while left and start <= end:
            stop = start + LENGTH_BYTES + (payload[start] << 8 | payload[start + 1])
            if stop > end + LENGTH_BYTES:
                break
            offsets.append(base + start)
            start, left = stop, left - 1
        if left or start != len(payload):
            rest = f"{len(payload) - start} bytes for the {left} packets that are left of {packets(payload)}"
            self.parked.append(Parked(frame.n, f"a cut frame: {rest}", payload[start:], left))
        count = len(offsets) - had
        self._walked.append(payload)
        self._walked_bytes += len(payload)
        self._runs.add(place, self._order, count)
        self._order += count

    def tables(self, frames: Sequence[Recorded]) -> list[tuple[Matrix, Matrix]]:
        """Give (order numbers, rows) for each kind of packet."""
        n_at = np.array([[frame.n for frame in frames], [frame.at_ns for frame in frames]]).T
        found = []
        for length, runs in self._equal.items():
            raw = np.frombuffer(b"".join(runs.pieces), np.uint8).reshape(-1, LENGTH_BYTES + length)
            places, orders = runs.spread()
            found.append((orders, _table(length, raw[:, LENGTH_BYTES:], n_at[places])))
        if self._offsets:
            found += self._walked_tables(frames, n_at)
        return found

    def _walked_tables(self, frames: Sequence[Recorded], n_at: Matrix) -> list[tuple[Matrix, Matrix]]:
        buffer = np.frombuffer(b"".join(self._walked), np.uint8)
        offsets = np.array(self._offsets)
        places, orders = self._runs.spread()
        lengths = (buffer[offsets].astype(np.int64) << 8) | buffer[offsets + 1]
        found = []
        for length in np.unique(lengths).tolist():
            chosen = np.flatnonzero(lengths == length)
            starts = offsets[chosen] + LENGTH_BYTES
            if length not in KIND_OF_LENGTH:
                for start, place in zip(starts.tolist(), places[chosen].tolist(), strict=True):
                    self._park_unknown(frames[place].n, buffer[start : start + length].tobytes())
                continue
            # One body of `length` bytes at every byte of the buffer, of which the wanted ones are taken.
            bodies = np.lib.stride_tricks.sliding_window_view(buffer, length)[starts]
            found.append((orders[chosen], _table(length, bodies, n_at[places[chosen]])))
        return found

    def _park_unknown(self, n: int, body: bytes) -> None:
        wanted = ", ".join(map(str, sorted(KIND_OF_LENGTH)))
        self.parked.append(Parked(n, f"a packet of {len(body)} bytes; wanted one of {wanted}", body, 1))


def _table(length: int, bodies: npt.NDArray[np.uint8], n_at: Matrix) -> Matrix:
    """Give the rows of one kind of packet as a matrix of words that can be viewed as TICK."""
    words = np.ascontiguousarray(bodies).view(">u4")
    kind = KIND_OF_LENGTH[length]
    table = np.empty((len(words), WORDS), np.int64) if kind == tick.FULL else np.zeros((len(words), WORDS), np.int64)
    table[:, 0:2] = n_at
    table[:, 3] = kind
    if kind in (tick.INDEX_QUOTE, tick.INDEX_FULL):
        table[:, _INDEX_ORDER] = words[:, :6]
        if kind == tick.INDEX_FULL:
            table[:, _EXCHANGE] = words[:, 7]
    else:
        table[:, _BODY : _BODY + words.shape[1]] = words
    _mend_prices(table, kind)
    _mend_times(table, kind)
    return table


def _mend_prices(table: Matrix, kind: int) -> None:
    """Divide the wire's whole numbers, once, in place."""
    each = _DIVISORS[table[:, _BODY] & 0xFF]
    common = (each == DIVISOR).all()  # shares, and futures and options on shares: nearly always
    divisors = DIVISOR if common else each[:, None]
    floats = table.view(np.float64)
    floats[:, _PRICES] = table[:, _PRICES] / divisors
    floats[:, _DAY_PRICES] = table[:, _DAY_PRICES] / divisors
    if kind == tick.FULL:
        floats[:, _LEVEL_PRICES] = table[:, _LEVEL_PRICES] / divisors
        table[:, _LEVEL_ORDERS] >>= 16  # orders u16 and two bytes of padding


def _mend_times(table: Matrix, kind: int) -> None:
    """Turn epoch seconds into nanoseconds and choose the tick's time."""
    at_ns = table[:, 1]
    if kind not in (tick.FULL, tick.INDEX_FULL):
        table[:, 2], table[:, 4] = at_ns, tick.TIME_IS_RECEIPT
        return
    table[:, _LAST_TRADE] *= NS_PER_SECOND
    table[:, _EXCHANGE] *= NS_PER_SECOND
    stamped = table[:, _EXCHANGE]
    good = (stamped >= TIME_MIN_NS) & (stamped <= at_ns + TIME_AHEAD_NS)
    if good.all():
        table[:, 2], table[:, 4] = stamped, 0
        return
    table[:, 2] = np.where(good, stamped, at_ns)
    table[:, 4] = np.where(stamped == 0, tick.TIME_IS_RECEIPT, tick.TIME_REFUSED) * ~good
