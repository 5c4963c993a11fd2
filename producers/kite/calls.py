"""What Kite says of an account, as it said it: one call, its body as bytes, its errors in Bahi's tree.

The SDK's own client reads a body, makes dates of some of its strings and throws the text away; a thread that waits in
it cannot be cut off, and a body that comes drop by drop never ends for it. What is taken from the SDK is what it knows
of Kite: paths, header, time limit, and the names of errors.
"""

import asyncio
import ssl
from collections.abc import Mapping

import aiohttp
import msgspec
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from events.accounts import Kind
from events.budget import Rate
from producers.kite.address import Address
from runtime.clock import Clock
from runtime.errors import BadInput, TokenRefused, Unreachable

ROUTES: Mapping[str, str] = KiteConnect._routes
PATHS: dict[Kind, str] = {
    "orders": ROUTES["orders"],
    "trades": ROUTES["trades"],
    "positions": ROUTES["portfolio.positions"],
    "holdings": ROUTES["portfolio.holdings"],
    "margins": ROUTES["user.margins"],
}
# https://kite.trade/docs/connect/v3/exceptions/#api-rate-limit: "All other endpoints", by API key.
REST_RATE = Rate("kite-rest", calls=10, seconds=1.0)
PROFILE_PATH = ROUTES["user.profile"]
CHARGES_PATH = ROUTES["order.contract_note"]
HEADERS = {"X-Kite-Version": str(KiteConnect.kite_header_version), "User-Agent": "bahi"}
ANSWER_SECONDS_MAX = float(KiteConnect._default_timeout)
BODY_BYTES_MAX = 64 * 1024 * 1024  # 5,000 orders, Kite's limit of a day, are 5 MB
PIECE_BYTES = 64 * 1024
# More than this many calls at once are calls to a broker that does not answer: at Kite's 10 a second and 0.1 s an
# answer one is on its way under each key. The rest waits with its turn taken.
CALLS_AT_ONCE_MAX = 100
SAID_CHARACTERS_MAX = 200  # of a broker's message that is shown; some answer with a page

UNAUTHORIZED, FORBIDDEN, TOO_MANY, SERVER_ERRORS, REDIRECTIONS = 401, 403, 429, 500, 300


class CallFailed(Unreachable):
    """A call brought nothing that can be used; the same call may work later. kind: a word for metrics and tables."""

    def __init__(self, kind: str, what: str, found: str) -> None:
        """kind: network, timeout, throttled, server, cut or unreadable."""
        super().__init__(f"Kite to give {what}", found, "it is tried again")
        self.kind = kind


class Answer(msgspec.Struct, frozen=True):
    """What came: the whole body, and what stands in its `data`. asked_ns, answered_ns: UTC epoch nanoseconds."""

    body: bytes
    data: msgspec.Raw
    asked_ns: int
    answered_ns: int


class _Envelope(msgspec.Struct):
    status: object = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    message: object = None
    error_type: object = None


class Calls:
    """The connections to brokers that speak Kite: kept open, bounded, without cookies."""

    def __init__(self, clock: Clock, seconds_max: float = ANSWER_SECONDS_MAX) -> None:
        """No connection is made before the first call."""
        self._clock = clock
        self._limit = aiohttp.ClientTimeout(total=seconds_max)
        self._places = asyncio.Semaphore(CALLS_AT_ONCE_MAX)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, where: Address, token: str, path: str, what: str, asked: bytes | None = None) -> Answer:
        """Ask for one thing, with a body (JSON) where there is one.

        Raises TokenRefused, CallFailed (try again) and BadInput (never as it stands).
        """
        if not (token.isascii() and token.isprintable()):  # no header can hold it, whatever way it came here
            raise TokenRefused(f"a token to ask Kite for {what} with", "one with strange characters", "log in again")
        headers = {**HEADERS, "Authorization": f"token {where.api_key}:{token}"}
        async with self._places:
            asked_ns = self._clock.now_ns()
            status, body = await self._fetched(where.api_root + path, headers, what, asked)
        answered_ns = self._clock.now_ns()
        return Answer(body, _data(status, body, what), asked_ns, answered_ns)

    async def _fetched(self, url: str, headers: dict[str, str], what: str, asked: bytes | None) -> tuple[int, bytes]:
        if self._session is None:
            self._session = _session()
        method = "GET"
        if asked is not None:
            method, headers = "POST", {**headers, "Content-Type": "application/json"}
        calling = self._session.request(
            method, url, headers=headers, data=asked, timeout=self._limit, allow_redirects=False
        )
        try:
            async with calling as answer:
                return answer.status, await _whole(answer, what)
        except TimeoutError as error:
            raise CallFailed("timeout", what, f"no whole answer within {self._limit.total:g} s") from error
        except aiohttp.ClientPayloadError as error:
            raise CallFailed("cut", what, f"an answer that was cut off: {_short(str(error))}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed("network", what, f"{type(error).__name__}: {_short(str(error))}") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


def _session() -> aiohttp.ClientSession:
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)  # a slim system has none of its own
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=CALLS_AT_ONCE_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),  # one account's must not come with the next one's call
        trust_env=True,  # proxies, as the SDK takes them
    )


async def _whole(answer: aiohttp.ClientResponse, what: str) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_chunked(PIECE_BYTES):
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise BadInput(f"{what} in at most {BODY_BYTES_MAX} bytes", "more", "see what answers at KITE_API_ROOT")
    return bytes(body)


def _data(status: int, body: bytes, what: str) -> msgspec.Raw:
    """Give the data of an answer, or raise what it means."""
    try:
        envelope = msgspec.json.decode(body.decode(), type=_Envelope)  # all of it: `data` is kept unread
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = None
    said = _short(str(envelope.message)) if envelope and envelope.message else f"HTTP {status}"
    name = str(envelope.error_type) if envelope and envelope.error_type else ""
    kind = getattr(kite_errors, name, kite_errors.GeneralException)
    if status in (UNAUTHORIZED, FORBIDDEN) or kind in (kite_errors.TokenException, kite_errors.PermissionException):
        raise TokenRefused(f"Kite to give {what}", said, "run bahi login for this account")
    if status == TOO_MANY:
        raise CallFailed("throttled", what, said)
    if status >= SERVER_ERRORS or kind in (kite_errors.NetworkException, kite_errors.DataException):
        raise CallFailed("server", what, f"HTTP {status}: {said}")
    if status >= REDIRECTIONS or (envelope and (envelope.status == "error" or name)):
        raise BadInput(f"Kite to give {what}", f"HTTP {status}: {name or 'no Kite'}: {said}", "see its documentation")
    if envelope is None:
        raise CallFailed("unreadable", what, f"{len(body)} bytes that are not Kite's JSON")
    return envelope.data


def _short(text: str) -> str:
    return " ".join(text.replace("\x00", " ").split())[:SAID_CHARACTERS_MAX]
