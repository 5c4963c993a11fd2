"""Candles as plain Python makes them: one tick after the other, dictionaries, no numpy, no SQL.

Written from design.md section 3 and the contract, not from the projector: what both agree on is probably meant.
"""

from dataclasses import dataclass, field

from events.messages import Beat, Gap, Message, Subscribed
from tests.frames import DAY_NS, IST_NS, MINUTE_NS, SECOND_NS, Packet

GRACE_NS = 2 * SECOND_NS
YEAR_2000_NS = 946_684_800 * SECOND_NS
STAMPED = ("full", "index_full")
COUNTED = ("full", "quote")


@dataclass
class Candle:
    """One minute of one instrument; prices in the wire's whole units."""

    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    oi: int | None = None
    ticks: int = 0
    late: int = 0
    falls: int = 0


@dataclass
class Reference:
    """All candles of one stream, fed event by event."""

    candles: dict[tuple[int, int], Candle] = field(default_factory=dict)  # (token, minute in ns)
    highest: dict[tuple[int, int], int] = field(default_factory=dict)  # (token, IST day number)
    newest: tuple[int, int] | None = None  # exchange time, receive time
    watermark_ns: int = 0
    subscribed: frozenset[int] | None = None
    losses: list[tuple[int | None, int, int]] = field(default_factory=list)  # token or all, from, to
    absent_since: dict[int, int] = field(default_factory=dict)

    def hear(self, at_ns: int, content: tuple[Packet, ...] | Message) -> None:
        """Take one event."""
        if isinstance(content, tuple):
            for packet in content:
                self.tick(at_ns, packet)
        elif isinstance(content, Beat):
            own = at_ns if self.newest is None else self.newest[0] + at_ns - self.newest[1]
            self.watermark_ns = max(self.watermark_ns, min(at_ns, own) - GRACE_NS)
        elif isinstance(content, Gap):
            self.losses.append((None, content.from_ns, content.to_ns))
        elif isinstance(content, Subscribed):
            self._subscribe(at_ns, frozenset(content.tokens))

    def _subscribe(self, at_ns: int, tokens: frozenset[int]) -> None:
        midnight = (at_ns + IST_NS) // DAY_NS * DAY_NS - IST_NS
        if self.subscribed is None:
            self.losses.append((None, midnight, at_ns))
        else:
            for token in tokens - self.subscribed:
                self.losses.append((token, self.absent_since.pop(token, midnight), at_ns))
            for token in self.subscribed - tokens:
                self.absent_since[token] = at_ns
        self.subscribed = tokens

    def tick(self, at_ns: int, packet: Packet) -> None:
        """Take one packet."""
        time_ns = packet.seconds * SECOND_NS
        stamped = packet.kind in STAMPED and YEAR_2000_NS <= time_ns <= at_ns + DAY_NS
        time_ns = time_ns if stamped else at_ns
        if stamped and (self.newest is None or time_ns > self.newest[0]):
            self.newest = (time_ns, at_ns)
        added, fell = self._volume(time_ns, packet)
        if packet.price == 0:
            return
        minute = time_ns // MINUTE_NS * MINUTE_NS
        price = packet.price
        candle = self.candles.setdefault((packet.token, minute), Candle(price, price, price, price))
        candle.high, candle.low, candle.close = max(candle.high, price), min(candle.low, price), price
        candle.volume += added
        candle.falls += fell
        candle.ticks += 1
        candle.late += minute + MINUTE_NS <= self.watermark_ns
        if packet.kind == "full":
            candle.oi = packet.oi

    def _volume(self, time_ns: int, packet: Packet) -> tuple[int, bool]:
        """The day's first tick adds 0. One without a price has no candle to add to: its growth waits for the next."""
        if packet.kind not in COUNTED:
            return 0, False
        day = (packet.token, (time_ns + IST_NS) // DAY_NS)
        before = self.highest.get(day)
        if before is None:
            self.highest[day] = packet.volume
            return 0, False
        if packet.price == 0:
            return 0, False
        self.highest[day] = max(before, packet.volume)
        return max(0, packet.volume - before), packet.volume < before

    def coverage(self, token: int, minute_ns: int, width_ns: int = MINUTE_NS) -> float:
        """Give the part of a stretch in which the instrument could be received."""
        losses = [*self.losses, *((each, since, minute_ns + width_ns) for each, since in self.absent_since.items())]
        pieces = sorted(
            (max(low, minute_ns), min(high, minute_ns + width_ns))
            for each, low, high in losses
            if each in (None, token)
        )
        lost, reached = 0, minute_ns
        for low, high in pieces:
            lost += max(0, high - max(low, reached))
            reached = max(reached, high)
        return 1 - lost / width_ns
