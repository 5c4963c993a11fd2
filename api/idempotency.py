"""The key with which a client says that a request is the one that it sent before."""

from api.answers import Asked
from runtime.errors import BadInput

IDEMPOTENCY_HEADER = "idempotency-key"
KEY_CHARACTERS_MAX = 200


def key_of(request: Asked) -> str:
    """Give the client's key, empty without one. Raises BadInput where it is too long."""
    key = request.headers.get(IDEMPOTENCY_HEADER, "")
    if len(key) > KEY_CHARACTERS_MAX:
        raise BadInput(f"an Idempotency-Key of at most {KEY_CHARACTERS_MAX} characters", str(len(key)), "shorten it")
    return key
