"""A tape keeps every row, each file's order, and says which line is wrong."""

import gzip
import heapq
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import codec, segment
from events.event import Event
from ops.sandbox import csv_tape, history, segment_tape, wire
from ops.sandbox.playback import read_speed
from ops.sandbox.tape import Tape
from ops.sandbox.wire import Field
from runtime.calendar import IST
from runtime.errors import SettingError

HEADER = "timestamp,ltp,volume\n"
NINE = "2021-04-20 09:15:3"


def write(folder: Path, **files: str) -> Path:
    for symbol, rows in files.items():
        (folder / f"{symbol}.csv").write_text(HEADER + rows)
    return folder


def played(tape: Tape) -> list[tuple[str, int, int, int]]:
    """Give (symbol, time, price, volume) of each packet in the order of play."""
    which, bodies, _ = tape.part(0, len(tape))
    words = bodies.view(">u4").astype(np.int64)
    rows = zip(which.tolist(), words[:, [Field.TIME, Field.LTP, Field.VOLUME]].tolist(), strict=True)
    return [(tape.instruments[place].tradingsymbol, *row) for place, row in rows]


def test_a_row_becomes_a_full_packet_with_its_time_price_and_volume(tmp_path: Path) -> None:
    tape = csv_tape.read(write(tmp_path, AXISBANK=f"{NINE}2,655.9,147828\n{NINE}3,655.8,151912\n"))
    when = datetime(2021, 4, 20, 9, 15, 32, tzinfo=IST).timestamp()
    assert played(tape) == [("AXISBANK", when, 65590, 147828), ("AXISBANK", when + 1, 65580, 151912)]
    words = tape.board.view(">u4")[0].tolist()
    assert words[Field.OPEN : Field.CLOSE] == [65590, 65590, 65580]
    assert words[Field.LAST_TRADE_TIME] == words[Field.TIME] == when + 1
    assert words[Field.DEPTH :] == [0] * 30


def test_symbols_get_kites_tokens_where_they_are_known_and_steady_ones_where_not(tmp_path: Path) -> None:
    row = f"{NINE}2,1,1\n"
    tape = csv_tape.read(write(tmp_path, INFY=row, MM=row, BAJAJ_AUTO=row, HDFC=row, UNKNOWN_ONE=row))
    tokens = {i.tradingsymbol: i.instrument_token for i in tape.instruments}
    unknown = tokens.pop("UNKNOWN_ONE")
    assert tokens == {"INFY": 408065, "MM": 519937, "BAJAJ_AUTO": 4267265, "HDFC": 340481}
    (tmp_path / "INFY.csv").unlink()
    again = {i.tradingsymbol: i.instrument_token for i in csv_tape.read(tmp_path).instruments}
    assert again["UNKNOWN_ONE"] == unknown
    assert unknown & 0xFF == wire.SEGMENTS["NSE"]
    assert {(i.exchange, i.segment, i.instrument_type) for i in tape.instruments} == {("NSE", "NSE", "EQ")}


def test_packed_files_and_spare_columns_are_read(tmp_path: Path) -> None:
    text = f"volume,note,ltp,timestamp\r\n7,x,1.05,{NINE}2\r\n"
    (tmp_path / "ABC.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "README.md").write_text("not a tape")
    assert [row[2:] for row in played(csv_tape.read(tmp_path))] == [(105, 7)]


stamps = st.lists(st.integers(0, 9), max_size=30)


@given(st.lists(stamps, min_size=1, max_size=4))
def test_files_are_merged_by_time_and_each_keeps_its_own_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("tape")
    for number, seconds in enumerate(files):
        rows = "".join(f"{NINE}{second},{line + 1},{line}\n" for line, second in enumerate(seconds))
        write(folder, **{f"S{number}": rows})
    # What a merge of the files' heads gives, row by row.
    heads = [(seconds[0], number, 0) for number, seconds in enumerate(files) if seconds]
    heapq.heapify(heads)
    expected = []
    while heads:
        _, number, line = heapq.heappop(heads)
        expected.append((f"S{number}", line))
        if line + 1 < len(files[number]):
            heapq.heappush(heads, (files[number][line + 1], number, line + 1))
    found = [(symbol, volume) for symbol, _, _, volume in played(csv_tape.read(folder))]
    for number in range(len(files)):
        assert [line for symbol, line in found if symbol == f"S{number}"] == list(range(len(files[number])))
    # Rows of one moment may be played in any order between files.
    moment = [max(files[int(symbol[1:])][: line + 1]) for symbol, line in found]
    assert moment == sorted(moment)
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (f"{NINE}2,1,1\n{NINE}3,abc,1\n", 3),
        (f"{NINE}2,1,1\nyesterday,1,1\n", 3),
        (f"{NINE}2,1\n", 2),
        (f"{NINE}2,-1,1\n", 2),
        (f"{NINE}2,nan,1\n", 2),
        (f"{NINE}2,1,4294967296\n", 2),
        (f"{NINE}2,42949672.96,1\n", 2),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, rows: str, line: int) -> None:
    with pytest.raises(SettingError, match=f"line {line} of .*ABC.csv"):
        csv_tape.read(write(tmp_path, ABC=rows))


