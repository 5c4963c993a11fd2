"""A tape: recorded ticks that are played instead of the generated market; csv_tape.py and segment_tape.py read them.

A tape is held in memory. Its rows are in the order in which they are played: by time, where one may stand before its
predecessor's time but is played after it, at once.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ops.sandbox import wire
from ops.sandbox.instruments import Instrument
from ops.sandbox.wire import Bytes, Ints
from runtime.calendar import IST_SECONDS

DAY_SECONDS = 86_400


class Rows(NamedTuple):
    """Ticks in the order of play; one value a tick.

    place: of the instrument; seconds: exchange's time, UTC since 1970; due_ns: when it is played, never falling;
    price: integer of the wire; volume: cumulative; length: bytes of the longest packet that the tick can give.
    """

    place: Ints
    seconds: Ints
    due_ns: Ints
    price: Ints
    volume: Ints
    length: Ints


class Part(NamedTuple):
    """Some rows as they are sent: places, packets (k, 184), and of how many bytes each is known."""

    which: Ints
    bodies: Bytes
    lengths: Ints


Draw = Callable[[int, int], Bytes]


class Tape:
    """Recorded ticks as a `Stage`."""

    gives_snapshots = False

    def __init__(self, instruments: Sequence[Instrument], rows: Rows, draw: Draw) -> None:
        """Play `rows`; `draw` gives the packets (k, 184) of rows first..end."""
        self.instruments = instruments
        self.places = {i.instrument_token: place for place, i in enumerate(instruments)}
        self.is_index = np.array([i.is_index for i in instruments], np.bool_)
        self.rows = rows
        self.board = np.zeros((len(instruments), wire.FULL_BYTES), np.uint8)
        self._draw = draw
        tokens = np.array(list(self.places))
        self.board[:, :4] = tokens.astype(">u4").view(np.uint8).reshape(-1, 4)

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.rows.place)

    def divisor(self, place: int) -> int:
        """Give what the prices of one instrument are multiplied by on the wire."""
        return wire.divisor(self.instruments[place].instrument_token)

    def part(self, first: int, end: int) -> Part:
        """Give rows first..end, and put them on the board as the newest."""
        which, bodies = self.rows.place[first:end], self._draw(first, end)
        self.board[which] = bodies
        return Part(which, bodies, self.rows.length[first:end])


def added_volume(seconds: Ints, volume: Ints) -> Ints:
    """Give what each row of one instrument adds to the highest volume of its IST day so far; 0 for the day's first."""
    added = np.zeros_like(volume)
    days = (seconds + IST_SECONDS) // DAY_SECONDS
    for day in np.unique(days):
        chosen = days == day
        highest = np.maximum.accumulate(volume[chosen])
        added[chosen] = np.diff(highest, prepend=highest[:1])
    return added
