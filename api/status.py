"""How things stand: feeds, streams, projectors, gaps. What the page shows, in one answer.

It is asked for by every open page every few seconds, so one answer serves all of STATUS_SECONDS. What cannot be asked
is null, and `problems` says why.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api import paging
from api.feeds import FeedView
from api.live import Live
from api.quotes import ist_text
from api.requests import Requests
from api.tables import Tables
from events.archive import Archive
from events.log import Log
from events.messages import WAITS_FOR_LOGIN
from runtime.clock import NS_PER_SECOND, Clock
from runtime.errors import BahiError, Unreachable
from runtime.settings import Settings

STATUS_SECONDS = 1.0
ARCHIVE_LOOK_SECONDS = 15.0  # a segment comes once in a minute at most, and each listing of a bucket costs
ARCHIVE_SECONDS_MAX = 3.0  # for the archive's answer: a page waits no longer, and sees the rest
DAY_SECONDS = 86_400
PAGE_DEFAULT, PAGE_MAX = 100, 1000


class StreamView(msgspec.Struct):
    """A stream: its last n, and the last one that is archived; null where it cannot be asked."""

    stream: str
    last: int | None
    archived: int | None


class ProjectorView(msgspec.Struct):
    """A projector on a stream: the last n whose rows are committed, how many events it is behind, whether it is run."""

    projector: str
    stream: str
    n: int
    lag_events: int | None
    held: bool


class Standing(msgspec.Struct):
    """A row of the checkpoints."""

    projector: str
    stream: str
    n: int
    held: bool


class GapCounts(msgspec.Struct):
    """Losses of feed: how many last, and how many began within a day."""

    open: int
    recent: int


class Status(msgspec.Struct):
    """How things stand. problems: what is wrong, in words; empty when all is well."""

    at: str
    broker: list[str]
    problems: list[str]
    feeds: list[FeedView]
    ticks_per_second: float
    instruments: int
    clients: int
    streams: list[StreamView]
    projectors: list[ProjectorView] | None
    gaps: GapCounts | None


class Gap(msgspec.Struct):
    """One loss of feed, in receive time; to_time is null while it lasts."""

    feed: str
    connection: int
    stream: str
    from_time: datetime
    to_time: datetime | None
    reason: str
    filled: bool
    n: int


class GapPage(msgspec.Struct):
    """A page of losses, the newest first; `next` is the cursor of the one behind it, null on the last."""

    gaps: list[Gap]
    next: str | None


class Watch:
    """Looks at everything, at most once in STATUS_SECONDS."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        live: Live,
        tables: Tables,
        requests: Requests,
        near: Log,
        far: Archive,
    ) -> None:
        """Take the log's two ends, an archive of its own."""
        self._settings, self._clock = settings, clock
        self._live, self._tables, self._requests = live, tables, requests
        self._near, self._far = near, far
        self._archived: dict[str, int] | None = None
        self._archive_asked = 0.0  # by the clock; 0 before the first time
        self._held: Status | None = None
        self._looked_at = 0.0
        self._looking = asyncio.Lock()

    async def status(self) -> Status:
        """Give how things stand, at most STATUS_SECONDS old."""
        async with self._looking:
            if self._held is None or self._clock.monotonic() - self._looked_at > STATUS_SECONDS:
                self._held = await self._look()
                self._looked_at = self._clock.monotonic()
            return self._held

    async def _look(self) -> Status:
        live = self._live
        feeds = [live.feeds[name].view() for name in sorted(live.feeds)]
        problems = [f"the log cannot be read: {live.unreadable}"] if live.unreadable else []
        if self._requests.shut:
            problems.append(f"requests are not taken: {self._requests.shut}")
        problems += [_problem(feed) for feed in feeds if feed.state in ("lost", "silent")]
        streams = await self._streams()
        projectors, gaps = None, None
        try:
            projectors = await self._projectors({each.stream: each.last for each in streams})
            gaps = await self._gaps()
        except Unreachable as error:
            problems.append(f"the database does not answer: {error.found}")
        return Status(
            at=ist_text(self._clock.now_ns()),
            broker=list(self._settings.broker),
            problems=problems,
            feeds=feeds,
            ticks_per_second=round(sum(feed.ticks_per_second for feed in feeds), 1),
            instruments=len(live.prices),
            clients=len(live.viewers),
            streams=streams,
            projectors=projectors,
            gaps=gaps,
        )

    async def _streams(self) -> list[StreamView]:
        lasts: dict[str, int | None] = {name: feed.n for name, feed in self._live.feeds.items()}
        held = await self._in_archive()
        if not self._live.unreadable:
            with suppress(Unreachable):
                for name in {*await self._near.streams(), *(held or {})}:
                    last, _ = await self._near.last(name)
                    lasts[name] = max(last, lasts.get(name) or 0, (held or {}).get(name, 0))
        return [StreamView(name, n, None if held is None else held.get(name, 0)) for name, n in sorted(lasts.items())]

    async def _in_archive(self) -> dict[str, int] | None:
        """Give the last archived n of each stream, at most ARCHIVE_LOOK_SECONDS old; None where it does not answer."""
        if not self._archive_asked or self._clock.monotonic() - self._archive_asked > ARCHIVE_LOOK_SECONDS:
            try:
                async with asyncio.timeout(ARCHIVE_SECONDS_MAX):
                    self._archived = {name: await self._far.last(name) for name in await self._far.streams()}
            except (TimeoutError, BahiError):
                self._archived = None
            self._archive_asked = self._clock.monotonic()
        return self._archived

    async def _projectors(self, lasts: dict[str, int | None]) -> list[ProjectorView]:
        views = []
        for row in await self._tables.rows("read_checkpoints", {}, Standing):
            last = lasts.get(row.stream)
            lag = None if last is None else max(0, last - row.n)
            views.append(ProjectorView(row.projector, row.stream, row.n, lag, row.held))
        return views

    async def _gaps(self) -> GapCounts:
        since = datetime.fromtimestamp(self._clock.now_ns() / NS_PER_SECOND - DAY_SECONDS).astimezone()
        return (await self._tables.rows("api_gap_counts", {"since": since}, GapCounts))[0]


def _problem(feed: FeedView) -> str:
    if feed.state == "lost" and feed.down in WAITS_FOR_LOGIN:
        return f"{feed.stream} is {feed.state}: {feed.down}; run bahi login {feed.feed}"
    return f"{feed.stream} is {feed.state}"


@get("/api/status", summary="How everything stands", tags=["operation"])
async def read_status(watch: NamedDependency[Watch]) -> Status:
    """Give feeds, rates, lag, gaps, streams and projectors' positions."""
    return await watch.status()


@get("/api/gaps", summary="Losses of feed", tags=["operation"])
async def list_gaps(
    tables: NamedDependency[Tables],
    stream: FromQuery[str | None] = None,
    still_open: Annotated[bool | None, QueryParameter(name="open")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> GapPage:
    """Give the losses of feed, the newest first; `open=true` for those that last."""
    place = paging.from_word(cursor, tuple[datetime, str]) if cursor else (None, None)
    parameters = {
        "stream": stream,
        "open": still_open,
        "before_time": place[0],
        "before_stream": place[1],
        "limit": limit + 1,
    }
    found = await tables.rows("api_gaps", parameters, Gap)
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return GapPage(page, paging.to_word((last.from_time, last.stream)) if last else None)
