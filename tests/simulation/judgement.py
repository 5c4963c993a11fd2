"""How a history is judged at its end: what the stores hold, against all that was ever seen of it.

Numbers in brackets are those of the design's invariants.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from events import codec
from events.event import Recorded
from events.messages import Takeover, unpack
from events.spool import spool_files
from tests.simulation.counting import BAD, added
from tests.simulation.ledger import Violation
from tests.simulation.shape import FOLDER, PROJECTORS, STREAM

if TYPE_CHECKING:
    from tests.simulation.history import History

OF_THE_LOG = "log."
TAKEOVER, TOMBSTONE = "log.takeover.v1", "log.tombstone.v1"


def judge(history: "History", writer: str) -> None:
    """Hold the end of a history against the invariants; `writer` has the last word. Raises Violation."""
    last = history.writers[writer].last
    held: dict[int, bytes] = {}
    for n, entry in _held(history):
        if held.setdefault(n, entry) != entry:
            raise Violation(f"(1) n = {n} has one content here and another there: {entry!r}, {held[n]!r}")
    for n in range(1, last + 1):
        known = history.ledger.content(STREAM, n)
        if n not in held:
            raise Violation(f"(5) n = {n} of {last} is in no store")
        if known != held[n]:
            raise Violation(f"(1) n = {n} has another content than was seen: {held[n]!r}, {known!r}")
    events = [codec.decode(STREAM, held[n]) for n in range(1, last + 1)]
    _judge_events(history, events)
    _judge_tombstones(events)
    for name in PROJECTORS:
        _judge_rows(history, name, events)


def _held(history: "History") -> Iterator[tuple[int, bytes]]:
    for name in history.shelf.segments:
        for entry in history.shelf.entries(name):
            yield codec.entry_n(entry), entry
    for host in (history.home, history.away):
        history.disk_of_nobody = host.disk
        for file in spool_files(FOLDER):
            for entry in file.entries(STREAM):
                yield codec.entry_n(entry), entry
    yield from history.redis.memory._entries.get(STREAM, {}).items()


def _judge_events(history: "History", events: list[Recorded]) -> None:
    """(5, 7) What was accepted is there once, and what was not at most once.

    It stands under the n that was told. After a takeover it may stand under another one, where the log held other
    content there; and it may be gone where it was on the disk that forgot, and nowhere else.
    """
    ledger = history.ledger
    places: dict[bytes, int] = {}
    for event in events:
        if event.type.startswith(OF_THE_LOG):
            continue
        if event.payload in places:
            raise Violation(f"(7) {event.payload!r} stands at {places[event.payload]} and at {event.n}")
        places[event.payload] = event.n
    for payload, n in ledger.accepted.items():
        found = places.get(payload)
        if found is None and payload not in ledger.forgotten:
            raise Violation(f"(5) {payload!r} was accepted as {n} and is nowhere")
        if found != n and not ledger.may_take_over:
            raise Violation(f"(7) {payload!r} was accepted as {n} and is at {found}")
    foreign = set(places) - ledger.offered
    if foreign:
        raise Violation(f"(7) nobody sent {sorted(foreign)[:3]}")


def _judge_tombstones(events: list[Recorded]) -> None:
    """(5) What was lost stands there as a tombstone that a log.takeover names."""
    tombs = {event.n for event in events if event.type == TOMBSTONE}
    named: set[int] = set()
    for event in events:
        if event.type == TAKEOVER:
            for first, last in unpack(event, Takeover).tombstones:
                named |= set(range(first, last + 1))
    if tombs != named:
        raise Violation(f"(5) tombstones stand at {sorted(tombs)}, and named are {sorted(named)}")


def _judge_rows(history: "History", name: str, events: list[Recorded]) -> None:
    """(2, 6) The rows are those of a fold over the log; a bad event is parked."""
    sum_ = 0
    rows = history.tables.rows.get((name, STREAM), [])
    for event, row in zip(events, rows, strict=True):
        bad = event.payload.startswith(BAD)
        sum_ = sum_ if bad else added(sum_, event.payload)
        if (row.n, row.content, row.sum, row.parked) != (event.n, event.payload, sum_, bad):
            raise Violation(f"(2) {name} has at n = {event.n} the row {row}, wanted {event.payload!r}, sum {sum_}")
