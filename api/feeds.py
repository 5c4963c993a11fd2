"""What the live hub knows of each feed, from the ticks streams alone: it works with PostgreSQL down.

States of a feed, told from its last beat and its last event:

    connected   beats come, no loss is open
    lost        beats come, a loss is open since `gap_from`, or the socket is `down`: nothing reaches us
    closed      beats come; the ticker leaves the broker alone while its markets are closed (MARKET_HOURS_ONLY)
    silent      no beat for SILENT_SECONDS: the ticker process is gone, or the log cannot be read
    unknown     nothing was heard since the API started
"""

from collections import deque

import msgspec

from api.quotes import ist_text
from events.decode import FRAME_TYPES
from events.decode.tick import Ticks
from events.event import Recorded
from events.messages import Beat, Connected, Lost, Subscribed, is_rest, unpack
from runtime.clock import NS_PER_SECOND, Clock
from runtime.errors import BadEvent

SILENT_SECONDS = 5.0  # a beat comes once a second; invariant 8 gives an idle stream as long
RATE_SECONDS = 5.0  # the span that rates are taken over: short enough to see a stall, long enough to stand still
BATCHES_MAX = 20_000  # of the rate's window; a batch a frame at 4,000 frames a second
assert BATCHES_MAX >= RATE_SECONDS * 4000


class FeedView(msgspec.Struct, frozen=True):
    """A feed as /api/status shows it. lag_ms: from receipt by the ticker to memory here, the worst lately."""

    feed: str
    connection: int
    stream: str
    state: str
    n: int
    ticks_per_second: float
    frames_per_second: float
    lag_ms: float | None
    instruments: int
    mode: str | None
    last_tick_at: str | None
    last_message_at: str | None
    gap_from: str | None
    reason: str | None
    waiting_bytes: int
    down: str | None


class Feed:
    """One ticks stream, followed."""

    def __init__(self, stream: str, n: int, clock: Clock) -> None:
        """Begin at position `n` of a stream named `ticks-<broker>-<connection>`."""
        self.stream = stream
        self.n = n
        self._clock = clock
        self._window: deque[tuple[float, int, int, float]] = deque(maxlen=BATCHES_MAX)
        self._tokens: set[int] = set()
        self._beat: Beat | None = None
        self._beat_at_ns = 0
        self._mode: str | None = None
        self._gap_from_ns: int | None = None
        self._reason: str | None = None
        self._last_tick_ns = 0

    def take(self, batch: list[Recorded], ticks: Ticks, tokens: list[int]) -> None:
        """Count a batch and fold the feed's own events; `tokens` are the instruments of `ticks`."""
        self.look_back(batch, ticks, tokens)
        frames = sum(event.type in FRAME_TYPES for event in batch)
        lag_ms = (self._clock.now_ns() - batch[0].at_ns) / 1e6
        self._window.append((self._clock.monotonic(), len(ticks), frames, lag_ms))

    def look_back(self, batch: list[Recorded], ticks: Ticks, tokens: list[int]) -> None:
        """Learn from events what they tell, without counting them as just received."""
        self.n = batch[-1].n
        for event in batch:
            if event.type not in FRAME_TYPES:
                self._fold(event)
        if len(ticks):
            self._last_tick_ns = int(ticks["at_ns"][-1])
            self._tokens.update(tokens)

    def _fold(self, event: Recorded) -> None:
        try:
            match event.type:
                case "feed.beat.v1":
                    self._beat, self._beat_at_ns = unpack(event, Beat), event.at_ns
                    self._gap_from_ns = self._beat.gap_from_ns
                case "feed.subscribed.v1":
                    told = unpack(event, Subscribed)
                    self._tokens, self._mode, self._reason = set(told.tokens), told.mode, None
                case "feed.lost.v1":
                    lost = unpack(event, Lost)
                    self._gap_from_ns, self._reason = lost.from_ns, lost.reason
                case "feed.connected.v1":
                    unpack(event, Connected)
                case "feed.gap.v1":
                    self._gap_from_ns, self._reason = None, None
        except BadEvent:
            return  # a view: the projector of gaps parks it and says so

    @property
    def has_told(self) -> bool:
        """Whether the feed has said what it has subscribed, since this process looks at it."""
        return self._mode is not None

    def holds(self, token: int) -> bool:
        """Say whether an instrument is subscribed."""
        return token in self._tokens

    def state(self) -> str:
        """Give the state as the module's head lists them."""
        if self._beat is None:
            return "unknown"
        if self._clock.now_ns() - self._beat_at_ns > SILENT_SECONDS * NS_PER_SECOND:
            return "silent"
        if is_rest(self._beat.down):
            return "closed"
        return "connected" if self._gap_from_ns is None and not self._beat.down else "lost"

    def view(self) -> FeedView:
        """Give what there is to show now."""
        ticks, frames, lag_ms = self._rates()
        _, feed, connection = self.stream.split("-", 2)
        return FeedView(
            feed=feed,
            connection=int(connection) if connection.isdigit() else 0,
            stream=self.stream,
            state=self.state(),
            n=self.n,
            ticks_per_second=ticks,
            frames_per_second=frames,
            lag_ms=lag_ms,
            instruments=len(self._tokens),
            mode=self._mode,
            last_tick_at=_text(self._last_tick_ns),
            last_message_at=_text(self._beat.last_message_ns if self._beat else 0),
            gap_from=_text(self._gap_from_ns or 0),
            reason=self._reason,
            waiting_bytes=self._beat.waiting_bytes if self._beat else 0,
            down=(self._beat.down or None) if self._beat else None,
        )

    def _rates(self) -> tuple[float, float, float | None]:
        since = self._clock.monotonic() - RATE_SECONDS
        while self._window and self._window[0][0] < since:
            self._window.popleft()
        ticks = sum(each[1] for each in self._window)
        frames = sum(each[2] for each in self._window)
        worst = max((each[3] for each in self._window), default=None)
        lag_ms = None if worst is None else round(worst, 1)
        return round(ticks / RATE_SECONDS, 1), round(frames / RATE_SECONDS, 1), lag_ms


def _text(time_ns: int) -> str | None:
    return ist_text(time_ns) if time_ns else None
