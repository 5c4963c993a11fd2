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
FULL_BYTES, WORD_BYTES = 184, 4
SHORTER = sorted(KIND_OF_LENGTH.keys() - {FULL_BYTES})
FULL_WORDS = FULL_BYTES // WORD_BYTES
FULL_STEP = LENGTH_BYTES + FULL_BYTES
DIVISOR_OF_SEGMENT = {3: 1e7, 6: 1e4, 12: 1e4}  # cds; bcd and nco; all others 100 (kiteconnect 5.2, ticker.py)
DIVISOR = 100.0
_DIVISORS = np.array([DIVISOR_OF_SEGMENT.get(segment, DIVISOR) for segment in range(256)])
NS_PER_SECOND = 1_000_000_000
TIME_MIN_NS = 946_684_800 * 10**9  # 2000-01-01 UTC: no tick of these exchanges is older
TIME_AHEAD_NS = 86_400 * 10**9  # a stamp later than a day after receipt is nonsense
BLOCK_PACKETS = 512  # made in one go: 200 KB of words stay in a processor's second cache
UNKNOWN = 0
_FULL_BODY = f"V{FULL_BYTES}"
_KINDS = np.array([KIND_OF_LENGTH.get(length, UNKNOWN) for length in range(1 << 16)])

_BODY = tick.column("instrument_token")
_EXCHANGE = tick.column("exchange_ns")
_TIMES = slice(tick.column("last_trade_ns"), _EXCHANGE + 1, _EXCHANGE - tick.column("last_trade_ns"))  # these two
_PRICES = (
    slice(tick.column("last_price"), tick.column("average_price") + 1, 2),  # these two, and not the one between
    slice(tick.column("open"), tick.column("close") + 1),
    slice(tick.column("bids") + 1, WORDS, 3),  # of the levels
)
assert tick.column("average_price") == tick.column("last_price") + 2
_LEVEL_ORDERS = slice(tick.column("bids") + 2, WORDS, 3)
# Index packets give high, low, open, close, change (and the time) where full ones have other things.
_INDEX_WORDS = np.array(
    [tick.column(name) for name in ("instrument_token", "last_price", "high", "low", "open", "close")]
)
_INDEX_WORDS -= _BODY
_INDEX_TIME_WORD = 7
_TIME_WORD = _EXCHANGE - _BODY

Matrix = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]


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
    parked = [_too_short(frame) for frame in frames if len(frame.payload) < HEADER_BYTES]
    if parked:
        frames = [frame for frame in frames if len(frame.payload) >= HEADER_BYTES]
    if not frames:
        return np.empty(0, TICK), parked
    found = _alike([frame.payload for frame in frames]) or _Joined(frames).packets(parked)
    n, at_ns = found.each([frame.n for frame in frames]), found.each([frame.at_ns for frame in frames])
    rows = np.empty((len(found.words), WORDS), np.int64)
    for start in range(0, len(rows), BLOCK_PACKETS):
        block = slice(start, start + BLOCK_PACKETS)
        parts = (each if isinstance(each, int) else each[block] for each in (found.kinds, n, at_ns))
        rows[block] = _columns(found.words[block], *parts).T
    return rows.view(TICK)[:, 0], parked


def _all(flags: npt.NDArray[np.bool_]) -> bool:
    """Say whether all are set, at a fifth of what `flags.all()` takes on a few packets."""
    return bool(np.count_nonzero(flags) == flags.size)


def _too_short(frame: Recorded) -> Parked:
    found = f"a frame of {len(frame.payload)} bytes; wanted a count of {HEADER_BYTES} bytes"
    return Parked(frame.n, found, frame.payload, 0)


class _Packets(msgspec.Struct, frozen=True):
    """Packets of known length, in order, as the words of a full one, a row each. What all share is one number.

    kinds: of each. places: of its frame in the batch; or how many packets each frame has.
    """

    words: Words
    kinds: Ints | int
    places: Ints | int

    def each(self, of_frames: list[int]) -> Ints | int:
        """Give each packet what its frame has."""
        if len(of_frames) == 1:
            return of_frames[0]
        if isinstance(self.places, int):
            return np.array(of_frames).repeat(self.places)
        return np.array(of_frames).take(self.places)


