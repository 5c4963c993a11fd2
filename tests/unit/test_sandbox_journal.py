"""The sandbox's journal: what was written is read, a torn end is left out, old files go and are confessed."""

import zlib
from pathlib import Path

import pytest

from ops.sandbox import journal, wire
from ops.sandbox.journal import Journal, Sent
from ops.sandbox.wire import Oddity
from runtime.errors import BadInput, Unreachable

PAYLOADS = [wire.join([b"\0\0\1\1\0\0\0\5"]), wire.join([b"\0\0\1\1\0\0\0\6", b"\0\0\2\1\0\0\0\7"])]
MESSAGES = wire.frame(PAYLOADS, [1, 2], [Oddity.NONE, Oddity.REPEATED])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    book = Journal(tmp_path)
    book.write(2**63 + 1, 40_000, 7, 1_000, MESSAGES)
    assert list(journal.read(tmp_path)) == [
        Sent(2**63 + 1, 40_000, 7, 1_000, 1, len(PAYLOADS[0]), zlib.crc32(PAYLOADS[0]), 0),
        Sent(2**63 + 1, 40_000, 8, 1_000, 2, len(PAYLOADS[1]), zlib.crc32(PAYLOADS[1]), Oddity.REPEATED),
    ]
    assert journal.summary(tmp_path) == journal.Summary(1, 2, 3, sum(map(len, PAYLOADS)), 0)


def test_a_second_run_begins_a_file_of_its_own_after_the_first(tmp_path: Path) -> None:
    for connection in (1, 2):
        book = Journal(tmp_path)
        book.write(connection, 40_000, 0, 1_000, MESSAGES)
        book.close()
    assert [sent.connection for sent in journal.read(tmp_path)] == [1, 1, 2, 2]


def test_a_torn_record_is_left_out(tmp_path: Path) -> None:
    Journal(tmp_path).write(1, 40_000, 0, 1_000, MESSAGES)
    (file,) = tmp_path.glob("*.journal")
    whole = file.read_bytes()
    for size in range(len(whole) + 1):
        file.write_bytes(whole[:size])
        assert len(list(journal.read(tmp_path))) == max(0, size - len(journal.MAGIC)) // journal.RECORD.itemsize


def test_an_empty_folder_and_none_at_all_hold_nothing(tmp_path: Path) -> None:
    assert list(journal.read(tmp_path)) == []
    assert journal.summary(tmp_path / "absent") == journal.Summary(0, 0, 0, 0, 0)


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000001.journal").write_bytes(b"something else")
    with pytest.raises(BadInput, match="move the file"):
        list(journal.read(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file is in the way")
    with pytest.raises(Unreachable, match="journal"):
        Journal(tmp_path / "journal")


def test_the_oldest_files_go_and_the_summary_says_since_when_it_is_whole(tmp_path: Path) -> None:
    for at in (1_000, 2_000, 3_000):
        book = Journal(tmp_path)
        book.write(at, 40_000, 0, at, MESSAGES)
        book.close()
    size = next(tmp_path.glob("*.journal")).stat().st_size
    journal.delete_oldest(tmp_path, 2 * size)
    assert [sent.connection for sent in journal.read(tmp_path)] == [2_000] * 2 + [3_000] * 2
    assert journal.summary(tmp_path).since_ns == 2_000
