"""The log: whether spool, Redis and archive fit together at their ends. `bahi verify` reads everything between."""

from collections.abc import Iterator
from pathlib import Path

from events import standing
from ops.doctor.finding import Finding, good, note, wrong
from ops.facts.gather import Facts
from ops.facts.streams import StreamFacts
from runtime.errors import SpoolMismatch
from runtime.settings import Settings

DURABILITY_PAGE = "docs/durability.md"
DURABILITY = f"start its writer: it takes the stream over and says what is lost; see {DURABILITY_PAGE}"
ARCHIVE_SLACK_SECONDS = 600  # a closed file is archived within seconds; ten minutes are a dead archiver


def stores(facts: Facts) -> Iterator[Finding]:
    """Look at each stream's ends."""
    for trouble in facts.trouble:
        yield wrong("log", trouble, "bahi verify says more")
    misfits = [finding for stream in facts.streams for finding in apart(stream)]
    yield from misfits
    if not (misfits or facts.trouble):
        yield good("log", f"{len(facts.streams)} streams, whose stores fit together")


def apart(stream: StreamFacts) -> Iterator[Finding]:
    """Say what does not fit between the stores of one stream."""
    name, check = stream.stream, "log"
    if stream.in_spool_differs:
        found = f"spool and Redis hold different content for n = {stream.redis_last} of {name}"
        yield wrong(check, found, DURABILITY)
    if stream.spool_last is None or stream.spool_first is None:
        return
    if stream.redis_last is not None and stream.redis_last > stream.spool_last:
        found = f"Redis has {name} up to {stream.redis_last}, the spool only up to {stream.spool_last}: a disk forgot"
        yield wrong(check, found, DURABILITY)
    if stream.archived is None:
        return  # it does not answer, which is said above
    if stream.archived > stream.spool_last:
        found = f"the archive has {name} up to {stream.archived}, the spool only up to {stream.spool_last}"
        yield wrong(check, found, DURABILITY)
    if stream.spool_first > stream.archived + 1:
        found = f"{name}: the archive ends at {stream.archived}, the spool begins at {stream.spool_first}"
        yield wrong(check, found, "put the missing spool files or segments back; bahi verify says which n are missing")
    if stream.trimmed is not None and stream.trimmed > stream.archived:
        found = (
            f"{name}: Redis begins at {stream.trimmed + 1}, the archive ends at {stream.archived}: trimmed too early"
        )
        yield wrong(check, found, "bahi verify; the spool has the rest as long as it is not removed")


def takeovers(spools: Path) -> Iterator[Finding]:
    """Look whether a writer was refused, took its stream over, or stands still since."""
    for folder in sorted(each for each in spools.iterdir() if each.is_dir()) if spools.is_dir() else []:
        try:
            found = standing.read(folder)
        except SpoolMismatch as error:
            yield wrong("log", f"{error.wanted}: {error.found}", error.remedy)
            continue
        if found is None:
            continue
        if found.state == "stopped":
            remedy = f"stop the other writer, remove {folder / standing.NAME}, then start this one again"
            yield wrong("log", f"{folder.name} is written by somebody else, too: {found.why}", remedy)
        elif found.state == "refused":
            yield wrong("log", f"the log refused the writer of {folder.name}: {found.why}", "start it: it takes over")
        elif found.lost:
            remedy = f"bahi verify says which; look at {DURABILITY_PAGE}, then remove {folder / standing.NAME}"
            yield wrong("log", f"{folder.name} was taken over at n = {found.n}: {found.lost} events are lost", remedy)
        else:
            yield note("log", f"{folder.name} was taken over at n = {found.n}; no event is known to be lost")


def archiving(facts: Facts, settings: Settings) -> Finding:
    """Look whether closed files reach the archive."""
    if any(each.archived is None for each in facts.streams):
        return note("archive", "it does not answer, so nobody knows what is archived", "mend what is said of it above")
    oldest = max(facts.streams, key=lambda each: each.unarchived_seconds or 0.0, default=None)
    if oldest is None or not oldest.unarchived_seconds:
        return good("archive", "all that was written is archived" if facts.streams else "nothing was written yet")
    found = f"the oldest event that is not archived is of {oldest.stream}, {oldest.unarchived_seconds:.0f} s old"
    if oldest.unarchived_seconds <= settings.spool_file_seconds + ARCHIVE_SLACK_SECONDS:
        return good("archive", found)
    if not facts.running:
        return note("archive", found, "bahi up")
    return wrong("archive", found, "see that bahi archive runs, and what it says; look at ARCHIVE_URL's disk or server")
