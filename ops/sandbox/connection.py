"""One client's websocket: how ticks get to it.

Ticks of the generated market are offered: where the client is too slow (BUFFER_BYTES_MAX wait in the transport, or a
fault holds it) the instrument is noted as owed, and its newest packet is sent once there is room; what was skipped
was never sent and is not in the journal. Rows of a tape are delivered: the tape waits for room. Every tick message
is journalled and then handed to the transport with nothing between, so that no message arrives that the journal lacks.
"""

import asyncio
import time
from typing import NamedTuple

import numpy as np

from ops.sandbox import wire
from ops.sandbox.frames import Frames
from ops.sandbox.journal import Journal
from ops.sandbox.mischief import Mischief
from ops.sandbox.stage import Stage
from ops.sandbox.subscriptions import Subscriptions
from ops.sandbox.tape import Part
from ops.sandbox.wire import Bytes, Ints

BUFFER_BYTES_MAX = 1024 * 1024  # 60 ms of 100,000 full ticks/s; what waits in the kernel comes on top
PACKETS_PER_MESSAGE = 10
HEARTBEAT_SECONDS = 1.0
ROOM_CHECK_SECONDS = 0.001  # a tape asks so often whether there is room again


class Peer(NamedTuple):
    """Who is connected: number, unique for ever; api_key; the client's port; the user's client code."""

    number: int
    api_key: str
    port: int
    user: str = ""


class Connection:
    """A client from its handshake to its end."""

    def __init__(self, peer: Peer, transport: asyncio.Transport, stage: Stage, journal: Journal) -> None:
        """Take over the sending of ticks on `transport`."""
        self.peer = peer
        self.mischief = Mischief()
        self.subscriptions = Subscriptions(stage)
        self.messages = self.packets = self.bytes = 0
        self._transport = transport
        self._stage = stage
        self._journal = journal
        self._owed = np.zeros(len(stage.instruments), np.bool_)
        self._sent_at = time.monotonic()

    @property
    def closing(self) -> bool:
        """Tell whether nothing can be sent any more."""
        return self._transport.is_closing()

    @property
    def buffered(self) -> int:
        """Give the bytes that wait in the transport."""
        return self._transport.get_write_buffer_size()

    def follow(self, stage: Stage) -> None:
        """Go over to another stage; what was owed is forgotten, as every instrument there ticks anew."""
        self._stage = stage
        self._owed = np.zeros(len(stage.instruments), np.bool_)
        self.subscriptions.follow(stage)

    def has_room(self) -> bool:
        """Tell whether a batch may be sent now."""
        return self.buffered <= BUFFER_BYTES_MAX and not self.mischief.still(time.monotonic())

    def offer(self, which: Ints) -> None:
        """Send the newest packets of these instruments as far as they are wanted, now or when there is room."""
        if self.closing:
            return
        if not self.has_room():
            self._owed[which] = True
            return
        if self._owed.any():
            self._owed[which] = True
            which = np.flatnonzero(self._owed)
            self._owed[:] = False
        self._send(self._stage.board[which], self.subscriptions.lengths(which))

    async def deliver(self, part: Part) -> int:
        """Send these rows as far as they are wanted, in order, when there is room; give how many were sent."""
        if not await self._room():
            return 0
        wanted = self.subscriptions.lengths(part.which)
        return self._send(part.bodies, np.minimum(wanted, part.lengths))

    async def relay(self, frames: Frames) -> int:
        """Send recorded messages as far as they are wanted, in order, when there is room; give how many packets.

        A message of which all is wanted goes out as it was recorded, byte by byte, also where it was cut.
        """
        if not self.subscriptions.modes or not await self._room():
            return 0
        lengths = self.subscriptions.lengths(frames.which)
        payloads = frames.wanted(lengths)
        packets = [len(wire.split(payload)) for payload in payloads]
        messages = self.mischief.spoil(wire.frame(payloads, packets, [0] * len(payloads)))
        if messages.starts:
            self._hand_over(messages)
        return int(np.count_nonzero(lengths))

    async def _room(self) -> bool:
        """Wait for room; say whether there is still somebody."""
        while not self.closing and not self.has_room():  # aiohttp keeps the transport's own signal
            await asyncio.sleep(ROOM_CHECK_SECONDS)
        return not self.closing

    def beat(self) -> None:
        """Send a heartbeat where nothing was sent for a second."""
        now = time.monotonic()
        if now - self._sent_at < HEARTBEAT_SECONDS or self.closing or self.mischief.still(now):
            return
        if held := self.mischief.release():
            self._hand_over(held)
        self._transport.write(wire.HEARTBEAT_WIRE)
        self._sent_at = now

    def freeze(self, seconds: float) -> None:
        """Send and read nothing for `seconds`; the TCP connection stays."""
        self.mischief.frozen_until = time.monotonic() + seconds
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._thaw)

    def tell(self, text: bytes) -> None:
        """Send a text message; it is no tick message, so the journal has nothing of it."""
        if not self.closing:
            self._transport.write(wire.text(text))

    def close(self) -> None:
        """Send what waits, then close the TCP connection."""
        self._transport.close()

    def drop(self) -> None:
        """Cut the TCP connection without a word."""
        self._transport.abort()

    def mend(self) -> None:
        """End every fault of this connection."""
        self.mischief.clear()
        self._thaw()

    def _thaw(self) -> None:
        if not self.closing and not time.monotonic() < self.mischief.frozen_until:
            self._transport.resume_reading()

    def _send(self, bodies: Bytes, lengths: Ints) -> int:
        wanted = lengths > 0
        if not wanted.all():
            bodies, lengths = bodies[wanted], lengths[wanted]
        if not len(lengths):
            return 0
        messages = self.mischief.spoil(wire.pack(bodies, lengths, PACKETS_PER_MESSAGE))
        if messages.starts:
            self._hand_over(messages)
        return len(lengths)

    def _hand_over(self, messages: wire.Messages) -> None:
        self._journal.write(self.peer.number, self.peer.port, self.messages, time.time_ns(), messages)
        self._transport.write(messages.wire)
        self.messages += len(messages.starts)
        self.packets += sum(messages.packets)
        self.bytes += len(messages.wire)
        self._sent_at = time.monotonic()
        self.mischief.sent(len(messages.wire), self._sent_at)
