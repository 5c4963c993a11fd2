"""One ticker connection at work, in the reactor's thread: from the SDK's callbacks to events.

    connected -> subscribed -> frames ... -> lost -> (the SDK connects again) -> connected ...

Promise: every binary message but a heartbeat becomes an event, counted before it is handed over, in the order in which
it came; every loss is a `feed.lost` at once and a `feed.gap` when data comes again.

The SDK's own parser is skipped (`on_ticks` unset); the raw frame is taken in `on_message`. An exception in a callback
would make the SDK drop the socket for ever and ever, so each callback is guarded. The mode is set again on each
connect, because the SDK falls back to quote. Silence is told by a watchdog: heartbeats count as life. An expired token
shows only as "403" in the reason of a close.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import quote

import msgspec
from autobahn.twisted.websocket import connectWS
from kiteconnect import KiteTicker
from twisted.internet import ssl

from events.decode.kite import packets
from events.event import EVENT_BYTES_MAX, Event
from events.messages import (
    LOGIN_MISSING,
    LOGIN_REFUSED,
    MARKETS_CLOSED,
    WAITS_FOR_LOGIN,
    Beat,
    Connected,
    Gap,
    Lost,
    Message,
    Stalled,
    Subscribed,
    pack,
)
from producers.handover import WAITING_BYTES_MAX, Handover
from producers.kite.address import Address
from runtime.clock import Clock
from runtime.log import get
from runtime.metrics import (
    FEED_BYTES,
    FEED_CONNECTED,
    FEED_FRAMES,
    FEED_HELD,
    FEED_INSTRUMENTS,
    FEED_LAST_MESSAGE,
    FEED_LOSSES,
    FEED_PACKETS,
    FEED_TOKEN_WANTED,
)

SILENCE_SECONDS = 7.0  # Kite sends a heartbeat each second in a quiet market; 5 to 10 s of nothing is a dead socket
RECONNECT_SECONDS_MAX = 5  # the least that the SDK allows: a loss lasts seconds
RECONNECT_TRIES_MAX = 300  # the most that the SDK allows; then a new ticker is made
FROZEN_SECONDS = 3.0  # beats that lie this far apart tell that this process did not run
HEARTBEAT_BYTES = 1
CLOSED = "closed by us"
REASON_CHARACTERS_MAX = 200  # of what a library says; the words that tell come first
FORBIDDEN = "(403"  # in "WebSocket connection upgrade failed (403 - Forbidden)"


class Bounds(msgspec.Struct, frozen=True):
    """What one connection bears: bytes on the way to the disk, seconds of silence, attempts of one SDK ticker."""

    waiting_bytes: int = WAITING_BYTES_MAX
    silence_seconds: float = SILENCE_SECONDS
    reconnect_tries: int = RECONNECT_TRIES_MAX


DEFAULT_BOUNDS = Bounds()

# The SDK calls each end of a socket an error, twice, also one of ours. The callbacks below tell each once.
logging.getLogger("kiteconnect.ticker").setLevel(logging.CRITICAL)

P = ParamSpec("P")
Guarded = Callable[Concatenate["Connection", P], None]


class VerifyingTicker(KiteTicker):
    """The SDK's ticker, but with the server's certificate verified: it sends the access token in its address."""

    def open(self) -> None:
        """Connect; call it in the reactor's thread. The reactor itself runs already."""
        headers = {"X-Kite-Version": "3"}
        self._create_connection(self.socket_url, useragent=self._user_agent(), proxy=None, headers=headers)
        # A longer message fits into no event. The SDK connects again, and what was missed is a declared gap.
        self.factory.setProtocolOptions(maxFramePayloadSize=EVENT_BYTES_MAX, maxMessagePayloadSize=EVENT_BYTES_MAX)
        context = ssl.optionsForClientTLS(self.factory.host) if self.factory.isSecure else None
        connectWS(self.factory, contextFactory=context, timeout=self.connect_timeout)

    def _parse_text_message(self, payload: bytes) -> None:
        """Leave texts to the log: the SDK's reading of them drops the socket where one is JSON, but no object."""


