"""Kite's REST of GTT, over the triggers."""

from aiohttp import web

from ops.sandbox.accounts import shown
from ops.sandbox.accounts.triggers import Triggers
from ops.sandbox.envelope import Refusal, success
from ops.sandbox.rest import Rest


class TriggerRoutes:
    """Answers requests of one user, whom the access token names."""

    def __init__(self, triggers: Triggers, rest: Rest) -> None:
        """rest: knows who may ask, and counts it."""
        self._triggers, self._rest = triggers, rest

    def routes(self) -> list[web.RouteDef]:
        """Give all of them."""
        return [
            web.get("/gtt/triggers", self.all),
            web.post("/gtt/triggers", self.place),
            web.get("/gtt/triggers/{trigger_id}", self.one),
            web.put("/gtt/triggers/{trigger_id}", self.modify),
            web.delete("/gtt/triggers/{trigger_id}", self.delete),
        ]

    async def all(self, request: web.Request) -> web.StreamResponse:
        """Give all that a user has."""
        user = self._rest.admit(request, "other").user
        return success([shown.trigger(user, each) for each in self._triggers.all(user)])

    async def one(self, request: web.Request) -> web.StreamResponse:
        """Give one."""
        user = self._rest.admit(request, "other").user
        return success(shown.trigger(user, self._triggers.find(user, _id(request))))

    async def place(self, request: web.Request) -> web.StreamResponse:
        """Keep a new one."""
        user = self._rest.admit(request, "other").user
        return success({"trigger_id": self._triggers.place(user, await _form(request))})

    async def modify(self, request: web.Request) -> web.StreamResponse:
        """Change one."""
        user = self._rest.admit(request, "other").user
        return success({"trigger_id": self._triggers.modify(user, _id(request), await _form(request))})

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """End one."""
        user = self._rest.admit(request, "other").user
        return success({"trigger_id": self._triggers.delete(user, _id(request))})


def _id(request: web.Request) -> int:
    text = request.match_info["trigger_id"]
    if not (text.isascii() and text.isdecimal()):
        raise Refusal(404, "GeneralException", "Trigger not found.")
    return int(text)


async def _form(request: web.Request) -> dict[str, str]:
    return {name: str(value) for name, value in (await request.post()).items()}
