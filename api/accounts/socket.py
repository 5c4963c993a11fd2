"""WS /api/ws/accounts: what changes in the accounts, live, JSON both ways, as docs/api.md shows it.

    -> {"action":"subscribe","since":CURSOR,"account":"main","kinds":["orders"]}    all but the action may be left out
    -> {"action":"unsubscribe"}
    <- {"type":"subscribed","cursor":CURSOR}        changes come from here on
    <- {"type":"unsubscribed"}
    <- {"type":"changes","cursor":CURSOR,"changes":[...]}    CURSOR means: after these
    <- {"type":"waiting","detail":"..."}            the tables do not answer; it goes on by itself
    <- {"type":"error","detail":"..."}              the message was refused; the rest goes on

A second `subscribe` takes the place of the first. `since` is a cursor of GET /changes or of these messages, `now`, or
empty for the beginning; without it, now. A message that cannot be read changes nothing.
"""

import asyncio
from contextlib import suppress
from typing import Literal

import msgspec
from litestar.types import Receive, Scope, Send

from api.accounts.changes import read_kinds, read_wish
from api.accounts.difference import NOW, Wish, to_word
from api.accounts.events import QUIET_SECONDS
from api.accounts.following import Following, Full
from api.socket import CLOSE_GOING_AWAY, CLOSE_TOO_BIG, CLOSE_TRY_LATER, Refused
from api.tables import Tables
from api.viewer import SEND_SECONDS_MAX, Gone
from runtime.errors import BahiError
from runtime.log import get

MESSAGE_BYTES_MAX = 16 * 1024  # a cursor and some names are 200 bytes

_log = get("account_socket")


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """What a client says."""

    action: Literal["subscribe", "unsubscribe"]
    since: str | None = None
    account: str | None = None
    kinds: list[str] = []


class Subscribed(msgspec.Struct, tag_field="type", tag="subscribed"):
    """Changes come from this cursor on."""

    cursor: str


class Unsubscribed(msgspec.Struct, tag_field="type", tag="unsubscribed"):
    """No more changes come."""


_decoder = msgspec.json.Decoder(Ask)


class AccountSocket:
    """The endpoint: one `Session` a connection."""

    def __init__(self, following: Following, tables: Tables) -> None:
        """Take what is followed."""
        self._following, self._tables = following, tables

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection that was let in."""
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        try:
            with self._following.joined():
                code, reason = await Session(self._following, self._tables, send).serve(receive)
        except Full:
            code, reason = CLOSE_TRY_LATER, "too many live clients"
        if code:
            with suppress(OSError, RuntimeError):
                await send({"type": "websocket.close", "code": code, "reason": reason})


class Session:
    """One connection: what it says, and the task that sends it changes."""

    def __init__(self, following: Following, tables: Tables, send: Send) -> None:
        """Follow nothing yet."""
        self._following, self._tables, self._send = following, tables, send
        self._gone = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def serve(self, receive: Receive) -> tuple[int, str]:
        """Listen until one side ends; give the code to close with, 0 where the client has gone."""
        listening = asyncio.create_task(self._listen(receive))
        ends = [asyncio.create_task(each.wait()) for each in (self._following.closing, self._gone)]
        try:
            await asyncio.wait([listening, *ends], return_when=asyncio.FIRST_COMPLETED)
            if self._following.closing.is_set():
                return CLOSE_GOING_AWAY, "the server stops"
            return listening.result() if listening.done() else (0, "")
        except Gone:
            return 0, ""
        finally:
            await self._stop_sending()
            for each in (listening, *ends):
                each.cancel()
            await asyncio.gather(listening, *ends, return_exceptions=True)

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
                await self._say(Refused(f'wanted {{"action": "subscribe", "since": CURSOR}}; found {error}'))
            except BahiError as error:
                await self._say(Refused(str(error)))

    async def _answer(self, ask: Ask) -> None:
        if ask.action == "unsubscribe":
            await self._stop_sending()
            await self._say(Unsubscribed())
            return
        wish = msgspec.structs.replace(await read_wish(self._tables, ask.account, None), kinds=read_kinds(ask.kinds))
        place = await self._following.differences.start(ask.since, otherwise=NOW)
        await self._stop_sending()
        await self._say(Subscribed(to_word(place)))
        self._sending = asyncio.create_task(self._follow(place, wish))

    async def _follow(self, place: int, wish: Wish) -> None:
        try:
            async for message in self._following.messages(place, wish, QUIET_SECONDS):
                if message is not None:
                    await self._write(message.text)
        except Gone:
            self._gone.set()
        except BahiError as error:
            _log.error("account_changes_end", wanted=error.wanted, found=error.found, remedy=error.remedy)
            with suppress(Gone):
                await self._say(Refused(str(error)))
            self._gone.set()

    async def _say(self, told: Refused | Subscribed | Unsubscribed) -> None:
        await self._write(msgspec.json.encode(told).decode())

    async def _write(self, text: str) -> None:
        """Send a message and wait until it is written. Raises Gone."""
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._send({"type": "websocket.send", "text": text, "bytes": None})
        except (OSError, RuntimeError, TimeoutError) as error:
            raise Gone(f"{type(error).__name__}: {error}") from error

    async def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
            self._sending = None
