"""Frames to measure with: what the sandbox's market sends, so that they compress, sort and fold as real ones do."""

from collections.abc import Iterator

import numpy as np

from events.event import Event, Recorded
from ops.sandbox import wire
from ops.sandbox.feed import turns
from ops.sandbox.market import Market

PACKETS = 10  # in a frame; what the targets speak of
FRAME_BYTES = 2 + PACKETS * (2 + wire.FULL_BYTES)
FRAME_TYPE = "kite.frame.v1"
SEED = 1
START_NS = 1_790_049_600 * 10**9  # a Tuesday morning, 09:30 in India: the same frames in every run
# Of a frame of mixed packets: full, quote, index full and ltp, as somebody gets who chose modes by importance.
_MIXED = [wire.FULL_BYTES] * 6 + [wire.QUOTE_BYTES] * 2 + [wire.INDEX_FULL_BYTES] + [wire.LTP_BYTES]


class Source:
    """Frames of one market, at so many ticks a second of its own time."""

    def __init__(self, instruments: int = 1000, rate: float = 20_000, start_ns: int = START_NS) -> None:
        """List the market; only what is no index is used, so that all packets are of one length."""
        self.market = Market(SEED, start_ns, instruments)
        tradable = np.flatnonzero(~self.market.is_index)
        self._order = tradable[turns(len(tradable), SEED)]
        self._place, self._rate, self._now_ns = 0, rate, start_ns

    @property
    def tokens(self) -> list[int]:
        """Give the instruments that tick."""
        return [self.market.instruments[place].instrument_token for place in sorted(set(self._order.tolist()))]

    def packets(self, count: int) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.uint8]], int]:
        """Give the next (count, 184) packets and the time at which they were sent."""
        which = self._order[np.arange(self._place, self._place + count) % len(self._order)]
        self._place = (self._place + count) % len(self._order)
        self._now_ns += round(count * 1e9 / self._rate)
        return self.market.tick(which, self._now_ns), self._now_ns

    def frames(self, count: int, packets: int = PACKETS) -> Iterator[Event]:
        """Give frames of so many full packets each."""
        for _ in range(count):
            bodies, now_ns = self.packets(packets)
            yield _event(bodies, np.full(packets, wire.FULL_BYTES), now_ns)

    def varying(self, count: int) -> Iterator[Event]:
        """Give frames of 1 to 19 full packets, PACKETS on average."""
        random = np.random.default_rng(SEED)
        for packets in random.integers(1, 2 * PACKETS, count).tolist():
            bodies, now_ns = self.packets(packets)
            yield _event(bodies, np.full(packets, wire.FULL_BYTES), now_ns)

    def mixed(self, count: int) -> Iterator[Event]:
        """Give frames of PACKETS packets of four lengths in any order."""
        random = np.random.default_rng(SEED)
        for _ in range(count):
            bodies, now_ns = self.packets(PACKETS)
            yield _event(bodies, random.permutation(_MIXED), now_ns)


def _event(bodies: np.ndarray[tuple[int, int], np.dtype[np.uint8]], lengths: wire.Ints, now_ns: int) -> Event:
    (payload,) = wire.pack(bodies, lengths.astype(np.int64), len(lengths)).payloads()
    return Event(FRAME_TYPE, now_ns, payload)


def recorded(events: Iterator[Event], stream: str = "ticks-bench-1", first: int = 1) -> list[Recorded]:
    """Give events as they come back from the log."""
    return [Recorded(stream, n, event.at_ns, event.type, event.payload) for n, event in enumerate(events, start=first)]
