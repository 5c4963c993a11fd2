"""Who may use the sandbox: request tokens, access tokens and their end, as Kite's login does it.

Any api_key is an app with the secret API_SECRET; "sandbox" is the usual one. An app has a user of its own, and any
other whose client code a login names.
A request token is for one use within minutes. An access token ends at 06:00 IST, by logout, or by the fault
`expire_token`; it outlives a restart of the sandbox in <data>/sandbox/sessions.json (0600).
"""

import hashlib
import hmac
import os
import re
import secrets
import zlib
from pathlib import Path

import msgspec
from aiohttp import web

from ops.sandbox.envelope import input_refused, token_refused

API_KEY = "sandbox"
API_SECRET = "sandbox-secret"  # noqa: S105  # every sandbox app's secret is known to everyone
SECOND_NS = 1_000_000_000
REQUEST_TOKEN_NS = 300 * SECOND_NS  # "a few minutes"
DAY_NS = 86_400 * SECOND_NS
# 06:00 IST is 00:30 UTC.
EXPIRY_NS = 30 * 60 * SECOND_NS
# Whoever logs in again and again must not grow the file; the real one keeps a single session for an app and user.
SESSIONS_MAX = 1_000
_USER = re.compile("[A-Z]{2}[0-9]{4}")


class Session(msgspec.Struct, frozen=True):
    """One login. user: the client code."""

    access_token: str
    api_key: str
    login_ns: int
    expires_ns: int
    user: str = ""


class Sessions:
    """All logins of the sandbox."""

    def __init__(self, path: Path) -> None:
        """Take up the sessions that `path` keeps."""
        self._path = path
        self._requested: dict[str, tuple[str, int, str]] = {}
        kept = msgspec.json.decode(path.read_bytes(), type=list[Session]) if path.exists() else []
        self._sessions = {
            session.access_token: msgspec.structs.replace(session, user=session.user or user_id(session.api_key))
            for session in kept
        }

    def request(self, api_key: str, now_ns: int, user: str = "") -> str:
        """Log a user of an app in, its own where none is named; give the request token."""
        if not api_key:
            raise input_refused("Missing or empty field `api_key`")
        if user and not _USER.fullmatch(user):
            raise input_refused("Invalid `user_id`. It should be two letters and four digits.")
        self._requested = {token: held for token, held in self._requested.items() if held[1] > now_ns}
        token = secrets.token_urlsafe(24)
        self._requested[token] = (api_key, now_ns + REQUEST_TOKEN_NS, user or user_id(api_key))
        return token

    def exchange(self, api_key: str, request_token: str, checksum: str, now_ns: int) -> Session:
        """Give an access token for a request token; `checksum` is sha256(api_key + request_token + api_secret)."""
        for name, value in (("api_key", api_key), ("request_token", request_token), ("checksum", checksum)):
            if not value:
                raise input_refused(f"Missing or empty field `{name}`")
        wanted = hashlib.sha256(f"{api_key}{request_token}{API_SECRET}".encode()).hexdigest()
        if not hmac.compare_digest(wanted, checksum):
            raise token_refused("Invalid `checksum`.")
        held = self._requested.pop(request_token, None)
        if held is None or held[0] != api_key or held[1] <= now_ns:
            raise token_refused("Token is invalid or has expired.")
        return self._open(api_key, now_ns, held[2])

    def find(self, api_key: str, access_token: str, now_ns: int) -> Session | None:
        """Give the session of a token that is good at `now_ns`."""
        session = self._sessions.get(access_token)
        return session if session and session.api_key == api_key and session.expires_ns > now_ns else None

    def close(self, access_token: str) -> None:
        """End one session; an unknown token is no error."""
        if self._sessions.pop(access_token, None):
            self._keep()

    def expire(self, user: str | None = None) -> int:
        """End every session, or those of one user; give how many there were."""
        before = len(self._sessions)
        kept = {} if user is None else {token: held for token, held in self._sessions.items() if held.user != user}
        self._sessions = kept
        self._keep()
        return before - len(kept)

    def _open(self, api_key: str, now_ns: int, user: str) -> Session:
        session = Session(secrets.token_urlsafe(24), api_key, now_ns, next_expiry(now_ns), user)
        alive = [held for held in self._sessions.values() if held.expires_ns > now_ns][-SESSIONS_MAX + 1 :]
        self._sessions = {held.access_token: held for held in [*alive, session]}
        self._keep()
        return session

    def _keep(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(list(self._sessions.values())))
        draft.replace(self._path)


def token_of(request: web.Request) -> tuple[str, str]:
    """Give api_key and access_token of a request's header, `Authorization: token key:token`; empty ones for none."""
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    api_key, _, access_token = pair.partition(":")
    return (api_key if scheme == "token" else "", access_token)


def next_expiry(now_ns: int) -> int:
    """Give the first 06:00 IST after `now_ns`."""
    return now_ns + DAY_NS - (now_ns - EXPIRY_NS) % DAY_NS


def user_id(api_key: str) -> str:
    """Give the client code of an app's user: SB and four digits."""
    return "SB0001" if api_key == API_KEY else f"SB{zlib.crc32(api_key.encode()) % 10_000:04}"
