"""The last events of a stream as its writer finds them: from the spool, or the archive where the spool is young."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from events import codec
from events.archive import Archive
from events.event import Recorded
from events.spool import spool_files

STEP_ENTRIES = 4096  # read from the archive at once, walking back


async def backwards(folder: Path, stream: str, archive: Archive) -> AsyncIterator[list[Recorded]]:
    """Give the events of a stream in pieces, the newest piece first, each in the order of n."""
    first = 0
    for file in reversed(await asyncio.to_thread(spool_files, folder)):
        try:
            entries = (await asyncio.to_thread(file.scan, stream)).entries
        except FileNotFoundError:
            break  # archived and removed since the listing, as all older ones are
        first = file.first
        if entries:
            yield [codec.decode(stream, entry) for entry in entries]
    last = first - 1 if first else await archive.last(stream)
    while last > 0:
        start = max(1, last - STEP_ENTRIES + 1)
        entries = []
        while len(entries) < last - start + 1:
            more = await archive.entries(stream, start + len(entries), last - start + 1 - len(entries))
            if not more:
                return
            entries += more
        yield [codec.decode(stream, entry) for entry in entries]
        last = start - 1
