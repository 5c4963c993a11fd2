"""Kite's frames become ticks: as the SDK's own parser reads them, in order, and nothing is dropped unsaid."""

import random
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from events.decode import decode, tick
from events.decode.kite import BLOCK_PACKETS, KIND_OF_LENGTH, TIME_AHEAD_NS, TIME_MIN_NS, packets
from events.decode.tick import TICK
from events.event import Recorded
from producers.kite import sdk_parser
from tests.entries import START_NS, STREAM

SDK = sdk_parser.make()
NS = 10**9
KNOWN = sorted(KIND_OF_LENGTH)
SEGMENTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 0, 255]


def body(length: int, seed: int, token: int = 408065) -> bytes:
    """Give a packet's body: a token, then noise, zeros, or all bits set."""
    rest = length - 4
    noise = {0: bytes(rest), 1: b"\xff" * rest}.get(seed) if rest > 0 else b""
    return (struct.pack(">I", token) + (random.Random(seed).randbytes(max(rest, 0)) if noise is None else noise))[
        :length
    ]


def frame(bodies: Sequence[bytes]) -> bytes:
    return struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(each)) + each for each in bodies)


def recorded(payloads: Sequence[bytes], first: int = 1) -> list[Recorded]:
    return [
        Recorded(STREAM, n, START_NS + n * NS, "kite.frame.v1", payload) for n, payload in enumerate(payloads, first)
    ]


TOKENS = st.builds(lambda high, segment: high << 8 | segment, st.integers(0, 2**24 - 1), st.sampled_from(SEGMENTS))
KNOWN_BODIES = st.builds(body, st.sampled_from(KNOWN), st.integers(0, 10_000), TOKENS)
ANY_BODIES = st.one_of(KNOWN_BODIES, st.builds(body, st.integers(0, 200), st.integers(0, 100), TOKENS))
FULL_BODIES = st.builds(body, st.just(184), st.integers(0, 10_000), TOKENS)
FRAMES = st.one_of(
    st.lists(st.lists(KNOWN_BODIES, max_size=6).map(frame), max_size=6),
    st.lists(st.lists(FULL_BODIES, min_size=2, max_size=2).map(frame), max_size=6),
    st.lists(st.lists(FULL_BODIES, max_size=5).map(frame), max_size=6),
    st.sampled_from(KNOWN).flatmap(
        lambda length: st.lists(
            st.lists(st.builds(body, st.just(length), st.integers(0, 99), TOKENS), max_size=4).map(frame), max_size=6
        )
    ),
)


# ---- the same as the SDK ---------------------------------------------------------------------------------------


@hypothesis_settings(deadline=None, max_examples=150)
@given(payloads=FRAMES)
def test_every_field_is_what_the_sdk_reads(payloads: list[bytes]) -> None:
    decoded = decode(recorded(payloads))
    wanted = [(n, said) for n, payload in enumerate(payloads, 1) for said in SDK(payload)]
    assert decoded.parked == []
    assert len(decoded.ticks) == len(wanted)
    for row, (n, said) in zip(decoded.ticks, wanted, strict=True):
        assert row["n"] == n
        assert row["at_ns"] == START_NS + n * NS
        assert as_sdk(row) == {name: value for name, value in said.items() if name not in {"change", "tradable"}}


def as_sdk(row: np.void) -> dict[str, Any]:
    """Give a tick in the SDK's words; what its packet does not carry must be zero."""
    found: dict[str, Any] = {
        "instrument_token": row["instrument_token"],
        "last_price": row["last_price"],
        "mode": {tick.LTP: "ltp", tick.QUOTE: "quote", tick.INDEX_QUOTE: "quote"}.get(int(row["kind"]), "full"),
    }
    if row["kind"] != tick.LTP:
        found["ohlc"] = {name: row[name] for name in ("open", "high", "low", "close")}
    if row["kind"] in (tick.QUOTE, tick.FULL):
        found["last_traded_quantity"] = row["last_quantity"]
        found["average_traded_price"] = row["average_price"]
        found["volume_traded"] = row["volume"]
        found["total_buy_quantity"] = row["buy_quantity"]
        found["total_sell_quantity"] = row["sell_quantity"]
    if row["kind"] in (tick.FULL, tick.INDEX_FULL):
        found["exchange_timestamp"] = local(row["exchange_ns"])
    if row["kind"] == tick.FULL:
        found["last_trade_time"] = local(row["last_trade_ns"])
        found["oi"], found["oi_day_high"], found["oi_day_low"] = row["oi"], row["oi_high"], row["oi_low"]
        found["depth"] = {"buy": levels(row["bids"]), "sell": levels(row["asks"])}
    carried = CARRIED[int(row["kind"])]
    for name in set(TICK.names or ()) - carried - {"n", "at_ns", "time_ns", "kind", "flags"}:
        assert not row[name].tobytes().strip(b"\0"), f"{name} is in no packet of kind {row['kind']}"
    return found


