"""Rows of `ticks`: what the broker's own client reads in the same frames, as often as it came, and nothing lost."""

import math
import struct
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from events.event import Recorded
from projectors.ticks import TICKS, TickProjector
from sql.store import Store
from tests.entries import START_NS
from tests.frames import DAY_NS, INFY, NIFTY, RELIANCE, SECOND_NS, STREAM, USDINR, Packet, frame, recorded
from tests.loops import Desk, ask
from tests.owners import Torn

AT_NS = START_NS + 123_456_789  # a received time has more digits than a timestamptz
SECONDS = START_NS // SECOND_NS


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


def received(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def as_the_client_reads(event: Recorded) -> list[tuple[Any, ...]]:
    """Give the rows that the SDK's parse of a frame makes; what a packet does not carry is NULL."""
    rows = []
    for tick in KiteTicker("key", "token")._parse_binary(event.payload):
        stamp = tick.get("exchange_timestamp")
        bid, ask_level = (tick["depth"][side][0] if "depth" in tick else {} for side in ("buy", "sell"))
        rows.append(
            (
                stamp.astimezone(UTC) if stamp else received(event.at_ns),
                received(event.at_ns),
                tick["instrument_token"],
                tick["last_price"],
                tick.get("last_traded_quantity"),
                tick.get("average_traded_price"),
                tick.get("volume_traded"),
                tick.get("total_buy_quantity"),
                tick.get("total_sell_quantity"),
                tick.get("oi"),
                bid.get("price"),
                bid.get("quantity"),
                ask_level.get("price"),
                ask_level.get("quantity"),
                event.n,
            )
        )
    return rows


COLUMNS = (
    "time, received_at, instrument_token, last_price, last_quantity, average_price, volume, buy_quantity, "
    "sell_quantity, oi, bid_price, bid_quantity, ask_price, ask_quantity, n"
)


async def held(url: str) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.values()) for row in await ask(url, f"select {COLUMNS} from ticks"))


packets = st.one_of(
    st.builds(
        Packet,
        kind=st.sampled_from(["ltp", "quote", "full"]),
        token=st.sampled_from([INFY, RELIANCE, USDINR, 5_000 * 256 + 6, 5_000 * 256 + 12, 5_000 * 256 + 7]),
        price=st.integers(0, 2**32 - 20),
        volume=st.integers(0, 2**32 - 1),
        oi=st.integers(0, 2**32 - 10),
        seconds=st.integers(SECONDS - 3 * 86_400, SECONDS + 60),
    ),
    st.builds(
        Packet,
        kind=st.sampled_from(["index_quote", "index_full"]),
        token=st.just(NIFTY),
        price=st.integers(3, 2**31),
        seconds=st.integers(SECONDS - 60, SECONDS),
    ),
)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.lists(packets, min_size=1, max_size=5), min_size=1, max_size=8), st.integers(1, 3))
async def test_rows_are_what_the_client_reads_with_their_multiplicity(
    database_url: str, tmp_path: Path, sent: list[list[Packet]], times: int
) -> None:
    await ask(database_url, "delete from ticks; delete from projection_checkpoints")
    log = [recorded(n, frame(*each), AT_NS + n) for n, each in enumerate(sent * times, 1)]
    await Desk(database_url, tmp_path).project(TICKS, log)
    assert await held(database_url) == Counter(row for event in log for row in as_the_client_reads(event))


async def test_more_rows_than_one_piece_of_a_load(desk: Desk) -> None:
    kinds = ["full", "quote", "full", "ltp"]
    log = [
        recorded(n, frame(*(Packet(kinds[i % 4], 256 * i + 1, 1_000 + n, n) for i in range(600))), AT_NS + n)
        for n in range(1, 6)
    ]
    await desk.project(TICKS, log)
    assert await held(desk.database_url) == Counter(row for event in log for row in as_the_client_reads(event))


