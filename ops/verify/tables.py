"""What the tables said, read in one snapshot before the log is: so the log is never behind them."""

import random
import tempfile
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import BinaryIO, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ops.verify.accounts import Key, Told, decode, key
from ops.verify.frames import SECOND_NS
from ops.verify.instruments import Described, Instruments
from sql.snapshot import Snapshot, take

CANDLES_PASS_MAX = 1_000_000  # made again in one reading of the log: 400 MB of Python objects
IST = timezone(timedelta(hours=5, minutes=30))
PAIR = np.dtype([("n", ">i8"), ("rows", ">i8")])
CANDLE = np.dtype(
    [
        ("minute", ">i8"),  # its beginning, in seconds since 1970
        ("open", ">f8"),
        ("high", ">f8"),
        ("low", ">f8"),
        ("close", ">f8"),
        ("volume", ">i8"),
        ("oi", ">i8"),  # -1 where no packet carried it
        ("tick_count", ">i8"),
    ]
)
KEPT = np.dtype([("instrument_token", ">i8"), *[(name, CANDLE[name]) for name in CANDLE.names or ()]])

Counts = npt.NDArray[np.int64]


class Parked(NamedTuple):
    """What was parked of one event: packets, the longest payload in bytes, whether a user has set it aside."""

    packets: int
    payload_bytes: int
    set_aside: bool


class StreamRows(msgspec.Struct):
    """What the tables hold of one stream.

    checkpoints: projector to n. rows: of `ticks` by n, up to the checkpoint of `ticks`; above: the same behind it.
    gaps: beginning in microseconds to (end, reason).
    """

    checkpoints: dict[str, int] = {}
    rows: Counts = msgspec.field(default_factory=lambda: np.zeros(1, np.int64))
    above: dict[int, int] = {}
    parked: dict[int, Parked] = {}
    gaps: dict[int, tuple[int | None, str]] = {}

    def checkpoint(self, projector: str) -> int:
        """Give how far a projector has committed."""
        return self.checkpoints.get(projector, 0)


class Candles(msgspec.Struct):
    """Candles as the table has them, in a file for each pass over the log; instruments None means all.

    ticks: what all candles add up to; None where some come from elsewhere than ticks, so that nothing follows from it.
    """

    instruments: list[int] | None
    passes: list[BinaryIO]
    ticks: int | None

    def wants(self, token: int, number: int) -> bool:
        """Say whether an instrument is looked at in this pass."""
        return token % len(self.passes) == number

    def read(self, number: int) -> npt.NDArray[np.void]:
        """Give the candles of a pass as KEPT."""
        file = self.passes[number]
        file.seek(0)
        return np.frombuffer(file.read(), KEPT)


class Tables(msgspec.Struct):
    """All of it. from_ns: ticks before this time are past retention. strays: stream numbers without a name."""

    streams: dict[str, StreamRows]
    strays: dict[int, int]
    from_ns: int
    candles: Candles
    instruments: Instruments
    told: Told

    def of(self, stream: str) -> StreamRows:
        """Give what is held of a stream, of an unknown one nothing."""
        return self.streams.get(stream) or StreamRows()


async def read(database_url: str, retention_days: int, sample: int | None) -> Tables:
    """Read everything at one moment; of the candles those of `sample` instruments by chance, or all for None."""
    async with take(database_url) as snapshot:
        names = {row["stream_id"]: row["stream"] for row in await snapshot.rows("all_streams")}
        streams = {stream: StreamRows() for stream in names.values()}
        for row in await snapshot.rows("read_checkpoints"):
            streams.setdefault(row["stream"], StreamRows()).checkpoints[row["projector"]] = row["n"]
        since = await _retained_since(snapshot, retention_days)
        strays = await _count(snapshot, since, names, streams)
        for row in await snapshot.rows("count_parked"):
            parked = Parked(row["packets"], row["payload_bytes"], row["set_aside"])
            streams.setdefault(row["stream"], StreamRows()).parked[row["n"]] = parked
        for row in await snapshot.rows("all_gaps"):
            gap = (row["to_us"], row["reason"])
            streams.setdefault(row["stream"], StreamRows()).gaps[row["from_us"]] = gap
        candles = await _candles(snapshot, sample)
        instruments = await _instruments(snapshot)
        told = await _told(snapshot)
    from_ns = int(since.timestamp()) * SECOND_NS if since > _ALWAYS else 0
    return Tables(streams, strays, from_ns, candles, instruments, told)


