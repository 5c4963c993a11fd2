"""All connected clients, and what is played to them."""

import asyncio
import time
from collections.abc import Collection, Iterator
from typing import Protocol

import numpy as np

from ops.sandbox.connection import Connection, Peer
from ops.sandbox.journal import Journal
from ops.sandbox.stage import Stage
from ops.sandbox.wire import Bytes, Ints

CONNECTIONS_PER_KEY_MAX = 3  # Kite's limit
BEAT_SECONDS = 0.25  # so a heartbeat comes 1 to 1.25 s after the last message


class Watcher(Protocol):
    """Who works on what is played, beside the clients."""

    def follow(self, stage: Stage, /) -> None:
        """Go over to another stage."""

    def tick(self, which: Ints) -> None:
        """Hear of the newest packets of these instruments."""

    def awaited(self) -> Collection[int]:
        """Give the places of the instruments of which every single packet matters now."""


class Hub:
    """The clients of one stage."""

    def __init__(self, stage: Stage, journal: Journal) -> None:
        """Begin with none."""
        self.stage = stage
        self.journal = journal
        self.changed = asyncio.Event()
        self.watchers: list[Watcher] = []
        self.refusals = 0  # handshakes that are still to be refused on purpose
        self._connections: dict[int, Connection] = {}
        self._last_number = 0

    def __iter__(self) -> Iterator[Connection]:
        """Give the clients that can still be sent to."""
        return iter([c for c in self._connections.values() if not c.closing])

    def empty(self) -> bool:
        """Tell whether nobody is connected."""
        return not self._connections

    def count(self, api_key: str) -> int:
        """Give how many clients an app has; frozen ones are not counted, as the client has given them up."""
        now = time.monotonic()
        return sum(c.peer.api_key == api_key and now >= c.mischief.frozen_until for c in self)

    def join(self, api_key: str, port: int, transport: asyncio.Transport, user: str = "") -> Connection:
        """Add a client; its number is the time in ns, so that it is unique over restarts."""
        self._last_number = max(self._last_number + 1, time.time_ns())
        connection = Connection(Peer(self._last_number, api_key, port, user), transport, self.stage, self.journal)
        self._connections[connection.peer.number] = connection
        self.changed.set()
        return connection

    def leave(self, connection: Connection) -> None:
        """Forget a client."""
        self._connections.pop(connection.peer.number, None)
        self.changed.set()

    def play(self, stage: Stage) -> None:
        """Go over to another stage with all clients."""
        self.stage = stage
        for connection in self:
            connection.follow(stage)
        for watcher in self.watchers:
            watcher.follow(stage)

    def offer(self, which: Ints) -> None:
        """Offer the newest packets of these instruments to all."""
        for connection in self:
            connection.offer(which)
        for watcher in self.watchers:
            watcher.tick(which)

    def pass_by(self, which: Ints, bodies: Bytes) -> None:
        """Show recorded packets (k, 184), which go to the clients in batches, to the watchers one by one.

        The last of each instrument is the newest on the board before and after.
        """
        awaited = sorted({place for watcher in self.watchers for place in watcher.awaited()})
        for row in np.flatnonzero(np.isin(which, awaited)).tolist():
            self.stage.board[which[row]] = bodies[row]
            for watcher in self.watchers:
                watcher.tick(which[row : row + 1])
        for watcher in self.watchers:
            watcher.tick(which[:0])

    async def beat(self) -> None:
        """Send heartbeats for ever."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for connection in self:
                connection.beat()
