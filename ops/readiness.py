"""Ask a Bahi's API whether it can serve."""

import http.client
import socket

ASK_SECONDS_MAX = 3.0
"""An API that takes longer is not ready, whatever it would say."""

ANSWER_BYTES_MAX = 4096

ANY_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # looked up, not bound
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
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        return f"no such host ({error.strerror})"
    reasons = (_reason(family, address) for family, _, _, _, address in found)
    return next(filter(None, reasons), None)


def _reason(family: int, address: tuple[str | int | bytes, ...]) -> str | None:
    """Return why an address cannot be listened on, None where it can."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT is free to them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error.strerror or str(error)
    return None
