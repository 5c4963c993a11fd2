"""A span by time or by n is the same one whether the log lies in Redis, in the archive, or in both."""

from pathlib import Path

import pytest

from events import codec
from events.archive import Archive
from events.event import Event
from events.memory_log import MemoryLog
from events.messages import Tombstone, pack
from events.reader import Reader
from events.span import Span, Wanted, find
from ops.replay import bounds
from ops.replay.chosen import choose
from projectors.projector import is_tick_stream
from runtime.errors import BadInput
from tests.entries import START_NS, entry
from tests.frames import SECOND_NS
from tests.replay.recorded_log import ONE, TWO, frames_of_one, frames_of_two, keep

COUNT = 100


@pytest.fixture
async def reader(tmp_path: Path) -> Reader:
    near, far = MemoryLog(), Archive(tmp_path)
    await keep(near, far, ONE, frames_of_one(COUNT))
    await keep(near, far, TWO, frames_of_two(COUNT))
    return Reader(near, far)


def after(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


@pytest.mark.parametrize("second", [0, 1, 49, 50, 51, 98, 99])
async def test_a_time_begins_with_the_first_event_received_at_or_after_it(reader: Reader, second: int) -> None:
    assert await find(reader, ONE, Wanted(from_ns=after(second))) == Span(ONE, second + 1, COUNT)
    assert await find(reader, ONE, Wanted(from_ns=after(second - 0.5))) == Span(ONE, second + 1, COUNT)


@pytest.mark.parametrize("second", [1, 50, 99])
async def test_a_time_ends_before_the_first_event_received_at_it(reader: Reader, second: int) -> None:
    assert await find(reader, ONE, Wanted(to_ns=after(second))) == Span(ONE, 1, second)
    assert await find(reader, ONE, Wanted(to_ns=after(second + 0.5))) == Span(ONE, 1, second + 1)


async def test_an_n_stands_for_itself_at_both_ends_and_the_log_bounds_it(reader: Reader) -> None:
    assert await find(reader, ONE, Wanted(first=3, last=60)) == Span(ONE, 3, 60)
    assert await find(reader, ONE, Wanted(first=3, last=6000)) == Span(ONE, 3, COUNT)
    assert await find(reader, ONE, Wanted(first=COUNT + 1)) is None
    assert await find(reader, ONE, Wanted(from_ns=after(COUNT))) is None
    assert await find(reader, ONE, Wanted(to_ns=after(0))) is None


async def test_what_a_takeover_put_in_place_of_lost_events_has_no_time(tmp_path: Path) -> None:
    near = MemoryLog()
    lost = [codec.encode(n, pack(Tombstone(), after(9_000))) for n in range(4, 8)]
    kept = [entry(n, at_ns=after(n)) for n in (1, 2, 3, 8, 9, 10)]
    await near.append(ONE, [*kept[:3], *lost, *kept[3:]], archived=0)
    reader = Reader(near, Archive(tmp_path))
    assert await find(reader, ONE, Wanted(from_ns=after(2))) == Span(ONE, 2, 10)
    assert await find(reader, ONE, Wanted(from_ns=after(9))) == Span(ONE, 9, 10)
    assert await find(reader, ONE, Wanted(to_ns=after(9))) == Span(ONE, 1, 8)


# What a user writes


def test_a_day_is_one_of_india_and_its_end_is_part_of_it() -> None:
    day = bounds.read("2026-04-12", "2026-04-12")
    assert (bounds.told(day.from_ns or 0), bounds.told(day.to_ns or 0)) == (
        "2026-04-12T00:00:00+05:30",
        "2026-04-13T00:00:00+05:30",
    )


def test_a_time_is_of_india_where_it_says_no_offset() -> None:
    assert bounds.read("2026-04-12T18:50", None) == bounds.read("2026-04-12T13:20Z", None)
    assert (
        bounds.read("2026-04-12T18:50:00.25+05:30", None).from_ns
        == bounds.read("2026-04-12T13:20:00.25Z", None).from_ns
    )


@pytest.mark.parametrize("text", ["yesterday", "0", "2026-13-01", "12:00", ""])
def test_what_is_neither_a_time_nor_a_day_nor_an_n_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--to as a time"):
        bounds.read(None, text)


# Which streams


async def test_all_tick_streams_are_meant_and_those_without_events_then_are_left_out(reader: Reader) -> None:
    assert await choose(reader, (), is_tick_stream, Wanted()) == [Span(ONE, 1, COUNT), Span(TWO, 1, COUNT)]
    late = Wanted(from_ns=after(COUNT + 1))
    assert await choose(reader, (), is_tick_stream, late) == [Span(TWO, 69, COUNT)]


async def test_an_empty_span_says_what_there_is(reader: Reader) -> None:
    with pytest.raises(BadInput) as caught:
        await choose(reader, (ONE,), is_tick_stream, Wanted(from_ns=after(COUNT)))
    assert f"{ONE} has n = 1..{COUNT}, received from 2026-04-12T18:50:00+05:30 to" in caught.value.found


async def test_a_stream_that_is_not_there_and_an_n_in_two_streams_are_refused(reader: Reader) -> None:
    with pytest.raises(BadInput, match=ONE):
        await choose(reader, ("ticks-kite-3",), is_tick_stream, Wanted())
    with pytest.raises(BadInput, match="each stream counts on its own"):
        await choose(reader, (), is_tick_stream, Wanted(first=3))


async def test_streams_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    near = MemoryLog()
    await near.append("reference", [codec.encode(1, Event("kite.text.v1", START_NS, b""))], archived=0)
    with pytest.raises(BadInput, match="reference"):
        await choose(Reader(near, Archive(tmp_path)), ("reference",), is_tick_stream, Wanted())
