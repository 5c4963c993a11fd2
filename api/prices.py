"""The latest tick of every instrument, in memory: what a price costs is one lookup, not a query.

One row of `TICK` an instrument, in one table that grows by doubling; a batch of ticks goes in by one assignment, as
whole words: numpy copies structured rows field by field, ten times slower. Where two feeds bring the same instrument,
what was received last is the latest.
"""

from decimal import Decimal

import numpy as np
import numpy.typing as npt

from api import quotes
from events.decode.tick import TICK, WORDS, Ticks, column

FIRST_ROWS = 1024  # doubled when full; 9,000 instruments of Kite's three connections take 3.5 MB

_AT = column("at_ns")
Words = npt.NDArray[np.int64]


class Prices:
    """Latest ticks by instrument."""

    def __init__(self) -> None:
        """Begin with none."""
        self._place: dict[int, int] = {}
        self._words: Words = np.zeros((FIRST_ROWS, WORDS), np.int64)
        self._encoded: dict[int, bytes] = {}  # what was asked for and has not changed since

    def __contains__(self, token: int) -> bool:
        """Say whether an instrument has a price."""
        return token in self._place

    def __len__(self) -> int:
        return len(self._place)

    def put(self, ticks: Ticks) -> list[int]:
        """Take a batch, in the order of the log; give its instruments. An older tick than the one held is left out."""
        if not len(ticks):
            return []
        newest = {token: place for place, token in enumerate(ticks["instrument_token"].tolist())}
        tokens = list(newest)
        rows = np.ascontiguousarray(ticks).view(np.int64).reshape(-1, WORDS)[list(newest.values())]
        places = self._places(tokens)
        fresh = rows[:, _AT] >= self._words[places, _AT]
        self._words[places[fresh]] = rows[fresh]
        if self._encoded:
            for token in tokens:
                self._encoded.pop(token, None)
        return tokens

    def _places(self, tokens: list[int]) -> Words:
        held = self._place
        for token in tokens:
            if token not in held:
                held[token] = len(held)
        while len(held) > len(self._words):
            self._words = np.concatenate([self._words, np.zeros_like(self._words)])
        return np.array([held[token] for token in tokens], np.int64)

    def latest(self, token: int) -> tuple[Decimal, int] | None:
        """Give an instrument's latest price in rupees, and when it was received (UTC ns); None where none was seen."""
        if token not in self._place:
            return None
        row = self._rows([token])[0]
        # The shortest digits that mean the same float: those of the wire, which sent a whole number of paise.
        return Decimal(repr(float(row["last_price"]))), int(row["at_ns"])

    def json(self, token: int) -> bytes | None:
        """Give the latest tick with its book as JSON (`quotes.DeepQuote`); None where none was seen."""
        found = self._encoded.get(token)
        if found is None and token in self._place:
            found = self._encoded[token] = quotes.encode(self._rows([token]), depth=True)[0]
        return found

    def json_of(self, tokens: list[int]) -> list[bytes]:
        """Give the latest ticks of those tokens that have one, in the order asked for."""
        held = [token for token in tokens if token in self._place]
        changed = [token for token in held if token not in self._encoded]
        if changed:
            self._encoded.update(zip(changed, quotes.encode(self._rows(changed), depth=True), strict=True))
        return [self._encoded[token] for token in held]

    def _rows(self, tokens: list[int]) -> Ticks:
        """Give the rows of instruments that are held."""
        rows: Ticks = self._words[[self._place[token] for token in tokens]].view(TICK)[:, 0]
        return rows

    def tokens(self) -> list[int]:
        """Give all instruments that have a price."""
        return list(self._place)


class Still:
    """Prices that stand still: each is what it was when it was asked for first.

    Two reckonings at these differ by what they reckon, and not by the ticks that came between them.
    """

    def __init__(self, prices: Prices) -> None:
        """Take the prices that go on."""
        self._prices = prices
        self._seen: dict[int, tuple[Decimal, int] | None] = {}

    def latest(self, token: int) -> tuple[Decimal, int] | None:
        """Give an instrument's price, and when it was received (UTC ns); None where none was seen."""
        if token not in self._seen:
            self._seen[token] = self._prices.latest(token)
        return self._seen[token]