def test_a_folder_without_tapes_a_missing_one_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no such file"):
        csv_tape.read(tmp_path)
    with pytest.raises(SettingError, match="no such folder"):
        csv_tape.read(tmp_path / "absent")
    (tmp_path / "ABC.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(SettingError, match="readable"):
        csv_tape.read(tmp_path)
    (tmp_path / "ABC.csv.gz").unlink()
    (tmp_path / "ABC.csv").write_text("time,price\n")
    with pytest.raises(SettingError, match="columns timestamp, ltp, volume"):
        csv_tape.read(tmp_path)


def test_candles_of_a_tape_add_up_to_the_growth_of_the_counter(tmp_path: Path) -> None:
    ticks = ("09:15:10,10,100", "09:15:20,12,150", "09:16:05,9,140", "09:16:04,11,170")
    tape = csv_tape.read(write(tmp_path, ABC="".join(f"2021-04-20 {tick}\n" for tick in ticks)))
    ask = history.asked("minute", {"from": "2021-04-20", "to": "2021-04-21"})
    assert history.of_tape(tape, 0, ask, len(tape)) == [
        ["2021-04-20T09:15:00+0530", 10.0, 12.0, 10.0, 12.0, 50],
        ["2021-04-20T09:16:00+0530", 9.0, 11.0, 9.0, 11.0, 20],
    ]
    assert len(history.of_tape(tape, 0, ask, 2)) == 1
    assert history.of_tape(tape, 0, ask, 0) == []


MODES = {408065: wire.FULL_BYTES, 738561: wire.QUOTE_BYTES, 256265: wire.INDEX_FULL_BYTES, 77 * 256 + 2: wire.LTP_BYTES}
RECEIVED_NS = 1_795_000_000 * 10**9


def segment_of(folder: Path, events: list[Event]) -> Path:
    path = folder / "00000000000000000001.seg"
    entries = [codec.encode(n, event) for n, event in enumerate(events, 1)]
    path.write_bytes(segment.build("ticks-kite-1", entries))
    return path


def frame(price: int, at_ns: int) -> Event:
    words = np.zeros((len(MODES), wire.WORDS), np.uint32)
    words[:, Field.TOKEN], words[:, Field.LTP] = list(MODES), price
    words[:, [Field.TIME, wire.IndexField.TIME]] = at_ns // 10**9 - 5
    packed = wire.pack(wire.rows(words), np.array(list(MODES.values())), 10)
    return Event("kite.frame.v1", at_ns, packed.payloads()[0])


def test_a_segment_is_played_as_it_was_received(tmp_path: Path) -> None:
    first, second = frame(100, RECEIVED_NS), frame(200, RECEIVED_NS + 3 * 10**9)
    cut = Event("kite.frame.v1", RECEIVED_NS + 4 * 10**9, second.payload[:-3])
    unknown = Event("kite.frame.v1", RECEIVED_NS + 4 * 10**9, wire.join([b"x" * 52]))
    tape = segment_tape.read(segment_of(tmp_path, [first, Event("feed.beat.v1", 1, b"{}"), second, cut, unknown]))
    part = tape.part(0, len(tape))
    found = [body.tobytes()[:length] for body, length in zip(part.bodies, part.lengths.tolist(), strict=True)]
    assert found == wire.split(first.payload) + wire.split(second.payload) + wire.split(cut.payload)
    assert (np.diff(tape.rows.due_ns) >= 0).all()
    assert tape.rows.due_ns[len(MODES)] == second.at_ns
    late, at = RECEIVED_NS // 10**9 - 5, RECEIVED_NS // 10**9
    assert tape.rows.seconds[: len(MODES)].tolist() == [late, at, late, at]
    names = {i.instrument_token: (i.exchange, i.tradingsymbol) for i in tape.instruments}
    assert names[408065] == ("NSE", "INFY")
    assert names[256265] == ("NSE", "NIFTY 50")
    assert names[77 * 256 + 2] == ("NFO", "TOKEN19714")


def test_a_file_that_is_no_segment_and_one_without_ticks_are_named(tmp_path: Path) -> None:
    path = segment_of(tmp_path, [Event("feed.beat.v1", 1, b"{}")])
    with pytest.raises(SettingError, match="segment with ticks"):
        segment_tape.read(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SettingError, match=path.name):
        segment_tape.read(path)
    with pytest.raises(SettingError, match="absent"):
        segment_tape.read(tmp_path / "absent.seg")


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("1", 1.0), ("0.5", 0.5), ("60", 60.0)])
def test_speeds(text: str, speed: float | None) -> None:
    assert read_speed(text) == speed


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "fast"])
def test_a_wrong_speed_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="speed"):
        read_speed(text)
