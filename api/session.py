"""Logging in and out of the page, and tickets for its websockets."""

import asyncio

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.door import SESSION_COOKIE
from api.keys import SESSION_SECONDS, Keys
from api.login_code import LoginCodes
from api.tickets import TICKET_SECONDS, Tickets
from runtime.errors import BadInput
from runtime.log import get as get_log

LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})

Asked = Request[object, object, State]

_log = get_log("session")


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """What logs in: the one-time code of the printed URL, or the API key."""

    code: str | None = None
    key: str | None = None


class Session(msgspec.Struct):
    """A session is open."""

    seconds: int = SESSION_SECONDS


class Ticket(msgspec.Struct):
    """A ticket for one websocket: `/api/ws/ticks?ticket=...`."""

    ticket: str
    seconds: float = TICKET_SECONDS


class Detail(msgspec.Struct):
    """Why not."""

    detail: str


@post("/api/session", status_code=201, summary="Log in", tags=["session"])
async def log_in(
    data: JSONBody[Login],
    request: Asked,
    keys: NamedDependency[Keys],
    codes: NamedDependency[LoginCodes],
) -> Response[Session | Detail]:
    """Exchange the one-time code (from this machine only) or the API key for a session cookie."""
    peer = request.client.host if request.client else ""
    if (data.code is None) == (data.key is None):
        raise BadInput('{"code": "..."} or {"key": "..."}', "both or neither", "send one of them")
    if data.code is not None and peer not in LOOPBACK:
        return Response(
            Detail("the one-time code is good on the machine that Bahi runs on; use the key"), status_code=403
        )
    if data.key is not None:
        good = keys.is_key(data.key)
    else:
        good = await asyncio.to_thread(codes.use, data.code or "")
    if not good:
        _log.warning("login_refused", peer=peer, by="key" if data.key else "code")
        found = "another one" if data.key else "one that is not known, was used, or is over"
        return Response(Detail(f"wanted the API key or an open one-time code; found {found}"), status_code=401)
    cookie = Cookie(
        SESSION_COOKIE,
        value=keys.make_session(),
        path="/",
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return Response(Session(), status_code=201, cookies=[cookie])


@get("/api/session", summary="Whether the session is good", tags=["session"])
async def read_session() -> Session:
    """Answer those who are let in; the door answers the others with 401."""
    return Session()


@delete("/api/session", status_code=204, summary="Log out", tags=["session"])
async def log_out() -> Response[None]:
    """Take the cookie away."""
    response: Response[None] = Response(None, status_code=204)
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


@post("/api/ws/ticket", status_code=201, summary="A ticket for a websocket", tags=["session"])
async def make_ticket(tickets: NamedDependency[Tickets]) -> Ticket:
    """Give a ticket for one websocket, to be used within 30 s."""
    return Ticket(tickets.make())
