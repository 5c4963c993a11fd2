"""The sandbox's own endpoints, for people and tests on the same machine: logins, what is going on, the journal."""

import ipaddress
import time
from pathlib import Path

import msgspec
from aiohttp import web

from ops.sandbox import journal
from ops.sandbox.envelope import Refusal, input_refused, success
from ops.sandbox.faults import Fault, Faults
from ops.sandbox.feed import MarketFeed
from ops.sandbox.hub import Hub
from ops.sandbox.playback import Playback
from ops.sandbox.recording import Screening
from ops.sandbox.session import API_KEY, Sessions

TEXT_BYTES_MAX = 65_535  # what a websocket header of 16 bits can say

Feed = MarketFeed | Playback | Screening


class Control:
    """Answers below /sandbox, to loopback peers only."""

    def __init__(self, hub: Hub, feed: Feed, sessions: Sessions, faults: Faults, folder: Path) -> None:
        """Control `hub`; `folder` is where the journal lies."""
        self._feed = feed
        self._faults = faults
        self._hub = hub
        self._sessions = sessions
        self._folder = folder

    def routes(self) -> list[web.RouteDef]:
        """Give all of them."""
        return [
            web.post("/sandbox/login", self.login),
            web.get("/sandbox/state", self.state),
            web.get("/sandbox/journal", self.journal),
            web.post("/sandbox/text", self.tell),
            web.get("/sandbox/faults", self.faults),
            web.post("/sandbox/faults", self.commit_fault),
            web.delete("/sandbox/faults", self.clear_faults),
        ]

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Give a request token without a browser; `api_key` and `user_id` name another app or user than the usual.

        They may stand in the query or in a form: a user who is passed over silently would trade in another's account.
        """
        local(request)
        told = {**await request.post(), **request.query}
        api_key, user = str(told.get("api_key", API_KEY)), str(told.get("user_id", ""))
        token = self._sessions.request(api_key, time.time_ns(), user)
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
        return success({**self._playing(), "instruments": len(self._hub.stage.instruments), "connections": clients})

    async def journal(self, request: web.Request) -> web.StreamResponse:
        """Add up what was sent."""
        local(request)
        return success(journal.summary(self._folder))

    def _playing(self) -> dict[str, object]:
        if isinstance(self._feed, Playback):
            done = {"rows": len(self._feed.tape), "played": self._feed.played, "sent": self._feed.sent}
            return {"tape": {**done, "done": self._feed.done.is_set()}}
        if isinstance(self._feed, Screening):
            done = {"rows": self._feed.stage.recording.packets, "played": self._feed.played, "sent": self._feed.sent}
            return {"tape": {**done, "done": self._feed.done.is_set()}}
        return {"market": {"seed": self._feed.market.seed, "ticks_per_second": self._feed.rate}}

    async def tell(self, request: web.Request) -> web.StreamResponse:
        """Send the body to all clients as a text message, such as an order update."""
        local(request)
        text = await request.read()
        if not 0 < len(text) <= TEXT_BYTES_MAX:
            raise input_refused(f"Wanted a text of 1 to {TEXT_BYTES_MAX} bytes, found {len(text)}")
        clients = list(self._hub)
        for connection in clients:
            connection.tell(text)
        return success({"connections": len(clients)})

    async def faults(self, request: web.Request) -> web.StreamResponse:
        """Show the last faults and what is still to come."""
        local(request)
        return success(
            {"pending": self._faults.pending(), "answers": self._faults.answers(), "done": self._faults.done}
        )

    async def commit_fault(self, request: web.Request) -> web.StreamResponse:
        """Misbehave as the JSON body asks."""
        local(request)
        try:
            fault = msgspec.json.decode(await request.read(), type=Fault)
        except msgspec.DecodeError as error:
            raise input_refused(f"Wanted a fault as in docs/sandbox.md, found: {error}") from error
        return success(self._faults.commit(fault))

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        """Behave again."""
        local(request)
        self._faults.clear()
        return success(True)


def local(request: web.Request) -> None:
    """Refuse peers of other machines."""
    if not request.remote or not ipaddress.ip_address(request.remote).is_loopback:
        raise Refusal(403, "PermissionException", "The sandbox is controlled from its own machine only")
