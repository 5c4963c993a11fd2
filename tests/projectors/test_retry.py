"""Parked events tried again: exactly the missing rows, none twice, one request one try, and the live feed goes on."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import psycopg
import pytest

from events.event import Recorded
from events.messages import RETRIED, Message, Retry, SetAside, Tombstone
from events.reader import Reader
from projectors.building import NoMarks
from projectors.candles import CANDLES
from projectors.catalogue import PROJECTIONS
from projectors.loop import Loop
from projectors.parked import PARKED
from projectors.retry import LATER_SECONDS, Retries
from projectors.ticks import TICKS, TickProjector
from runtime.clock import ManualClock
from runtime.lifecycle import Stop
from sql.retention import drop_tick_days
from sql.store import Lease, Rows, Store
from tests.blindness import Blindness, planted
from tests.entries import START_NS
from tests.frames import DAY_NS, INFY, RELIANCE, SECOND_NS, STREAM, Packet, entry, frame, recorded
from tests.loops import Desk, HastyClock, Running, answered, ask
from tests.patience import PATIENCE_SECONDS
from tests.projectors.test_loop import BAD_PRICE, refuse_bad_prices, stored, twice
from tests.proxy import Fault, proxy
from tests.rebuilding import Remembering, content, rebuild

REQUESTS = "requests"


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


def pairs(first: int, last: int, at_ns: int = START_NS) -> list[Recorded]:
    """Give events first..last, each a frame of a full packet and a quote."""
    return [
        recorded(
            n,
            frame(
                Packet("full", INFY, 10_000 + n, volume=n, seconds=(at_ns + n * SECOND_NS) // SECOND_NS),
                Packet("quote", RELIANCE, 20_000 + n, volume=n),
            ),
            at_ns + n * SECOND_NS,
        )
        for n in range(first, last + 1)
    ]


@pytest.fixture
def blind() -> Iterator[Blindness]:
    with planted() as bug:
        yield bug


class Office:
    """Who asks: requests in the log, brought into the tables."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self.last = desk, 0

    async def ask(self, *messages: Message, stream: str = REQUESTS) -> int:
        """Write requests and project them; give the last one's n."""
        events = [
            recorded(self.last + place, message, START_NS + self.last + place, stream)
            for place, message in enumerate(messages, 1)
        ]
        self.last += len(messages)
        await self._desk.project(PARKED, events)
        return self.last

    async def retry(self, *numbers: int) -> int:
        """Ask for a try of each of these events."""
        return await self.ask(*(Retry(projector="ticks", stream=STREAM, n=n) for n in numbers))


TRIES = "select n, gained, packets_left, unread, refused from parked_tries order by requests_n"


async def tries(url: str) -> list[dict[str, Any]]:
    return await ask(url, TRIES)


