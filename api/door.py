"""The door: everything that reaches the API comes through here, and everything is closed unless this page opens it.

    host     the Host header must be an IP address or a name that is known to be ours: a foreign name that was made to
             point here (DNS rebinding) is refused
    origin   a browser's request that changes something, and each websocket, must come from a page of this very host
    who      the administrator's key as a header, a session as a cookie; a websocket also by a single-use ticket
    open     OPEN_PATHS and the page's files: nothing of the user's data is behind them

Answers get the security headers. Two things are served from here, below the framework: the latest price of one
instrument (it costs less than the framework's own work) and the websockets (whose `send` must not be wrapped).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from time import perf_counter
from urllib.parse import parse_qs, urlsplit

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.keys import Keys
from api.prices import Prices
from api.tickets import Tickets
from runtime import metrics
from runtime.log import get
from runtime.settings import Settings

SESSION_COOKIE = "bahi_session"
SOCKET_PATH = "/api/ws/ticks"
ACCOUNTS_PATH = "/api/ws/accounts"
STREAM_MEDIA_TYPE = b"text/event-stream"
LATEST_PATH = "/api/latest/"
FILES_PATH = "/web/"
OPEN_PATHS = frozenset({"/", "/health", "/ready", "/favicon.ico"})
LOGIN_PATH = "/api/session"
POSTBACK_PATH = "/postback/kite"  # a broker has no key of ours; what it sends is signed with the app's secret
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})

CONTENT_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-security-policy", CONTENT_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
JSON_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *HEADERS]

LATEST_SECONDS = metrics.API_SECONDS.labels("GET", LATEST_PATH + "{token}", "200")

_log = get("door")


class Refusal(msgspec.Struct, frozen=True):
    """Why somebody is not let in: HTTP status and what to do."""

    status: int
    detail: str


WHO = Refusal(401, "wanted the API key as `Authorization: Bearer KEY`, or a session of the page; found neither")
CROSS_SITE = Refusal(403, "wanted a request from a page of this host; found one from another origin")


class Door:
    """The outermost ASGI application."""

    def __init__(  # the door is where all of these meet
        self,
        settings: Settings,
        keys: Keys,
        tickets: Tickets,
        prices: Prices,
        inside: ASGIApp,
        sockets: Mapping[str, ASGIApp],
    ) -> None:
        """Take who opens, what is answered here, and what lies behind."""
        self.inside = inside
        self._keys = keys
        self._tickets = tickets
        self._prices = prices
        self._sockets = sockets
        self._connected: set[asyncio.Task[object]] = set()  # each websocket has a task of its own
        self._names = LOCAL_NAMES | {settings.api_host.lower(), socket.gethostname().lower(), *settings.api_names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or refuse."""
        if scope["type"] == "lifespan":  # type: ignore[comparison-overlap]  # the framework's type leaves it out
            await self.inside(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, receive, send, refusal)
        elif scope["type"] == ScopeType.WEBSOCKET:
            await self._serve_socket(scope, receive, send)
        elif not await self._answer_latest(scope, send):
            await self._answer_inside(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization")
        if authorization is not None and self._keys.opens(authorization):
            # No page of another site can send this header, so neither host nor origin can deceive.
            return self._unknown_socket(scope)
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._knows(host):
            return Refusal(
                421,
                f"wanted this machine's IP address, localhost, API_HOST or one of API_NAMES in the Host header; "
                f"found {host[:100]!r}; set API_NAMES to it if it is yours",
            )
        method = "" if scope["type"] == ScopeType.WEBSOCKET else scope["method"]
        if method not in SAFE_METHODS:
            origin = headers.get(b"origin")
            if origin is not None and urlsplit(origin.decode("latin-1").lower()).netloc != host:
                return CROSS_SITE
        if not method:
            ticket = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
            return self._unknown_socket(scope) if ticket and self._tickets.use(ticket) else WHO
        if is_open(scope["path"], method):
            return None
        return None if self._has_session(headers.get(b"cookie", b"")) else WHO

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None, "the server runs each connection in a task"
        self._connected.add(task)
        task.add_done_callback(self._connected.discard)
        await self._sockets[scope["path"]](scope, receive, send)

    async def drained(self, seconds: float) -> None:
        """Wait until all websockets have ended, at most `seconds`."""
        if self._connected:
            await asyncio.wait(self._connected, timeout=seconds)

    def _unknown_socket(self, scope: Scope) -> Refusal | None:
        if scope["type"] != ScopeType.WEBSOCKET or scope["path"] in self._sockets:
            return None
        return Refusal(404, f"wanted a websocket of {', '.join(self._sockets)}; found {scope['path'][:100]!r}")

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_address(name)

    def _has_session(self, cookie: bytes) -> bool:
        try:
            morsel = SimpleCookie(cookie.decode("latin-1")).get(SESSION_COOKIE)
        except CookieError:
            return False
        return morsel is not None and self._keys.is_session(morsel.value)

    async def _answer_latest(self, scope: Scope, send: Send) -> bool:
        """Answer GET /api/latest/{token} from memory; say whether it was that, and is known."""
        path = scope["path"]
        if not path.startswith(LATEST_PATH) or scope.get("method") != "GET":
            return False
        token = path[len(LATEST_PATH) :]
        began = perf_counter()
        body = self._prices.json(int(token)) if token.isascii() and token.isdigit() else None
        if body is None:
            return False
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*JSON_HEADERS, length]})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        LATEST_SECONDS.observe(perf_counter() - began)
        return True

    async def _answer_inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the framework answer; add the security headers, and count."""
        began, status, is_stream = perf_counter(), 500, False

        async def outward(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = any(value.startswith(STREAM_MEDIA_TYPE) for _, value in message["headers"])
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self.inside(scope, receive, outward)
        if is_stream:
            return  # its end says when a client had enough, not how long an answer takes
        route = str(scope.get("path_template", "none"))
        method = str(scope.get("method", ""))
        metrics.API_SECONDS.labels(method, route, str(status)).observe(perf_counter() - began)


def is_open(path: str, method: str) -> bool:
    """Say whether a path is for everyone."""
    if path in (LOGIN_PATH, POSTBACK_PATH):
        return method == "POST"
    return method in ("GET", "HEAD") and (path in OPEN_PATHS or path.startswith(FILES_PATH))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    _log.info("refused", status=refusal.status, path=scope["path"][:200], peer=(scope["client"] or ("", 0))[0])
    if scope["type"] == ScopeType.WEBSOCKET:
        await receive()
        # Before accept this is the handshake's answer 403; the framework's servers have no other.
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.detail})
        return
    body = msgspec.json.encode({"detail": refusal.detail})
    headers = [*JSON_HEADERS, (b"content-length", str(len(body)).encode())]
    if refusal.status == WHO.status:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
