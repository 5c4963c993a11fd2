"""Which instruments a broker's ticker holds, and on which connection: folded from WATCHLIST and the requests.

An instrument stays on its connection, and so in its stream, for the trading day, also when it is given up and asked for
again.
"""

from collections import Counter
from datetime import date

import msgspec

from events.event import Recorded
from events.messages import Subscribe, Unsubscribe, unpack
from producers.requests import State

CONNECTION_INSTRUMENTS_MAX = 3000  # Kite Connect v3, "WebSocket streaming": instruments a connection
CONNECTIONS_MAX = 3  # the same page: connections an API key


class Wanted(State, kw_only=True):
    """The folded state. asked: instruments by request, as they were spelt; given_up: those of WATCHLIST that were."""

    asked: list[str] = msgspec.field(default_factory=list)
    given_up: list[str] = msgspec.field(default_factory=list)
    assigned: dict[int, int] = msgspec.field(default_factory=dict)  # instrument_token -> connection from 1
    day: str = ""


def fold(wanted: Wanted, requests: list[Recorded]) -> None:
    """Take requests into the state; others than subscriptions are not ours."""
    for request in requests:
        if request.type == "request.subscribe.v1":
            more = unpack(request, Subscribe)
            if wanted.is_new(more.key):
                wanted.given_up = [each for each in wanted.given_up if each not in more.instruments]
                wanted.asked += [each for each in more.instruments if each not in wanted.asked]
        elif request.type == "request.unsubscribe.v1":
            less = unpack(request, Unsubscribe)
            if wanted.is_new(less.key):
                wanted.asked = [each for each in wanted.asked if each not in less.instruments]
                wanted.given_up += [each for each in less.instruments if each not in wanted.given_up]


def assign(wanted: Wanted, tokens: list[int], today: date) -> tuple[dict[int, list[int]], list[int]]:
    """Give the tokens of each connection, and those for which there is no room; `wanted.assigned` is moved along."""
    chosen = list(dict.fromkeys(tokens))
    if wanted.day != today.isoformat():
        wanted.day = today.isoformat()
        wanted.assigned = {token: place for token, place in wanted.assigned.items() if token in set(chosen)}
    held = Counter(wanted.assigned[token] for token in chosen if token in wanted.assigned)
    left_out = []
    for token in chosen:
        if token in wanted.assigned:
            continue
        room = [each for each in range(1, CONNECTIONS_MAX + 1) if held[each] < CONNECTION_INSTRUMENTS_MAX]
        if not room:
            left_out.append(token)
            continue
        wanted.assigned[token] = room[0]
        held[room[0]] += 1
    places: dict[int, list[int]] = {}
    for token in chosen:
        if token in wanted.assigned:
            places.setdefault(wanted.assigned[token], []).append(token)
    return places, left_out