@pytest.mark.parametrize(
    ("seconds", "flags"),
    [
        (0, 1),  # no time at all
        (1, 2),
        (946_684_799, 2),
        (946_684_800, 0),
        (SECONDS + 86_400, 0),
        (SECONDS + 86_401, 2),
        (2**32 - 1, 2),
    ],
)
async def test_a_time_that_cannot_be_is_the_receive_time_and_makes_no_day(desk: Desk, seconds: int, flags: int) -> None:
    await desk.project(TICKS, [recorded(1, frame(Packet("full", seconds=seconds)), AT_NS)])
    (row,) = await ask(desk.database_url, "select time, flags, tableoid::regclass::text as part from ticks")
    wanted = received(AT_NS) if flags else received(seconds * SECOND_NS)
    assert (row["time"], row["flags"]) == (wanted, flags)
    days = await ask(desk.database_url, "select count(*) from tick_days()")
    assert days == [{"count": 1}]


async def test_of_a_cut_frame_the_whole_packets_are_stored_and_the_rest_parked(desk: Desk) -> None:
    whole = frame(Packet("full", INFY), Packet("full", RELIANCE), Packet("ltp", NIFTY))
    log = [
        recorded(1, whole[:-190], AT_NS),
        recorded(2, whole, AT_NS),
        recorded(3, whole + b"more", AT_NS),
        recorded(4, b"\x00\x02", AT_NS),
        recorded(5, b"\x07", AT_NS),
        recorded(6, b"", AT_NS),
    ]
    await desk.project(TICKS, log)
    assert await ask(desk.database_url, "select n, count(*) from ticks group by n order by n") == [
        {"n": 1, "count": 1},
        {"n": 2, "count": 3},
        {"n": 3, "count": 3},
    ]
    parked = await ask(desk.database_url, "select n, packets, payload from parked_events order by n")
    assert [(row["n"], row["packets"]) for row in parked] == [(1, 2), (3, 0), (4, 2), (5, 0), (6, 0)]
    assert [bytes(row["payload"]) for row in parked] == [whole[188:-190], b"more", b"", b"\x07", b""]


async def test_packets_of_unknown_length_are_parked_each_for_itself(desk: Desk) -> None:
    known = Packet("ltp", INFY).body()
    bodies = [known, b"\x01" * 52, known, b"", b"\x02" * 9]
    message = struct.pack(">H", 5) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)
    await desk.project(TICKS, [recorded(1, message, AT_NS)])
    (rows,) = await ask(desk.database_url, "select count(*) from ticks")
    assert rows["count"] == 2
    parked = await ask(desk.database_url, "select part, packets, payload from parked_events order by part")
    assert [(row["part"], row["packets"]) for row in parked] == [(0, 1), (1, 1), (2, 1)]
    assert {bytes(row["payload"]) for row in parked} == {b"\x01" * 52, b"", b"\x02" * 9}


async def test_a_batch_of_a_new_day_that_was_taken_back_can_be_written_again(database_url: str) -> None:
    store, projector = Store(database_url), TickProjector(STREAM)
    lease = await store.acquire("ticks", STREAM)
    assert lease is not None
    days = [Packet("full", seconds=SECONDS - day * 86_400) for day in range(3)]
    projector.absorb([recorded(1, frame(*days), AT_NS)])

    async def write(*, torn: bool) -> None:
        async with store.begin(lease, 1) as rows:
            await projector.write(rows)
            if torn:
                raise Torn

    for _ in range(2):
        with pytest.raises(Torn):
            await write(torn=True)
    await write(torn=False)
    projector.committed()
    await store.close()
    assert sum((await held(database_url)).values()) == 3


async def test_nothing_but_other_events_moves_the_checkpoint_alone(database_url: str) -> None:
    projector = TickProjector(STREAM)
    assert projector.due(math.inf) is None
    projector.absorb([Recorded(STREAM, 1, AT_NS, "kite.text.v1", b"{}")])
    assert projector.due(0.0) == 1


async def test_days_of_a_year_are_made_on_demand(desk: Desk) -> None:
    log = [recorded(n, frame(Packet("full", seconds=SECONDS - n * 86_400)), AT_NS + n * DAY_NS) for n in range(1, 60)]
    await desk.project(TICKS, log)
    assert await ask(desk.database_url, "select count(*) from tick_days()") == [{"count": 59}]
