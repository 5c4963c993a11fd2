"""Ask a Bahi's API whether it can serve."""

import http.client

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
