"""Events out of a log that is not always there: waited for, and nothing left out."""

from functools import partial
from pathlib import Path

import pytest

from events.archive import Archive
from events.event import Recorded
from events.memory_log import MemoryLog
from events.span import Span
from ops.replay.merged import Merged
from runtime.errors import HoleInLog, Unreachable
from runtime.lifecycle import Stop
from tests.replay.recorded_log import ONE, TWO, frames_of_one, frames_of_two, keep

COUNT = 1200  # two reads of each stream and more


class Away(MemoryLog):
    """A log that does not answer every third read, nor while it is `away`."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.away = False

    async def read(self, stream: str, after: int, limit: int = 512, block_ms: int = 0) -> list[bytes]:
        self.reads += 1
        if self.away or self.reads % 3 == 0:
            raise Unreachable("Redis", "nobody answers", "start it")
        return await super().read(stream, after, limit, block_ms)


@pytest.fixture
async def near(tmp_path: Path) -> Away:
    log = Away()
    await keep(log, Archive(tmp_path), ONE, frames_of_one(COUNT))
    await keep(log, Archive(tmp_path), TWO, frames_of_two(COUNT))
    return log


def merged(near: MemoryLog, folder: Path, *spans: Span, stop: Stop | None = None) -> tuple[Merged, list[Unreachable]]:
    waited: list[Unreachable] = []
    return Merged(spans, near, partial(Archive, folder), stop or Stop(), waited.append), waited


async def all_of(made: Merged, limit: int) -> list[Recorded]:
    found: list[Recorded] = []
    while batch := await made.take(None, limit):
        found += batch
    await made.close()
    return found


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_a_log_that_does_not_answer_is_waited_for_and_nothing_is_left_out(
    near: Away, tmp_path: Path, limit: int
) -> None:
    made, waited = merged(near, tmp_path, Span(ONE, 5, COUNT), Span(TWO, 1, COUNT - 9))
    found = await all_of(made, limit)
    assert waited
    assert [event.n for event in found if event.stream == ONE] == list(range(5, COUNT + 1))
    assert [event.n for event in found if event.stream == TWO] == list(range(1, COUNT - 8))
    assert [event.at_ns for event in found] == sorted(event.at_ns for event in found)


async def test_a_stop_ends_the_waiting(near: Away, tmp_path: Path) -> None:
    stop = Stop()

    class Stopping(list[Unreachable]):
        def append(self, error: Unreachable) -> None:
            stop.set()

    near.away = True
    made = Merged([Span(ONE, COUNT // 2 + 1, COUNT)], near, partial(Archive, tmp_path), stop, Stopping().append)
    assert await made.due_ns() is None
    await made.close()


async def test_what_no_store_has_ends_it_and_is_named(near: Away, tmp_path: Path) -> None:
    await near.trim(ONE, COUNT - 100)  # more than was archived
    made, _ = merged(near, tmp_path, Span(ONE, 1, COUNT))
    with pytest.raises(HoleInLog, match=f"n = {COUNT // 2 + 1}"):
        await all_of(made, 100)
    await made.close()
