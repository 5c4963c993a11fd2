"""What the sandbox packs, Kite's own SDK parses to the same values."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from ops.sandbox import wire
from ops.sandbox.wire import LENGTHS, Field, IndexField, Mode

SDK = KiteTicker("key", "token")
WORD = st.integers(0, 2**32 - 1)
SEGMENT = st.sampled_from(sorted(wire.SEGMENTS.values()))


@st.composite
def packets(draw: st.DrawFn) -> tuple[list[list[int]], list[Mode]]:
    count = draw(st.integers(1, 40))
    rows = []
    for _ in range(count):
        words = draw(st.lists(WORD, min_size=4, max_size=8)) * 12
        words = words[: wire.WORDS]
        words[Field.TOKEN] = draw(st.integers(1, 2**24 - 1)) * 256 + draw(SEGMENT)
        rows.append(words)
    return rows, draw(st.lists(st.sampled_from([Mode.LTP, Mode.QUOTE, Mode.FULL]), min_size=count, max_size=count))


def packed(rows: list[list[int]], modes: list[Mode], per_message: int) -> wire.Messages:
    lengths = np.array([LENGTHS[int(is_index(row))][mode] for row, mode in zip(rows, modes, strict=True)])
    return wire.pack(wire.rows(np.array(rows, np.uint32)), lengths, per_message)


def is_index(row: list[int]) -> bool:
    return row[Field.TOKEN] & 0xFF == wire.INDEX_SEGMENT


@given(packets(), st.integers(1, 12))
def test_the_sdk_reads_what_was_packed(given_packets: tuple[list[list[int]], list[Mode]], per_message: int) -> None:
    rows, modes = given_packets
    messages = packed(rows, modes, per_message)
    ticks = [tick for payload in messages.payloads() for tick in SDK._parse_binary(payload)]
    assert len(ticks) == len(rows) == sum(messages.packets)
    for row, mode, tick in zip(rows, modes, ticks, strict=True):
        scale = wire.divisor(row[Field.TOKEN])
        assert tick["instrument_token"] == row[Field.TOKEN]
        assert tick["last_price"] == row[Field.LTP] / scale
        if mode > Mode.LTP:
            fields: type[IndexField | Field] = IndexField if is_index(row) else Field
            assert tick["ohlc"] == {
                name.lower(): row[fields[name]] / scale for name in ("OPEN", "HIGH", "LOW", "CLOSE")
            }
        if mode > Mode.LTP and not is_index(row):
            assert tick["volume_traded"] == row[Field.VOLUME]
            assert tick["last_traded_quantity"] == row[Field.LAST_QUANTITY]
            assert tick["average_traded_price"] == row[Field.AVERAGE] / scale
            assert tick["total_buy_quantity"] == row[Field.BUY_QUANTITY]
            assert tick["total_sell_quantity"] == row[Field.SELL_QUANTITY]
        if mode == Mode.FULL:
            time = row[IndexField.TIME] if is_index(row) else row[Field.TIME]
            assert tick["exchange_timestamp"].timestamp() == time
        if mode == Mode.FULL and not is_index(row):
            assert tick["last_trade_time"].timestamp() == row[Field.LAST_TRADE_TIME]
            assert (tick["oi"], tick["oi_day_high"], tick["oi_day_low"]) == tuple(row[Field.OI : Field.OI_LOW + 1])
            levels = tick["depth"]["buy"] + tick["depth"]["sell"]
            shown = [[level["quantity"], level["price"], level["orders"]] for level in levels]
            depth = row[Field.DEPTH :]
            assert shown == [[depth[i], depth[i + 1] / scale, depth[i + 2] >> 16] for i in range(0, 30, 3)]


@given(packets(), st.integers(1, 12))
def test_the_wire_is_whole_websocket_frames_of_these_payloads(
    given_packets: tuple[list[list[int]], list[Mode]], per_message: int
) -> None:
    messages = packed(*given_packets, per_message)
    place, payloads = 0, []
    while place < len(messages.wire):
        assert messages.wire[place] == 0x82
        size, head = messages.wire[place + 1], 2
        assert size < 127
        if size == 126:
            size, head = int.from_bytes(messages.wire[place + 2 : place + 4], "big"), 4
        payloads.append(messages.wire[place + head : place + head + size])
        place += head + size
    assert payloads == messages.payloads()
    assert [zlib.crc32(payload) for payload in payloads] == messages.checksums()
    assert [len(wire.split(payload)) for payload in payloads] == messages.packets
    assert [wire.join(wire.split(payload)) for payload in payloads] == payloads
    assert wire.frame(payloads, messages.packets, messages.oddities) == messages


def test_the_frame_of_the_module_is_as_its_docstring_shows_it() -> None:
    rows = [[408065, 12345] + [0] * 44, [738561, 6789] + [0] * 44]
    messages = packed(rows, [Mode.LTP, Mode.LTP], 10)
    assert messages.wire.hex(" ") == "82 16 00 02 00 08 00 06 3a 01 00 00 30 39 00 08 00 0b 45 01 00 00 1a 85"
    assert messages.wire.hex().replace(" ", "") in (wire.__doc__ or "").replace(" ", "")


def test_the_largest_message_still_has_a_16_bit_length() -> None:
    rows = [[256 * i + 1] + [i] * 45 for i in range(wire.MESSAGE_PACKETS_MAX)]
    messages = packed(rows, [Mode.FULL] * len(rows), wire.MESSAGE_PACKETS_MAX)
    assert len(messages.payloads()) == 1
    assert len(SDK._parse_binary(messages.payloads()[0])) == wire.MESSAGE_PACKETS_MAX
    with pytest.raises(AssertionError, match="longer message"):
        packed(rows, [Mode.FULL] * len(rows), wire.MESSAGE_PACKETS_MAX + 1)


def test_a_cut_message_gives_its_whole_packets() -> None:
    payload = packed([[257, 5] + [0] * 44] * 3, [Mode.LTP] * 3, 10).payloads()[0]
    assert [len(wire.split(payload[:end])) for end in range(len(payload) + 1)] == [0] * 12 + [1] * 10 + [2] * 10 + [3]
