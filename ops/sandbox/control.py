"""The sandbox's own endpoints, for people and tests on the same machine: logins, what is going on, the journal."""

import ipaddress
import time
from pathlib import Path

from aiohttp import web

from ops.sandbox import journal
from ops.sandbox.envelope import Refusal, success
from ops.sandbox.hub import Hub
from ops.sandbox.session import API_KEY, Sessions


class Control:
    """Answers below /sandbox, to loopback peers only."""

    def __init__(self, hub: Hub, sessions: Sessions, folder: Path) -> None:
        """Control `hub`; `folder` is where the journal lies."""
        self._hub = hub
        self._sessions = sessions
        self._folder = folder

    def routes(self) -> list[web.RouteDef]:
        """Give all of them."""
        return [
            web.post("/sandbox/login", self.login),
            web.get("/sandbox/state", self.state),
            web.get("/sandbox/journal", self.journal),
        ]

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Give a request token without a browser; ?api_key= names another app than "sandbox"."""
        local(request)
        token = self._sessions.request(request.query.get("api_key", API_KEY), time.time_ns())
        return success({"request_token": token})

    async def state(self, request: web.Request) -> web.StreamResponse:
        """Show the clients and what they were sent."""
        local(request)
        clients = [
            {
                "connection": c.peer.number,
                "api_key": c.peer.api_key,
                "port": c.peer.port,
                "instruments": len(c.subscriptions.modes),
                "messages": c.messages,
                "packets": c.packets,
                "buffered_bytes": c.buffered,
            }
            for c in self._hub
        ]
        return success({"instruments": len(self._hub.stage.instruments), "connections": clients})

    async def journal(self, request: web.Request) -> web.StreamResponse:
        """Add up what was sent."""
        local(request)
        return success(journal.summary(self._folder))


def local(request: web.Request) -> None:
    """Refuse peers of other machines."""
    if not request.remote or not ipaddress.ip_address(request.remote).is_loopback:
        raise Refusal(403, "PermissionException", "The sandbox is controlled from its own machine only")
