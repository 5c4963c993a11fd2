"""What the stage says of an instrument, for whoever trades there: its last price and its book, as exact decimals."""

from decimal import Decimal

from ops.sandbox import wire
from ops.sandbox.accounts.fills import Depth, Level
from ops.sandbox.stage import Stage
from ops.sandbox.wire import Field

UNLIMITED = 10**9  # where a tape has no depth, its last price takes any quantity


class Floor:
    """One stage. listed: its instruments by EXCHANGE:SYMBOL; places: theirs, by token."""

    def __init__(self, stage: Stage) -> None:
        """Look at a stage."""
        self.instruments, self.places = stage.instruments, stage.places
        self.listed = {each.key: each for each in stage.instruments}
        self._words = stage.board.view(">u4")
        self._divisors = [wire.divisor(each.instrument_token) for each in stage.instruments]

    def last_price(self, token: int) -> Decimal:
        """Give the last price of an instrument, 0 where it is not on the stage or has not ticked."""
        place = self.places.get(token)
        if place is None:
            return Decimal(0)
        return Decimal(int(self._words[place, Field.LTP])) / self._divisors[place]

    def depth(self, token: int) -> Depth | None:
        """Give the book of an instrument; of a tape, which has none, its last price; None before its first tick."""
        place = self.places.get(token)
        if place is None:
            return None
        words, scale = self._words[place].tolist(), self._divisors[place]
        last = Decimal(words[Field.LTP]) / scale
        if last <= 0:
            return None
        levels = [Level(Decimal(words[at + 1]) / scale, words[at]) for at in range(Field.DEPTH, wire.WORDS, 3)]
        bids, asks = levels[: wire.DEPTH_LEVELS], levels[wire.DEPTH_LEVELS :]
        if not any(level.quantity for level in levels):
            bids = asks = [Level(last, UNLIMITED)]
        return Depth(bids, asks, last)
