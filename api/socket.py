"""WS /api/ws/ticks: JSON both ways, as docs/api.md shows it.

    -> {"action":"subscribe","tokens":[408065],"resume_from":CURSOR,"depth":false}
    -> {"action":"unsubscribe","tokens":[408065]}
    <- {"type":"subscribed","tokens":[408065],"cursor":CURSOR}     all that the client has now
    <- {"type":"ticks","cursor":CURSOR,"ticks":[...]}              CURSOR means: after these
    <- {"type":"skipped","count":N}                                the client was too slow for N ticks
    <- {"type":"error","detail":"..."}                             the message was refused; the rest goes on

Instruments that no feed gives are subscribed and said to be unknown: they are sent once they come.

`resume_from` sets the whole connection back to a cursor: all that it has subscribed is sent again from there, then
live. A message that cannot be read changes nothing. This is plain ASGI, below the framework's wrappers: its `send` must
begin when it is called (see `viewer`).
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
from litestar.types import Receive, Scope, Send

from api.live import Live
from api.replay import Replays
from api.viewer import Gone, Viewer
from events import cursor
from events.reader import Reader
from runtime.errors import BadInput, BahiError
from runtime.log import get

MESSAGE_BYTES_MAX = 256 * 1024  # 9,000 tokens are 100 KB
TOKENS_MAX = 9000  # all that Kite's three connections carry
TOKEN_MAX = 2**63 - 1  # a bigint of the tables
CLIENTS_MAX = 500  # beyond, every client is worse off; the next one is told to come back later
CLOSE_GOING_AWAY, CLOSE_TOO_BIG, CLOSE_TRY_LATER, CLOSE_REFUSED = 1001, 1009, 1013, 1008

NAMED_MAX = 20  # unknown instruments that an error names; the rest is counted

_log = get("socket")


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """What a client says. depth: with the five levels of the book; once asked for, it stays."""

    action: Literal["subscribe", "unsubscribe"]
    tokens: list[Annotated[int, msgspec.Meta(ge=1, le=TOKEN_MAX)]] = []
    resume_from: str | None = None
    depth: bool | None = None


class Told(msgspec.Struct, tag_field="type", tag="subscribed"):
    """The answer to an Ask: all instruments of this connection, and where it stands (null before the log was read)."""

    tokens: list[int]
    cursor: str | None


class Refused(msgspec.Struct, tag_field="type", tag="error"):
    """A message was refused, or the connection cannot go on."""

    detail: str


_decoder = msgspec.json.Decoder(Ask)


class TickSocket:
    """The endpoint: one `Session` a connection."""

    def __init__(self, live: Live, make_reader: Callable[[], Reader], closing: asyncio.Event) -> None:
        """Take the hub, a maker of readers for replays, and the event that ends all connections."""
        self._live = live
        self._replays = Replays(live)
        self._make_reader = make_reader
        self._closing = closing

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection that was let in."""
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        if len(self._live.viewers) >= CLIENTS_MAX:
            await send({"type": "websocket.close", "code": CLOSE_TRY_LATER, "reason": "too many live clients"})
            return
        session = Session(self._live, self._replays, self._make_reader, send)
        try:
            code, reason = await session.serve(receive, self._closing)
        finally:
            self._live.leave(session.viewer)
        if code:
            with suppress(OSError, RuntimeError):
                await send({"type": "websocket.close", "code": code, "reason": reason})


