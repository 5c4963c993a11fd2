"""How a writer finds its place when it starts, and when it must not start (design rule 7).

A spool that holds records goes on behind them, where it fits to the archive: it holds all that is not archived, and
nothing less. An empty one begins a stream, but only a stream that Redis, archive and checkpoints all answer not to
know; until all have answered the writer waits, and says for which. Everything else is a `SpoolMismatch`: a disk is
missing, or forgot, and numbers would be given twice.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from events.archive import Archive
from events.event import Event
from events.log import Log
from events.messages import Takeover, pack
from events.spool import Spool
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import SpoolMismatch, Unreachable
from runtime.log import get
from runtime.waiting import Backoff

AskCheckpoints = Callable[[str], Awaitable[int]]  # the highest n that any projector has of a stream; raises Unreachable

_log = get("writer")


async def takeover(spool: Spool, log: Log, archive: Archive, checkpoints: AskCheckpoints, clock: Clock) -> Event:
    """Give the event that opens a stream which no store knows. Raises SpoolMismatch where one does."""
    stream = spool.stream

    async def in_redis() -> int:
        return (await log.last(stream))[0]

    known = {
        "the checkpoints": await _asked("the checkpoints", stream, lambda: checkpoints(stream)),
        "Redis": await _asked("Redis", stream, in_redis),
        "the archive": await _asked("the archive", stream, lambda: archive.last(stream)),
    }
    if any(known.values()):
        said = ", ".join(f"{who} up to {n}" for who, n in known.items() if n)
        raise mismatch(spool, f"an empty spool in {spool.folder}, though the stream is known to {said}")
    return pack(Takeover(host=socket.gethostname(), tombstones=[], checkpoints={}), clock.now_ns())


async def behind_archive(spool: Spool, archive: Archive) -> None:
    """See that the spool holds all that is not archived. Raises SpoolMismatch, Unreachable."""
    last = spool.last
    oldest = await asyncio.to_thread(spool.oldest)  # before the archive: a file is removed after it was copied
    archived = await archive.last(spool.stream)
    if archived > last:
        raise mismatch(spool, f"the archive ends at {archived} and the spool at {last}")
    if oldest > archived + 1:
        raise mismatch(spool, f"the archive ends at {archived} and the spool begins at {oldest}")


def mismatch(spool: Spool, found: str) -> SpoolMismatch:
    """Give the error of a spool that is not what the other stores say that it must be."""
    return SpoolMismatch(
        f"the spool of {spool.stream} to hold all that is not archived",
        found,
        f"bring back the folder {spool.folder} or the archive, whichever is not as it was; see docs/durability.md",
    )


async def _asked(who: str, stream: str, ask: Callable[[], Awaitable[int]]) -> int:
    backoff, complaints = Backoff(), Complaints(_log.bind(stream=stream, waits_for=who))
    while True:
        try:
            return await ask()
        except Unreachable as error:
            complaints.say("stream_opening_waits", found=error.found, remedy=error.remedy)
            await backoff.wait()
