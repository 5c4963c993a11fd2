"""Frames to ticks, and frames to rows for COPY, against kiteconnect's own parser."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from events.decode import decode
from events.event import Recorded
from ops.bench.frames import Source, recorded
from ops.bench.measure import Case, Target, Trial, compare
from producers.kite import sdk_parser
from projectors.ticks import copy_rows

BATCH_FRAMES = 50
UNIT = "ticks/s"
AGAINST = "kiteconnect's _parse_binary"


def run(trial: Trial) -> list[Case]:
    """Measure the decoder on frames of every shape."""
    source = Source()
    batches = [
        ("full mode, 50 frames of 10 packets", recorded(source.frames(BATCH_FRAMES)), 80),
        ("full mode, 50 frames of 1 to 19 packets", recorded(source.varying(BATCH_FRAMES)), 40),
        ("mixed packet lengths, 50 frames of 10", recorded(source.mixed(BATCH_FRAMES)), 25),
        ("one frame of 10 full packets at a time", recorded(source.frames(1)), 5),
    ]
    cases = []
    for name, batch, target in batches:
        trial.say(name)
        cases.append(_parse(trial, name, batch, target))
    trial.say("frames to rows for COPY")
    return [*cases, _rows(trial, batches[0][1])]


def _parse(trial: Trial, name: str, batch: Sequence[Recorded], target: float) -> Case:
    parse, frames = sdk_parser.make(), [event.payload for event in batch]
    ticks = len(decode(batch).ticks)

    def by_sdk() -> None:
        for frame in frames:
            parse(frame)

    found = trial.alternate(lambda: _rate(trial, ticks, lambda: decode(batch)), lambda: _rate(trial, ticks, by_sdk))
    return compare(name, UNIT, AGAINST, found, Target(target))


def _rows(trial: Trial, batch: Sequence[Recorded]) -> Case:
    parse, frames = sdk_parser.make(), [event.payload for event in batch]
    ticks = len(decode(batch).ticks)

    def by_sdk() -> None:
        for frame in frames:
            [_tuple(tick) for tick in parse(frame)]

    found = trial.alternate(
        lambda: _rate(trial, ticks, lambda: list(copy_rows(decode(batch).ticks, 1))),
        lambda: _rate(trial, ticks, by_sdk),
    )
    return compare("frames to COPY buffer", UNIT, "kiteconnect's _parse_binary, to tuples", found, Target(20))


def _rate(trial: Trial, ticks: int, work: Callable[[], object]) -> float:
    return trial.per_second(ticks, work, time.thread_time)


def _tuple(tick: dict[str, Any]) -> tuple[Any, ...]:
    """Give the columns of `ticks` that a tick of the SDK has."""
    buy, sell = tick["depth"]["buy"][0], tick["depth"]["sell"][0]
    return (
        tick["exchange_timestamp"],
        tick["instrument_token"],
        tick["last_price"],
        tick["last_traded_quantity"],
        tick["average_traded_price"],
        tick["volume_traded"],
        tick["total_buy_quantity"],
        tick["total_sell_quantity"],
        tick["oi"],
        buy["price"],
        buy["quantity"],
        sell["price"],
        sell["quantity"],
    )