_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


async def _retained_since(snapshot: Snapshot, days: int) -> datetime:
    """Give the beginning of the oldest day that is kept, counted back from the newest day that has ticks."""
    for row in await snapshot.rows("held_tick_days"):
        begin = _midnight(row["day"])
        if (await snapshot.rows("any_tick", {"from": begin, "to": begin + timedelta(days=1)}))[0]["found"]:
            return begin - timedelta(days=days - 1)
    return _ALWAYS


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), IST)


async def _count(
    snapshot: Snapshot, since: datetime, names: dict[int, str], streams: dict[str, StreamRows]
) -> dict[int, int]:
    """Count the rows of each event into `streams`; give the rows of stream numbers that nobody knows."""
    strays: dict[int, int] = {}
    for held in streams.values():
        held.rows = np.zeros(held.checkpoint("ticks") + 1, np.int64)
    async for row in snapshot.each("count_ticks", {"from": since}):
        pairs = np.frombuffer(row["pairs"], PAIR)
        held_by = names.get(row["stream_id"])
        if held_by is None:
            strays[row["stream_id"]] = strays.get(row["stream_id"], 0) + int(pairs["rows"].sum())
            continue
        held = streams[held_by]
        below = (pairs["n"] > 0) & (pairs["n"] < len(held.rows))
        held.rows[pairs["n"][below]] += pairs["rows"][below]
        above = pairs[~below]
        held.above.update(zip(above["n"].tolist(), above["rows"].tolist(), strict=True))
    return strays


async def _instruments(snapshot: Snapshot) -> Instruments:
    held: dict[str, dict[int, Described]] = {}
    async for row in snapshot.each("instruments_now", {}):
        described = Described(*(row[name] for name in Described._fields))
        held.setdefault(row["broker"], {})[row["instrument_token"]] = described
    parked = await snapshot.rows("parked_numbers", {"projector": "instruments"})
    return Instruments(held, frozenset(row["n"] for row in parked))


async def _told(snapshot: Snapshot) -> Told:
    orders, trades, aside = set[Key](), dict[Key, tuple[float, float]](), set[Key]()
    async for row in snapshot.each("told_by_brokers", {}):
        orders.add((row["account_id"], "", row["order_id"], ""))
    async for row in snapshot.each("traded_by_brokers", {}):
        named = (row["account_id"], row["exchange"], row["order_id"], row["trade_id"])
        trades[named] = (row["quantity"], row["price"])
    async for row in snapshot.each("kept_aside", {}):
        if found := key(row["account"], row["kind"], decode(row["payload"])):
            aside.add(found)
    return Told(frozenset(orders), trades, frozenset(aside))


async def _candles(snapshot: Snapshot, sample: int | None) -> Candles:
    sums = {row["from_ticks"]: row for row in await snapshot.rows("count_candles")}
    count = sums[True]["candles"] if True in sums else 0
    total = (sums[True]["ticks"] if True in sums else 0) if False not in sums else None
    chosen = None
    if sample is not None:
        known = [row["instrument_token"] for row in await snapshot.rows("candle_instruments")]
        chosen = sorted(random.sample(known, min(sample, len(known))))
    passes = 1 if chosen is not None else -(-count // CANDLES_PASS_MAX) or 1
    files: list[BinaryIO] = [tempfile.TemporaryFile() for _ in range(passes)]  # noqa: SIM115  # `audit.run` closes them
    candles = Candles(chosen, files, total)
    async for row in snapshot.each("pack_candles", {"tokens": chosen}):
        records = np.frombuffer(row["records"], CANDLE)
        kept = np.empty(len(records), KEPT)
        kept["instrument_token"] = row["instrument_token"]
        for name in CANDLE.names or ():
            kept[name] = records[name]
        files[row["instrument_token"] % passes].write(kept.tobytes())
    return candles
