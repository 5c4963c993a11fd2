"""What one client has subscribed, by token; the messages that change it.

{"a": "subscribe", "v": [408065]}     mode becomes quote, also where it was another
{"a": "unsubscribe", "v": [408065]}
{"a": "mode", "v": ["full", [408065]]}
"""

import msgspec
import numpy as np

from ops.sandbox.stage import Stage
from ops.sandbox.wire import LENGTHS, Ints, Mode

MODES = {"ltp": Mode.LTP, "quote": Mode.QUOTE, "full": Mode.FULL}
INSTRUMENTS_MAX = 3_000  # Kite's limit for a connection


class Request(msgspec.Struct):
    """A client's message: action and its value."""

    a: str
    v: msgspec.Raw


class Heard(msgspec.Struct, frozen=True):
    """What a message led to: the places of newly subscribed instruments, and a complaint to send back."""

    new: list[int] = []
    complaint: str | None = None


class Subscriptions:
    """Tokens with their modes, and the same as an array over the stage's instruments."""

    def __init__(self, stage: Stage) -> None:
        """Begin with nothing subscribed."""
        self.modes: dict[int, Mode] = {}
        # Tokens whose mode was set by a mode message: a tape waits for that before it starts.
        self.settled: set[int] = set()
        self.follow(stage)

    def follow(self, stage: Stage) -> None:
        """Look at another stage; tokens that it does not list stay subscribed and silent."""
        self._stage = stage
        self._by_place = np.zeros(len(stage.instruments), np.int64)
        for token, mode in self.modes.items():
            self._set(token, mode)

    def lengths(self, which: Ints) -> Ints:
        """Give for instruments at these places the bytes of the packet that the client wants, 0 for none."""
        found: Ints = LENGTHS[self._stage.is_index[which].astype(np.int64), self._by_place[which]]
        return found

    def hear(self, text: str | bytes) -> Heard:
        """Do what a message asks."""
        try:
            request = msgspec.json.decode(text, type=Request)
            if request.a == "mode":
                name, tokens = msgspec.json.decode(request.v, type=tuple[str, list[int]])
                return self._settle(name, tokens)
            tokens = msgspec.json.decode(request.v, type=list[int])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Heard(complaint=f"Invalid message: {error}")
        if request.a == "subscribe":
            return self._subscribe(tokens)
        if request.a == "unsubscribe":
            return self._unsubscribe(tokens)
        return Heard(complaint=f"Invalid message: wanted subscribe, unsubscribe or mode, found {request.a!r}")

    def _subscribe(self, tokens: list[int]) -> Heard:
        known = [token for token in dict.fromkeys(tokens) if token in self._stage.places]
        new = [token for token in known if token not in self.modes]
        taken = new[: INSTRUMENTS_MAX - len(self.modes)]
        for token in [token for token in known if token in self.modes] + taken:
            self._set(token, Mode.QUOTE)
            self.settled.discard(token)
        complaint = None if taken == new else f"Subscription limit of {INSTRUMENTS_MAX} instruments exceeded"
        return Heard([self._stage.places[token] for token in taken], complaint)

    def _unsubscribe(self, tokens: list[int]) -> Heard:
        for token in tokens:
            if token in self.modes:
                self._set(token, Mode.NONE)
                del self.modes[token]
                self.settled.discard(token)
        return Heard()

    def _settle(self, name: str, tokens: list[int]) -> Heard:
        if name not in MODES:
            return Heard(complaint=f"Invalid message: wanted mode ltp, quote or full, found {name!r}")
        for token in tokens:
            if token in self.modes:
                self._set(token, MODES[name])
                self.settled.add(token)
        return Heard()

    def _set(self, token: int, mode: Mode) -> None:
        self.modes[token] = mode
        if token in self._stage.places:
            self._by_place[self._stage.places[token]] = mode
