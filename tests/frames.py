"""Kite frames for tests, put together by hand with `struct`: nothing of the product makes its own input."""

import struct
from typing import NamedTuple

from events import codec
from events.event import Event, Recorded
from events.messages import Message, pack
from tests.entries import START_NS

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
IST_NS = 19_800 * SECOND_NS
STREAM = "ticks-sandbox-1"
INFY, RELIANCE, NIFTY, USDINR = 408065, 738561, 256265, 1_000 * 256 + 3


class Packet(NamedTuple):
    """One packet as a test thinks of it: prices in the wire's whole units, time in UTC seconds."""

    kind: str  # ltp, quote, full, index_quote, index_full
    token: int = INFY
    price: int = 141_295
    volume: int = 0
    oi: int = 0
    seconds: int = START_NS // SECOND_NS

    def body(self) -> bytes:
        """Give its bytes."""
        if self.kind == "ltp":
            return struct.pack(">2I", self.token, self.price)
        if self.kind.startswith("index"):
            words = [self.token, self.price, self.price + 3, self.price - 3, self.price + 1, self.price - 1]
            body = struct.pack(">6Ii", *(word % (1 << 32) for word in words), -250)
            return body + (struct.pack(">I", self.seconds) if self.kind == "index_full" else b"")
        traded = [self.token, self.price, 25, self.price + 2, self.volume, 1_000, 2_000]
        day = [self.price + 5, self.price + 9, max(0, self.price - 9), self.price + 4]
        body = struct.pack(">11I", *traded, *day)
        return body + (self._depth() if self.kind == "full" else b"")

    def _depth(self) -> bytes:
        body = struct.pack(">5I", max(0, self.seconds - 1), self.oi, self.oi + 7, max(0, self.oi - 7), self.seconds)
        for level in range(10):
            body += struct.pack(">2I2H", 100 + level, self.price + level, 3 + level, 0)
        return body


def frame(*packets: Packet) -> bytes:
    """Give a message of these packets."""
    bodies = [packet.body() for packet in packets]
    return struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)


def recorded(n: int, content: bytes | Message, at_ns: int = START_NS, stream: str = STREAM) -> Recorded:
    """Give event n of a stream: a frame, or a message of Bahi's own."""
    made = pack(content, at_ns) if isinstance(content, Message) else Event("kite.frame.v1", at_ns, content)
    return Recorded(stream, n, made.at_ns, made.type, made.payload)


def entry(recorded_event: Recorded) -> bytes:
    """Give the log's bytes of an event."""
    made = Event(recorded_event.type, recorded_event.at_ns, recorded_event.payload)
    return codec.encode(recorded_event.n, made)
