"""Ticks: every packet of every frame as a row of `ticks`, as often as it was received.

    kite.frame.v1 -> decode -> rows by kind of packet (a field that it does not carry is NULL) -> binary COPY

What cannot be decoded is parked in the same transaction, so that packets received = rows + parked, always.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain

import numpy as np

from events.decode import FRAME_TYPES, decode, kite
from events.decode import tick as kinds
from events.decode.kite import Parked
from events.decode.tick import Ticks
from events.event import Recorded
from projectors.binary import Shape, microseconds
from projectors.projector import Projection, is_tick_stream
from runtime.calendar import IST_NS
from runtime.metrics import PROJECTOR_PARKED
from sql.store import Rows

NAME = "ticks"
DAY_NS = 86_400 * 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PIECE_ROWS = 1024  # 600 KB of ticks and rows: they stay in the processor's second cache

_FIELDS = [
    ("time", ">i8"),
    ("received_at", ">i8"),
    ("instrument_token", ">i8"),
    ("last_price", ">f8"),
    ("last_quantity", ">i8"),
    ("average_price", ">f8"),
    ("volume", ">i8"),
    ("buy_quantity", ">i8"),
    ("sell_quantity", ">i8"),
    ("oi", ">i8"),
    ("bid_price", ">f8"),
    ("bid_quantity", ">i8"),
    ("ask_price", ">f8"),
    ("ask_quantity", ">i8"),
    ("n", ">i8"),
    ("stream_id", ">i2"),
    ("flags", ">i2"),
]
_DEPTH = {"oi", "bid_price", "bid_quantity", "ask_price", "ask_quantity"}
_TRADED = {"last_quantity", "average_price", "volume", "buy_quantity", "sell_quantity"}
_SHAPES = {
    kinds.FULL: Shape(_FIELDS),
    kinds.QUOTE: Shape(_FIELDS, frozenset(_DEPTH)),
    kinds.LTP: Shape(_FIELDS, frozenset(_DEPTH | _TRADED)),
    kinds.INDEX_QUOTE: Shape(_FIELDS, frozenset(_DEPTH | _TRADED)),
    kinds.INDEX_FULL: Shape(_FIELDS, frozenset(_DEPTH | _TRADED)),
}


def copy_rows(ticks: Ticks, stream_id: int) -> Iterator[memoryview]:
    """Give decoded ticks as rows for `copy_ticks`, in pieces: one is made while the server reads the one before."""
    for start in range(0, len(ticks), PIECE_ROWS):
        piece = ticks[start : start + PIECE_ROWS]
        kinds_here = np.unique(piece["kind"]).tolist()
        for kind in kinds_here:
            chosen = piece if len(kinds_here) == 1 else piece[piece["kind"] == kind]
            yield _rows_of_kind(chosen, _SHAPES[kind], stream_id)


def _rows_of_kind(chosen: Ticks, shape: Shape, stream_id: int) -> memoryview:
    columns = {name: chosen[name] for name in ("instrument_token", "last_price", "n", "flags", *_TRADED, "oi")}
    columns |= {
        "time": microseconds(chosen["time_ns"]),
        "received_at": microseconds(chosen["at_ns"]),
        "bid_price": chosen["bids"]["price"][:, 0],
        "bid_quantity": chosen["bids"]["quantity"][:, 0],
        "ask_price": chosen["asks"]["price"][:, 0],
        "ask_quantity": chosen["asks"]["quantity"][:, 0],
    }
    return shape.rows(len(chosen), {**columns, "stream_id": stream_id})


def days_of(ticks: Ticks) -> list[date]:
    """Give the IST days of ticks' times."""
    times = ticks["time_ns"]
    first, last = (int(time + IST_NS) // DAY_NS for time in (times.min(), times.max()))
    numbers = [first] if first == last else np.unique((times + IST_NS) // DAY_NS).tolist()
    return [date(1970, 1, 1) + timedelta(days=number) for number in numbers]


class TickProjector:
    """`projectors.projector.Projector` for the table `ticks`."""

    def __init__(self, stream: str) -> None:
        """Begin with nothing in memory."""
        self._stream = stream
        self._last = 0
        self._ticks: list[Ticks] = []
        self._parked: list[dict[str, object]] = []
        self._days: set[date] = set()
        self._new_days: set[date] = set()

    async def recall(self, rows: Rows) -> None:
        """Nothing is remembered: each row stands for itself."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        """Decode a batch."""
        decoded = decode(batch)
        self._last = batch[-1].n
        if len(decoded.ticks):
            self._ticks.append(decoded.ticks)
        if decoded.parked:
            self._park(batch, decoded.parked)

    def _park(self, batch: Sequence[Recorded], parked: list[Parked]) -> None:
        parts = Counter[int]()
        for each in parked:
            at = datetime.fromtimestamp(batch[each.n - batch[0].n].at_ns / 1e9, UTC)
            row = {"projector": NAME, "stream": self._stream, "n": each.n, "part": parts[each.n], "at": at}
            self._parked.append({**row, "error": each.error, "packets": each.packets, "payload": each.payload})
            parts[each.n] += 1

    def due(self, waited_seconds: float) -> int | None:  # noqa: ARG002 - the port's name; ticks never wait
        """Give the last n absorbed: nothing lingers."""
        return self._last or None

    async def write(self, rows: Rows) -> None:
        """Load all ticks, and park what could not be read."""
        self._new_days = set()  # those of a try that was taken back are not there
        for ticks in self._ticks:
            for day in days_of(ticks):
                if day not in self._days | self._new_days:
                    await rows.run("make_tick_day", {"day": day})
                    self._new_days.add(day)
        if self._ticks:
            await rows.load(
                "copy_ticks", chain.from_iterable(copy_rows(ticks, rows.stream_id) for ticks in self._ticks)
            )
        if self._parked:
            await rows.run_many("park_event", self._parked)

    def committed(self) -> None:
        """Forget what is in the table."""
        if self._parked:
            PROJECTOR_PARKED.labels(NAME).inc(len(self._parked))
        self._ticks, self._parked = [], []
        self._days |= self._new_days
        self._new_days = set()


def packets_in(event: Recorded) -> int:
    """Give how many ticks an event says that it holds."""
    return kite.packets(event.payload) if event.type in FRAME_TYPES else 0


async def forget(rows: Rows, event: Recorded) -> int:
    """Remove the rows of one event; give how many there were.

    They are looked for at the times and instruments of its readable packets: nothing else finds them among millions.
    """
    ticks = decode([event]).ticks
    times = [_EPOCH + timedelta(microseconds=ns // 1000) for ns in np.unique(ticks["time_ns"]).tolist()]
    tokens = np.unique(ticks["instrument_token"]).tolist()
    await rows.run("reach_compressed")
    found = {"times": times, "tokens": tokens, "stream_id": rows.stream_id, "n": event.n}
    return len(await rows.run("forget_ticks", found))


TICKS = Projection(
    NAME, is_tick_stream, TickProjector, ("ticks",), by_days=True, packets=packets_in, weight=4, forget=forget
)
