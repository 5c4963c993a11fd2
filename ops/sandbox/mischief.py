"""What goes wrong on one connection on purpose: messages are changed, or do not move."""

import msgspec

from ops.sandbox import wire
from ops.sandbox.wire import Messages, Oddity

UNKNOWN_BYTES = 52  # a length that no packet of Kite has


class _Item(msgspec.Struct):
    payload: bytes
    oddity: int = 0


class Mischief:
    """Counts of messages that are still to be spoiled, and until when nothing moves (monotonic seconds)."""

    def __init__(self) -> None:
        """Begin as a good connection."""
        self.counts = dict.fromkeys(("repeat", "reorder_packets", "reorder_frames", "cut", "unknown"), 0)
        self.frozen_until = 0.0
        self.slow_until = 0.0
        self.bytes_per_second = 0.0
        self.cut_keep_bytes = 0
        self._next_at = 0.0
        self._held: _Item | None = None

    def still(self, now: float) -> bool:
        """Tell whether nothing may be sent at this moment."""
        return now < self.frozen_until or (now < self.slow_until and now < self._next_at)

    def sent(self, size: int, now: float) -> None:
        """Note that `size` bytes went out."""
        if now < self.slow_until:
            self._next_at = max(now, self._next_at) + size / self.bytes_per_second

    def spoil(self, messages: Messages) -> Messages:
        """Change messages that are about to be journalled and sent."""
        if not self._held and not any(self.counts.values()):
            return messages
        items = [_Item(payload) for payload in messages.payloads()]
        items = self._reorder(items)
        for item in items:
            self._change(item)
        items = [twin for item in items for twin in self._repeat(item)]
        payloads = [item.payload for item in items]
        return wire.frame(payloads, [len(wire.split(p)) for p in payloads], [item.oddity for item in items])

    def release(self) -> Messages | None:
        """Give a message that is held back for its successor, when none comes."""
        held, self._held = self._held, None
        return wire.frame([held.payload], [len(wire.split(held.payload))], [held.oddity]) if held else None

    def clear(self) -> None:
        """End every fault; a message that is held back still goes out."""
        self.counts = dict.fromkeys(self.counts, 0)
        self.frozen_until = self.slow_until = 0.0

    def _take(self, name: str) -> bool:
        if self.counts[name] <= 0:
            return False
        self.counts[name] -= 1
        return True

    def _reorder(self, items: list[_Item]) -> list[_Item]:
        """Send a message after its successor, which may come with a later batch."""
        found: list[_Item] = []
        for item in items:
            if self._held is None and self._take("reorder_frames"):
                item.oddity |= Oddity.REORDERED
                self._held = item
                continue
            found.append(item)
            if self._held is not None:
                found.append(self._held)
                self._held = None
        return found

    def _change(self, item: _Item) -> None:
        if self._take("reorder_packets"):
            item.payload = wire.join(wire.split(item.payload)[::-1])
            item.oddity |= Oddity.REORDERED
        if self._take("unknown"):
            packets = wire.split(item.payload)
            item.payload = wire.join([*packets, packets[0][:4].ljust(UNKNOWN_BYTES, b"\xee")])
            item.oddity |= Oddity.UNKNOWN_LENGTH
        if self._take("cut"):
            item.payload = item.payload[: min(-1, self.cut_keep_bytes - len(wire.split(item.payload)[-1]))]
            item.oddity |= Oddity.CUT

    def _repeat(self, item: _Item) -> list[_Item]:
        if not self._take("repeat"):
            return [item]
        return [item, _Item(item.payload, item.oddity | Oddity.REPEATED)]
