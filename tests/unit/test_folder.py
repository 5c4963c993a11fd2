"""The archive in a folder: what a crash leaves, what a disk does, what two processes do to one name."""

import socket
from pathlib import Path

import pytest

from events.archive import Archive
from events.folder import Folder
from events.shelf import Name
from runtime.errors import Unreachable
from runtime.settings import load
from tests.entries import STREAM, entries
from tests.small_disk import filled, small_disk

FIRST = Name(STREAM, 1)


async def test_what_a_crash_left_half_written_is_not_read_and_goes(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    await archive.put(STREAM, entries(1, 10))
    left = tmp_path / STREAM / f"{11:020d}.seg.{socket.gethostname()}.4711.new"
    left.write_bytes(b"half a segm")
    others = tmp_path / STREAM / f"{11:020d}.seg.another-host.4711.new"
    others.write_bytes(b"half a segm")
    assert await archive.last(STREAM) == 10
    await archive.put(STREAM, entries(11, 20))
    await archive.sweep(STREAM)
    assert sorted(path.name for path in (tmp_path / STREAM).iterdir()) == [
        f"{1:020d}.seg",
        f"{11:020d}.seg",
        others.name,
    ]


async def test_a_folder_that_fails_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(Unreachable, match="is that disk there"):
        await Archive(tmp_path / "archive").put(STREAM, entries(1, 10))


async def test_a_full_disk_leaves_no_half_segment(tmp_path: Path) -> None:
    with small_disk(tmp_path) as folder:
        archive = Archive(folder)
        await archive.put(STREAM, entries(1, 10))
        with filled(folder):
            with pytest.raises(Unreachable, match="free some space"):
                await archive.put(STREAM, entries(11, 900))
            assert sorted(path.name for path in (folder / STREAM).iterdir()) == [f"{1:020d}.seg"]
        await archive.put(STREAM, entries(11, 900))
        assert await archive.last(STREAM) == 900


@pytest.mark.parametrize(
    ("offset", "length", "found"),
    [(0, 3, b"012"), (8, 5, b"89"), (10, 1, b""), (99, 1, b""), (-3, 9, b"789"), (-99, 3, b"012"), (4, 0, b"")],
)
async def test_a_part_is_read_wherever_it_is_asked_for(tmp_path: Path, offset: int, length: int, found: bytes) -> None:
    shelf = Folder(tmp_path)
    assert await shelf.create(FIRST, b"0123456789")
    assert await shelf.read(FIRST, offset, length) == found


async def test_a_name_is_given_once(tmp_path: Path) -> None:
    shelf = Folder(tmp_path)
    assert await shelf.create(FIRST, b"mine")
    assert not await Folder(tmp_path).create(FIRST, b"yours")
    assert await shelf.read(FIRST, 0, 9) == b"mine"
    assert [path.name for path in (tmp_path / STREAM).iterdir()] == [FIRST.file]


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    settings = load({"ARCHIVE_URL": f"file://{tmp_path}/my%20archive"})
    assert Archive.at(settings).place == str(tmp_path / "my archive")
