"""Of a rotten spool file everything is read that no bad byte touches."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.salvage import salvage
from events.spool import OPENS_COMMIT, RECORD_HEAD, SpoolFile, file_name, header, joined, record
from runtime.errors import SpoolMismatch
from tests.entries import STREAM, entries, entry, numbers


def salvaged(path: Path) -> list[bytes]:
    return salvage(SpoolFile(path), STREAM)


@given(data=st.data(), sizes=st.lists(st.integers(0, 300), min_size=1, max_size=12))
def test_every_record_that_no_bad_byte_touches_is_salvaged(data: st.DataObject, sizes: list[int]) -> None:
    written = [entry(n, "x" * size) for n, size in enumerate(sizes, start=1)]
    pieces = [record(each, opens_commit=place % 3 == 0) for place, each in enumerate(written)]
    head = len(header(STREAM, 1))
    whole = header(STREAM, 1) + b"".join(pieces)
    start = data.draw(st.integers(head, len(whole) - 1))
    stop = data.draw(st.integers(start + 1, len(whole)))
    spoiled = whole[:start] + bytes([data.draw(st.sampled_from([0, 65, 255]))]) * (stop - start) + whole[stop:]
    untouched, at = [], head
    for piece, each in zip(pieces, written, strict=True):
        found = spoiled[at : at + len(piece)]
        if RECORD_HEAD.unpack_from(found)[0] & ~OPENS_COMMIT == len(each) and found.endswith(each):
            untouched.append(each)
        at += len(piece)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name(1)
        path.write_bytes(spoiled)
        assert salvaged(path) == untouched


def test_a_page_of_zeros_costs_only_the_records_in_it(tmp_path: Path) -> None:
    youngest = tmp_path / file_name(1)
    whole = header(STREAM, 1) + b"".join(record(each, opens_commit=True) for each in entries(1, 399))
    page = len(whole) // 2
    youngest.write_bytes(whole[:page] + bytes(4096) + whole[page + 4096 :])
    found = numbers(salvaged(youngest))
    lost = sorted(set(range(1, 400)) - set(found))
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert len(lost) <= 4096 // len(record(entry(1))) + 2


def test_a_rotten_header_costs_no_record_and_another_streams_file_is_not_touched(tmp_path: Path) -> None:
    youngest = tmp_path / file_name(1)
    whole = header(STREAM, 1) + joined(entries(1, 5))
    youngest.write_bytes(b"?" + whole[1:])
    assert salvaged(youngest) == entries(1, 5)
    youngest.write_bytes(header("ticks-sandbox-2", 1) + record(entry(1)))
    with pytest.raises(SpoolMismatch, match="ticks-sandbox-2"):
        salvaged(youngest)
