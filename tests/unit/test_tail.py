"""A writer finds its last events, newest first, wherever they are by now."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from events import tail
from events.archive import Archive
from events.spool import Spool, spool_files
from tests.entries import STREAM, entries


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Give a spool with files of ten records, 1..10 to 41..50."""
    spool = Spool(tmp_path / "spool" / STREAM, STREAM)
    for first in range(1, 51, 10):
        spool.begin(first)
        spool.write(entries(first, first + 9))
    yield spool
    spool.close()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


async def archived(spool: Spool, archive: Archive, count: int) -> None:
    """Move the oldest files from the spool to the archive."""
    for file in spool_files(spool.folder)[:count]:
        await archive.put(STREAM, file.entries(STREAM))
        file.path.unlink()


async def backwards(spool: Spool, archive: Archive) -> list[int]:
    pieces = [[each.n for each in piece] async for piece in tail.backwards(spool.folder, STREAM, archive)]
    assert all(piece == list(range(piece[0], piece[-1] + 1)) for piece in pieces)
    return [n for piece in pieces for n in reversed(piece)]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5])
async def test_all_events_come_newest_first(
    spool: Spool, archive: Archive, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.tail.STEP_ENTRIES", 7)
    await archived(spool, archive, count)
    assert await backwards(spool, archive) == list(range(50, 0, -1))


async def test_of_a_stream_that_nobody_knows_there_is_none(tmp_path: Path, archive: Archive) -> None:
    assert [piece async for piece in tail.backwards(tmp_path, STREAM, archive)] == []


async def test_the_archiver_may_be_at_work(spool: Spool, archive: Archive) -> None:
    found: list[int] = []
    async for piece in tail.backwards(spool.folder, STREAM, archive):
        found += [each.n for each in reversed(piece)]
        await archived(spool, archive, 2 if len(found) == 20 else 0)
    assert found == list(range(50, 0, -1))