class Session:
    """One connection: its viewer, and the replay that may be on its way."""

    def __init__(self, live: Live, replays: Replays, make_reader: Callable[[], Reader], send: Send) -> None:
        """Serve nothing yet."""
        self._live = live
        self._replays = replays
        self._make_reader = make_reader
        self._send = send
        self._replay: asyncio.Task[None] | None = None
        self.viewer = Viewer(self._begin_send)

    def _begin_send(self, text: str) -> Awaitable[None]:
        sending: Awaitable[None] = self._send({"type": "websocket.send", "text": text, "bytes": None})
        # Granian's begins when called; a coroutine, as of a test's client, has to be started.
        return asyncio.ensure_future(sending) if inspect.iscoroutine(sending) else sending

    async def serve(self, receive: Receive, closing: asyncio.Event) -> tuple[int, str]:
        """Listen and write until one side ends; give the code to close with, 0 where the client has gone."""
        self._live.seat(self.viewer, frozenset(), depth=False)
        listening = asyncio.create_task(self._listen(receive))
        tasks: set[asyncio.Task[object]] = {
            listening,
            asyncio.create_task(self.viewer.run()),
            asyncio.create_task(closing.wait()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if listening in done:
                return listening.result()
            return (CLOSE_GOING_AWAY, "the server stops") if closing.is_set() else (0, "")
        except Gone:
            return 0, ""
        finally:
            await _end(*tasks, *([self._replay] if self._replay else []))

    async def _listen(self, receive: Receive) -> tuple[int, str]:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return 0, ""
            raw = message.get("text") or message.get("bytes") or ""
            if len(raw) > MESSAGE_BYTES_MAX:
                return CLOSE_TOO_BIG, f"a message of at most {MESSAGE_BYTES_MAX} bytes is wanted"
            try:
                await self._answer(_decoder.decode(raw))
            except msgspec.DecodeError as error:
                wanted = '{"action": "subscribe" or "unsubscribe", "tokens": [408065, ...]}'
                await self._refuse(f"wanted {wanted}; found {error}")
            except BadInput as error:
                await self._refuse(str(error))

    async def _answer(self, ask: Ask) -> None:
        viewer = self.viewer
        depth = viewer.depth if ask.depth is None else ask.depth
        if ask.action == "unsubscribe":
            self._live.seat(viewer, viewer.tokens - set(ask.tokens), depth)
            await self._tell(self._live.cursor)
            return
        tokens = viewer.tokens | set(ask.tokens)
        if len(tokens) > TOKENS_MAX:
            raise BadInput(f"at most {TOKENS_MAX} instruments a connection", f"{len(tokens)}", "open another one")
        start = None if ask.resume_from is None else cursor.from_word(ask.resume_from)
        if start is not None:
            await self._stop_replay()
            viewer.hold()
        self._live.seat(viewer, tokens, depth)
        await self._tell(ask.resume_from or self._live.cursor)
        if unknown := self._live.unknown(ask.tokens):
            await self._refuse(
                f"wanted instruments whose prices are received; found {_some(unknown)}, of which none is; ask for them "
                "with POST /api/instruments/subscribe, they are sent here once they come"
            )
        if start is not None:
            self._replay = asyncio.create_task(self._resume(start))

    async def _tell(self, place: str) -> None:
        known = self._live.found_streams.is_set()
        told = Told(sorted(self.viewer.tokens), place if known else None)
        await self.viewer.say(msgspec.json.encode(told).decode())

    async def _refuse(self, detail: str) -> None:
        await self.viewer.say(msgspec.json.encode(Refused(detail)).decode())

    async def _resume(self, start: cursor.Position) -> None:
        """Replay, and say so where that cannot be done: the client then has to begin anew."""
        try:
            await self._replays.run(self.viewer, self._make_reader(), start)
        except BahiError as error:
            _log.warning("replay_refused", wanted=error.wanted, found=error.found)
            with suppress(Gone):
                await self._refuse(str(error))
            self.viewer.release()
        except Gone:
            return  # the listener hears of it, too

    async def _stop_replay(self) -> None:
        if self._replay is not None:
            await _end(self._replay)
            self._replay = None


def _some(tokens: Sequence[int]) -> str:
    named = ", ".join(str(token) for token in tokens[:NAMED_MAX])
    return f"{named} and {len(tokens) - NAMED_MAX} more" if len(tokens) > NAMED_MAX else named


async def _end(*tasks: "asyncio.Task[object] | asyncio.Task[None]") -> None:
    """Cancel tasks and wait for their end; what they ended with was told, or is of no use any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
