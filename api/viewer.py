"""One live client: what it wants, and a bounded queue towards it.

A viewer never holds anyone up. Messages are handed to its socket without waiting, up to a window that is not known to
be written; behind those they queue; where the queue is full the oldest goes, and the client is told how many
ticks it missed before it gets the next one: {"type":"skipped","count":N}. Its last cursor brings them back.

    LIVE       what is offered goes out at once
    CATCHING   a replay is on its way: what is offered is held, and flushed when the replay has reached it
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from runtime import metrics

# Handed to the socket and not known to be written; the server holds a copy of each for each client.
WINDOW_MESSAGES_MAX = 16
WINDOW_BYTES_MAX = 512 * 1024
# Behind the window: some seconds of a busy market; who is further behind does not catch up by waiting. During a replay
# it is what the replay may take; beyond it the replay simply goes on further. Clients of one wish share the texts.
QUEUE_MESSAGES_MAX = 2048
QUEUE_BYTES_MAX = 8 * 1024 * 1024
SEND_SECONDS_MAX = 20.0  # a socket that takes nothing for so long has nobody behind it

SendText = Callable[[str], Awaitable[None]]


class Gone(Exception):
    """The client's socket takes nothing any more."""


class Batch(msgspec.Struct, frozen=True):
    """One message of ticks, as it goes out: its text, how many ticks it holds."""

    text: str
    ticks: int

    @property
    def size(self) -> int:
        """Bytes on the wire: the text is ASCII."""
        return len(self.text)


class Viewer:
    """A client of the live stream."""

    def __init__(self, send: SendText) -> None:
        """Take the socket's `send`: it begins to send when called, in the order of calls; awaiting it tells the end."""
        self.tokens: frozenset[int] = frozenset()
        self.depth = False
        self.catching = False
        self.overtaken = False  # more was offered during a replay than is held
        self._send = send
        self._flying: Awaitable[None] | None = None
        self._flown = 0
        self._flown_bytes = 0
        self._queue: deque[Batch] = deque()
        self._queued_bytes = 0
        self._skipped = 0
        self._wake = asyncio.Event()
        self._eased = asyncio.Event()  # set when less waits than before
        self._gone = False

    def offer(self, batch: Batch) -> None:
        """Take one message for the client; never waits."""
        if self.catching:
            self._hold(batch)
        elif self._queue or self._skipped or self._window_full():
            self._enqueue(batch)
        else:
            self._fly(batch)

    def _window_full(self) -> bool:
        return self._flown >= WINDOW_MESSAGES_MAX or self._flown_bytes >= WINDOW_BYTES_MAX

    def _fly(self, batch: Batch) -> None:
        self._flying = self._send(batch.text)
        self._flown += 1
        self._flown_bytes += batch.size
        if self._window_full():
            self._wake.set()

    def _enqueue(self, batch: Batch) -> None:
        self._queue.append(batch)
        self._queued_bytes += batch.size
        while self._queue_full():
            lost = self._dequeue().ticks
            self._skipped += lost
            metrics.LIVE_SKIPPED.inc(lost)

    def _queue_full(self) -> bool:
        return len(self._queue) > QUEUE_MESSAGES_MAX or self._queued_bytes > QUEUE_BYTES_MAX

    def _dequeue(self) -> Batch:
        batch = self._queue.popleft()
        self._queued_bytes -= batch.size
        return batch

    def miss(self, count: int) -> None:
        """Note that `count` messages of a feed cannot be shown; the client is told."""
        self._skipped += count
        self._wake.set()

    def _hold(self, batch: Batch) -> None:
        if self.overtaken:
            return
        self._queue.append(batch)
        self._queued_bytes += batch.size
        if self._queue_full():
            self._forget_queue()
            self.overtaken = True

    def _forget_queue(self) -> None:
        self._queue.clear()
        self._queued_bytes = 0

    async def run(self) -> None:
        """Write what queued up whenever the socket has taken the window, until cancelled. Raises Gone."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._landed()
            await self._flush()

    async def _flush(self) -> None:
        while (self._queue or self._skipped) and not self.catching:
            if self._skipped:
                count, self._skipped = self._skipped, 0
                await self.say(f'{{"type":"skipped","count":{count}}}')
                continue
            self._fly(self._dequeue())
            if self._window_full():
                await self._landed()
        self._eased.set()

    async def _landed(self) -> None:
        """Wait until the last message handed over is written; those before it are then too."""
        flying, self._flying = self._flying, None
        if flying is not None:
            await self._written(flying)
        self._flown = self._flown_bytes = 0

    async def say(self, text: str) -> None:
        """Write a message now, behind those handed over before. Raises Gone."""
        await self._written(self._send(text))

    async def _written(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await sending
        except (OSError, RuntimeError, TimeoutError) as error:
            self.leave()
            raise Gone(f"{type(error).__name__}: {error}") from error

    def leave(self) -> None:
        """Be waited for by nobody any more."""
        self._gone = True
        self._eased.set()

    async def caught_up(self) -> None:
        """Wait until nothing is queued or being replayed for the client, or nobody is there any more."""
        while (self._queue or self._skipped or self.catching) and not self._gone:
            self._eased.clear()
            await self._eased.wait()

    def hold(self) -> None:
        """Begin CATCHING: from here on, what is offered is held."""
        self.catching = True
        self.overtaken = False
        self._forget_queue()

    def release(self) -> None:
        """Go LIVE: what was held goes out, in order."""
        self.catching = False
        self._wake.set()
