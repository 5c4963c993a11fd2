"""How a writer finds its place when it starts (design rule 7).

What it may find there, and what it does:

    stopped          refused twice in a row: somebody else writes; a person must look first
    refused          the last run was refused by the log: take the stream over
    rotten           a bad record that had been synced: take it over
    apart            it does not hold all that the archive lacks, or ends below it: take it over
    empty            a stream that is new, or a disk that is: taken over in any case, after all stores have answered
    whole            a torn tail is cut, and it goes on behind its last record
"""

import asyncio

from events.archive import Archive
from events.log import Log
from events.spool import Spool
from events.standing import NAME, Standing, read
from events.takeover import Fence, settle, take_over
from runtime.clock import Clock
from runtime.errors import ArchiveRotten, SpoolMismatch, Unreachable
from runtime.log import get
from runtime.waiting import in_thread

_log = get("writer")


async def open_spool(spool: Spool, near: Log, far: Archive, fence: Fence, clock: Clock) -> bool:
    """Make the spool ready to be written behind its last record; say whether its place behind the archive was seen.

    Raises SpoolMismatch where the writer must not start.
    """
    standing = await in_thread(lambda: _settled(spool, clock))
    if standing is not None and standing.state == "stopped":
        raise SpoolMismatch(
            f"to be the only writer of {spool.stream}",
            f"it was refused again after a takeover: {standing.why}",
            f"stop the other writer, remove {spool.folder / NAME}, then start again; see docs/durability.md",
        )
    why = standing.why if standing is not None and standing.state == "refused" else None
    seen = False
    if why is None:
        why, seen = await _look(spool, far)
    if why is None:
        return seen
    done = await take_over(spool, near, far, fence, clock, why)
    await in_thread(spool.load)
    if done.n == 1 and not done.again:
        return True  # the stream was new
    _log.error("stream_taken_over", stream=spool.stream, why=why, n=done.n, lost=done.lost, again=done.again)
    # Closed by a younger file it goes to the archive soon, where readers find what Redis can no longer be given.
    await in_thread(lambda: spool.begin(spool.last + 1))
    return True


def _settled(spool: Spool, clock: Clock) -> Standing | None:
    """Finish a takeover that a crash left behind; give how the writer stands then."""
    standing = read(spool.folder)
    refused = standing is not None and standing.state == "refused"
    settle(spool.folder, Standing("taken over", clock.now_ns(), standing.why) if standing and refused else None)
    return read(spool.folder)


async def _look(spool: Spool, far: Archive) -> tuple[str | None, bool]:
    """Load the spool; say why it cannot simply go on, if so, and whether the archive was asked."""
    try:
        if not await in_thread(spool.load):
            return f"the spool in {spool.folder} is empty", False
        await behind_archive(spool, far)
    except SpoolMismatch as error:
        return error.found, False
    except Unreachable as error:
        _log.warning("archive_unreachable", stream=spool.stream, found=error.found)
        return None, False
    return None, True


async def behind_archive(spool: Spool, archive: Archive) -> None:
    """See that the spool holds all that is not archived. Raises SpoolMismatch, Unreachable."""
    last = spool.last
    oldest = await asyncio.to_thread(spool.oldest)  # before the archive: a file is removed after it was copied
    archived = await archived_last(archive, spool.stream)
    if archived > last:
        raise mismatch(spool, f"the archive ends at {archived} and the spool at {last}")
    if oldest > archived + 1:
        raise mismatch(spool, f"the archive ends at {archived} and the spool begins at {oldest}")


async def archived_last(archive: Archive, stream: str) -> int:
    """Give the last n of the archive. Raises Unreachable, also where its last segment is rotten.

    That is waited for like an archive that is away: a feed does not stop for a segment that somebody may bring back.
    """
    try:
        return await archive.last(stream)
    except ArchiveRotten as error:
        raise Unreachable(error.wanted, error.found, error.remedy) from error


def mismatch(spool: Spool, found: str) -> SpoolMismatch:
    """Give the error of a spool that is not what the other stores say that it must be."""
    return SpoolMismatch(f"the spool of {spool.stream} to hold all that is not archived", found, "it is taken over")