def _alike(payloads: list[bytes]) -> _Packets | None:
    """Give the packets if all frames have as many full ones, which is so nearly always: then they lie in a grid."""
    size, head, count = len(payloads[0]), payloads[0][:HEADER_BYTES], packets(payloads[0])
    if not count or size != HEADER_BYTES + count * FULL_STEP:
        return None
    if set(map(len, payloads)) != {size} or {payload[:HEADER_BYTES] for payload in payloads} != {head}:
        return None
    raw = b"".join(payloads)
    grid, strides = (len(payloads), count), (size, FULL_STEP)
    lengths = np.ndarray(grid, ">u2", raw, HEADER_BYTES, strides)
    if not _all(lengths == FULL_BYTES):
        return None
    bodies = np.ndarray(grid, _FULL_BODY, raw, HEADER_BYTES + LENGTH_BYTES, strides)
    words: Words = bodies.copy().reshape(-1).view(">u4").reshape(-1, FULL_WORDS)
    return _Packets(words, tick.FULL, count)


class _Joined:
    """Frames end to end, so that numpy takes a step for all of them at once."""

    def __init__(self, frames: Sequence[Recorded]) -> None:
        payloads = [frame.payload for frame in frames]
        self._frames = frames
        self._sizes = np.array([len(payload) for payload in payloads])
        self._ends = self._sizes.cumsum()
        self._starts = self._ends - self._sizes
        payloads.append(bytes(FULL_BYTES))  # the last packet, too, can be read as if it were a full one
        self._raw = b"".join(payloads)
        # What stands at every byte, as a number and as a full packet's body: the wanted ones are taken.
        self._numbers = np.ndarray(len(self._raw) - 1, ">u2", self._raw, strides=(1,))
        self._bodies = np.ndarray(len(self._raw) - FULL_BYTES + 1, _FULL_BODY, self._raw, strides=(1,))
        self._counts = self._numbers[self._starts].astype(np.int64)

    def packets(self, parked: list[Parked]) -> _Packets:
        """Give all packets; what is left of a cut frame is parked, and packets of unknown length are."""
        offsets, places = self._even() or self._walk(parked)
        lengths = self._numbers[offsets]
        kinds = _KINDS.take(lengths)
        known = kinds != UNKNOWN
        if not _all(known):
            wrong = np.flatnonzero(~known)
            parked += map(self._unknown, places[wrong].tolist(), offsets[wrong].tolist(), lengths[wrong].tolist())
            offsets, kinds, places = offsets[known], kinds[known], places[known]
        words: Words = self._bodies[offsets + LENGTH_BYTES].view(">u4").reshape(-1, FULL_WORDS)
        if not _all(kinds == tick.FULL):
            for length in SHORTER:
                rows = np.flatnonzero(kinds == KIND_OF_LENGTH[length])
                if len(rows):
                    _widen(words, rows, length)
        return _Packets(words, kinds, places)

    def _even(self) -> tuple[Ints, Ints] | None:
        """Give offset and frame of each packet if all are of one length: then nothing has to be walked."""
        step, counts = LENGTH_BYTES + int(self._numbers[HEADER_BYTES]), self._counts
        if not _all(counts * step + HEADER_BYTES == self._sizes):
            return None
        places = np.arange(len(counts)).repeat(counts)
        offsets = np.arange(len(places)) * step + HEADER_BYTES * (places + 1)
        return (offsets, places) if _all(self._numbers[offsets] == step - LENGTH_BYTES) else None

    def _walk(self, parked: list[Parked]) -> tuple[Ints, Ints]:
        """Give offset and frame of each packet, finding one of each frame at a time; park the rest of cut frames."""
        at, taken, step = self._starts + HEADER_BYTES, np.zeros_like(self._starts), 0
        found: list[Ints] = []
        live = np.flatnonzero(self._counts)
        here, ends, counts = at[live], self._ends[live], self._counts[live]
        while len(live):
            stop = here + self._numbers[here] + LENGTH_BYTES
            fits = stop <= ends
            if not _all(fits):
                live, here, stop, ends, counts = (each[fits] for each in (live, here, stop, ends, counts))
            found.append(here)
            step += 1
            at[live], taken[live] = stop, step
            here, goes_on = stop, counts > step
            if not _all(goes_on):
                live, here, ends, counts = (each[goes_on] for each in (live, here, ends, counts))
        for place in np.flatnonzero((taken < self._counts) | (at != self._ends)).tolist():
            left, start = int(self._counts[place] - taken[place]), int(at[place] - self._starts[place])
            parked.append(_cut(self._frames[place], start, left))
        places = np.arange(len(taken)).repeat(taken)
        return (np.sort(np.concatenate(found)) if found else places), places

    def _unknown(self, place: int, offset: int, length: int) -> Parked:
        body = self._raw[offset + LENGTH_BYTES : offset + LENGTH_BYTES + length]
        wanted = ", ".join(map(str, sorted(KIND_OF_LENGTH)))
        return Parked(self._frames[place].n, f"a packet of {length} bytes; wanted one of {wanted}", body, 1)


