"""The ticker's handshake and what a client says on it: `ws://HOST:PORT/?api_key=...&access_token=...`."""

import asyncio
import time
from typing import cast

import msgspec
import numpy as np
from aiohttp import WSMsgType, web

from ops.sandbox.connection import Connection
from ops.sandbox.envelope import failure, token_refused, too_many
from ops.sandbox.hub import CONNECTIONS_PER_KEY_MAX, Hub
from ops.sandbox.session import Sessions
from runtime import log

MESSAGE_BYTES_MAX = 1024 * 1024  # a subscription of 3,000 instruments has 30 KB

_log = log.get("sandbox")


class Socket:
    """Accepts tickers."""

    def __init__(self, hub: Hub, sessions: Sessions, enforce_limits: bool) -> None:
        """Let clients with a session into `hub`."""
        self._hub = hub
        self._sessions = sessions
        self._enforce_limits = enforce_limits

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until it is gone."""
        api_key, access_token = request.query.get("api_key", ""), request.query.get("access_token", "")
        session = None if self._refused() else self._sessions.find(api_key, access_token, time.time_ns())
        if session is None:
            return failure(token_refused())
        if self._enforce_limits and self._hub.count(api_key) >= CONNECTIONS_PER_KEY_MAX:
            return failure(too_many())
        ws = web.WebSocketResponse(compress=False, max_msg_size=MESSAGE_BYTES_MAX)
        await ws.prepare(request)
        transport = cast(asyncio.Transport, request.transport)
        connection = self._hub.join(api_key, transport.get_extra_info("peername")[1], transport, session.user)
        _log.info("sandbox.connected", connection=connection.peer.number, port=connection.peer.port)
        connection.tell(self._meta())
        try:
            await self._listen(connection, ws)
        finally:
            self._hub.leave(connection)
            _log.info("sandbox.left", connection=connection.peer.number, messages=connection.messages)
        return ws

    def _refused(self) -> bool:
        if self._hub.refusals <= 0:
            return False
        self._hub.refusals -= 1
        return True

    def _meta(self) -> bytes:
        """Give the first message of the real one: what the client's list of instruments should be."""
        count = len(self._hub.stage.instruments)
        return msgspec.json.encode({"type": "instruments_meta", "data": {"count": count, "etag": f'W/"{count}"'}})

    async def _listen(self, connection: Connection, ws: web.WebSocketResponse) -> None:
        async for message in ws:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            heard = connection.subscriptions.hear(message.data)
            if heard.complaint:
                connection.tell(msgspec.json.encode({"type": "error", "data": heard.complaint}))
            if heard.new and self._hub.stage.gives_snapshots:
                connection.offer(np.array(heard.new))
            self._hub.changed.set()
