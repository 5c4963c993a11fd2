"""Parked events, asked of the database itself, so that they can be looked at with the API down."""

import msgspec

from api import paging
from events.archive import Archive
from events.decode.described import Described, describe
from events.event import Recorded
from events.reader import Reader
from events.redis_log import RedisLog
from ops.embedded.discover import connect_settings
from runtime.errors import BadInput, BahiError
from runtime.settings import Settings
from sql import parked, snapshot
from sql.parked import Case, Filter, ParkedEvent, Place

READ_SECONDS_MAX = 20.0  # for the log's answer; an archive in a bucket takes some seconds


class Listed(msgspec.Struct):
    """A page of parked events; `next` is the cursor of the one behind it, null on the last."""

    parked: list[ParkedEvent]
    next: str | None


class Seen(msgspec.Struct):
    """A parked event: what the tables know, and what the log says, decoded as far as it goes.

    payload: the whole event in hexadecimal, null where the log does not give it; `trouble` says why.
    """

    case: Case
    type: str | None
    decoded: Described | None
    payload: str | None
    trouble: str | None


async def page(settings: Settings, wanted: Filter, cursor: str | None, limit: int) -> Listed:
    """Give a page of the list. Raises Unreachable, BadInput for a cursor of another list."""
    after = paging.from_word(cursor, tuple[str, str, int]) if cursor else None
    async with snapshot.take(_database(settings)) as tables:
        found = await parked.page(tables.rows, wanted, after, limit)
    return Listed(found.parked, paging.to_word(found.next) if found.next else None)


async def case(settings: Settings, place: Place) -> Seen:
    """Give one with all that is known of it. Raises BadInput where it is not parked, Unreachable."""
    async with snapshot.take(_database(settings)) as tables:
        found = await parked.case(tables.rows, place)
    if found is None:
        named = " ".join(map(str, place))
        raise BadInput("a parked event", f"{named}, which is not parked", "bahi parked lists them")
    try:
        event = await _event(settings, place[1], place[2])
    except BahiError as error:
        return Seen(found, None, None, None, str(error))
    return Seen(found, event.type, describe(event)[0], event.payload.hex(), None)


async def _event(settings: Settings, stream: str, n: int) -> Recorded:
    redis_url = connect_settings(settings, ("redis_url",)).redis_url
    assert redis_url is not None, "asked for"
    log = RedisLog.connect(redis_url)
    try:
        return await Reader(log, Archive.at(settings)).event(stream, n, READ_SECONDS_MAX)
    finally:
        await log.close()


def _database(settings: Settings) -> str:
    url = connect_settings(settings, ("database_url",)).database_url
    assert url is not None, "asked for"
    return url
