"""Kite's REST through the real client, with its errors in Bahi's tree and its dumps as they came.

Only what may be asked twice goes through here; an order never does.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from producers.kite.address import Address
from runtime.errors import BadInput, TokenRefused, Unreachable

TIMEOUT_SECONDS = 30  # the instruments dump is 7 MB; the client's own 7 s are too few on a slow line

Answer = TypeVar("Answer")


class _RawDumps(KiteConnect):
    """The client, giving the instruments dump as bytes: the event keeps what came, not what a loader made of it."""

    def _parse_instruments(self, data: bytes) -> bytes:
        return data


class Rest:
    """Blocking calls to one broker; run them in a thread."""

    def __init__(self, address: Address, access_token: str | None = None) -> None:
        """Make a client for an address; a token is needed for all but the login."""
        self._address = address
        self._client = _RawDumps(address.api_key, access_token, root=address.api_root, timeout=TIMEOUT_SECONDS)

    def instruments(self) -> bytes:
        """Give the day's dump of all exchanges: CSV of 12 columns, about 86,000 rows. Raises as `_asked`."""
        dump: bytes = _asked("the instruments dump", self._client.instruments)
        return dump

    def login_url(self) -> str:
        """Give the address of the page on which a person logs in; it leads back with a request token."""
        return str(self._client.login_url())

    def log_in(self, request_token: str, api_secret: str) -> str:
        """Give the access token for a request token. Raises as `_asked`."""
        session = _asked("the session", lambda: self._client.generate_session(request_token, api_secret))
        return str(session["access_token"])

    def sandbox_request_token(self, user: str = "") -> str:
        """Give a request token of the sandbox, which needs no person to log in; empty for its own user.

        Raises as `_asked`.
        """

        def ask() -> str:
            url = f"{self._address.api_root}/sandbox/login"
            asked = {"api_key": self._address.api_key, **({"user_id": user} if user else {})}
            answer = requests.post(url, params=asked, timeout=TIMEOUT_SECONDS)
            if answer.status_code == HTTPStatus.BAD_REQUEST:  # a user that cannot be: no later try helps
                raise kite_errors.InputException(answer.json()["message"])
            answer.raise_for_status()
            return str(answer.json()["data"]["request_token"])

        return _asked("the sandbox's login", ask)


def _asked(what: str, ask: Callable[[], Answer]) -> Answer:
    """Ask, in Bahi's errors: TokenRefused, Unreachable (try again), BadInput (never again as it stands)."""
    try:
        return ask()
    except (kite_errors.TokenException, kite_errors.PermissionException) as error:
        raise TokenRefused(f"Kite to give {what}", str(error), "run bahi login for this broker") from error
    except (kite_errors.NetworkException, kite_errors.DataException, requests.RequestException) as error:
        raise Unreachable(
            f"Kite to give {what}", f"{type(error).__name__}: {_root(error)}", "it is tried again"
        ) from error
    except kite_errors.KiteException as error:
        if getattr(error, "code", 500) >= 500:
            raise Unreachable(f"Kite to give {what}", str(error), "it is tried again") from error
        raise BadInput(f"Kite to give {what}", f"{type(error).__name__}: {error}", "mend the request") from error


def _root(error: BaseException) -> BaseException:
    """Give what an error began with: the client wraps "Connection refused" four times, with addresses in it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
