"""What an event says, for eyes: decoded as far as it goes."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from events.decode import FRAME_TYPES, decode
from events.decode.tick import FULL, INDEX_FULL, INDEX_QUOTE, LTP, QUOTE, Ticks
from events.event import Recorded
from runtime.calendar import IST

KINDS = {LTP: "ltp", QUOTE: "quote", FULL: "full", INDEX_QUOTE: "index quote", INDEX_FULL: "index full"}
PAYLOAD_SHOWN_BYTES = 64  # of an event that is neither a frame nor JSON
TEXT_SHOWN_CHARACTERS = 400  # of one value; an instruments part has a megabyte

Row = dict[str, Any]


class Described(msgspec.Struct):
    """An event's content. said: of JSON; ticks: readable packets of a frame; unread: what of it cannot be read now."""

    said: Row = {}
    ticks: list[Row] = []
    unread: list[str] = []


def describe(event: Recorded) -> tuple[Described, Ticks | None]:
    """Give what an event says, and the ticks of a frame, None where it is none."""
    if event.type not in FRAME_TYPES:
        return Described(said=_said(event)), None
    decoded = decode([event])
    unread = [f"{parked.error} ({parked.packets} packets)" for parked in decoded.parked]
    return Described(ticks=[_tick(tick) for tick in decoded.ticks], unread=unread), decoded.ticks


def _said(event: Recorded) -> Row:
    try:
        said = msgspec.json.decode(event.payload)
    except msgspec.DecodeError:
        return {"payload": event.payload[:PAYLOAD_SHOWN_BYTES].hex(" ")}
    if not isinstance(said, dict):
        return {"payload": said}
    return {name: _short(value) for name, value in said.items()}


def _short(value: object) -> object:
    text = str(value)
    return (
        value if len(text) <= TEXT_SHOWN_CHARACTERS else f"{text[:TEXT_SHOWN_CHARACTERS]}... ({len(text)} characters)"
    )


def _tick(tick: np.void) -> Row:
    kind = int(tick["kind"])
    trades, depth = kind in (QUOTE, FULL), kind == FULL
    return {
        "kind": KINDS[kind],
        "time": datetime.fromtimestamp(int(tick["time_ns"]) // 1000 / 1_000_000, UTC).astimezone(IST).isoformat(),
        "instrument_token": tick["instrument_token"].item(),
        "last_price": tick["last_price"].item(),
        "last_quantity": tick["last_quantity"].item() if trades else None,
        "volume": tick["volume"].item() if trades else None,
        "oi": tick["oi"].item() if depth else None,
        "bid": tick["bids"]["price"][0].item() if depth else None,
        "ask": tick["asks"]["price"][0].item() if depth else None,
        "flags": int(tick["flags"]),
    }
