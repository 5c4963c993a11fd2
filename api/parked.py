"""Parked events: list and look at them; and requests to try one again after a fix, or to set it aside."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import paging
from api.answers import Asked, NotFound
from api.idempotency import key_of
from api.requests import Requests
from api.tables import Tables
from events.decode.described import Described, describe
from events.event import Recorded
from events.messages import RETRIED, Retry, SetAside
from events.reader import Reader
from runtime.errors import BadInput, BahiError, Unreachable
from sql import parked
from sql.parked import Case, Filter, ParkedEvent, State

PAGE_DEFAULT, PAGE_MAX = 100, 1000
READ_SECONDS_MAX = 3.0  # for the log's answer: who looks sees the rest without it
NAME_CHARACTERS_MAX = 100  # of a projector's or a stream's; the longest of ours have 20
REASON_CHARACTERS_MAX = 1000  # a sentence or two, which stays in the log for ever


class ParkedList(msgspec.Struct):
    """A page of parked events by projector, stream and n; `next` is the cursor of the one behind it."""

    parked: list[ParkedEvent]
    next: str | None


class ParkedCase(msgspec.Struct):
    """A parked event: its case in the tables, and what the log has of it, decoded as far as it goes.

    type: of the event; decoded: null where the log does not give it, and `trouble` says why.
    """

    case: Case
    type: str | None
    decoded: Described | None
    trouble: str | None


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    """Which parked event is meant. reason: in your words; by: who you are, where others share the key."""

    projector: str
    stream: str
    n: int
    reason: str = ""
    by: str = ""


class Accepted(msgspec.Struct):
    """A request that was taken: its number in the stream of requests. checked: whether the event is known as parked."""

    request: int
    stream: str
    checked: bool


class Finder:
    """Looks single events up in the log."""

    def __init__(self, make_reader: Callable[[], Reader]) -> None:
        """make_reader: a reader remembers where it was, so each look has its own."""
        self._make_reader = make_reader

    async def find(self, stream: str, n: int) -> Recorded:
        """Give event n. Raises BahiError where no store gives it in time."""
        return await self._make_reader().event(stream, n, READ_SECONDS_MAX)


@get("/api/parked", summary="Parked events", tags=["operation"])
async def list_parked(
    tables: NamedDependency[Tables],
    projector: FromQuery[str | None] = None,
    stream: FromQuery[str | None] = None,
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> ParkedList:
    """Give what could not be stored, each event with what was decided about it."""
    after = paging.from_word(cursor, tuple[str, str, int]) if cursor else None
    page = await parked.page(tables.ask, Filter(projector, stream, in_state), after, limit)
    return ParkedList(page.parked, paging.to_word(page.next) if page.next else None)


@get("/api/parked/{projector:str}/{stream:str}/{n:int}", summary="One parked event", tags=["operation"])
async def show_parked(
    tables: NamedDependency[Tables],
    finder: NamedDependency[Finder],
    projector: FromPath[str],
    stream: FromPath[str],
    n: FromPath[int],
) -> ParkedCase:
    """Give one with its bytes, its decisions and tries, and what the log says of it."""
    case = await parked.case(tables.ask, (projector, stream, n))
    if case is None:
        raise _not_parked(projector, stream, n)
    try:
        event = await finder.find(stream, n)
    except BahiError as error:
        return ParkedCase(case, None, None, str(error))
    return ParkedCase(case, event.type, describe(event)[0], None)


@post("/api/parked/retry", status_code=202, summary="Try a parked event again", tags=["operation"])
async def retry(
    data: JSONBody[Wish], tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked
) -> Accepted:
    """Take the request to read a parked event again, after a fix; the projector tries it once."""
    _check_words(data)
    if data.projector not in RETRIED:
        raise BadInput(
            f"a projector that can read one event again: {', '.join(sorted(RETRIED))}",
            f"{data.projector}, of which a row holds more than one event",
            f"bahi rebuild {data.projector} makes its tables again from the log, this event with it",
        )
    checked = await _check(tables, data)
    asked = Retry(
        projector=data.projector, stream=data.stream, n=data.n, reason=data.reason, by=data.by, key=key_of(request)
    )
    taken = await requests.take(asked)
    return Accepted(taken.n, taken.stream, checked)


@post("/api/parked/set-aside", status_code=202, summary="Set a parked event aside", tags=["operation"])
async def set_aside(
    data: JSONBody[Wish], tables: NamedDependency[Tables], requests: NamedDependency[Requests], request: Asked
) -> Accepted:
    """Take the decision that nothing is to be done about a parked event. It stays parked, and asks for nothing more."""
    _check_words(data)
    if not data.reason.strip():
        raise BadInput("a reason why nothing is to be done", "none", "say it in a sentence: it stays in the log")
    checked = await _check(tables, data)
    asked = SetAside(
        projector=data.projector, stream=data.stream, n=data.n, reason=data.reason, by=data.by, key=key_of(request)
    )
    taken = await requests.take(asked)
    return Accepted(taken.n, taken.stream, checked)


def _check_words(wish: Wish) -> None:
    limits = {
        "projector": NAME_CHARACTERS_MAX,
        "stream": NAME_CHARACTERS_MAX,
        "by": NAME_CHARACTERS_MAX,
        "reason": REASON_CHARACTERS_MAX,
    }
    for name, most in limits.items():
        if len(found := getattr(wish, name)) > most:
            raise BadInput(f"`{name}` of at most {most} characters", str(len(found)), "shorten it")
    if not (wish.projector and wish.stream and wish.n > 0):
        raise BadInput("projector, stream and n of a parked event", str(wish.n), "GET /api/parked lists them")


async def _check(tables: Tables, wish: Wish) -> bool:
    """Refuse what is not parked; say whether that could be judged: a request is taken with PostgreSQL down."""
    place = {"projector": wish.projector, "stream": wish.stream, "n": wish.n}
    try:
        if await tables.ask("parked_event", place):
            return True
    except Unreachable:
        return False
    raise _not_parked(wish.projector, wish.stream, wish.n)


def _not_parked(projector: str, stream: str, n: int) -> NotFound:
    return NotFound("a parked event", f"{projector} {stream} {n}, which is not parked", "bahi parked lists them")
