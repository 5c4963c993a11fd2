"""`bahi restored`: what has to be done after a backup of the database was restored (design rule 20).

Promise: when it has ended, whoever held a position before can write nothing any more, however long it was frozen; what
is between the tables and the end of the log is known, and which tables hold rows of events that were lost since.

Epochs live in the database that went back, so owners may be alive whose epochs are as high as those in it, or higher.
Their sessions are ended, and every epoch is raised to the time in microseconds: no epoch is handed out above the time
of its handing out (`projectors.setback` says why). Raising locks each position, so it waits for a transaction that has
moved one, and finds it committed or gone.

It may be run again at any time; projectors that work meanwhile let go once, take their pairs again and go on.
"""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from events import codec
from events.archive import Archive
from events.reader import Reader
from events.redis_log import RedisLog
from projectors.catalogue import PROJECTIONS
from projectors.lost import lost_rows
from runtime.clock import SystemClock
from runtime.errors import Halt, SettingError, Unreachable
from runtime.lifecycle import Stop
from runtime.settings import Settings
from runtime.waiting import Backoff
from sql import checkpoints, migrate

READ_EVENTS_MAX = 4096  # of one look for takeovers
TRIES_MAX = 10  # a lock that is held for longer than a minute is for a person to look at


class Position(msgspec.Struct):
    """A projector on a stream. stood: where it is known to have stood; last: the log's; behind: events to catch up."""

    projector: str
    stream: str
    n: int
    stood: int
    last: int
    behind: int
    epoch: int


class ToRebuild(msgspec.Struct, frozen=True):
    """A projection that will hold rows of events which a log.takeover (n) gave up."""

    projector: str
    stream: str
    n: int
    lost: int


class Report(msgspec.Struct):
    """What was found and done. problems: what keeps projectors from catching up, each with what to do."""

    positions: list[Position]
    rebuild: list[ToRebuild]
    problems: list[str]

    @property
    def ok(self) -> bool:
        """Say whether all that is missing comes back by itself, or by a rebuild."""
        return not self.problems


async def run(settings: Settings, stop: Stop) -> Report:
    """Raise all epochs, and look how far the tables are behind. Raises SettingError, Unreachable."""
    if settings.redis_url is None or settings.database_url is None:
        raise SettingError("REDIS_URL and DATABASE_URL", "one is not set", "run bahi up, or set both")
    await migrate.run(settings.database_url)
    log = RedisLog.connect(settings.redis_url)
    reader = Reader(log, Archive.at(settings))
    try:
        streams = await reader.streams()
        pairs = [(name, each) for each in streams for name, known in PROJECTIONS.items() if known.wants(each)]
        newest = [entry for _, entry in [await log.last(stream) for stream in streams] if entry is not None]
        now_ns = max([SystemClock().now_ns(), *map(codec.entry_at_ns, newest)])
        raised = await _raised(settings.database_url, pairs, now_ns, stop)
        report = Report([await _position(log, reader, **row) for row in raised], [], [])
        for stream in sorted({each.stream for each in report.positions}):
            await _look(reader, report, stream, stop)
        for each in report.positions:  # the sign of a database that went back has been heeded
            if each.stood > each.n:
                await log.mark(each.stream, each.projector, each.n)
        return report
    finally:
        await log.close()


async def _raised(database_url: str, pairs: Sequence[tuple[str, str]], now_ns: int, stop: Stop) -> list[dict[str, Any]]:
    """Raise all epochs, waiting for whoever is in the middle of a transaction."""
    backoff = Backoff()
    while True:
        try:
            return await checkpoints.raise_all(database_url, pairs, now_ns)
        except Unreachable:
            if backoff.tries >= TRIES_MAX or await stop.pause(backoff.next_seconds()):
                raise


async def _position(log: RedisLog, reader: Reader, projector: str, stream: str, n: int, epoch: int) -> Position:
    stood = (await log.marked(stream)).get(projector, 0)
    last = await reader.last(stream)
    return Position(projector, stream, n, max(n, stood), last, max(0, last - n), epoch)


async def _look(reader: Reader, report: Report, stream: str, stop: Stop) -> None:
    """Read what the projectors of a stream have before them: whether it is there, and what takeovers in it gave up."""
    mine = [each for each in report.positions if each.stream == stream]
    after, last = min(each.n for each in mine), mine[0].last
    report.problems += [
        f"{each.projector} of {stream} stands at {each.n}, the log ends at {last}: the backup is of another log, or "
        "newer than what is left of this one; start the stream's writer: it takes the stream over"
        for each in mine
        if each.n > last
    ]
    if last - after > READ_EVENTS_MAX:
        print(f"{stream}: looking through {last - after:,} events", file=sys.stderr)
    try:
        while after < last and not stop.is_set():
            batch = await reader.read(stream, after, READ_EVENTS_MAX)
            if not batch:
                report.problems.append(f"n = {after + 1} of {stream} is in no store; bahi verify says what is where")
                return
            after = batch[-1].n
            for each in mine:
                lost = [found for found in lost_rows(batch, each.projector) if found.n > each.n]
                report.rebuild += [ToRebuild(each.projector, stream, found.n, found.lost) for found in lost]
    except Halt as error:
        report.problems.append(f"wanted {error.wanted}; found {error.found}; {error.remedy}")


def shown(report: Report) -> str:
    """Give the report in words."""
    lines = ["all positions are free; nobody who held one before can write any more"]
    for each in report.positions:
        stood = f", stood at {each.stood:,}" if each.stood > each.n else ""
        behind = f"{each.behind:,} events behind" if each.behind else "at the log's end"
        lines.append(f"  {each.projector} of {each.stream}: {behind} (at {each.n:,} of {each.last:,}{stood})")
    if any(each.behind for each in report.positions) and report.ok:
        lines.append("all of it is in the log: projectors catch up by themselves (bahi up or bahi project runs them)")
    lines += [
        f"rebuild {each.projector}: the takeover at n = {each.n} of {each.stream} gave up {each.lost:,} events that it "
        f"may have rows of\n      do bahi rebuild {each.projector}, once it has caught up"
        for each in report.rebuild
    ]
    return "\n".join([*lines, *(f"wrong: {each}" for each in report.problems)])