def guarded(callback: "Guarded[P]") -> "Guarded[P]":
    """Keep an error of ours from dropping the socket; it is said, and the next message is taken."""

    @functools.wraps(callback)
    def call(self: "Connection", *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(self, *args, **kwargs)
        except Exception as error:  # the SDK's loop has no other edge
            self.log.exception("feed.callback_failed", callback=callback.__name__, found=str(error))

    return cast("Guarded[P]", call)


class Connection:
    """One socket's worth of instruments. All methods but `__init__` run in the reactor's thread."""

    def __init__(
        self, address: Address, stream: str, mode: str, run: str, clock: Clock, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        """run: this process's mark in beats. `handover` must be set before the first `open`."""
        self.stream = stream
        self.handover: Handover
        self.log = get("feed").bind(stream=stream)
        self.token = ""  # in use
        self.refused = False  # the server said 403: wait for another token
        self._address, self._mode, self._run, self._clock, self._bounds = address, mode, run, clock, bounds
        self._ticker: VerifyingTicker | None = None
        self._tokens: list[int] = []
        self._frames = self._packets = self._bytes = self._heartbeats = self._texts = 0
        self._last_message_ns = 0
        self._heard_at = self._beat_at = 0.0
        self._gap: Lost | None = None
        self._is_open = False
        self._down = LOGIN_MISSING
        self._not_open = ""  # why the last attempt failed, said once
        # looked up once: these are counted for each message
        self._count_frames, self._count_bytes = FEED_FRAMES.labels(stream), FEED_BYTES.labels(stream)
        self._count_packets = FEED_PACKETS.labels(stream)

    # ---- what the producer asks for ----------------------------------------------------------------------------

    def take_up(self, last_message_ns: int, gap: Lost | None) -> None:
        """Go on where the log ends: declare what was lost since the last message of the process before."""
        self._last_message_ns = last_message_ns
        self._gap = gap
        if gap is None and last_message_ns:
            self._lose("the ticker ended without a word")

    def open(self, token: str) -> None:
        """Connect with this token, in place of what was there."""
        self.close()
        self.token, self.refused = token, False
        ticker = VerifyingTicker(
            quote(self._address.api_key, safe=""),  # the SDK puts them into its address as they are
            quote(token, safe=""),
            root=self._address.ws_root,
            reconnect_max_tries=self._bounds.reconnect_tries,
            reconnect_max_delay=RECONNECT_SECONDS_MAX,
        )
        self._ticker = ticker
        ticker.on_connect = functools.partial(self._of, ticker, self._on_connect)
        ticker.on_open = functools.partial(self._of, ticker, self._on_open)
        ticker.on_message = functools.partial(self._of, ticker, self._on_message)
        ticker.on_close = functools.partial(self._of, ticker, self._on_close)
        ticker.on_noreconnect = functools.partial(self._of, ticker, self._on_given_up)
        ticker.open()

    def _of(self, ticker: VerifyingTicker, callback: Callable[..., None], *args: Any) -> None:
        """Pass on what the ticker in use says; one that was replaced is not heard, and closed if it connects late."""
        if ticker is self._ticker:
            callback(*args)
            return
        ticker.stop_retry()  # again: on connecting the SDK takes up trying
        if ticker.ws is not None and ticker.ws.transport is not None:
            ticker.ws.transport.abortConnection()

    def subscribe(self, tokens: list[int]) -> None:
        """Hold exactly these instruments from now on."""
        added, gone = sorted(set(tokens) - set(self._tokens)), sorted(set(self._tokens) - set(tokens))
        self._tokens = tokens
        if self._is_open and self._ticker and (added or gone):
            if added:
                self._ticker.subscribe(added)
                self._ticker.set_mode(self._mode, added)
            if gone:
                self._ticker.unsubscribe(gone)
            self._tell_subscribed()

    def rest(self, until: str) -> None:
        """Close the socket while the markets are closed, until this time (as people read it)."""
        self.close(MARKETS_CLOSED)
        self._down = f"{MARKETS_CLOSED} until {until}"

    def close(self, why: str = CLOSED) -> None:
        """Close the socket for good; a loss that begins here is declared."""
        ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.stop_retry()
            if ticker.ws is not None and ticker.ws.transport is not None:
                ticker.ws.transport.abortConnection()
        self._ended(why)

    def hold(self) -> None:
        """Read the socket no further."""
        FEED_HELD.labels(self.stream).inc()
        self._pause()

    def _pause(self) -> None:
        if self._ticker and self._ticker.ws and self._ticker.ws.transport:
            self._ticker.ws.transport.pauseProducing()

    def let(self) -> None:
        """Read the socket again."""
        self._heard_at = self._clock.monotonic()
        if self._ticker and self._ticker.ws and self._ticker.ws.transport:
            self._ticker.ws.transport.resumeProducing()

    @guarded
    def beat(self) -> None:
        """Once a second: say what was counted, and look whether the socket is still alive."""
        counted = Beat(
            run=self._run,
            frames=self._frames,
            packets=self._packets,
            bytes=self._bytes,
            heartbeats=self._heartbeats,
            texts=self._texts,
            last_message_ns=self._last_message_ns,
            gap_from_ns=self._gap.from_ns if self._gap else None,
            waiting_bytes=self.handover.waiting_bytes,
            down=msgspec.UNSET if self._is_open else self._down,
        )
        self._tell(counted)
        FEED_LAST_MESSAGE.labels(self.stream).set(self._last_message_ns / 1e9)
        FEED_TOKEN_WANTED.labels(self.stream).set(not self._is_open and self._down in WAITS_FOR_LOGIN)
        now = self._clock.monotonic()
        if now - self._beat_at > FROZEN_SECONDS:
            self._heard_at = now  # we were asleep ourselves: what waits in the socket is read first
        self._beat_at = now
        silent = now - self._heard_at
        if self._is_open and not self.handover.held and silent > self._bounds.silence_seconds and self._ticker:
            self.log.warning("feed.stalled", silent_seconds=round(silent, 1))
            self._tell(Stalled(silent_ms=round(silent * 1000)))
            self._ticker.ws.transport.abortConnection()

    # ---- what the SDK says -------------------------------------------------------------------------------------

    @guarded
    def _on_connect(self, ticker: VerifyingTicker, response: Any) -> None:
        ticker.subscribed_tokens = {}  # else the SDK subscribes once more by itself, in quote mode
        self._is_open = True
        self._heard_at = self._clock.monotonic()
        # What is sent from here on counts: a first socket that brings nothing leaves a gap, too.
        self._last_message_ns = self._last_message_ns or self._clock.now_ns()
        server = str(response.headers.get("server", ""))[:80]
        self._tell(Connected(run=self._run, local_port=ticker.ws.transport.getHost().port, server=server))
        FEED_CONNECTED.labels(self.stream).set(1)
        self.log.info("feed.connected", server=server)

    @guarded
    def _on_open(self, ticker: VerifyingTicker) -> None:
        if self._tokens:
            ticker.subscribe(self._tokens)
            ticker.set_mode(self._mode, self._tokens)
        self._tell_subscribed()
        if self.handover.held:  # the one before was held; this one must not fill what is full
            self._pause()

    def _tell_subscribed(self) -> None:
        self._tell(Subscribed(run=self._run, tokens=self._tokens, mode=self._mode))
        FEED_INSTRUMENTS.labels(self.stream).set(len(self._tokens))
        self.log.info("feed.subscribed", instruments=len(self._tokens), mode=self._mode)

    @guarded
    def _on_message(self, _: VerifyingTicker, payload: bytes, is_binary: bool) -> None:
        now_ns = self._clock.now_ns()
        self._heard_at = self._clock.monotonic()
        if not is_binary:
            self._texts += 1
            self._last_message_ns = now_ns
            self.handover.put(Event("kite.text.v1", now_ns, payload))
            return
        if len(payload) == HEARTBEAT_BYTES:
            self._heartbeats += 1
            if self._gap is None:
                self._last_message_ns = now_ns
            return
        self._count(payload)
        if self._gap is not None:
            self._tell(Gap(from_ns=self._gap.from_ns, to_ns=now_ns, reason=self._gap.reason), now_ns)
            self.log.info("feed.gap", seconds=round((now_ns - self._gap.from_ns) / 1e9, 3), reason=self._gap.reason)
            self._gap = None
        self._last_message_ns = now_ns
        self.handover.put(Event("kite.frame.v1", now_ns, payload))

    def _count(self, frame: bytes) -> None:
        held = packets(frame)
        self._frames += 1
        self._packets += held
        self._bytes += len(frame)
        self._count_frames.inc()
        self._count_packets.inc(held)
        self._count_bytes.inc(len(frame))

    @guarded
    def _on_close(self, ticker: VerifyingTicker, code: int | None, reason: str | None) -> None:
        said = f"{code}: {reason or 'no reason'}"
        if FORBIDDEN in said:
            self.refused = True
            ticker.stop_retry()
            self.log.error("feed.token_refused", found=said, remedy="run bahi login, or send a new token to the API")
        self._ended(said)

    @guarded
    def _on_given_up(self, _: VerifyingTicker) -> None:
        self.log.warning("feed.new_ticker", tries=self._bounds.reconnect_tries)
        self.open(self.token)

    # ---- how a loss is told ------------------------------------------------------------------------------------

    def _ended(self, reason: str) -> None:
        was_open, self._is_open = self._is_open, False
        self._down = LOGIN_REFUSED if self.refused else reason[:REASON_CHARACTERS_MAX]
        FEED_CONNECTED.labels(self.stream).set(0)
        if not was_open and reason not in (self._not_open, CLOSED, MARKETS_CLOSED):
            self.log.warning("feed.not_connected", reason=reason)
        self._not_open = reason
        if was_open:
            FEED_LOSSES.labels(self.stream, reason.split(":", maxsplit=1)[0]).inc()
            self.log.warning("feed.lost", reason=reason)
        if was_open and self._gap is None and self._last_message_ns:
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        self._gap = Lost(from_ns=self._last_message_ns, reason=reason[:REASON_CHARACTERS_MAX])
        self._tell(self._gap)

    def _tell(self, message: Message, at_ns: int | None = None) -> None:
        self.handover.put(pack(message, self._clock.now_ns() if at_ns is None else at_ns))
