"""Following the changes: each client reads the table from its own place on, at its own pace.

Promise: a client gets every change that it wishes, in their order, each once, with a cursor that means "after this".
A slow one is slowed and loses nothing: the next changes are read when the last are written to its socket.

One task looks five times a second, while anybody follows, how far the table goes, and wakes those whose place lies
before the newest change. It looks at the table and not at the log's tail: a change is there when its rows are
committed, not when its event is written.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import msgspec

from api.accounts.difference import Change, Differences, Wish, to_word
from api.digits import encoder
from runtime import account_metrics
from runtime.errors import Unreachable
from runtime.waiting import Backoff

LOOK_SECONDS = 0.2  # an account is pulled every few seconds at most: who looks at changes does not see this
CHANGES_MAX = 200  # in one message: about 300 KB, an order before and after being 1.5 KB
READS_MAX = 2  # at once, of the four connections: lists are answered while hundreds of clients catch up
UNKNOWN = -1  # where the newest change is
CLIENTS_MAX = 200  # beyond, every client is worse off; the next one is told to come back later


class Told(msgspec.Struct, tag_field="type", tag="changes"):
    """Changes; cursor: behind them."""

    cursor: str
    changes: list[Change]


class Waiting(msgspec.Struct, tag_field="type", tag="waiting"):
    """The tables do not answer: nothing is lost, and it goes on when they do."""

    detail: str


class Message(msgspec.Struct, frozen=True):
    """What a client is sent. cursor: empty where its place has not moved."""

    kind: str
    text: str
    cursor: str = ""


class Full(Exception):
    """There are CLIENTS_MAX clients already."""


class Following:
    """All that follow the changes."""

    def __init__(self, differences: Differences, closing: asyncio.Event) -> None:
        """closing: ends all of them."""
        self.differences = differences
        self.closing = closing
        self._reads = asyncio.Semaphore(READS_MAX)
        self._clients = 0
        self._somebody = asyncio.Event()
        self._last = 0  # the newest change that is known
        self._grown = asyncio.Event()

    async def run(self) -> None:
        """Look how far the table goes for as long as anybody follows, until cancelled."""
        while True:
            await self._somebody.wait()
            try:
                self._grow((await self.differences.standing()).last)
            except Unreachable:
                self._grow(UNKNOWN)  # each client hears of it by its own reading
            await asyncio.sleep(LOOK_SECONDS)

    def _grow(self, last: int) -> None:
        if last != self._last:  # also back, where the database was restored
            self._last = last
            grown, self._grown = self._grown, asyncio.Event()
            grown.set()

    @property
    def is_full(self) -> bool:
        """Say whether no more clients are taken."""
        return self._clients >= CLIENTS_MAX

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Count a client while it is there. Raises Full."""
        if self.is_full:
            raise Full
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._clients += more
        account_metrics.ACCOUNT_CLIENTS.set(self._clients)
        if self._clients:
            self._somebody.set()
        else:
            self._somebody.clear()

    async def messages(self, place: int, wish: Wish, quiet_seconds: float) -> AsyncIterator[Message | None]:
        """Give all that comes after a place until the server stops; None whenever nothing came for so long."""
        backoff = Backoff()
        while not self.closing.is_set():
            try:
                async with self._reads:
                    found = await self.differences.after(place, wish, CHANGES_MAX)
            except Unreachable as error:
                if not backoff.tries:
                    yield Message("waiting", encoder.encode(Waiting(str(error))).decode())
                await self._wait(backoff.next_seconds())
                continue
            backoff.reset()
            place = found.place
            if found.changes:
                word = to_word(place)
                account_metrics.ACCOUNT_CHANGES.inc(len(found.changes))
                yield Message("changes", encoder.encode(Told(word, found.changes)).decode(), word)
            while not found.more and self._last <= place and not await self._wait(quiet_seconds, self._grown):
                yield None

    async def _wait(self, seconds: float, also: asyncio.Event | None = None) -> bool:
        """Wait for the stop or for `also`, so many seconds at most; say whether either came."""
        waits = [asyncio.ensure_future(each.wait()) for each in (self.closing, also) if each is not None]
        try:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return bool(done)
        finally:
            for each in waits:
                each.cancel()
