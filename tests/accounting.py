"""The accounts of a run, kept apart from all code of the product that carries ticks: struct, dictionaries, SQL.

Journal (what the sandbox sent) against log (what was received) against tables (what was committed).
"""

import asyncio
import json
import struct
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import psycopg

from events.archive import Archive
from events.event import Recorded
from events.reader import Reader
from events.redis_log import RedisLog
from ops.sandbox import journal

MINUTE_NS = 60 * 10**9
DAY_NS = 86_400 * 10**9
IST_NS = 19_800 * 10**9
FOR_EVER_NS = 1 << 62


class Session(msgspec.Struct):
    """What one socket brought: the client's port, and (n, received, checksum) of each frame."""

    port: int
    at_ns: int
    frames: list[tuple[int, int, int]]


class Account(msgspec.Struct):
    """What came of a run; `lost` and `doubled` must be empty."""

    sent: int = 0
    received: int = 0
    stored: int = 0
    parked: int = 0
    in_gaps: int = 0
    gap_seconds: list[float] = msgspec.field(default_factory=list)
    lost: list[str] = msgspec.field(default_factory=list)
    doubled: list[str] = msgspec.field(default_factory=list)


async def read_all(redis_url: str, archive: Path, stream: str) -> list[Recorded]:
    """Read a stream from its first event to its last; it must be dense."""
    log = RedisLog.connect(redis_url)
    reader = Reader(log, Archive(archive))
    events: list[Recorded] = []
    while batch := await reader.read(stream, len(events), 4096):
        events += batch
    await log.close()
    assert [event.n for event in events] == list(range(1, len(events) + 1)), "n is dense from 1"
    return events


def events_of(redis_url: str, archive: Path, stream: str) -> list[Recorded]:
    """Read a stream (see `read_all`)."""
    return asyncio.run(read_all(redis_url, archive, stream))


def audit(events: list[Recorded], journal_folder: Path, database_url: str) -> Account:
    """Account for every tick that was sent."""
    account = Account()
    sessions, gaps = _sessions(events), _gaps(events)
    account.gap_seconds = [round((to - since) / 1e9, 3) for since, to in gaps]
    _compare_journal(account, sessions, gaps + _last_loss(events), journal_folder)
    _compare_tables(account, events, database_url)
    return account


def _sessions(events: list[Recorded]) -> list[Session]:
    sessions: list[Session] = []
    for event in events:
        if event.type == "feed.connected.v1":
            sessions.append(Session(json.loads(event.payload)["local_port"], event.at_ns, []))
        elif event.type == "kite.frame.v1":
            sessions[-1].frames.append((event.n, event.at_ns, zlib.crc32(event.payload)))
    return sessions


def _gaps(events: list[Recorded]) -> list[tuple[int, int]]:
    told = [json.loads(event.payload) for event in events if event.type == "feed.gap.v1"]
    return [(gap["from_ns"], gap["to_ns"]) for gap in told]


def _last_loss(events: list[Recorded]) -> list[tuple[int, int]]:
    """Give the loss that the ticker's own end opened: what was on its way then is declared, until the next start."""
    losses = [event for event in events if event.type in ("feed.lost.v1", "feed.gap.v1")]
    if not losses or losses[-1].type == "feed.gap.v1":
        return []
    return [(json.loads(losses[-1].payload)["from_ns"], FOR_EVER_NS)]


