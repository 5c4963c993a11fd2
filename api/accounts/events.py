"""Changes as server-sent events: a stream that ends when the client goes or reads nothing, and when the server stops.

    event: subscribed    id: CURSOR    the first one: changes come from here on
    event: changes       id: CURSOR    behind these; a browser that comes back sends it as Last-Event-ID
    event: waiting                     the tables do not answer; it goes on by itself
    : nothing new                      a comment, whenever nothing came for QUIET_SECONDS

The framework's own streams wait for ever for a client that is gone and had not read what was sent: nobody tells them.
So this one is written below it, with a limit on each write.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from litestar.types import Receive, Scope, Send

from api.accounts.difference import Wish, to_word
from api.accounts.following import Following, Full
from api.viewer import SEND_SECONDS_MAX

QUIET_SECONDS = 15.0  # proxies give a silent stream up after a minute; and whoever has gone is noticed
RETRY_MS = 2000  # a browser's wait before it comes back

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """The answer to one client."""

    def __init__(self, following: Following, place: int, wish: Wish) -> None:
        """Take from where on, and what."""
        self._following, self._place, self._wish = following, place, wish

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until either side ends."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        tasks = {asyncio.ensure_future(_until_gone(receive)), asyncio.ensure_future(self._send_all(send))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        with suppress(OSError, RuntimeError, TimeoutError, Full), self._following.joined():
            async for text in self._texts():
                async with asyncio.timeout(SEND_SECONDS_MAX):
                    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _texts(self) -> AsyncIterator[str]:
        word = to_word(self._place)
        data = f'{{"type":"subscribed","cursor":"{word}"}}'
        yield f"id: {word}\nevent: subscribed\ndata: {data}\nretry: {RETRY_MS}\n\n"
        async for message in self._following.messages(self._place, self._wish, QUIET_SECONDS):
            if message is None:
                yield ": nothing new\n\n"
                continue
            place = f"id: {message.cursor}\n" if message.cursor else ""
            yield f"{place}event: {message.kind}\ndata: {message.text}\n\n"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
