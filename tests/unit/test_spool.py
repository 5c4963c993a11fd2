"""The spool keeps what it was given, and tells a torn tail from a disk that forgot."""

from pathlib import Path

import pytest

from events import disk
from events.spool import (
    Spool,
    SpoolFile,
    closed_files,
    file_name,
    header,
    record,
    spool_files,
)
from runtime.errors import SpoolMismatch, Unreachable
from tests.entries import STREAM, entries, entry
from tests.small_disk import filled, small_disk


def spooled(folder: Path, *commits: tuple[int, int]) -> Path:
    """Write commits (first n, last n) into a new spool; give its youngest file."""
    spool = Spool(folder, STREAM)
    if not spool.load():
        spool.begin(1)
    for first, last in commits:
        spool.write(entries(first, last))
        spool.sync()
    spool.close()
    return spool_files(folder)[-1].path


def loaded(folder: Path) -> tuple[int, list[bytes]]:
    """Start on what is on the disk; give the last n and all entries."""
    spool = Spool(folder, STREAM)
    try:
        spool.load()
        return spool.last, [each for file in spool_files(folder) for each in file.entries(STREAM)]
    finally:
        spool.close()


def test_a_start_finds_what_was_written(tmp_path: Path) -> None:
    spooled(tmp_path, (1, 3), (4, 4), (5, 9))
    assert loaded(tmp_path) == (9, entries(1, 9))
    spooled(tmp_path, (10, 12))
    assert loaded(tmp_path) == (12, entries(1, 12))


def test_an_empty_folder_and_an_empty_file_hold_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "not" / "there" / "yet", STREAM)
    assert not spool.load()
    spool.begin(1)
    spool.close()
    again = Spool(spool.folder, STREAM)
    assert not again.load()
    assert (again.first, again.last, again.oldest()) == (1, 0, 1)
    again.close()


def test_a_closed_file_is_followed_by_a_younger_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path, STREAM)
    spool.begin(1)
    for first in (1, 4, 7):
        spool.write(entries(first, first + 2))
        spool.sync()
        spool.begin(first + 3)
    assert [(file.first, last) for file, last in closed_files(tmp_path)] == [(1, 3), (4, 6), (7, 9)]
    assert [file.closed_entries(STREAM, last) for file, last in closed_files(tmp_path)] == [
        entries(1, 3),
        entries(4, 6),
        entries(7, 9),
    ]
    assert spool.read(5) == entries(5, 6)
    assert spool.read(10) == []
    spool.close()
    assert loaded(tmp_path) == (9, entries(1, 9))


def test_a_tail_torn_at_any_byte_is_cut(tmp_path: Path) -> None:
    youngest = spooled(tmp_path, (1, 2))
    synced = youngest.stat().st_size
    spooled(tmp_path, (3, 5))  # the commit that a crash tore
    whole = youngest.read_bytes()
    ends = [synced + sum(len(record(each)) for each in entries(3, n)) for n in (2, 3, 4, 5)]
    for cut in range(synced, len(whole) + 1):
        youngest.write_bytes(whole[:cut])
        last = 2 + sum(end <= cut for end in ends[1:])
        assert loaded(tmp_path) == (last, entries(1, last)), f"cut at byte {cut}"
        assert youngest.stat().st_size == ends[last - 2], "what was torn is gone"


def test_a_torn_commit_may_lack_any_of_its_pieces(tmp_path: Path) -> None:
    youngest = spooled(tmp_path, (1, 2))
    synced = youngest.stat().st_size
    spooled(tmp_path, (3, 8))
    whole = youngest.read_bytes()
    for start in range(synced, len(whole) - 16, 7):
        youngest.write_bytes(whole[:start] + bytes(16) + whole[start + 16 :])
        last, found = loaded(tmp_path)
        assert 2 <= last < 8
        assert found == entries(1, last), f"zeros at byte {start}"


def test_what_follows_a_torn_tail_is_written_in_its_place(tmp_path: Path) -> None:
    youngest = spooled(tmp_path, (1, 5))
    youngest.write_bytes(youngest.read_bytes()[:-3])
    spooled(tmp_path, (5, 7))
    assert loaded(tmp_path) == (7, entries(1, 7))


def test_a_bad_byte_in_a_commit_that_was_synced_is_refused(tmp_path: Path) -> None:
    youngest = spooled(tmp_path, (1, 1), (2, 3), (4, 5), (6, 6))
    whole = youngest.read_bytes()
    last_commit = len(whole) - len(record(entries(6, 6)[0]))
    for place in range(last_commit):
        youngest.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(SpoolMismatch, match=r"durability\.md"):
            loaded(tmp_path)
        assert youngest.stat().st_size == len(whole), "nothing was cut"


