"""An archive that is far behind: what was spooled meanwhile goes in, in bounded memory."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from events import codec
from events.archive import Archive
from events.spool import Spool, file_name
from ops.bench.frames import Source
from tests.acceptance.memory import most_memory_mib
from tests.stack import TICK_STREAM, Stack

BEHIND_BYTES = 2 * 1024**3
FILE_FRAMES = 32_000
"""About 60 MB of records: what a spool file of the usual size holds."""

RSS_MIB_MAX = 512
"""Python with its libraries takes 60 MiB. One file of 64 MiB is in memory at a time, as bytes and as records, and its
segment in chunks; it must not grow with how far the archive is behind."""

GROWN_MIB_MAX = 64
"""How much more the last half of the files may take than the first: what the allocator has not given back."""


def fill(stack: Stack) -> tuple[int, int, int]:
    """Close spool files of BEHIND_BYTES, with Redis having the last record of each; give files, bytes, last n."""
    folder = stack.data_dir / "spool" / TICK_STREAM
    spool, pool, files = Spool(folder, TICK_STREAM), list(Source().frames(FILE_FRAMES)), 0
    with stack.redis() as client:
        while spool.held_bytes() < BEHIND_BYTES:
            first = spool.last + 1
            spool.begin(first)
            spool.write([codec.encode(n, event) for n, event in enumerate(pool, first)])
            spool.sync()
            files += 1
            # The archiver asks Redis for no other record of a file than its last.
            last = codec.encode(spool.last, pool[-1])
            client.xadd(TICK_STREAM, {"e": last}, id=f"{spool.last}-0")
    spool.begin(spool.last + 1)
    size, last_n = spool.held_bytes(), spool.last
    spool.close()
    assert (folder / file_name(last_n + 1)).exists()
    return files, size, last_n


async def archived_without_a_hole(folder: Path) -> int:
    """Read every segment, whose checksums are compared; give the last n of a dense sequence."""
    archive, last = Archive(folder), 0
    while batch := await archive.entries(TICK_STREAM, last + 1, 4096):
        assert [codec.entry_n(entry) for entry in batch] == list(range(last + 1, last + 1 + len(batch)))
        last += len(batch)
    return last


@pytest.mark.prove
def test_two_gigabytes_behind_in_bounded_memory(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """An archive behind by 2 GB of spool files catches up in bounded memory, and nothing is missing in it."""
    with Stack(data_dir) as stack:
        files, size, last = fill(stack)
        archived = data_dir / "archive" / TICK_STREAM
        stack.start("archive")
        pid, began = stack.processes["archive"].pid, time.monotonic()
        stack.wait("half is archived", lambda: len(list(archived.glob("*.seg"))) >= files // 2, 300)
        half_mib = most_memory_mib(pid)
        stack.wait("all is archived", lambda: len(list(archived.glob("*.seg"))) == files, 300)
        seconds, rss_mib = time.monotonic() - began, most_memory_mib(pid)
        assert stack.stop("archive") == 0
        spooled = sum(path.stat().st_size for path in (data_dir / "spool" / TICK_STREAM).glob("*.spool"))
        record_property("GiB behind", round(size / 1024**3, 2))
        record_property("files", files)
        record_property("events", last)
        record_property("seconds", round(seconds, 1))
        record_property("most memory, MiB", round(rss_mib))
        assert spooled < FILE_FRAMES
        assert rss_mib < RSS_MIB_MAX
        assert rss_mib - half_mib < GROWN_MIB_MAX
        assert asyncio.run(archived_without_a_hole(data_dir / "archive")) == last
