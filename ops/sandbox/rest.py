"""The REST of Kite Connect v3 that a data client needs."""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from ops.sandbox import history, instruments, quotes
from ops.sandbox.envelope import Refusal, input_refused, success, token_refused
from ops.sandbox.hub import Hub
from ops.sandbox.limits import Limits
from ops.sandbox.session import Session, Sessions, token_of
from ops.sandbox.stage import Stage
from runtime.calendar import IST

QUOTE_KEYS_MAX, SHORT_QUOTE_KEYS_MAX = 500, 1_000  # Kite's limits of one request
EXCHANGES = ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "MF"]

History = Callable[[int, history.Asked], list[history.Candle]]
Quote = Callable[[Stage, int], dict[str, object]]


class Rest:
    """Answers requests about sessions, instruments and quotes."""

    def __init__(self, hub: Hub, sessions: Sessions, limits: Limits, history: History, redirect_url: str) -> None:
        """Show what `hub` plays; `history` gives candles, `redirect_url` is where a login leads to."""
        self._history = history
        self._hub = hub
        self._sessions = sessions
        self._limits = limits
        self._redirect_url = redirect_url

    def routes(self) -> list[web.RouteDef]:
        """Give all of them."""
        return [
            web.get("/connect/login", self.login),
            web.post("/session/token", self.open_session),
            web.delete("/session/token", self.close_session),
            web.get("/user/profile", self.profile),
            web.get("/instruments", self.dump),
            web.get("/instruments/historical/{token}/{interval}", self.historical),
            web.get("/instruments/{exchange}", self.dump),
            web.get("/quote", self._quotes(quotes.quote, QUOTE_KEYS_MAX)),
            web.get("/quote/ohlc", self._quotes(quotes.ohlc, SHORT_QUOTE_KEYS_MAX)),
            web.get("/quote/ltp", self._quotes(quotes.ltp, SHORT_QUOTE_KEYS_MAX)),
        ]

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Log in at once, without a password, and lead to the app with a request token."""
        query = request.query
        token = self._sessions.request(query.get("api_key", ""), time.time_ns(), query.get("user_id", ""))
        told = f"action=login&type=login&status=success&request_token={token}"
        raise web.HTTPFound(f"{self._redirect_url}?{told}")

    async def open_session(self, request: web.Request) -> web.StreamResponse:
        """Exchange a request token for an access token."""
        form = await request.post()
        api_key, request_token, checksum = (
            str(form.get(name, "")) for name in ("api_key", "request_token", "checksum")
        )
        self._limits.take(api_key, "other", time.monotonic())
        session = self._sessions.exchange(api_key, request_token, checksum, time.time_ns())
        login = datetime.datetime.fromtimestamp(session.login_ns / 1e9, IST)
        return success(
            {
                **_user(session.user),
                "api_key": api_key,
                "access_token": session.access_token,
                "public_token": session.access_token[::-1],
                "enctoken": "",
                "refresh_token": "",
                "silo": "",
                "login_time": login.strftime("%Y-%m-%d %H:%M:%S"),
            }
        )

    async def close_session(self, request: web.Request) -> web.StreamResponse:
        """Log out."""
        query = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
        self._admit(query.get("api_key", ""), query.get("access_token", ""), "other")
        self._sessions.close(query["access_token"])
        return success(True)

    async def profile(self, request: web.Request) -> web.StreamResponse:
        """Tell who is logged in."""
        return success(_user(self.admit(request, "other").user))

    async def dump(self, request: web.Request) -> web.StreamResponse:
        """Give the instruments of the day as CSV, of one exchange or all."""
        self.admit(request, "other")
        exchange = request.match_info.get("exchange")
        wanted = [i for i in self._hub.stage.instruments if exchange in (None, i.exchange)]
        if exchange is not None and exchange not in EXCHANGES:
            raise Refusal(404, "GeneralException", "Route not found")
        response = web.Response(body=instruments.dump(wanted), content_type="text/csv")
        response.enable_compression()
        return response

    async def historical(self, request: web.Request) -> web.StreamResponse:
        """Give the candles of one instrument."""
        self.admit(request, "historical")
        token = request.match_info["token"]
        place = self._hub.stage.places.get(int(token)) if token.isdecimal() else None
        if place is None:
            raise input_refused("invalid token")
        ask = history.asked(request.match_info["interval"], dict(request.query))
        # Seconds of numpy for the longest spans: ticks go on meanwhile.
        return success({"candles": await asyncio.to_thread(self._history, place, ask)})

    def admit(self, request: web.Request, kind: str) -> Session:
        """Check key, token and limit of a request; raise what Kite would answer."""
        return self._admit(*token_of(request), kind)

    def _admit(self, api_key: str, access_token: str, kind: str) -> Session:
        self._limits.take(api_key, kind, time.monotonic())
        session = self._sessions.find(api_key, access_token, time.time_ns())
        if session is None:
            raise token_refused()
        return session

    def _quotes(self, show: Quote, keys_max: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            """Show the instruments of the query's i=..."""
            self.admit(request, "quote")
            keys = request.query.getall("i", [])
            if not 0 < len(keys) <= keys_max:
                raise input_refused(f"Wanted 1 to {keys_max} instruments in `i`, found {len(keys)}")
            stage = self._hub.stage
            return success({key: show(stage, place) for key, place in quotes.find(stage, keys).items()})

        return answer


def _user(user: str) -> dict[str, object]:
    return {
        "user_id": user,
        "user_type": "individual",
        "email": f"{user.lower()}@example.com",
        "user_name": "Sandbox User",
        "user_shortname": "Sandbox",
        "broker": "ZERODHA",
        "exchanges": EXCHANGES,
        "products": ["CNC", "NRML", "MIS", "BO", "CO"],
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "avatar_url": None,
        "meta": {"demat_consent": "physical"},
    }
