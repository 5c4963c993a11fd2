"""The latest tick of every instrument, in memory: what a price costs is one lookup, not a query.

One row of `TICK` an instrument, in one table that grows by doubling; a batch of ticks goes in by one assignment.
Where two feeds bring the same instrument, what was received last is the latest.
"""

import numpy as np

from api import quotes
from events.decode.tick import TICK, Ticks

FIRST_ROWS = 1024  # doubled when full; 9,000 instruments of Kite's three connections take 3.5 MB


class Prices:
    """Latest ticks by instrument."""

    def __init__(self) -> None:
        """Begin with none."""
        self._place: dict[int, int] = {}
        self._rows: Ticks = np.zeros(FIRST_ROWS, TICK)
        self._encoded: dict[int, bytes] = {}  # what was asked for and has not changed since

    def __len__(self) -> int:
        return len(self._place)

    def put(self, ticks: Ticks) -> list[int]:
        """Take a batch, in the order of the log; give its instruments. An older tick than the one held is left out."""
        if not len(ticks):
            return []
        tokens, which = np.unique(ticks["instrument_token"], return_inverse=True)
        newest = np.zeros(len(tokens), np.int64)
        newest[which] = np.arange(len(ticks))  # of several assignments to one place the last one stays
        rows = ticks[newest]
        asked: list[int] = tokens.tolist()
        places = self._places(asked)
        fresh = rows["at_ns"] >= self._rows["at_ns"][places]
        self._rows[places[fresh]] = rows[fresh]
        if self._encoded:
            for token in asked:
                self._encoded.pop(token, None)
        return asked

    def _places(self, tokens: list[int]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        held = self._place
        for token in tokens:
            if token not in held:
                held[token] = len(held)
        while len(held) > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros(len(self._rows), TICK)])
        return np.array([held[token] for token in tokens], np.int64)

    def json(self, token: int) -> bytes | None:
        """Give the latest tick with its book as JSON (`quotes.DeepQuote`); None where none was seen."""
        found = self._encoded.get(token)
        if found is None and token in self._place:
            place = self._place[token]
            found = self._encoded[token] = quotes.encode(self._rows[place : place + 1], depth=True)[0]
        return found

    def json_of(self, tokens: list[int]) -> list[bytes]:
        """Give the latest ticks of those tokens that have one, in the order asked for."""
        held = [token for token in tokens if token in self._place]
        changed = [token for token in held if token not in self._encoded]
        if changed:
            rows = self._rows[[self._place[token] for token in changed]]
            self._encoded.update(zip(changed, quotes.encode(rows, depth=True), strict=True))
        return [self._encoded[token] for token in held]

    def tokens(self) -> list[int]:
        """Give all instruments that have a price."""
        return list(self._place)
