"""Ask a Bahi's API whether it can serve."""

import contextlib
import http.client
import socket

ASK_SECONDS_MAX = 3.0
"""An API that takes longer is not ready, whatever it would say."""

ANSWER_BYTES_MAX = 4096

ANY_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # a key, not something to bind
"""Where to reach a server on this machine that listens everywhere."""


def reachable(host: str) -> str:
    """Return the address under which a server that listens on `host` is reached from this machine."""
    return ANY_ADDRESSES.get(host, host)


def url(host: str, port: int) -> str:
    """Return the URL of an API that listens on `host` and `port`, to open on this machine."""
    address = reachable(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def missing(host: str, port: int) -> str | None:
    """Ask GET /ready; return None where it answers 200, else what it says is missing. Blocks up to ASK_SECONDS_MAX."""
    connection = http.client.HTTPConnection(reachable(host), port, timeout=ASK_SECONDS_MAX)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"the API does not answer ({error})"
    finally:
        connection.close()
    return None if answer.status == http.HTTPStatus.OK else f"GET /ready says {answer.status}: {body}"


def taken_by_another(host: str, port: int) -> str | None:
    """Return why a server could not listen on `host` and `port`, None where it could."""
    for family, kind, protocol, _, address in _addresses(host, port):
        with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                return error.strerror or str(error)
    return None


def _addresses(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    """Look the host up; an unknown one is a reason of its own at bind."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))]
    return found  # type: ignore[return-value]  # an IPv6 address has two more fields, which bind takes as they are
