"""The live hub: follows the tail of every ticks stream, keeps the latest prices, and shows each batch to the clients.

Promise: a client that is LIVE is offered every tick of its instruments, in the order of its stream, each once, with a
cursor that means "after this". Prices in memory are as new as the log that can be read.

One task a stream reads the tail and decodes each batch once. A batch is taken without waiting for anything, so between
two of them the hub stands at one position in all streams: that is the cursor.

    start       each stream that is there is taken up at its end; its last events tell prices and the feed's state
    new stream  found within DISCOVER_SECONDS, read from its beginning: nobody's cursor can lie in it yet
    log away    reads are tried for ever; prices stay, `stale` says so
    hole        the log cannot give the next event: the stream is taken up at its end, clients are told

A replay (`ops/replay/to_live.py`) does not `run` the hub: it takes streams up where it begins, and gives the batches.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from api.audience import House
from api.feeds import Feed
from api.prices import Prices
from api.viewer import Viewer
from events import cursor
from events.cursor import Position
from events.decode import decode
from events.event import Recorded
from events.reader import Reader
from runtime import metrics
from runtime.clock import Clock
from runtime.errors import BadEvent, Halt, Unreachable
from runtime.log import get
from runtime.waiting import Backoff

STREAMS = "ticks-"  # the prefix of the streams that the hub follows
READ_EVENTS_MAX = 512
READ_BLOCK_MS = 1000  # a quiet stream's read; a stop does not wait for it
# A read and its batch cost 0.2 ms whatever is in them. At 2,000 frames a second a pause takes eight at once, and a
# tenth of a core instead of half; a quieter market does not feel it. A crowd of clients sets its own, slower pace.
PACE_SECONDS = 0.004
CROWD_CLIENTS = 16
DISCOVER_SECONDS = 2.0
LOOK_BACK_EVENTS = 256  # at the start: some seconds of the tail, with the last beats in it

_log = get("live")


class Live:
    """The hub of the live stream."""

    def __init__(self, reader: Reader, prices: Prices, clock: Clock) -> None:
        """Take a reader of its own; `run` does the work."""
        self.prices = prices
        self.feeds: dict[str, Feed] = {}
        self.viewers: set[Viewer] = set()
        self.watchers: list[Callable[[Sequence[Recorded]], None]] = []  # are shown each batch; they wait for nothing
        self.found_streams = asyncio.Event()  # set when the log's streams are known, and so where its end is
        self.unreadable: str | None = "the log was not read yet"  # why prices may be old
        self._house = House()
        self._reader = reader
        self._clock = clock
        self._moved = asyncio.Event()
        self._counted = asyncio.Event()

    @property
    def position(self) -> Position:
        """Where the hub stands in each stream."""
        return {stream: feed.n for stream, feed in self.feeds.items()}

    @property
    def cursor(self) -> str:
        """Where the hub stands, as the word that clients get."""
        return cursor.to_word(self.position)

    async def run(self) -> None:
        """Follow all ticks streams until cancelled."""
        backoff = Backoff()
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    for stream, n in await self._new_streams():
                        tasks.create_task(self._follow(stream, n))
                    self.found_streams.set()
                    if not self.feeds:
                        self._tell(None)  # an empty log was read, too
                    backoff.reset()
                    await asyncio.sleep(DISCOVER_SECONDS)
                except Unreachable as error:
                    self._tell(error.found)
                    await backoff.wait()

    async def _new_streams(self) -> list[tuple[str, int]]:
        """Find streams that are not followed yet, with the place to take them up at."""
        names = [name for name in await self._reader.streams() if name.startswith(STREAMS) and name not in self.feeds]
        if self.found_streams.is_set():
            found = [Feed(name, 0, self._clock) for name in names]
        else:
            found = [await self._look_back(name, await self._reader.last(name)) for name in names]
        self.feeds.update({feed.stream: feed for feed in found})
        return [(feed.stream, feed.n) for feed in found]

    async def take_up(self, position: Position) -> None:
        """Stand behind these events, and know prices and states as the last of them tell. Raises Unreachable."""
        for stream, n in position.items():
            self.feeds[stream] = await self._look_back(stream, n)
        self.found_streams.set()
        self._tell(None)

    async def _look_back(self, stream: str, last: int) -> Feed:
        """Learn prices and the feed's state from the stream's events up to `last`; give the feed, standing there."""
        feed = Feed(stream, last, self._clock)
        after = max(0, last - LOOK_BACK_EVENTS)
        while after < last:
            try:
                batch = await self._reader.read(stream, after, last - after)
            except (Halt, BadEvent) as error:
                _log.warning("look_back_failed", stream=stream, found=error.found)
                break
            if not batch:
                break
            ticks = decode(batch).ticks
            feed.look_back(batch, ticks, self.prices.put(ticks))
            after = batch[-1].n
        feed.n = last
        return feed

    async def _follow(self, stream: str, n: int) -> None:
        backoff = Backoff()
        while True:
            try:
                batch = await self._reader.read(stream, n, READ_EVENTS_MAX, READ_BLOCK_MS)
                self._tell(None)
                backoff.reset()
                if batch:
                    self.take(batch)
                    n = batch[-1].n
                    await asyncio.sleep(0 if len(self.viewers) >= CROWD_CLIENTS else PACE_SECONDS)
            except Unreachable as error:
                self._tell(error.found)
                await backoff.wait()
            except (Halt, BadEvent) as error:
                _log.error("live_hole", stream=stream, wanted=error.wanted, found=error.found)
                await backoff.wait()
                n = await self._jump(stream, n)

    async def _jump(self, stream: str, n: int) -> int:
        """Take a stream up at its end, because the log cannot give what comes after n."""
        with contextlib.suppress(Unreachable):
            last = await self._reader.last(stream)
            if last > n:
                self.feeds[stream].n = last
                for viewer in list(self.viewers):
                    viewer.miss(last - n)
                return last
        return n

    def take(self, batch: list[Recorded]) -> None:
        """Take events in, in their order: prices, the feeds' states, the clients. Waits for nothing."""
        ticks = decode(batch).ticks
        tokens = self.prices.put(ticks)
        by_stream: dict[str, list[Recorded]] = {}
        for event in batch:
            by_stream.setdefault(event.stream, []).append(event)
        for stream, events in by_stream.items():
            if len(by_stream) == 1:
                self.feeds[stream].take(events, ticks, tokens)
            else:  # of a replay: what came over each connection is counted for its feed
                own = decode(events).ticks
                self.feeds[stream].take(events, own, np.unique(own["instrument_token"]).tolist())
        self._house.show(ticks, self.cursor)
        for watch in self.watchers:
            watch(batch)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _tell(self, unreadable: str | None) -> None:
        if (unreadable is None) != (self.unreadable is None):
            _log.info("live_log_unreachable" if unreadable else "live_log_reached", found=unreadable or "")
        self.unreadable = unreadable

    # ---- clients -----------------------------------------------------------------------------------------------

    def unknown(self, tokens: Sequence[int]) -> list[int]:
        """Give those that no feed has subscribed and that have no price; none while a feed has not told what it has."""
        if not self.feeds or not all(feed.has_told for feed in self.feeds.values()):
            return []
        return [
            token
            for token in tokens
            if token not in self.prices and not any(feed.holds(token) for feed in self.feeds.values())
        ]

    def seat(self, viewer: Viewer, tokens: frozenset[int], depth: bool) -> None:
        """Show these instruments to a client from the next batch on."""
        self.viewers.add(viewer)
        self._house.seat(viewer, tokens, depth)
        self._count()

    def leave(self, viewer: Viewer) -> None:
        """Forget a client."""
        self._house.unseat(viewer)
        self.viewers.discard(viewer)
        viewer.leave()
        self._count()

    def _count(self) -> None:
        metrics.LIVE_CLIENTS.set(len(self.viewers))
        counted, self._counted = self._counted, asyncio.Event()
        counted.set()

    async def gathered(self, clients: int) -> bool:
        """Wait until so many clients have subscribed; say whether they had to be waited for."""
        waited = False
        while sum(bool(viewer.tokens) for viewer in self.viewers) < clients:
            waited = True
            await self._counted.wait()
        return waited

    async def taken(self) -> None:
        """Wait until every client that is still there has got what it was offered."""
        for viewer in list(self.viewers):
            await viewer.caught_up()

    async def moved(self, seconds: float) -> bool:
        """Wait until the next batch was taken, at most `seconds`; say whether one was."""
        moved = self._moved
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await moved.wait()
        return moved.is_set()
