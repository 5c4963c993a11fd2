"""Which instruments a broker's ticker holds, and on which connection: folded from WATCHLIST and the requests.

An instrument stays on its connection, and so in its stream, for the trading day, also when it is given up and asked for
again.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date

import msgspec

from events.event import Recorded
from events.messages import Subscribe, Unsubscribe, unpack
from producers.requests import State
from runtime.errors import BadEvent

CONNECTION_INSTRUMENTS_MAX = 3000  # Kite Connect v3, "WebSocket streaming": instruments a connection
CONNECTIONS_MAX = 3  # the same page: connections an API key


class Wanted(State, kw_only=True):
    """The folded state.

    said: instruments as they were spelt -> asked for (true) or given up, the last word last. held: the tokens held
    last. assigned: instrument_token -> connection from 1, of `day` (ISO), also of what was given up on it.
    """

    said: dict[str, bool] = msgspec.field(default_factory=dict)
    held: list[int] = msgspec.field(default_factory=list)
    assigned: dict[int, int] = msgspec.field(default_factory=dict)
    day: str = ""


def fold(wanted: Wanted, requests: Sequence[Recorded]) -> list[BadEvent]:
    """Take requests into the state; others than subscriptions are not ours. Give those that cannot be read."""
    refused = []
    for request in requests:
        try:
            _take(wanted, request)
        except BadEvent as error:
            refused.append(error)
    return refused


def _take(wanted: Wanted, request: Recorded) -> None:
    said: Subscribe | Unsubscribe
    if request.type == "request.subscribe.v1":
        said = unpack(request, Subscribe)
    elif request.type == "request.unsubscribe.v1":
        said = unpack(request, Unsubscribe)
    else:
        return
    if wanted.is_new(said.key):
        for name in said.instruments:
            wanted.said.pop(name, None)  # so that the last word stands last
            wanted.said[name] = isinstance(said, Subscribe)


def chosen(wanted: Wanted, at_first: Sequence[str], token_of: Callable[[str], int | None]) -> list[int]:
    """Give the tokens to hold: those of `at_first`, and what requests said since; the last word counts.

    The same instrument may be spelt in several ways; what `token_of` does not know is left out.
    """
    found: dict[int, bool] = {}
    for name, asked in [*((name, True) for name in at_first), *wanted.said.items()]:
        token = token_of(name)
        if token is not None:
            found[token] = asked
    return [token for token, asked in found.items() if asked]


def assign(wanted: Wanted, tokens: Sequence[int], today: date) -> tuple[dict[int, list[int]], list[int]]:
    """Give the tokens of each connection, and those for which there is no room; `wanted` is moved along.

    A place stays its instrument's for the day, and is used by another only where all places have been given. Then the
    first one can come back only when there is room on its connection.
    """
    each = list(dict.fromkeys(tokens))
    if wanted.day != today.isoformat():
        wanted.day = today.isoformat()
        wanted.assigned = {token: wanted.assigned[token] for token in each if token in wanted.assigned}
    given = Counter(wanted.assigned.values())
    used: Counter[int] = Counter()
    places: dict[int, list[int]] = {}
    left_out = []
    for token in sorted(each, key=lambda token: token not in wanted.assigned):  # stable: the new ones last
        number = wanted.assigned.get(token) or _room(given) or _room(used)
        if number is None or used[number] >= CONNECTION_INSTRUMENTS_MAX:
            left_out.append(token)
            continue
        given[number] += token not in wanted.assigned
        used[number] += 1
        wanted.assigned[token] = number
        places.setdefault(number, []).append(token)
    wanted.held = [token for number in sorted(places) for token in places[number]]
    return places, left_out


def _room(taken: Counter[int]) -> int | None:
    for number in range(1, CONNECTIONS_MAX + 1):
        if taken[number] < CONNECTION_INSTRUMENTS_MAX:
            return number
    return None
