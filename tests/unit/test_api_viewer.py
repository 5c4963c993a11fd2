"""A live client's queue: in order, bounded, honest about what it dropped; and audiences that share a message."""

import asyncio
from collections.abc import Awaitable

import msgspec
import pytest

from api.audience import House
from api.viewer import QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX, WINDOW_MESSAGES_MAX, Batch, Gone, Viewer
from tests.api_server import full_frame, ltp_frame
from tests.unit.test_api_quotes import decoded

pytestmark = pytest.mark.anyio


class Wire:
    """A socket's `send` that writes when the test lets it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.writing: list[asyncio.Future[None]] = []

    def send(self, text: str) -> Awaitable[None]:
        self.texts.append(text)
        self.writing.append(asyncio.get_running_loop().create_future())
        return self.writing[-1]

    def write_all(self) -> None:
        for each in self.writing:
            if not each.done():
                each.set_result(None)


async def settle() -> None:
    """Let every task that can go on do so."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


def batches(first: int, count: int) -> list[Batch]:
    return [Batch(str(number), 1) for number in range(first, first + count)]


async def test_messages_fly_at_once_up_to_the_window_then_queue_and_keep_their_order() -> None:
    wire = Wire()
    viewer = Viewer(wire.send)
    running = asyncio.create_task(viewer.run())
    for batch in batches(0, 100):
        viewer.offer(batch)
    assert len(wire.texts) == WINDOW_MESSAGES_MAX
    while len(wire.texts) < 100:
        before = len(wire.texts)
        wire.write_all()
        await settle()
        assert len(wire.texts) > before
    assert wire.texts == [str(number) for number in range(100)]
    running.cancel()


async def test_a_full_queue_drops_the_oldest_and_says_how_many() -> None:
    wire = Wire()
    viewer = Viewer(wire.send)
    running = asyncio.create_task(viewer.run())
    extra = 7
    total = WINDOW_MESSAGES_MAX + QUEUE_MESSAGES_MAX + extra
    for batch in batches(0, total):
        viewer.offer(batch)
    while wire.texts[-1] != str(total - 1):
        wire.write_all()
        await settle()
    told = wire.texts[WINDOW_MESSAGES_MAX]
    assert msgspec.json.decode(told) == {"type": "skipped", "count": extra}
    flown = [int(text) for text in wire.texts if text.isdigit()]
    assert flown == [*range(WINDOW_MESSAGES_MAX), *range(WINDOW_MESSAGES_MAX + extra, total)]
    running.cancel()


async def test_the_queue_is_bounded_in_bytes_too() -> None:
    wire = Wire()
    viewer = Viewer(wire.send)
    big = Batch("x" * (QUEUE_BYTES_MAX // 4), 10)
    for _ in range(20):
        viewer.offer(big)
    running = asyncio.create_task(viewer.run())
    for _ in range(30):
        wire.write_all()
        await settle()
    skipped = sum(msgspec.json.decode(text)["count"] for text in wire.texts if text.startswith("{"))
    flown = sum(10 for text in wire.texts if text.startswith("x"))
    assert skipped + flown == 200
    assert skipped >= 150
    running.cancel()


async def test_what_is_offered_during_a_replay_comes_behind_it() -> None:
    wire = Wire()
    viewer = Viewer(wire.send)
    running = asyncio.create_task(viewer.run())
    viewer.hold()
    for batch in batches(100, 50):
        viewer.offer(batch)
    saying = asyncio.create_task(viewer.say("replayed"))
    await settle()
    assert wire.texts == ["replayed"]
    viewer.release()
    while len(wire.texts) < 51:
        wire.write_all()
        await settle()
    assert wire.texts[1:] == [str(number) for number in range(100, 150)]
    assert not viewer.overtaken
    running.cancel()
    await saying


async def test_a_replay_that_is_overtaken_knows_it() -> None:
    viewer = Viewer(Wire().send)
    viewer.hold()
    for batch in batches(0, QUEUE_MESSAGES_MAX + 1):
        viewer.offer(batch)
    assert viewer.overtaken
    viewer.hold()
    assert not viewer.overtaken


async def test_a_socket_that_fails_is_gone() -> None:
    wire = Wire()
    viewer = Viewer(wire.send)
    saying = asyncio.create_task(viewer.say("x"))
    await settle()
    wire.writing[0].set_exception(RuntimeError("Transport not initialized or closed"))
    with pytest.raises(Gone):
        await saying


async def test_clients_of_one_wish_get_the_very_same_text() -> None:
    house = House()
    wires = [Wire() for _ in range(3)]
    one, two, deep = (Viewer(wire.send) for wire in wires)
    house.seat(one, frozenset({1, 2}), depth=False)
    house.seat(two, frozenset({1, 2}), depth=False)
    house.seat(deep, frozenset({2, 408065}), depth=True)
    house.show(decoded(ltp_frame({1: 1.0, 2: 2.0, 3: 3.0}), full_frame(408065, 5.0)), "here")
    assert wires[0].texts[0] is wires[1].texts[0]
    shared, alone = msgspec.json.decode(wires[0].texts[0]), msgspec.json.decode(wires[2].texts[0])
    assert (shared["type"], shared["cursor"]) == ("ticks", "here")
    assert [tick["instrument_token"] for tick in shared["ticks"]] == [1, 2]
    assert [tick["instrument_token"] for tick in alone["ticks"]] == [2, 408065]
    assert alone["ticks"][0]["depth"] is None
    assert len(alone["ticks"][1]["depth"]["buy"]) == 5
    house.seat(one, frozenset(), depth=False)
    house.unseat(two)
    house.unseat(two)
    house.show(decoded(ltp_frame({1: 1.0})), "there")
    assert [len(wire.texts) for wire in wires] == [1, 1, 1]


# Who waits for a client


async def test_a_client_has_caught_up_when_nothing_is_queued_for_it() -> None:
    wire = Wire()
    viewer = Viewer(wire.send)
    running = asyncio.create_task(viewer.run())
    await viewer.caught_up()
    for batch in batches(0, WINDOW_MESSAGES_MAX + 1):
        viewer.offer(batch)
    waiting = asyncio.create_task(viewer.caught_up())
    await settle()
    assert not waiting.done()
    wire.write_all()
    await waiting
    assert len(wire.texts) == WINDOW_MESSAGES_MAX + 1
    viewer.hold()
    waiting = asyncio.create_task(viewer.caught_up())
    await settle()
    assert not waiting.done(), "what it missed is on its way"
    wire.write_all()
    viewer.release()
    await waiting
    running.cancel()


async def test_nobody_waits_for_a_client_that_is_gone() -> None:
    wire = Wire()
    viewer = Viewer(wire.send)
    for batch in batches(0, WINDOW_MESSAGES_MAX + 1):
        viewer.offer(batch)
    waiting = asyncio.create_task(viewer.caught_up())
    await settle()
    assert not waiting.done()
    wire.writing[-1].set_exception(ConnectionResetError("gone"))
    with pytest.raises(Gone):
        await viewer.run()
    await waiting
