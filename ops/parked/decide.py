"""A decision about a parked event: asked of the API, as every request; then a look whether it was carried out."""

import asyncio
import time

import msgspec

from ops import own_api
from ops.embedded.discover import connect_settings
from runtime.errors import BahiError
from runtime.settings import Settings
from sql import snapshot
from sql.parked import Place

WAIT_SECONDS_MAX = 15.0  # requests reach the tables at once, and projectors look once a second
LOOK_SECONDS = 0.2
RETRY, SET_ASIDE = "retry", "set-aside"


class Accepted(msgspec.Struct):
    """The API's answer. checked: whether it could see that the event is parked."""

    request: int
    stream: str
    checked: bool


class Decided(msgspec.Struct):
    """What became of a request. done: carried out, as far as was waited for; of a retry also what came of it."""

    request: int
    stream: str
    done: bool = False
    gained: int | None = None
    packets_left: int | None = None
    unread: bool | None = None
    refused: str | None = None

    def told(self, verb: str, place: Place) -> str:
        """Say it in words."""
        named = " ".join(map(str, place))
        if not self.done:
            request = f"request {self.request} of {self.stream}"
            return f"{request} is in the log; bahi project carries it out, unless a newer one replaces it"
        if verb == SET_ASIDE:
            return f"{named} is set aside"
        if self.refused:
            return f"{named} was tried and is refused again: {self.refused}"
        left = f"; {self.packets_left} are still parked" if self.packets_left else ""
        candles = "; candles were made without them: bahi rebuild candles brings them in" if self._is_missed() else ""
        return f"{named} was read: {self.gained} packets are rows now that were not{left}{candles}"

    def _is_missed(self) -> bool:
        return bool(self.gained and self.unread)


async def decide(settings: Settings, verb: str, place: Place, words: tuple[str, str], *, wait: bool) -> Decided:
    """Ask for a retry, or to set an event aside; words: reason, and who says so. Raises as `own_api.ask`."""
    wish = dict(zip(("projector", "stream", "n", "reason", "by"), (*place, *words), strict=True))
    answer = await asyncio.to_thread(own_api.ask, settings, "POST", f"/api/parked/{verb}", wish)
    taken = msgspec.json.decode(answer, type=Accepted)
    decided = Decided(taken.request, taken.stream)
    database_url = connect_settings(settings, ()).database_url
    if wait and database_url is not None:
        await _wait(decided, verb, database_url)
    return decided


async def _wait(decided: Decided, verb: str, database_url: str) -> None:
    """Wait until the tables say that it was carried out; without them nobody can tell."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    of = {"requests_stream": decided.stream, "requests_n": decided.request}
    while not decided.done and time.monotonic() < deadline:
        try:
            async with snapshot.take(database_url) as tables:
                found = await tables.rows("decision_taken", of)
        except BahiError:  # the request is taken; that the database is away is not of this request
            return
        if found and (verb == SET_ASIDE or found[0]["tried"]):
            decided.done = True
            decided.gained, decided.packets_left = found[0]["gained"], found[0]["packets_left"]
            decided.unread, decided.refused = found[0]["unread"], found[0]["refused"]
        else:
            await asyncio.sleep(LOOK_SECONDS)
