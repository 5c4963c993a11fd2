"""Who wants which instruments: clients with the same wish share one message a batch.

A batch is looked through once: each tick is handed to the audiences of its instrument, each audience's message is put
together once, and every client of it is given the same text. A tick is encoded at most twice (with its book and
without), however many clients there are.
"""

from api import quotes
from api.viewer import Batch, Viewer
from events.decode.tick import Ticks
from runtime import metrics

Wish = tuple[frozenset[int], bool]  # instruments, and whether the five levels are wanted


class Audience:
    """The clients that wish the same."""

    def __init__(self, wish: Wish) -> None:
        """Begin with no client."""
        self.tokens, self.depth = wish
        self.viewers: set[Viewer] = set()
        self.places: list[int] = []  # in the batch that is being looked through


class House:
    """All clients, by what they wish."""

    def __init__(self) -> None:
        """Begin empty."""
        self._by_wish: dict[Wish, Audience] = {}
        self._by_token: dict[int, list[Audience]] = {}

    def seat(self, viewer: Viewer, tokens: frozenset[int], depth: bool) -> None:
        """Give a client its place by its new wish; no tokens means none."""
        self.unseat(viewer)
        viewer.tokens, viewer.depth = tokens, depth
        if not tokens:
            return
        audience = self._by_wish.get((tokens, depth))
        if audience is None:
            audience = self._by_wish[tokens, depth] = Audience((tokens, depth))
            for token in tokens:
                self._by_token.setdefault(token, []).append(audience)
        audience.viewers.add(viewer)

    def unseat(self, viewer: Viewer) -> None:
        """Take a client away."""
        wish = (viewer.tokens, viewer.depth)
        audience = self._by_wish.get(wish)
        if audience is None:
            return
        audience.viewers.discard(viewer)
        if audience.viewers:
            return
        del self._by_wish[wish]
        for token in audience.tokens:
            self._by_token[token].remove(audience)
            if not self._by_token[token]:
                del self._by_token[token]

    def show(self, ticks: Ticks, cursor: str) -> None:
        """Offer a batch of ticks to everyone who wishes some of them; `cursor` means after this batch."""
        if not self._by_token or not len(ticks):
            return
        asked: list[Audience] = []
        by_token = self._by_token
        for place, token in enumerate(ticks["instrument_token"].tolist()):
            for audience in by_token.get(token, ()):
                if not audience.places:
                    asked.append(audience)
                audience.places.append(place)
        encoded = {depth: _encoded(ticks, asked, depth) for depth in {audience.depth for audience in asked}}
        for audience in asked:
            texts = encoded[audience.depth]
            batch = message([texts[place] for place in audience.places], cursor)
            audience.places = []
            for viewer in audience.viewers:
                viewer.offer(batch)
            metrics.LIVE_TICKS.inc(batch.ticks * len(audience.viewers))


def _encoded(ticks: Ticks, asked: list[Audience], depth: bool) -> dict[int, bytes]:
    """Give the JSON of each tick that someone of this depth wishes, by its place in the batch."""
    places = sorted({place for audience in asked if audience.depth == depth for place in audience.places})
    return dict(zip(places, quotes.encode(ticks[places], depth), strict=True))


def message(encoded: list[bytes], cursor: str) -> Batch:
    """Give the message of ticks that are encoded already."""
    text = b'{"type":"ticks","cursor":"%b","ticks":[%b]}' % (cursor.encode(), b",".join(encoded))
    return Batch(text.decode(), len(encoded))


def chosen(ticks: Ticks, tokens: frozenset[int], depth: bool) -> list[bytes]:
    """Give the JSON of those ticks of a batch that are of `tokens`, in their order."""
    places = [place for place, token in enumerate(ticks["instrument_token"].tolist()) if token in tokens]
    return quotes.encode(ticks[places], depth) if places else []