def _widen(words: Words, rows: Ints, length: int) -> None:
    """Bring packets of one length, read as full ones, to where a full one has its words; blank what lies behind."""
    if KIND_OF_LENGTH[length] not in (tick.INDEX_QUOTE, tick.INDEX_FULL):
        words[rows, length // WORD_BYTES :] = 0
        return
    index = words[rows]
    words[rows] = 0
    words[rows[:, None], _INDEX_WORDS] = index[:, : len(_INDEX_WORDS)]
    if KIND_OF_LENGTH[length] == tick.INDEX_FULL:
        words[rows, _TIME_WORD] = index[:, _INDEX_TIME_WORD]


def _cut(frame: Recorded, start: int, left: int) -> Parked:
    rest = f"{len(frame.payload) - start} bytes for the {left} packets that are left of {packets(frame.payload)}"
    return Parked(frame.n, f"a cut frame: {rest}", frame.payload[start:], left)


def _columns(words: Words, kinds: Ints | int, n: Ints | int, at_ns: Ints | int) -> Matrix:
    """Give packets as TICK's words, each of TICK's words a row of this matrix: numpy is quickest along rows."""
    columns = np.empty((WORDS, len(words)), np.int64)
    columns[0], columns[1], columns[3] = n, at_ns, kinds
    columns[_BODY:] = words.T
    _mend_prices(columns)
    _mend_times(columns)
    columns[_LEVEL_ORDERS] >>= 16  # orders u16 and two bytes of padding
    return columns


def _mend_prices(columns: Matrix) -> None:
    """Divide the wire's whole numbers, once, in place."""
    each = _DIVISORS.take(columns[_BODY] & 0xFF)
    divisors = DIVISOR if _all(each == DIVISOR) else each  # one for shares, and futures and options on shares
    floats = columns.view(np.float64)
    for prices in _PRICES:
        np.divide(columns[prices], divisors, out=floats[prices])


def _mend_times(columns: Matrix) -> None:
    """Turn epoch seconds into nanoseconds and choose the tick's time."""
    at_ns, stamped = columns[1], columns[_EXCHANGE]
    columns[_TIMES] *= NS_PER_SECOND
    good = (stamped >= TIME_MIN_NS) & (stamped <= at_ns + TIME_AHEAD_NS)
    if _all(good):
        columns[2], columns[4] = stamped, 0
        return
    columns[2] = np.where(good, stamped, at_ns)
    columns[4] = np.where(stamped == 0, tick.TIME_IS_RECEIPT, tick.TIME_REFUSED) * ~good
