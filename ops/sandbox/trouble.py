"""What goes wrong with the answers of REST on purpose: they are refused, late, cut, or not what was expected.

A rule is for all requests, or for those of one user, of one kind of path, or both; it holds for so many answers, or for
so many seconds. Faults that answer in the handler's place leave the request undone; the others change or hold back what
the handler answered, so that an order was placed of which the client never hears.
"""

import asyncio
import re
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from ops.sandbox.envelope import Handler, Refusal, failure, input_refused, token_refused, too_many
from ops.sandbox.session import Sessions, token_of

# The first that fits, by method and path; `order` is placing, changing and cancelling.
KINDS = {
    "order": re.compile("(POST|PUT|DELETE) /orders/.*"),
    "trades": re.compile("GET (/trades|/orders/[^/]+/trades)"),
    "orders": re.compile("GET /orders(/.*)?"),
    "positions": re.compile("[A-Z]+ /portfolio/positions"),
    "holdings": re.compile("GET /portfolio/holdings"),
    "margins": re.compile("GET /user/margins(/.*)?"),
    "quote": re.compile("GET /quote(/.*)?"),
    "instruments": re.compile("GET /instruments(/.*)?"),
    "session": re.compile("[A-Z]+ (/session/.*|/user/profile)"),
    "charges": re.compile("POST /charges/orders"),
    "gtt": re.compile("[A-Z]+ /gtt/.*"),
}
UNTOUCHED = re.compile("/|/connect/login|/sandbox/.*")
ERROR_TYPES = {500: "GeneralException", 502: "DataException", 503: "NetworkException", 504: "NetworkException"}
STRANGE_STATUS = "ON HOLD"  # Kite has no such status
PROXY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>\n"


class Rule(msgspec.Struct, kw_only=True):
    """A fault that is still to meet answers. left: so many; until: or up to this monotonic time, in seconds."""

    fault: str
    user: str | None
    kind: str | None
    status: int
    what: str
    delay: float
    left: int
    until: float | None

    def fits(self, user: str | None, kind: str) -> bool:
        """Tell whether it is meant for such a request."""
        return self.user in (None, user) and self.kind in (None, kind)

    def is_over(self, now: float) -> bool:
        """Tell whether it has done its work."""
        return self.left <= 0 if self.until is None else now >= self.until


Change = Callable[[object, Rule], object]


def _strings(data: object, rule: Rule) -> object:
    if isinstance(data, dict):
        return {name: _strings(value, rule) for name, value in data.items()}
    if isinstance(data, list):
        return [_strings(value, rule) for value in data]
    return str(data) if isinstance(data, int | float) and not isinstance(data, bool) else data


def _no_tags(data: object, rule: Rule) -> object:
    for order in data if isinstance(data, list) else ():
        order.pop("tags", None)
        if rule.what == "null":
            order["tags"] = None
    return data


def _unknown_status(data: object, _rule: Rule) -> object:
    if isinstance(data, list) and data and "status" in data[-1]:
        data[-1]["status"] = STRANGE_STATUS
    return data


def _empty(data: object, _rule: Rule) -> object:
    if isinstance(data, list):
        return []
    return {name: [] for name, value in data.items() if isinstance(value, list)} if isinstance(data, dict) else data


CHANGES: dict[str, Change] = {
    "strings": _strings,
    "no_tags": _no_tags,
    "unknown_status": _unknown_status,
    "empty": _empty,
}
REPLACES = ("refuse_token", "too_many", "server_error", "html")
FAULTS = (*REPLACES, *CHANGES, "half", "latency")
STATUSES = {"refuse_token": (403, 401), "server_error": tuple(ERROR_TYPES), "html": (502, 200, 403, 500, 503, 504)}


class Trouble:
    """The rules, and the middleware that plays them."""

    def __init__(self, sessions: Sessions) -> None:
        """sessions: tell whose a request is."""
        self.rules: list[Rule] = []
        self._sessions = sessions

    def add(self, rule: Rule) -> None:
        """Let a rule hold from now on, behind those that hold already. Raises Refusal."""
        if rule.kind is not None and rule.kind not in KINDS:
            raise input_refused(f"Wanted a kind of {', '.join(KINDS)}, found {rule.kind!r}")
        statuses = STATUSES.get(rule.fault, (0,))
        rule.status = rule.status or statuses[0]
        if rule.status not in statuses:
            raise input_refused(f"Wanted a status of {statuses} for {rule.fault}, found {rule.status}")
        self.rules.append(rule)

    @web.middleware
    async def meddle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer as the rules want it."""
        if not self.rules or UNTOUCHED.fullmatch(request.path):
            return await handler(request)
        session = self._sessions.find(*token_of(request), time.time_ns())
        chosen = self._choose(session.user if session else None, kind_of(request))
        held = sum(rule.delay for rule in chosen if rule.fault == "latency")
        others = [rule for rule in chosen if rule.fault != "latency"]
        answer = _replaced(others[0]) if others and others[0].fault in REPLACES else await handler(request)
        if held:
            await asyncio.sleep(held)
        if others and isinstance(answer, web.Response):
            return await _changed(request, answer, others[0])
        return answer

    def _choose(self, user: str | None, kind: str) -> list[Rule]:
        """Take the rules for one answer: the first that fits, and every latency."""
        now = time.monotonic()
        self.rules = [rule for rule in self.rules if not rule.is_over(now)]
        fitting = [rule for rule in self.rules if rule.fits(user, kind)]
        chosen = [rule for rule in fitting if rule.fault == "latency"]
        chosen += [rule for rule in fitting if rule.fault != "latency"][:1]
        for rule in chosen:
            rule.left -= 1
        return chosen


def kind_of(request: web.Request) -> str:
    """Give the kind of a request's path; `other` for what has none."""
    asked = f"{request.method} {request.path}"
    return next((kind for kind, form in KINDS.items() if form.fullmatch(asked)), "other")


def _replaced(rule: Rule) -> web.Response:
    if rule.fault == "html":
        return web.Response(status=rule.status, body=PROXY_PAGE, content_type="text/html")
    if rule.fault == "too_many":
        return failure(too_many())
    if rule.fault == "refuse_token":
        return failure(Refusal(rule.status, "TokenException", token_refused().message))
    return failure(Refusal(rule.status, ERROR_TYPES[rule.status], "Something went wrong. Please try again."))


async def _changed(request: web.Request, answer: web.Response, rule: Rule) -> web.StreamResponse:
    """Change an answer that the handler gave; one that is not what the fault is about stays as it is."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    if rule.fault == "half":
        return await _half(request, answer, body)
    if rule.fault in CHANGES and answer.status == web.HTTPOk.status_code and "json" in answer.content_type:
        envelope = msgspec.json.decode(body)
        envelope["data"] = CHANGES[rule.fault](envelope["data"], rule)
        answer.body = msgspec.json.encode(envelope)
    return answer


async def _half(request: web.Request, answer: web.Response, body: bytes) -> web.StreamResponse:
    """Announce all of a body and send the first half of it."""
    cut = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport:
        request.transport.close()
    return cut
