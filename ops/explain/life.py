"""One event, looked up everywhere."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from events import codec, spool
from events.archive import Archive
from events.decode.described import Row, describe
from events.decode.tick import Ticks
from events.event import Recorded
from events.redis_log import RedisLog
from ops.embedded.discover import connect_settings
from ops.facts import spools
from projectors.projector import is_tick_stream
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND
from runtime.errors import ArchiveConflict, ArchiveRotten, BadInput, BahiError
from runtime.settings import Settings
from sql import snapshot
from sql.snapshot import Snapshot

MINUTE_NS = 60 * NS_PER_SECOND


class Place(msgspec.Struct, frozen=True):
    """One store that holds the event. same: its bytes are those of the first place."""

    store: str
    where: str
    same: bool = True


class Life(msgspec.Struct):
    """What is known of an event.

    said: what its payload says; ticks: decoded packets; rows, candles, parked, gaps: what the tables have of it;
    passed: projector to whether its checkpoint is past n; trouble: what could not be asked.
    """

    stream: str
    n: int
    type: str
    received_at: str
    bytes: int
    crc32: str
    places: list[Place]
    said: Row = {}
    ticks: list[Row] = []
    unread: list[str] = []
    passed: dict[str, bool] = {}
    rows: list[Row] = []
    candles: list[Row] = []
    parked: list[Row] = []
    gaps: list[Row] = []
    trouble: list[str] = []


async def look_up(settings: Settings, stream: str, n: int) -> Life:
    """Find the event in every store and table that answers. Raises BadInput where no store has it."""
    ready = connect_settings(settings, ())
    trouble: list[str] = []
    found = await _everywhere(ready, stream, n, trouble)
    if not found:
        raise BadInput(
            f"an event n = {n} of {stream}",
            "no store that answers has it" + "".join(f"; {each}" for each in trouble),
            "bahi status shows the streams and their last n",
        )
    entry = found[0][1]
    event = codec.decode(stream, entry)
    life = Life(
        stream=stream,
        n=n,
        type=event.type,
        received_at=_instant(event.at_ns).astimezone(IST).isoformat(),
        bytes=len(event.payload),
        crc32=entry[: codec.CHECKSUM_BYTES].hex(),
        places=[Place(place.store, place.where, other == entry) for place, other in found],
        trouble=trouble,
    )
    content, ticks = describe(event)
    life.said, life.ticks, life.unread = content.said, content.ticks, content.unread
    if ready.database_url:
        try:
            async with snapshot.take(ready.database_url) as tables:
                await _look_into_tables(life, tables, event, ticks)
        except BahiError as error:
            trouble.append(f"PostgreSQL: {error.found}")
    return life


# ---- where it is --------------------------------------------------------------------------------------------------


async def _everywhere(settings: Settings, stream: str, n: int, trouble: list[str]) -> list[tuple[Place, bytes]]:
    folder = settings.bahi_data_dir / "spool"
    found = []
    entry = await asyncio.to_thread(spools.entry, folder, stream, n)
    if entry:
        found.append((Place("spool", _spool_file(folder / stream, n)), entry))
    if settings.redis_url:
        log = RedisLog.connect(settings.redis_url)
        try:
            read = await log.read(stream, n - 1, 1)
            if read and codec.entry_n(read[0]) == n:
                found.append((Place("Redis", f"{stream} {n}-0"), read[0]))
        except BahiError as error:
            trouble.append(f"Redis: {error.found}")
        finally:
            await log.close()
    try:
        archive = Archive.at(settings)
        entries = await archive.entries(stream, n, 1)
        if entries:
            found.append((Place("archive", await archive.where(stream, n)), entries[0]))
    except (BahiError, ArchiveRotten, ArchiveConflict) as error:
        trouble.append(f"archive: {error.found}")
    return found


def _spool_file(folder: Path, n: int) -> str:
    return str([file.path for file in spool.spool_files(folder) if file.first <= n][-1])


# ---- what became of it --------------------------------------------------------------------------------------------


async def _look_into_tables(life: Life, tables: Snapshot, event: Recorded, ticks: Ticks | None) -> None:
    where = {"stream": life.stream, "n": life.n}
    for row in await tables.rows("read_checkpoints"):
        if row["stream"] == life.stream:
            life.passed[row["projector"]] = row["n"] >= life.n
    life.parked = await tables.rows("explain_parked", where)
    if is_tick_stream(life.stream):
        from_ns = life.said.get("from_ns") if event.type in ("feed.lost.v1", "feed.gap.v1") else None
        from_time = _instant(from_ns) if isinstance(from_ns, int) else None
        life.gaps = await tables.rows("explain_gaps", {**where, "from_time": from_time})
    if ticks is not None and len(ticks):
        span = {"from": _instant(int(ticks["time_ns"].min())), "to": _instant(int(ticks["time_ns"].max()), up=True)}
        life.rows = await tables.rows("explain_ticks", {**where, **span})
        touched = sorted(set(zip(ticks["instrument_token"].tolist(), _minutes(ticks), strict=True)))
        tokens, minutes = [token for token, _ in touched], [_instant(minute) for _, minute in touched]
        life.candles = await tables.rows("explain_candles", {"tokens": tokens, "buckets": minutes})


def _minutes(ticks: Ticks) -> list[int]:
    minutes: list[int] = (ticks["time_ns"] // MINUTE_NS * MINUTE_NS).tolist()
    return minutes


def _instant(ns: int, *, up: bool = False) -> datetime:
    """Give a time as PostgreSQL keeps it: in microseconds, rounded down, or up."""
    micros = -(-ns // 1000) if up else ns // 1000
    return datetime.fromtimestamp(micros / 1_000_000, UTC)
