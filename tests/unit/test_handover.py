"""From a client's thread to the loop: everything, in order, and no more than the bound."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from events.event import Event
from producers.handover import EVENT_BYTES_COST, TAKE_BYTES_MAX, WAITING_BYTES_MAX, Handover
from tests.patience import PATIENCE_SECONDS

BOUND_BYTES = 20 * (EVENT_BYTES_COST + 100)


def event(n: int, size: int = 100) -> Event:
    return Event("kite.text.v1", n, bytes(size))


class Socket:
    """Stands for a socket: counts how often its reading is held and let."""

    def __init__(self) -> None:
        self.held = 0
        self.let = 0
        self.open = threading.Event()
        self.open.set()

    def hold(self) -> None:
        self.held += 1
        self.open.clear()

    def release(self) -> None:
        self.let += 1
        self.open.set()


@pytest.fixture
def socket() -> Socket:
    return Socket()


async def handover(socket: Socket, bytes_max: int = BOUND_BYTES) -> Handover:
    return Handover(asyncio.get_running_loop(), socket.hold, socket.release, bytes_max)


async def in_thread(work: Callable[[], None]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.to_thread(work)


async def test_events_come_in_the_order_in_which_they_were_put(socket: Socket) -> None:
    way = await handover(socket, WAITING_BYTES_MAX)

    def put() -> None:
        for n in range(50_000):
            way.put(event(n, 0))

    putting = asyncio.ensure_future(in_thread(put))
    found: list[int] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 50_000:
            events = await way.take()
            assert events
            found += [each.at_ns for each in events]
            way.done(events)
    await putting
    assert found == list(range(50_000))
    assert way.waiting_bytes == 0


async def test_at_the_bound_the_socket_is_held_until_half_is_on_disk(socket: Socket) -> None:
    way = await handover(socket)
    for n in range(19):
        way.put(event(n))
    assert (way.held, socket.held) == (False, 0)
    way.put(event(19))
    assert (way.held, socket.held) == (True, 1)
    way.put(event(20))  # what the socket had read already
    assert socket.held == 1, "it is held once"
    events = await way.take()
    assert len(events) == 21
    assert way.held, "taken is not yet on disk"
    way.done(events[:10])
    assert (way.held, socket.let) == (True, 0)
    way.done(events[10:12])
    assert (way.held, socket.let) == (False, 1)
    way.done(events[12:])
    assert (way.waiting_bytes, socket.let) == (0, 1)


async def test_a_slow_disk_slows_the_socket_down_and_loses_nothing(socket: Socket) -> None:
    way = await handover(socket)
    highest = 0

    def put() -> None:
        nonlocal highest
        for n in range(5_000):
            assert socket.open.wait(PATIENCE_SECONDS)
            way.put(event(n))
            highest = max(highest, way.waiting_bytes)

    putting = asyncio.ensure_future(in_thread(put))
    found: list[int] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 5_000:
            events = await way.take()
            for each in events:  # one by one, as slow as can be
                way.done([each])
            found += [each.at_ns for each in events]
    await putting
    assert found == list(range(5_000))
    assert highest <= BOUND_BYTES + EVENT_BYTES_COST + 100
    assert socket.held == socket.let > 10


async def test_one_event_above_the_bound_still_goes_through(socket: Socket) -> None:
    way = await handover(socket)
    way.put(event(1, BOUND_BYTES * 2))
    events = await way.take()
    way.done(events)
    assert (len(events), socket.held, socket.let) == (1, 1, 1)


async def test_emptied_waits_until_all_is_on_disk(socket: Socket) -> None:
    way = await handover(socket)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await way.emptied()
        way.put(event(1))
        way.put(event(2))
        emptied = asyncio.ensure_future(way.emptied())
        events = await way.take()
        way.done(events[:1])
        assert not emptied.done()
        way.done(events[1:])
        await emptied


async def test_what_is_taken_at_once_is_bounded_and_the_rest_comes_next(socket: Socket) -> None:
    way = await handover(socket, WAITING_BYTES_MAX)
    for n in range(5):
        way.put(event(n, TAKE_BYTES_MAX // 3))
    way.put(event(5, TAKE_BYTES_MAX * 2))
    taken: list[list[int]] = []
    while sum(len(each) for each in taken) < 6:
        taken.append([each.at_ns for each in await way.take()])
    assert taken == [[0, 1], [2, 3], [4], [5]]
