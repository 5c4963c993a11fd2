"""The port `events.log.Log`: what the log in memory and the one in Redis both promise."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.log import Appended, Log
from events.memory_log import MemoryLog
from events.redis_log import RedisLog
from runtime.errors import LogRefused
from tests.entries import STREAM, entries, entry, numbers
from tests.simulation.faults import Plan
from tests.simulation.ledger import Ledger
from tests.simulation.redis_server import RedisServer, SimulatedLog
from tests.simulation.world import World


@pytest.fixture(params=["memory", "simulated", "redis", "cluster"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    if request.param == "memory":
        yield MemoryLog()
        return
    if request.param == "simulated":
        world = World(Plan(0))
        world.faults.over = True
        world.slowness = 0.0
        ledger = Ledger(world.violated)
        ledger.archived = dict.fromkeys((STREAM, "accounts"), 1 << 60)
        yield SimulatedLog(world, RedisServer(ledger))
        return
    url = {"redis": "redis_url", "cluster": "cluster_url"}[request.param]
    log = RedisLog.connect(request.getfixturevalue(url))
    yield log
    await log.close()


async def test_a_stream_that_nobody_wrote_is_empty(log: Log) -> None:
    assert await log.last(STREAM) == (0, None)
    assert await log.read(STREAM, 0) == []
    assert await log.streams() == []
    assert await log.trim(STREAM, 10) == 0


async def test_entries_are_read_in_the_order_of_n(log: Log) -> None:
    assert await log.append(STREAM, entries(1, 3), archived=0) == Appended(3)
    assert await log.append(STREAM, entries(4, 12), archived=0) == Appended(12)
    assert await log.read(STREAM, 0) == entries(1, 12)
    assert await log.last(STREAM) == (12, entries(12, 12)[0])


async def test_reading_begins_after_n_and_ends_at_the_limit(log: Log) -> None:
    await log.append(STREAM, entries(1, 9), archived=0)
    assert await log.read(STREAM, 4) == entries(5, 9)
    assert await log.read(STREAM, 4, limit=2) == entries(5, 6)
    assert await log.read(STREAM, 9) == []


async def test_bytes_come_back_as_they_went(log: Log) -> None:
    every_byte = bytes(range(256)).decode("latin-1")
    wild = [entry(1, ""), entry(2, every_byte), entry(3, "\r\n$5\r\n"), entry(4, "x" * 300_000)]
    await log.append(STREAM, wild, archived=0)
    assert await log.read(STREAM, 0) == wild


async def test_a_repeat_is_taken_once(log: Log) -> None:
    await log.append(STREAM, entries(1, 5), archived=0)
    assert await log.append(STREAM, entries(1, 5), archived=0) == Appended(5)
    assert await log.append(STREAM, entries(3, 4), archived=0) == Appended(5)
    assert await log.append(STREAM, entries(4, 8), archived=0) == Appended(8)
    assert await log.read(STREAM, 0) == entries(1, 8)


async def test_another_content_under_an_n_is_refused(log: Log) -> None:
    await log.append(STREAM, entries(1, 5), archived=0)
    with pytest.raises(LogRefused, match="entry 4"):
        await log.append(STREAM, [entry(4, "of another writer"), *entries(5, 6)], archived=0)
    assert await log.read(STREAM, 0) == entries(1, 5)


async def test_a_successor_of_another_entry_is_refused(log: Log) -> None:
    await log.append(STREAM, entries(1, 5), archived=0)
    with pytest.raises(LogRefused, match="entry 5"):
        await log.append(STREAM, entries(6, 7), archived=0, previous=entry(5, "as this writer has it"))
    assert await log.append(STREAM, entries(6, 7), archived=0, previous=entries(5, 5)[0]) == Appended(7)
    assert await log.read(STREAM, 0) == entries(1, 7)


async def test_what_stands_before_a_repeat_or_a_gap_is_no_matter(log: Log) -> None:
    await log.append(STREAM, entries(1, 5), archived=0)
    other = entry(3, "another")
    assert await log.append(STREAM, entries(4, 6), archived=0, previous=other) == Appended(6)
    assert await log.append(STREAM, entries(9, 9), archived=0, previous=other) == Appended(6, gap=True)


async def test_the_first_entry_has_nothing_before_it(log: Log) -> None:
    assert await log.append(STREAM, entries(1, 1), archived=0, previous=entry(0, "lost with Redis")) == Appended(1)


async def test_a_gap_is_not_taken(log: Log) -> None:
    assert await log.append(STREAM, entries(2, 3), archived=0) == Appended(0, gap=True)
    await log.append(STREAM, entries(1, 1), archived=0)
    assert await log.append(STREAM, entries(3, 4), archived=0) == Appended(1, gap=True)
    assert await log.read(STREAM, 0) == entries(1, 1)


async def test_a_jump_over_what_is_archived_is_taken(log: Log) -> None:
    assert await log.append(STREAM, entries(101, 103), archived=100) == Appended(103)
    assert await log.append(STREAM, entries(201, 203), archived=220) == Appended(203)
    assert await log.read(STREAM, 0) == [*entries(101, 103), *entries(201, 203)]
    assert await log.append(STREAM, entries(222, 223), archived=220) == Appended(203, gap=True)


async def test_a_trim_always_leaves_the_last_entry(log: Log) -> None:
    await log.append(STREAM, entries(1, 9), archived=0)
    assert await log.trim(STREAM, 4) == 4
    assert await log.read(STREAM, 0) == entries(5, 9)
    assert await log.trim(STREAM, 4) == 0
    assert await log.trim(STREAM, 1000) == 4
    assert await log.read(STREAM, 0) == entries(9, 9)
    assert await log.append(STREAM, entries(10, 11), archived=0) == Appended(11)


async def test_a_repeat_of_what_was_trimmed_cannot_be_compared_and_is_refused(log: Log) -> None:
    await log.append(STREAM, entries(1, 9), archived=0)
    await log.trim(STREAM, 4)
    with pytest.raises(LogRefused, match="entry 4"):
        await log.append(STREAM, entries(4, 6), archived=9)


async def test_streams_do_not_touch_each_other(log: Log) -> None:
    await log.append("accounts", entries(1, 4), archived=0)
    await log.append("requests", entries(1, 2), archived=0)
    await log.trim("accounts", 3)
    assert (await log.last("accounts"))[0] == 4
    assert await log.read("requests", 0) == entries(1, 2)
    assert await log.streams() == ["accounts", "requests"]


async def test_a_waiting_read_ends_with_the_first_entry(log: Log) -> None:
    await log.append(STREAM, entries(1, 1), archived=0)
    waiting = asyncio.create_task(log.read(STREAM, 1, block_ms=2000))
    await log.append("accounts", entries(1, 1), archived=0)
    await log.append(STREAM, entries(2, 2), archived=0)
    assert await waiting == entries(2, 2)


async def test_a_waiting_read_ends_without_one(log: Log) -> None:
    assert await log.read(STREAM, 0, block_ms=20) == []


async def test_a_read_given_up_costs_nothing(log: Log) -> None:
    waiting = asyncio.create_task(log.read(STREAM, 0, block_ms=2000))
    for turn in range(1, 20):
        await log.append("accounts", entries(turn, turn), archived=0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await log.append(STREAM, entries(1, 3), archived=0)
    assert await log.read(STREAM, 0) == entries(1, 3)


SMALL = st.integers(1, 8)
STEPS = st.one_of(
    st.tuples(st.just("append"), SMALL, st.integers(1, 4), st.integers(0, 8), st.sampled_from(["", "other"])),
    st.tuples(st.just("trim"), st.integers(0, 9)),
    st.tuples(st.just("read"), st.integers(0, 9), SMALL),
    st.tuples(st.just("last")),
)
_streams = (f"ticks-shuffled-{number}" for number in itertools.count(1))


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=12))
def test_memory_and_redis_answer_alike(redis_url: str, steps: list[tuple[str | int, ...]]) -> None:
    async def play() -> None:
        stream, memory, redis = next(_streams), MemoryLog(), RedisLog.connect(redis_url)
        for step in steps:
            assert await answer(memory, stream, step) == await answer(redis, stream, step), step
        await redis.close()

    asyncio.run(play())


async def answer(log: Log, stream: str, step: tuple[str | int, ...]) -> object:
    match step:
        case ("append", int(first), int(count), int(archived), str(text)):
            batch = [entry(n, text + str(n)) for n in range(first, first + count)]
            try:
                return await log.append(stream, batch, archived, previous=entry(first - 1, text + str(first - 1)))
            except LogRefused as error:
                return error.wanted
        case ("trim", int(upto)):
            return await log.trim(stream, upto)
        case ("read", int(after), int(limit)):
            return numbers(await log.read(stream, after, limit))
    return await log.last(stream)
