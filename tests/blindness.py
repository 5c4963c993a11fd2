"""A parser's bug to plant and to mend: the decoder does not know packets of one length."""

from collections.abc import Iterator
from contextlib import contextmanager

from events.decode import kite

QUOTE_BYTES = 44


class Blindness:
    """The bug; it is there from the beginning."""

    def __init__(self) -> None:
        self._known = int(kite._KINDS[QUOTE_BYTES])
        kite._KINDS[QUOTE_BYTES] = kite.UNKNOWN

    def mend(self) -> None:
        """Let the decoder know quotes again."""
        kite._KINDS[QUOTE_BYTES] = self._known


@contextmanager
def planted() -> Iterator[Blindness]:
    """Plant it until the context ends."""
    bug = Blindness()
    try:
        yield bug
    finally:
        bug.mend()
