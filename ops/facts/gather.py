"""All facts at once."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from events import redis_facts
from events.archive import Archive
from events.redis_facts import RedisFacts
from events.redis_log import RedisLog
from ops.embedded import discover
from ops.facts.accounts import AccountFacts, facts_of
from ops.facts.processes import Process, processes
from ops.facts.streams import FeedFacts, ProjectorFacts, Stores, StreamFacts
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND, Clock
from runtime.errors import BahiError, Unreachable
from runtime.registry import collect
from runtime.settings import Settings
from sql import facts as sql_facts
from sql.facts import DatabaseFacts

ARCHIVE_SECONDS_MAX = 5.0  # for the first answer of the archive: who looks waits no longer, and sees the rest
RECENT = timedelta(days=1)  # a loss of feed that began within this counts as recent
TICKS = "ticks-"

Marks = Mapping[str, Mapping[str, int]]  # of each stream, by projector


class Server(msgspec.Struct):
    """A server: how it is, or why it cannot be asked; unknown where no setting and no running Bahi names one."""

    known: bool = False
    trouble: str = ""


class RedisServer(Server):
    """The log's near end."""

    facts: RedisFacts | None = None


class DatabaseServer(Server):
    """The tables."""

    facts: DatabaseFacts | None = None


class Facts(msgspec.Struct):
    """How everything stands at one time. running: a `bahi up` or another command holds the data directory, and which.

    now_ns, until_ns: when the looking began, and when it was over. trouble: what could not be looked at, and why.
    """

    at: str
    now_ns: int
    until_ns: int
    broker: list[str]
    data_dir: str
    running: str | None
    url: str | None
    processes: list[Process]
    redis: RedisServer
    database: DatabaseServer
    feeds: list[FeedFacts] = []
    streams: list[StreamFacts] = []
    accounts: list[AccountFacts] = []
    trouble: list[str] = []

    def runs(self, kind: str) -> bool:
        """Say whether any process of a kind (`ticks`, `project`) lives here."""
        return any(each.running and each.name.partition("-")[0] == kind for each in self.processes)

    @property
    def ticks_per_second(self) -> float:
        """Give the rate of all feeds."""
        return sum(feed.ticks_per_second for feed in self.feeds)


async def gather(settings: Settings, clock: Clock) -> Facts:
    """Look at everything once. What does not answer is in the facts; nothing is raised for it."""
    now_ns = clock.now_ns()
    ready = discover.connect_settings(settings, ())
    holder = discover.holder(settings.bahi_data_dir)
    facts = Facts(
        at=datetime.fromtimestamp(now_ns / NS_PER_SECOND, IST).isoformat(timespec="seconds"),
        now_ns=now_ns,
        until_ns=now_ns,
        broker=list(settings.broker),
        data_dir=str(settings.bahi_data_dir),
        running=holder.command if holder else None,
        url=holder.url if holder else None,
        processes=processes(settings.bahi_data_dir),
        redis=await _redis(ready.redis_url),
        database=DatabaseServer(),
    )
    log = RedisLog.connect(ready.redis_url) if facts.redis.facts and ready.redis_url else None
    try:
        marks = await _marks(facts, log) if log else {}  # before the checkpoints, which they follow
        facts.database = await _database(ready, now_ns)
        if facts.database.facts:
            facts.accounts = facts_of(facts.database.facts.accounts, settings, now_ns)
            facts.database.facts = msgspec.structs.replace(facts.database.facts, accounts=[])  # each is told once
        await _look(facts, settings, log, marks)
    finally:
        if log:
            await log.close()
    facts.until_ns = clock.now_ns()
    return facts


async def _redis(url: str | None) -> RedisServer:
    if url is None:
        return RedisServer()
    try:
        return RedisServer(known=True, facts=await redis_facts.look(url))
    except Unreachable as error:
        return RedisServer(known=True, trouble=error.found)


async def _database(settings: Settings, now_ns: int) -> DatabaseServer:
    if settings.database_url is None:
        return DatabaseServer()
    try:
        since = datetime.fromtimestamp(now_ns / NS_PER_SECOND, UTC) - RECENT
        found = await sql_facts.look(settings.database_url, since, settings.broker[0], settings.watchlist)
        return DatabaseServer(known=True, facts=found)
    except BahiError as error:
        return DatabaseServer(known=True, trouble=error.found)


async def _archive(facts: Facts, settings: Settings) -> Archive | None:
    """Give the archive, None where it does not answer."""
    archive = Archive.at(settings)
    try:
        async with asyncio.timeout(ARCHIVE_SECONDS_MAX):
            await archive.streams()
    except TimeoutError:
        facts.trouble.append(f"the archive in {archive.place} did not answer within {ARCHIVE_SECONDS_MAX:.0f} s")
        return None
    except Unreachable as error:
        facts.trouble.append(_said(error))
        return None
    return archive


async def _marks(facts: Facts, log: RedisLog) -> Marks:
    """Give where the consumer groups of all streams stand."""
    try:
        return {stream: await log.marked(stream) for stream in await log.streams()}
    except Unreachable as error:
        facts.trouble.append(_said(error))
        return {}


async def _look(facts: Facts, settings: Settings, log: RedisLog | None, marks: Marks) -> None:
    """Look at the streams, with whatever answers."""
    try:
        archive = await _archive(facts, settings)
        stores = Stores(log, archive, settings.bahi_data_dir / "spool", facts.now_ns)
        for name in await stores.names():
            stream = await stores.look(name)
            facts.streams.append(stream)
            await _add_projectors(facts, stores, stream, marks.get(name, {}))
            if name.startswith(TICKS):
                feed = await stores.feed(name, stream.redis_last or 0)
                facts.feeds.append(_with_instruments(feed, settings.bahi_data_dir))
    except BahiError as error:
        facts.trouble.append(_said(error))


def _said(error: BahiError) -> str:
    return f"wanted {error.wanted}; found {error.found}; {error.remedy}"


async def _add_projectors(facts: Facts, stores: Stores, stream: StreamFacts, marks: Mapping[str, int]) -> None:
    pairs = facts.database.facts.pairs if facts.database.facts else []
    for pair in pairs:
        if pair.stream == stream.stream:
            lag = await stores.lag_seconds(stream.stream, pair.n, stream.last)
            behind, shown = max(0, stream.last - pair.n), marks.get(pair.projector, 0)
            stream.projectors.append(
                ProjectorFacts(pair.projector, pair.n, behind, lag, pair.held, pair.owner, pair.epoch, shown)
            )


def _with_instruments(feed: FeedFacts, data_dir: Path) -> FeedFacts:
    """Take the number of instruments from the ticker's metrics, where the end of the log does not tell it."""
    if feed.instruments is not None:
        return feed
    for family in text_string_to_metric_families(collect(data_dir)):
        for sample in family.samples:
            if sample.name == "bahi_feed_instruments" and sample.labels.get("stream") == feed.stream:
                return msgspec.structs.replace(feed, instruments=int(sample.value))
    return feed
