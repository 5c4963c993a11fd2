"""Gaps: each loss of feed is one row, open while it lasts, with the times that the ticker declared."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.event import Recorded
from events.messages import Gap, Lost, Message
from projectors.gaps import GAPS
from tests.entries import START_NS
from tests.frames import SECOND_NS, STREAM, Packet, frame, recorded
from tests.loops import Desk, ask

LOST_NS = START_NS + 123_456_789


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


def instant(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def log_of(*said: Message, stream: str = STREAM) -> list[Recorded]:
    return [recorded(n, each, START_NS + n * SECOND_NS, stream) for n, each in enumerate(said, 1)]


async def held(url: str) -> list[dict[str, Any]]:
    return await ask(
        url, "select feed, connection, from_time, to_time, reason, filled from feed_gaps order by from_time"
    )


LOST = Lost(from_ns=LOST_NS, reason="1006: cut")
ENDED = Gap(from_ns=LOST_NS, to_ns=LOST_NS + 3 * SECOND_NS + 7_777, reason="1006: cut")
ROW = {
    "feed": "sandbox",
    "connection": 1,
    "from_time": instant(LOST_NS),
    "to_time": instant(ENDED.to_ns),
    "reason": "1006: cut",
    "filled": False,
}


async def test_a_loss_is_open_while_it_lasts(desk: Desk) -> None:
    await desk.project(GAPS, log_of(LOST))
    assert await held(desk.database_url) == [{**ROW, "to_time": None}]


@pytest.mark.parametrize("at_once", [1, 2])
async def test_a_loss_ends_with_the_first_message_after_it(desk: Desk, at_once: int) -> None:
    log = log_of(LOST, ENDED)
    for start in range(0, 2, at_once):
        last = await desk.write(log[start : start + at_once])
        async with desk.running(GAPS, STREAM) as running:
            await running.reached(last)
    assert await held(desk.database_url) == [ROW]


async def test_a_loss_told_twice_is_one(desk: Desk) -> None:
    await desk.project(GAPS, log_of(LOST, LOST, ENDED, ENDED))
    assert await held(desk.database_url) == [ROW]


async def test_losses_of_connections_stand_apart(desk: Desk) -> None:
    await desk.project(GAPS, log_of(LOST, ENDED))
    await desk.project(GAPS, log_of(LOST, stream="ticks-kite-3"))
    other = {**ROW, "feed": "kite", "connection": 3, "to_time": None}
    found = await held(desk.database_url)
    assert len(found) == 2
    assert all(row in found for row in (ROW, other))


async def test_frames_move_the_checkpoint_too(desk: Desk) -> None:
    log = [recorded(n, frame(Packet("full")), START_NS + n) for n in range(1, 50)]
    await desk.project(GAPS, log)
    assert await ask(desk.database_url, "select n from projection_checkpoints") == [{"n": 49}]