def _compare_journal(account: Account, sessions: list[Session], gaps: list[tuple[int, int]], folder: Path) -> None:
    """Each socket's frames are the beginning of what was sent on it; what is missing behind lies in a gap."""
    sent: dict[int, list[journal.Sent]] = defaultdict(list)
    for each in journal.read(folder):
        sent[each.connection].append(each)
    unpaired = list(sessions)
    for messages in sent.values():
        account.sent += sum(each.packets for each in messages)
        same_port = [session for session in unpaired if session.port == messages[0].port]
        mine = min(same_port, key=lambda session: abs(session.at_ns - messages[0].sent_ns), default=None)
        stored = mine.frames if mine else []
        if mine:
            unpaired.remove(mine)
        for place, (n, _, crc) in enumerate(stored):
            if place >= len(messages) or messages[place].crc != crc:
                account.doubled.append(f"n = {n} is not message {place} of the socket on port {messages[0].port}")
        missing = messages[len(stored) :]
        since = stored[-1][1] if stored else messages[0].sent_ns
        # A gap begins at the last message of any kind, also a heartbeat, so at or behind the last stored frame.
        covered = any(begins >= since and ends >= missing[-1].sent_ns for begins, ends in gaps) if missing else True
        packets = sum(each.packets for each in missing)
        account.in_gaps += packets if covered else 0
        if not covered:
            account.lost.append(
                f"{packets} ticks on port {messages[0].port} behind n = {stored[-1][0] if stored else 0}"
            )
    account.doubled += [f"frames of an unknown socket from n = {s.frames[0][0]}" for s in unpaired if s.frames]


def _compare_tables(account: Account, events: list[Recorded], database_url: str) -> None:
    frames = {event.n: struct.unpack_from(">H", event.payload)[0] for event in events if event.type == "kite.frame.v1"}
    account.received = sum(frames.values())
    with psycopg.connect(database_url) as connection:
        rows: Counter[int] = Counter(dict(connection.execute("select n, count(*) from ticks group by n").fetchall()))
        parked: Counter[int] = Counter(
            dict(connection.execute("select n, sum(packets)::bigint from parked_events group by n").fetchall())
        )
    account.stored, account.parked = rows.total(), parked.total()
    for n, promised in frames.items():
        found = rows[n] + parked[n]
        if found < promised:
            account.lost.append(f"n = {n} has {found} of {promised} rows")
        elif found > promised:
            account.doubled.append(f"n = {n} has {found} rows for {promised} packets")
    account.doubled += [f"rows of n = {n}, which is no frame" for n in rows if n not in frames]


Candle = tuple[float, float, float, float, int, int]


def candles_of(ticks: list[tuple[int, int, float, int]]) -> dict[tuple[int, int], Candle]:
    """Fold (token, time_ns, price, volume), as received: (token, minute) -> open, high, low, close, volume, ticks."""
    highest: dict[tuple[int, int], int] = {}
    candles: dict[tuple[int, int], Candle] = {}
    for token, time_ns, price, volume in ticks:
        day = (token, (time_ns + IST_NS) // DAY_NS)
        added = max(0, volume - highest[day]) if day in highest else 0
        highest[day] = max(volume, highest.get(day, volume))
        key = (token, time_ns // MINUTE_NS)
        if key in candles:
            first, high, low, _, total, count = candles[key]
            candles[key] = (first, max(high, price), min(low, price), price, total + added, count + 1)
        else:
            candles[key] = (price, price, price, price, added, 1)
    return candles


def ticks_of(events: list[Recorded]) -> list[tuple[int, int, float, int]]:
    """Take full packets of shares out of frames with struct alone."""
    ticks = []
    for event in events:
        if event.type != "kite.frame.v1":
            continue
        (count,) = struct.unpack_from(">H", event.payload)
        start = 2
        for _ in range(count):
            (size,) = struct.unpack_from(">H", event.payload, start)
            token, price = struct.unpack_from(">II", event.payload, start + 2)
            divisor = {3: 1e7, 6: 1e4, 12: 1e4}.get(token & 0xFF, 100.0)
            volume = struct.unpack_from(">I", event.payload, start + 2 + 16)[0] if size in (44, 184) else 0
            stamp = {184: 60, 32: 28}.get(size)
            seconds = struct.unpack_from(">I", event.payload, start + 2 + stamp)[0] if stamp else 0
            ticks.append((token, seconds * 10**9 if seconds else event.at_ns, price / divisor, volume))
            start += 2 + size
    return ticks


def stored_candles(database_url: str) -> dict[tuple[int, int], Candle]:
    """Read candles_1m in the form of `candles_of`."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select instrument_token, extract(epoch from bucket)::bigint / 60, "
            "open, high, low, close, volume, tick_count from candles_1m"
        ).fetchall()
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}