def test_a_bad_page_in_the_middle_is_refused(tmp_path: Path) -> None:
    youngest = spooled(tmp_path, *((n, n) for n in range(1, 400)))
    whole = youngest.read_bytes()
    page = len(whole) // 2
    youngest.write_bytes(whole[:page] + bytes(4096) + whole[page + 4096 :])
    with pytest.raises(SpoolMismatch, match="later commits behind it"):
        loaded(tmp_path)


def test_a_closed_file_must_be_whole(tmp_path: Path) -> None:
    first_file = spooled(tmp_path, (1, 5))
    spool = Spool(tmp_path, STREAM)
    spool.load()
    spool.begin(6)
    spool.write(entries(6, 7))
    spool.close()
    whole = first_file.read_bytes()
    for broken in (whole[:-1], whole[: -len(record(entries(5, 5)[0]))], whole + b"\0"):
        first_file.write_bytes(broken)
        with pytest.raises(SpoolMismatch, match=r"whole records up to n = 5"):
            loaded(tmp_path)
    first_file.unlink()
    assert loaded(tmp_path) == (7, entries(6, 7)), "an older file that is gone was archived"


def test_a_file_in_the_middle_must_not_be_missing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, STREAM)
    for first in (1, 4, 7):
        spool.begin(first)
        spool.write(entries(first, first + 2))
    spool.close()
    (tmp_path / file_name(4)).unlink()
    with pytest.raises(SpoolMismatch, match="whole records up to n = 6"):
        loaded(tmp_path)


def test_the_file_of_another_stream_is_refused(tmp_path: Path) -> None:
    disk.create(tmp_path / file_name(1), header("ticks-sandbox-2", 1) + record(entry(1)))
    with pytest.raises(SpoolMismatch, match="another header"):
        loaded(tmp_path)


def test_an_n_out_of_order_is_refused(tmp_path: Path) -> None:
    disk.create(tmp_path / file_name(1), header(STREAM, 1) + record(entry(1)) + record(entry(3)))
    with pytest.raises(SpoolMismatch, match=r"n = 2 in .*found n = 3"):
        loaded(tmp_path)


def test_reading_over_a_bad_record_is_refused_and_never_taken_for_the_end(tmp_path: Path) -> None:
    youngest = spooled(tmp_path, (1, 3), (4, 6))
    spool = Spool(tmp_path, STREAM)
    spool.load()
    whole = youngest.read_bytes()
    spoiled = whole.index(entries(5, 5)[0])
    with youngest.open("r+b") as file:
        file.seek(spoiled)
        file.write(b"?")
    assert spool.read(4) == entries(4, 4)
    with pytest.raises(SpoolMismatch, match="whole record 5"):
        spool.read(5)
    spool.close()


def test_what_was_archived_and_removed_is_not_here(tmp_path: Path) -> None:
    spool = Spool(tmp_path, STREAM)
    spool.begin(1)
    spool.write(entries(1, 3))
    spool.begin(4)
    disk.remove(tmp_path / file_name(1))
    assert spool.read(2) == []
    assert spool.oldest() == 4
    spool.close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    first = Spool(tmp_path, STREAM)
    with pytest.raises(SpoolMismatch, match="a stream has one writer"):
        Spool(tmp_path, STREAM)
    first.close()
    Spool(tmp_path, STREAM).close()


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    spooled(tmp_path, (1, 2))
    for name in ("notes.txt", "copy.spool", "00000000000000000003.spool.new"):
        (tmp_path / name).write_text("not ours")
    assert loaded(tmp_path) == (2, entries(1, 2))


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path) as folder:
        spool = Spool(folder / "spool", STREAM)
        spool.begin(1)
        spool.write(entries(1, 3))
        spool.sync()
        with filled(folder) as ballast:
            # Some of it would fit into the page that the file has already.
            with pytest.raises(Unreachable, match="free some space"):
                spool.write(entries(4, 40, size=500))
            with pytest.raises(Unreachable, match="free some space"):
                spool.begin(4)
            assert (spool.first, spool.last) == (1, 3)
            assert SpoolFile(folder / "spool" / file_name(1)).entries(STREAM) == entries(1, 3)
            with pytest.raises(Unreachable, match="free some space"):
                disk.create(folder / "file", bytes(8192))
            assert not list(folder.glob("file*"))
            ballast.unlink()
            spool.write(entries(4, 40, size=500))
            spool.sync()
            spool.begin(41)
        spool.close()
        assert loaded(folder / "spool") == (40, [*entries(1, 3), *entries(4, 40, size=500)])