async def tried(url: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many tries were made; give them."""
    return await answered(url, TRIES, lambda found: len(found) >= count)


async def states(url: str) -> dict[int, str]:
    return {row["n"]: row["state"] for row in await ask(url, "select n, state from parked order by n")}


async def test_after_a_fix_exactly_the_missing_rows_come(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 9))
    assert await stored(url) == list(range(1, 10))
    assert await states(url) == dict.fromkeys(range(1, 10), "waiting")
    office = Office(desk)
    await office.retry(3, 5)
    assert (await states(url))[3] == "retry_wanted"
    blind.mend()
    async with desk.running(TICKS, STREAM) as running:
        found = await tried(url, 2)
        await desk.write(pairs(10, 12))
        await running.reached(12)
    assert found == [{"n": n, "gained": 1, "packets_left": 0, "unread": True, "refused": None} for n in (3, 5)]
    assert await stored(url) == sorted([*range(1, 13), 3, 5, 10, 11, 12])
    assert await states(url) == dict.fromkeys((1, 2, 4, 6, 7, 8, 9), "waiting")
    live = await content(url, ["ticks"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await office.retry(1, 2, 4, 6, 7, 8, 9)
        async with desk.running(TICKS, STREAM):
            await tried(url, 9)
    await rebuild(desk, TICKS, watcher := Remembering())
    assert not watcher.asked, "a rebuild makes the same rows, and the same is parked"
    assert set(live["ticks"]) < set((await content(url, ["ticks"]))["ticks"])
    assert await states(url) == {}


async def test_with_the_fault_still_there_all_stays_and_one_request_is_one_try(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    before = await content(url, ["ticks", "parked_events"])
    office = Office(desk)
    await office.retry(2)
    async with desk.running(TICKS, STREAM) as running:
        (came,) = await tried(url, 1)
        await desk.write(pairs(4, 4))
        await running.reached(4)
        await desk.write(pairs(5, 5))
        await running.reached(5)
    assert (came["gained"], came["packets_left"]) == (0, 1)
    assert "a packet of 44 bytes" in came["refused"]
    after = await content(url, ["ticks", "parked_events"])
    assert [set(before[name]) <= set(after[name]) for name in before] == [True, True]
    assert len(await tries(url)) == 1
    assert (await states(url))[2] == "waiting", "until somebody asks again"
    await office.retry(2)
    async with desk.running(TICKS, STREAM):
        assert len(await tried(url, 2)) == 2


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_a_try_whose_commit_is_lost_on_the_way_is_made_once(
    desk: Desk, blind: Blindness, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 4))
    blind.mend()
    monkeypatch.setattr("projectors.retry.LATER_SECONDS", 0.0)
    async with proxy(url) as way, desk.running(TICKS, STREAM, url=way.url) as running:
        await running.reached(4)
        way.arm(fault)
        await Office(desk).retry(2, 3)
        await way.struck()
        await tried(url, 2)
        await desk.write(pairs(5, 6))
        await running.reached(6)
    assert await stored(url) == sorted([*range(1, 7), 2, 3, 5, 6])
    assert len(await tries(url)) == 2


async def test_killed_in_the_middle_of_a_try_nothing_of_it_is_there(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 4))
    blind.mend()
    async with proxy(url) as way:
        running = desk.start(TICKS, STREAM, url=way.url)
        await running.reached(4)
        way.arm("before")
        await Office(desk).retry(3)
        await way.struck()
        await running.crashed()
    assert (await stored(url), await tries(url)) == ([1, 2, 3, 4], [])
    await ask(url, "update projection_checkpoints set lease_until = '-infinity'")
    async with desk.running(TICKS, STREAM):
        assert [came["gained"] for came in await tried(url, 1)] == [1]
    assert await stored(url) == [1, 2, 3, 3, 4]


async def test_an_owner_that_was_taken_over_tries_nothing(desk: Desk, blind: Blindness) -> None:
    """The epoch is compared before anything is taken away."""
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 2))
    blind.mend()
    before = await content(url, ["ticks", "parked_events"])
    thief = Store(url)
    running = desk.start(TICKS, STREAM)
    await running.reached(2)
    lease = await stolen(thief, url, running)
    await Office(desk).retry(1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while running.loop.state.value != "free":
            await running.loop.progress.turned(type(running.loop.state).FREE)
    assert (await content(url, ["ticks", "parked_events"]), await tries(url)) == (before, [])
    await thief.release(lease)
    await tried(url, 1)
    await running.ended()
    await thief.close()
    assert await stored(url) == [1, 1, 2]


async def stolen(thief: Store, url: str, running: Running) -> Lease:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await ask(url, "update projection_checkpoints set lease_until = '-infinity' where projector = 'ticks'")
            if lease := await thief.acquire("ticks", running.loop.stream):
                break
    # Nobody renews it: on a slow machine the loop would take the pair back before the test has looked.
    await ask(
        url, "update projection_checkpoints set lease_until = now() + interval '1 hour' where projector = 'ticks'"
    )
    return lease


async def test_what_the_database_refused_whole_comes_whole(desk: Desk) -> None:
    url = desk.database_url
    await refuse_bad_prices(url)
    bad = recorded(2, frame(Packet("full", price=BAD_PRICE), Packet("ltp")), START_NS)
    await desk.project(TICKS, [*pairs(1, 1), bad, *pairs(3, 3)])
    office = Office(desk)
    await office.retry(2)
    async with desk.running(TICKS, STREAM):
        (came,) = await tried(url, 1)
    assert "no_bad" in came["refused"]
    assert await stored(url) == twice([1, 3])
    await ask(url, "alter table ticks drop constraint no_bad")
    await office.retry(2)
    async with desk.running(TICKS, STREAM):
        _, came = await tried(url, 2)
    assert came == {"n": 2, "gained": 2, "packets_left": 0, "unread": False, "refused": None}
    assert await stored(url) == twice([1, 2, 3])
    assert await states(url) == {}


class Defective(TickProjector):
    """A mended decoder that has a defect of its own: n = 2 brings it down."""

    def absorb(self, batch: Sequence[Recorded]) -> None:
        if batch[0].n == 2:
            raise ZeroDivisionError("of my own")
        super().absorb(batch)


async def test_a_defect_that_a_retry_meets_stops_no_live_event(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    blind.mend()
    await Office(desk).retry(2, 3)
    async with desk.running(msgspec.structs.replace(TICKS, make=Defective), STREAM) as running:
        first, second = await tried(url, 2)
        await desk.write(pairs(4, 4))
        await running.reached(4)
    assert "ZeroDivisionError: of my own" in first["refused"]
    assert second["gained"] == 1
    assert await stored(url) == [1, 2, 3, 3, 4, 4]


async def test_an_event_that_is_not_parked_is_refused_and_keeps_its_rows(desk: Desk) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    await Office(desk).retry(2, 99)
    async with desk.running(TICKS, STREAM) as running:
        found = await tried(url, 1)
        assert "it is not" in found[0]["refused"]
        await desk.write(pairs(4, 4))
        await running.reached(4)
    assert await stored(url) == twice([1, 2, 3, 4])


async def test_a_request_for_an_event_beyond_the_log_is_refused_and_holds_up_no_other(
    desk: Desk, blind: Blindness
) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    blind.mend()
    await Office(desk).retry(99, 2)
    async with desk.running(TICKS, STREAM):
        known, unknown = sorted(await tried(url, 2), key=lambda came: came["n"])
    assert (known["n"], known["gained"]) == (2, 1)
    assert (unknown["n"], unknown["gained"]) == (99, 0)
    assert "ends at n = 3" in unknown["refused"]


async def test_events_that_the_pair_has_not_come_to_yet_are_tried_when_it_has(desk: Desk, blind: Blindness) -> None:
    """After a loss of the database requests come back from the log before the events that they are about."""
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    await Office(desk).retry(3, 1)
    store, reader = Store(url), Reader(desk.log, desk.archive)
    first = await store.acquire("ticks", STREAM)
    assert first
    await ask(url, "update projection_checkpoints set n = 1 where projector = 'ticks'")
    lease = msgspec.structs.replace(first, n=1)
    blind.mend()
    retries = Retries(TICKS, store, reader, ManualClock())
    await retries.look(lease)
    assert [came["n"] for came in await tries(url)] == [1]
    await ask(url, "update projection_checkpoints set n = 3 where projector = 'ticks'")
    lease.n = 3
    await retries.look(lease)
    assert [came["n"] for came in await tries(url)] == [3, 1]
    await store.close()


class Lacking(Reader):
    """A reader of a log in which no store gives the first events just now."""

    async def read(self, stream: str, after: int, limit: int = 1024, block_ms: int = 0) -> list[Recorded]:
        if limit == 1 and after < 2:
            return []
        return await super().read(stream, after, limit, block_ms)


async def test_events_that_no_store_gives_hold_up_no_retry_of_others(
    desk: Desk, blind: Blindness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectors.retry.TRIES_MAX", 2)
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 5))
    blind.mend()
    await Office(desk).retry(1, 2, 3, 4, 5)
    store = Store(url)
    lease = await store.acquire("ticks", STREAM)
    assert lease
    retries = Retries(TICKS, store, Lacking(desk.log, desk.archive), clock := ManualClock())
    for _ in range(6):
        await retries.look(lease)
        clock.advance(LATER_SECONDS)
    assert [came["n"] for came in await tries(url)] == [3, 4, 5]
    await Retries(TICKS, store, Reader(desk.log, desk.archive), clock).look(lease)
    assert [came["n"] for came in await tries(url)] == [1, 2, 3, 4, 5]
    await store.close()


async def test_a_request_that_a_newer_one_replaced_is_not_tried(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    blind.mend()
    about = {"projector": "ticks", "stream": STREAM}
    last = await Office(desk).ask(
        Retry(**about, n=1),
        SetAside(**about, n=1, reason="known after all"),
        SetAside(**about, n=2, reason="known"),
        Retry(**about, n=2, reason="not known after all"),
        Retry(**about, n=3),
        Retry(**about, n=3),
    )
    async with desk.running(TICKS, STREAM) as running:
        await tried(url, 2)
        await desk.write(pairs(4, 4))
        await running.reached(4)
        await desk.write(pairs(5, 5))
        await running.reached(5)
    assert [(came["n"], came["gained"]) for came in await tries(url)] == [(2, 1), (3, 1)]
    assert await ask(url, "select requests_n from parked_tries where n = 3") == [{"requests_n": last}]
    assert await states(url) == {1: "set_aside"}


async def test_a_tombstone_takes_the_last_copy_of_nothing(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 2))
    before = await ask(url, "select payload from parked_events order by n")
    blind.mend()
    desk.log._entries[STREAM][2] = entry(recorded(2, Tombstone()))
    await Office(desk).retry(2)
    async with desk.running(TICKS, STREAM):
        (came,) = await tried(url, 1)
    assert "a tombstone" in came["refused"]
    assert await ask(url, "select payload from parked_events order by n") == before
    assert await stored(url) == [1, 2]


async def test_rows_that_were_made_at_other_times_are_left_to_a_rebuild(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 2))
    await ask(url, "update ticks set time = time - interval '1 hour' where n = 2")
    blind.mend()
    await Office(desk).retry(2)
    async with desk.running(TICKS, STREAM):
        (came,) = await tried(url, 1)
    assert "bahi rebuild ticks" in came["refused"]
    assert await stored(url) == [1, 2]
    assert await states(url) == {1: "waiting", 2: "waiting"}


async def test_retention_and_a_rebuild_that_begins_later_lose_nothing_parked(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    office = Office(desk)
    await desk.project(TICKS, pairs(1, 2))
    for days in range(1, 12):
        n = 2 + days
        await desk.project(
            TICKS,
            [
                recorded(
                    n, frame(Packet("full", seconds=(START_NS + days * DAY_NS) // SECOND_NS)), START_NS + days * DAY_NS
                )
            ],
        )
    await office.ask(SetAside(projector="ticks", stream=STREAM, n=1, reason="a test", by="me"))
    assert await drop_tick_days(url, 7)
    assert await states(url) == {1: "set_aside", 2: "waiting"}
    await desk.archive.put(STREAM, [entry(event) for event in await read_all(desk)])
    outcome = await rebuild(desk, TICKS)
    assert outcome.swapped
    assert await states(url) == {1: "set_aside", 2: "waiting"}
    blind.mend()
    await office.retry(2)
    async with desk.running(TICKS, STREAM):
        (came,) = await tried(url, 1)
    assert "past retention" in came["refused"]


async def test_decisions_are_rebuilt_and_the_newest_counts(desk: Desk, blind: Blindness) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    office = Office(desk)
    about = {"projector": "ticks", "stream": STREAM}
    await office.ask(
        SetAside(**about, n=1, reason="known", by="me"),
        SetAside(**about, n=2, reason="known"),
        Retry(**about, n=2),
        Retry(**about, n=2, key="same"),
        Retry(**about, n=3),
        SetAside(**about, n=3, reason="after all"),
        Retry(**about, n=2, key="same"),
    )
    wanted = {1: "set_aside", 2: "retry_wanted", 3: "set_aside"}
    assert await states(url) == wanted
    (row,) = await ask(url, "select count(*) as decisions from parked_decisions")
    assert row["decisions"] == 6, "a repeated key is the request that was"
    before = await content(url, ["parked_decisions"])
    watcher = Remembering()
    assert (await rebuild(desk, PARKED, watcher)).swapped
    assert (await rebuild(desk, TICKS, watcher)).swapped
    assert not watcher.asked
    assert await content(url, ["parked_decisions"]) == before
    assert await states(url) == wanted


@pytest.mark.parametrize("order", [(REQUESTS, "requests-2"), ("requests-2", REQUESTS)])
async def test_decisions_of_two_streams_mean_the_same_in_whatever_order_they_are_projected(
    desk: Desk, blind: Blindness, order: tuple[str, str]
) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 2))
    about = {"projector": "ticks", "stream": STREAM}
    said = {
        REQUESTS: [
            recorded(1, SetAside(**about, n=1, reason="known"), START_NS, REQUESTS),
            recorded(2, Retry(**about, n=2, key="a"), START_NS + 3000, REQUESTS),
        ],
        "requests-2": [
            recorded(1, Retry(**about, n=1, key="a"), START_NS + 1000, "requests-2"),
            recorded(2, SetAside(**about, n=2, reason="known"), START_NS + 2000, "requests-2"),
        ],
    }
    for stream in order:
        await desk.project(PARKED, said[stream])
    assert await states(url) == {1: "retry_wanted", 2: "retry_wanted"}


class Hanging(Reader):
    """A reader over an archive that does not answer when a single old event is asked for."""

    async def read(self, stream: str, after: int, limit: int = 1024, block_ms: int = 0) -> list[Recorded]:
        if limit == 1:
            await asyncio.Event().wait()
        return await super().read(stream, after, limit, block_ms)


async def test_live_events_wait_for_no_archive_that_a_retry_needs(
    desk: Desk, blind: Blindness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("projectors.retry.READ_SECONDS_MAX", 0.05)
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    blind.mend()
    await Office(desk).retry(2)
    store = Store(url)
    reader = Hanging(desk.log, desk.archive)
    running = Running(Loop(TICKS, STREAM, store, reader, HastyClock(), NoMarks(), Stop()), store)
    for n in range(4, 9):
        await desk.write(pairs(n, n))
        await running.reached(n)
    await running.ended()
    assert "projector.retry_waits" in capsys.readouterr().out
    assert await tries(url) == []
    async with desk.running(TICKS, STREAM):
        assert [came["gained"] for came in await tried(url, 1)] == [1]


class Measured(TickProjector):
    """A projector that notes what its statements and locks may take, each time it writes."""

    limits: ClassVar[list[tuple[str, str]]] = []

    async def write(self, rows: Rows) -> None:
        (found,) = await (await rows._connection.execute(LIMITS)).fetchall()
        self.limits.append((found["statement"], found["lock"]))
        await super().write(rows)


LIMITS = "select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock"


async def test_live_events_wait_for_no_statement_or_lock_of_a_retry_as_for_their_own(
    desk: Desk, blind: Blindness
) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    blind.mend()
    await Office(desk).retry(2)
    Measured.limits.clear()
    async with desk.running(msgspec.structs.replace(TICKS, make=Measured), STREAM) as running:
        await tried(url, 1)
        await desk.write(pairs(4, 4))
        await running.reached(4)
    assert Measured.limits == [("2500ms", "500ms"), ("30s", "5s")]


async def test_a_retry_that_meets_a_lock_is_made_when_it_is_gone(
    desk: Desk, blind: Blindness, capsys: pytest.CaptureFixture[str]
) -> None:
    url = desk.database_url
    await desk.project(TICKS, pairs(1, 3))
    blind.mend()
    async with await psycopg.AsyncConnection.connect(url) as locking:
        await locking.execute("select from parked_events where n = 2 for update")
        await Office(desk).retry(2)
        async with desk.running(TICKS, STREAM) as running:
            for n in (4, 5, 6):
                await desk.write(pairs(n, n))
                await running.reached(n)
    assert "lock timeout" in capsys.readouterr().out
    assert await tries(url) == []
    async with desk.running(TICKS, STREAM):
        assert [came["gained"] for came in await tried(url, 1)] == [1]


async def test_a_decision_that_cannot_be_read_is_parked_and_the_next_one_counts(desk: Desk) -> None:
    broken = Recorded(REQUESTS, 1, START_NS, "parked.retry.v1", b'{"type": "parked.retry.v1", "n": "x"}')
    good = recorded(2, SetAside(projector="parked", stream=REQUESTS, n=1, reason="a test"), START_NS, REQUESTS)
    await desk.project(PARKED, [broken, good])
    assert await states(desk.database_url) == {1: "set_aside"}


async def test_candles_lack_what_the_decoder_could_not_read_until_they_are_rebuilt(
    desk: Desk, blind: Blindness
) -> None:
    url = desk.database_url
    log = pairs(1, 3)
    await desk.write(log)
    for projection in (TICKS, CANDLES):
        async with desk.running(projection, STREAM) as running:
            await running.reached(3)
    blind.mend()
    await Office(desk).retry(1, 2, 3)
    async with desk.running(TICKS, STREAM):
        await tried(url, 3)
    told = "select sum(tick_count)::int as ticks from candles_1m"
    assert await ask(url, told) == [{"ticks": 3}]
    await rebuild(desk, CANDLES)
    assert await ask(url, told) == [{"ticks": 6}]


def test_which_projections_retry_is_said_once() -> None:
    assert {name for name, projection in PROJECTIONS.items() if projection.forget} == RETRIED


async def read_all(desk: Desk) -> list[Recorded]:
    return await Reader(desk.log, desk.archive).read(STREAM, 0, 1000)
