"""Kite's envelopes: every JSON answer is {"status", "data"} or {"status", "message", "error_type"}."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from runtime.errors import BadInput

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(BadInput):
    """A request that Kite would refuse: HTTP status, Kite's class of error and its message to the client."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        """Make it of what the client is told."""
        super().__init__("a request that Kite Connect takes", message, "see https://kite.trade/docs/connect/v3")
        self.status = status
        self.error_type = error_type
        self.message = message


def token_refused(message: str = "Incorrect `api_key` or `access_token`.") -> Refusal:
    """Give the refusal of a wrong, missing or expired token."""
    return Refusal(403, "TokenException", message)


def input_refused(message: str) -> Refusal:
    """Give the refusal of missing or wrong parameters."""
    return Refusal(400, "InputException", message)


def too_many() -> Refusal:
    """Give the refusal of a request over the limit of its key; the real one says NetworkException as well."""
    return Refusal(429, "NetworkException", "Too many requests")


def success(data: object) -> web.Response:
    """Wrap what was asked for."""
    return _json(200, {"status": "success", "data": data})


def failure(refusal: Refusal) -> web.Response:
    """Wrap a refusal."""
    return _json(
        refusal.status,
        {"status": "error", "message": refusal.message, "data": None, "error_type": refusal.error_type},
    )


@web.middleware
async def wrap_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every refusal, also that of an unknown route, in Kite's envelope."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return failure(refusal)
    except web.HTTPNotFound:
        return failure(Refusal(404, "GeneralException", "Route not found"))
    except web.HTTPMethodNotAllowed:
        return failure(Refusal(405, "GeneralException", "Method not allowed"))


def _json(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
