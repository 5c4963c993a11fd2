"""Parked events as they lie in the tables: a page of them, and one with all its parts, decisions and tries."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Literal, LiteralString

import msgspec

from runtime.calendar import IST

State = Literal["waiting", "retry_wanted", "set_aside"]
Place = tuple[str, str, int]  # projector, stream, n: the order of lists
Ask = Callable[[LiteralString, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]
"""Runs a statement by its name and gives its rows."""


class ParkedEvent(msgspec.Struct, frozen=True):
    """An event of which a projector could not store something.

    at: when it was received. parts: how many pieces are parked; packets, bytes: in them; error: of the first.
    state: `waiting` for a decision, `retry_wanted`, `set_aside`; reason, asked_by, decided_at and the request's place
    in the log are those of the newest decision, null where there is none.
    """

    projector: str
    stream: str
    n: int
    at: datetime
    parts: int
    packets: int
    bytes: int
    error: str
    state: State
    reason: str | None
    asked_by: str | None
    decided_at: datetime | None
    requests_stream: str | None
    requests_n: int | None


class ParkedPage(msgspec.Struct, frozen=True):
    """A page of them; `next` is the place of the last one where more come behind it."""

    parked: list[ParkedEvent]
    next: Place | None


class Part(msgspec.Struct, frozen=True):
    """A piece that could not be read. payload: in hexadecimal."""

    part: int
    error: str
    packets: int
    payload: str


class Decision(msgspec.Struct, frozen=True):
    """What a user decided: `retry` or `set_aside`, and the request's place in the log."""

    requests_stream: str
    requests_n: int
    at: datetime
    decision: str
    reason: str
    asked_by: str


class Try(msgspec.Struct, frozen=True):
    """What came of a retry: packets that are rows now, packets still parked, why it was refused.

    unread: whether it had been the decoder that could not read it; then candles were made without it as well.
    """

    requests_stream: str
    requests_n: int
    at: datetime
    gained: int
    packets_left: int
    unread: bool
    refused: str | None


class Case(msgspec.Struct, frozen=True):
    """All that the tables know of one parked event."""

    event: ParkedEvent
    parts: list[Part]
    decisions: list[Decision]
    tries: list[Try]


class Filter(msgspec.Struct, frozen=True):
    """Which ones are wanted; None means all."""

    projector: str | None = None
    stream: str | None = None
    state: State | None = None


async def page(ask: Ask, wanted: Filter, after: Place | None, limit: int) -> ParkedPage:
    """Give up to `limit` parked events behind a place, by projector, stream and n. Raises what `ask` raises."""
    place = dict(zip(("after_projector", "after_stream", "after_n"), after or (None, None, None), strict=True))
    parameters = {**msgspec.structs.asdict(wanted), **place, "limit": limit + 1}
    found = [_event(row) for row in await ask("parked_page", parameters)]
    last = found[limit - 1] if len(found) > limit else None
    return ParkedPage(found[:limit], (last.projector, last.stream, last.n) if last else None)


async def case(ask: Ask, place: Place) -> Case | None:
    """Give one parked event, None where it is not parked. Raises what `ask` raises."""
    of = dict(zip(("projector", "stream", "n"), place, strict=True))
    found = await ask("parked_event", of)
    if not found:
        return None
    parts = [_part(row) for row in await ask("parked_parts", of)]
    decisions = [msgspec.convert(_in_india(row), Decision) for row in await ask("parked_decided", of)]
    tries = [msgspec.convert(_in_india(row), Try) for row in await ask("parked_tried", of)]
    return Case(_event(found[0]), parts, decisions, tries)


def _part(row: dict[str, Any]) -> Part:
    return Part(row["part"], row["error"], row["packets"], row["payload"].hex())


def _event(row: dict[str, Any]) -> ParkedEvent:
    return msgspec.convert(_in_india(row), ParkedEvent)


def _in_india(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.astimezone(IST) if isinstance(value, datetime) else value for name, value in row.items()}