_LTP = {"instrument_token", "last_price"}
_DAY = {"open", "high", "low", "close"}
_QUOTE = _LTP | _DAY | {"last_quantity", "average_price", "volume", "buy_quantity", "sell_quantity"}
CARRIED = {
    tick.LTP: _LTP,
    tick.QUOTE: _QUOTE,
    tick.FULL: set(TICK.names or ()),
    tick.INDEX_QUOTE: _LTP | _DAY,
    tick.INDEX_FULL: _LTP | _DAY | {"exchange_ns"},
}


def local(ns: np.int64) -> datetime:
    """Give a time as the SDK does: of this machine's zone, and without it."""
    return datetime.fromtimestamp(int(ns) / NS)  # noqa: DTZ006  # the SDK's own mistake, compared here


def levels(side: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    return [{"quantity": each["quantity"], "price": each["price"], "orders": each["orders"]} for each in side]


def test_the_frame_of_the_page() -> None:
    (row,) = decode(recorded([bytes.fromhex("0001000800063a01000227ef")])).ticks
    assert (row["instrument_token"], row["last_price"], row["kind"]) == (408065, 1412.95, tick.LTP)


@pytest.mark.parametrize(("segment", "price"), [(1, 1234567.89), (3, 12.3456789), (6, 12345.6789), (12, 12345.6789)])
def test_prices_have_their_segments_decimals(segment: int, price: float) -> None:
    (row,) = decode(recorded([frame([struct.pack(">II", 7 << 8 | segment, 123456789)])])).ticks
    assert row["last_price"] == price


def test_more_than_a_block_of_packets_is_one_table() -> None:
    payloads = [
        frame([body(184, seed, seed << 8 | 1) for seed in range(first, first + 100)]) for first in range(0, 1200, 100)
    ]
    ticks = decode(recorded(payloads)).ticks
    assert len(ticks) == 1200 > 2 * BLOCK_PACKETS
    assert (ticks["instrument_token"] >> 8).tolist() == list(range(1200))
    assert ticks["n"].tolist() == [1 + place // 100 for place in range(1200)]


# ---- order and account -----------------------------------------------------------------------------------------


@st.composite
def spoiled(draw: st.DrawFn) -> list[bytes]:
    """Draw frames of which some are cut, too long, empty, or hold packets that nobody knows."""
    payloads = []
    for bodies in draw(st.lists(st.lists(ANY_BODIES, max_size=5), max_size=6)):
        payload = frame(bodies)
        match draw(st.sampled_from(["whole", "whole", "cut", "long", "noise", "count"])):
            case "cut":
                payload = payload[: draw(st.integers(0, len(payload)))]
            case "long":
                payload += draw(st.binary(max_size=9))
            case "noise":
                payload = draw(st.binary(max_size=60))
            case "count":
                payload = struct.pack(">H", draw(st.integers(0, 9))) + payload[2:]
        payloads.append(payload)
    return payloads


@hypothesis_settings(deadline=None, max_examples=150)
@given(payloads=spoiled())
def test_each_packet_is_a_tick_or_parked(payloads: list[bytes]) -> None:
    decoded = decode(recorded(payloads))
    for n, payload in enumerate(payloads, 1):
        ticks = int(np.count_nonzero(decoded.ticks["n"] == n))
        parked = [part for part in decoded.parked if part.n == n]
        assert ticks + sum(part.packets for part in parked) == packets(payload)
        assert all(part.payload in payload for part in parked)


@hypothesis_settings(deadline=None, max_examples=150)
@given(payloads=spoiled())
def test_a_batch_gives_what_its_frames_give_one_by_one(payloads: list[bytes]) -> None:
    frames = recorded(payloads, first=1001)
    together = decode(frames)
    alone = [decode([each]) for each in frames]
    wanted = np.concatenate([np.empty(0, TICK), *[each.ticks for each in alone]])
    assert together.ticks.tobytes() == wanted.tobytes()
    assert together.ticks["n"].tolist() == sorted(together.ticks["n"].tolist())
    assert sorted(map(repr, together.parked)) == sorted(repr(part) for each in alone for part in each.parked)


@hypothesis_settings(deadline=None, max_examples=100)
@given(bodies=st.lists(KNOWN_BODIES, min_size=1, max_size=12))
def test_packets_of_many_lengths_keep_their_order(bodies: list[bytes]) -> None:
    ticks = decode(recorded([frame(bodies)])).ticks
    assert ticks["kind"].tolist() == [KIND_OF_LENGTH[len(each)] for each in bodies]
    assert ticks["instrument_token"].tolist() == [int.from_bytes(each[:4], "big") for each in bodies]


def test_of_a_cut_frame_the_whole_packets_are_used() -> None:
    whole = frame([body(44, 5), body(184, 6), body(8, 7)])
    for cut in range(2, len(whole)):
        decoded = decode(recorded([whole[:cut], whole]))
        kept = sum(cut >= end for end in (2 + 46, 2 + 46 + 186))
        (part,) = decoded.parked
        assert (part.n, part.packets) == (1, 3 - kept)
        assert "a cut frame" in part.error
        assert whole[:cut].endswith(part.payload)
        assert len(decoded.ticks) == kept + 3


def test_a_packet_of_unknown_length_is_kept_and_the_rest_used() -> None:
    decoded = decode(recorded([frame([body(8, 1), body(45, 2), b"", body(32, 3)])]))
    assert decoded.ticks["kind"].tolist() == [tick.LTP, tick.INDEX_FULL]
    assert [(part.payload, part.packets) for part in decoded.parked] == [(body(45, 2), 1), (b"", 1)]
    assert decoded.parked[0].error == "a packet of 45 bytes; wanted one of 8, 28, 32, 44, 184"


def test_bytes_behind_the_last_packet_are_kept() -> None:
    decoded = decode(recorded([frame([body(8, 1)]) + b"more"]))
    assert len(decoded.ticks) == 1
    assert [(part.payload, part.packets) for part in decoded.parked] == [(b"more", 0)]


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\0"])
def test_a_frame_of_nothing_gives_no_tick(payload: bytes) -> None:
    decoded = decode(recorded([payload, frame([body(8, 1)])]))
    assert decoded.ticks["n"].tolist() == [2]
    assert sum(part.packets for part in decoded.parked) == 0


def test_events_of_other_types_hold_no_ticks() -> None:
    batch = recorded([frame([body(8, 1)]), b"{}", frame([body(44, 1)])])
    batch[1] = msgspec.structs.replace(batch[1], type="feed.beat.v1")
    assert decode(batch).ticks["n"].tolist() == [1, 3]
    assert len(decode([batch[1]]).ticks) == len(decode([]).ticks) == 0


# ---- times -----------------------------------------------------------------------------------------------------


def full_at(seconds: int) -> bytes:
    return frame([body(184, 0)[:60] + struct.pack(">I", seconds) + body(184, 0)[64:]])


@pytest.mark.parametrize("seconds", [START_NS // NS, TIME_MIN_NS // NS, (START_NS + NS + TIME_AHEAD_NS) // NS])
def test_a_ticks_time_is_the_exchanges(seconds: int) -> None:
    (row,) = decode(recorded([full_at(seconds)])).ticks
    assert (row["time_ns"], row["exchange_ns"], row["flags"]) == (seconds * NS, seconds * NS, 0)


@pytest.mark.parametrize("seconds", [1, TIME_MIN_NS // NS - 1, (START_NS + NS + TIME_AHEAD_NS) // NS + 1, 2**32 - 1])
def test_a_time_that_cannot_be_is_kept_and_not_used(seconds: int) -> None:
    (row,) = decode(recorded([full_at(seconds)])).ticks
    assert (row["time_ns"], row["exchange_ns"], row["flags"]) == (START_NS + NS, seconds * NS, tick.TIME_REFUSED)


@pytest.mark.parametrize("payload", [full_at(0), frame([body(8, 9)]), frame([body(44, 9)]), frame([body(28, 9)])])
def test_a_tick_without_a_time_has_the_receipts(payload: bytes) -> None:
    (row,) = decode(recorded([payload])).ticks
    assert (row["time_ns"], row["flags"]) == (START_NS + NS, tick.TIME_IS_RECEIPT)


def test_every_field_of_a_tick_has_eight_bytes() -> None:
    flat = [TICK[name] for name in TICK.names or () if TICK[name].base != tick.LEVEL]
    flat += [tick.LEVEL[name] for name in tick.LEVEL.names or ()]
    assert {field.itemsize for field in flat} == {8}
