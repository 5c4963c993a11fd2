"""Recorded messages of a ticker, looked into: who wants all of one gets it as it was recorded."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np

from ops.sandbox import wire
from ops.sandbox.wire import Bytes, Ints


class Frames(NamedTuple):
    """Some messages, and their whole packets of a known length.

    payloads: as recorded; ends: behind the last packet of each; packets: one by one; which: the place of each one's
    instrument; lengths: bytes of each.
    """

    payloads: list[bytes]
    ends: list[int]
    packets: list[bytes]
    which: Ints
    lengths: Ints

    @classmethod
    def of(cls, payloads: Sequence[bytes], places: Mapping[int, int]) -> Self:
        """Look into messages; `places` has every token that is in them."""
        packets: list[bytes] = []
        ends: list[int] = []
        for payload in payloads:
            packets += [packet for packet in wire.split(payload) if len(packet) in wire.KNOWN_LENGTHS]
            ends.append(len(packets))
        which = [places[int.from_bytes(packet[:4], "big")] for packet in packets]
        return cls(list(payloads), ends, packets, np.array(which, np.int64), np.array([*map(len, packets)], np.int64))

    def bodies(self) -> Bytes:
        """Give all packets as rows (k, 184) of a board."""
        joined = b"".join(packet.ljust(wire.FULL_BYTES, b"\0") for packet in self.packets)
        return np.frombuffer(joined, np.uint8).reshape(-1, wire.FULL_BYTES)

    def wanted(self, lengths: Ints) -> list[bytes]:
        """Give the messages for a client that wants the first `lengths[i]` bytes of packet i, none for 0."""
        whole = lengths >= self.lengths
        if whole.all():
            return self.payloads
        found: list[bytes] = []
        start = 0
        for payload, end in zip(self.payloads, self.ends, strict=True):
            if whole[start:end].all():
                found.append(payload)
            elif (cut := lengths[start:end]).any():
                packets = zip(self.packets[start:end], cut.tolist(), strict=True)
                found.append(wire.join([packet[:size] for packet, size in packets if size]))
            start = end
        return found
