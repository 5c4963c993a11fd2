"""The way from the log into the tables: who holds what, who stands still, what could not be read."""

from collections.abc import Iterator
from datetime import datetime

from events.messages import RETRIED
from ops.doctor.finding import Finding, good, note, wrong
from ops.facts.gather import Facts
from ops.facts.streams import ProjectorFacts, StreamFacts
from projectors.catalogue import PROJECTIONS
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND
from sql.owner import lives
from sql.workers import Halted

STILL_SECONDS = 5.0  # invariant 8: idle with n below the last id for so long is wrong

RAISED_US_MAX = 24 * 3600 * 1_000_000  # a day after it everybody has heard

Positions = dict[tuple[str, str], int]  # (projector, stream) -> n


def positions(facts: Facts) -> Positions:
    """Give where each projector stands on each stream."""
    return {(each.projector, stream.stream): each.n for stream in facts.streams for each in stream.projectors}


def behind(facts: Facts) -> bool:
    """Say whether any projector has events before it."""
    return any(each.lag_events for stream in facts.streams for each in stream.projectors)


def standing(facts: Facts, before: Positions, seconds: float) -> Iterator[Finding]:
    """Look at each pair, compared with where it stood `seconds` ago."""
    if facts.database.facts is None:
        return
    found = [
        finding
        for stream in facts.streams
        for each in stream.projectors
        if (finding := _standing(facts, stream, each, before.get((each.projector, stream.stream)), seconds))
    ]
    yield from found
    missing = [
        f"{name} of {stream.stream}"
        for stream in facts.streams
        for name, projection in PROJECTIONS.items()
        if projection.wants(stream.stream) and name not in {each.projector for each in stream.projectors}
    ]
    if missing:
        state = wrong if facts.running else note
        yield state("projectors", f"never started: {', '.join(missing)}", "bahi project")
    if not (found or missing):
        count = sum(len(stream.projectors) for stream in facts.streams)
        yield good("projectors", f"{count} positions, none stands still below its stream's end")


def _standing(
    facts: Facts, stream: StreamFacts, each: ProjectorFacts, before: int | None, seconds: float
) -> Finding | None:
    where = f"{each.projector} of {stream.stream}"
    if each.n > stream.last:
        found = (
            f"{where} stands at {each.n}, the log ends at {stream.last}: the log forgot, or the tables are of another"
        )
        return wrong("projectors", found, "see docs/durability.md; bahi verify says what is where")
    if not each.lag_events or before is None or each.n != before:
        return None
    assert facts.database.facts is not None, "asked by `standing`"
    for halt in facts.database.facts.halted:
        if (halt.projector, halt.stream) == (each.projector, stream.stream):
            return _halted(halt, each)
    lag = f"{where} stands at {each.n}, {each.lag_events} events behind, and did not move for {seconds:.0f} s"
    if not each.held:
        state = wrong if facts.running else note
        return state("projectors", f"{lag}; nobody runs it", "bahi project (bahi up runs it)")
    if lives(each.owner) is False:
        return wrong("projectors", f"{lag}; its owner {each.owner} is dead", "bahi project: it takes over at once")
    remedy = "read what that bahi project says: it may have halted, or wait for PostgreSQL"
    return wrong("projectors", f"{lag}; {each.owner} holds it", remedy)


def _halted(halt: Halted, each: ProjectorFacts) -> Finding:
    """Say before which event a projector has halted, why, and how that event is seen."""
    at = datetime.fromtimestamp(halt.at_ns / NS_PER_SECOND, IST)
    n = max(halt.n, each.n + 1)  # where it halted before it began, it did not know its place
    where = f"{halt.projector} has halted at event {n} of {halt.stream}, {each.lag_events} events behind"
    why = f"wanted {halt.wanted}; found {halt.found} (tried last at {at:%H:%M:%S} IST)"
    look = f"bahi explain {halt.stream} {n} shows the event"
    return wrong("projectors", f"{where}: {why}", f"{halt.remedy}; {look}; it is tried again by itself")


def went_back(facts: Facts) -> Iterator[Finding]:
    """Look for checkpoints below where their projectors had stood: the consumer groups follow the commits."""
    for stream in facts.streams:
        for each in stream.projectors:
            if each.marked > each.n > 0:
                found = f"{each.projector} of {stream.stream} stood at {each.marked}, its checkpoint says {each.n}"
                yield wrong("database", f"{found}: the database went back", "bahi restored")


def raised(facts: Facts) -> Iterator[Finding]:
    """Say when a database was found to have gone back, or was restored: then its epochs were raised to the time."""
    epochs = [each.epoch for stream in facts.streams for each in stream.projectors]
    newest_us = max(epochs, default=0)
    if facts.now_ns // 1000 - newest_us < RAISED_US_MAX:
        at = datetime.fromtimestamp(newest_us / 1e6, IST)
        found = f"the database went back, or was restored, before {at:%d %b %H:%M} IST: positions were freed then"
        yield note("database", found, "if bahi restored was not run after it, run it: it says what is missing")


def lost(facts: Facts) -> Iterator[Finding]:
    """Look for rows of events that a takeover of their stream gave up."""
    for each in facts.database.facts.lost if facts.database.facts else []:
        found = f"{each.projector} has rows of {each.lost} events of {each.stream} that were lost with a disk"
        yield wrong("lost rows", f"{found} (log.takeover at n = {each.n})", f"bahi rebuild {each.projector}")


def tables(facts: Facts) -> Iterator[Finding]:
    """Look at which version made each projection's tables, and at what rebuilds have left."""
    if facts.database.facts is None:
        return
    old = [
        _version(name, made, PROJECTIONS[name].version)
        for name, made in facts.database.facts.versions.items()
        if name in PROJECTIONS and made != PROJECTIONS[name].version
    ]
    yield from old
    if not old:
        yield good("tables", "all were made by the present versions of their projectors")
    for each in facts.database.facts.rebuilds:
        if each.owner is not None:
            yield good("rebuild", f"{each.projector} is being rebuilt by {each.owner} ({each.name})")
        elif each.kind == "rebuild":
            remedy = f"bahi rebuild {each.projector}: it goes on; with --restart it begins again"
            yield note("rebuild", f"a rebuild of {each.projector} was left unfinished ({each.name})", remedy)
        else:
            remedy = f"bahi rebuild {each.projector} drops them; what hangs on them must be dropped by hand"
            yield note("rebuild", f"replaced tables of {each.projector} are still there ({each.name})", remedy)


def _version(name: str, made: int, version: int) -> Finding:
    found = f"tables of {name} were made by version {made}, this is version {version}"
    return wrong("tables", found, f"bahi rebuild {name}" if made < version else "update this Bahi")


def parked(facts: Facts) -> Iterator[Finding]:
    """Look at what could not be read, and was not set aside."""
    if facts.database.facts is None:
        return
    waiting = [each for each in facts.database.facts.parked if each.events]
    for each in waiting:
        found = f"{each.events} events of {each.stream} were parked by {each.projector}, such as: {each.error}"
        mended = "bahi parked retry" if each.projector in RETRIED else f"bahi rebuild {each.projector}"
        look = f"bahi parked show {each.projector} {each.stream} {each.last_n}"
        yield wrong("parked", found, f"{look}; after a fix {mended}, else bahi parked set-aside")
    set_aside = sum(each.set_aside for each in facts.database.facts.parked)
    if not waiting:
        aside = f"; {set_aside} events are set aside" if set_aside else ""
        yield good("parked", f"nothing that could not be read waits for a decision{aside}")
