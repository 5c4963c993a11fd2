"""Ask our own API, as the administrator: what commands do that want something of a running Bahi.

Commands never write to the log or the tables themselves; they ask, as every client does.
"""

import http.client

import msgspec

from api.keys import KEY_NAME
from ops import readiness
from runtime.errors import BadInput, SettingError, Unreachable
from runtime.settings import Settings
from runtime.vault import Vault

ANSWER_SECONDS_MAX = 10.0
"""The API answers from memory and indexes; a request waits for the disk at most 5 s."""

ANSWER_BYTES_MAX = 16 * 1024 * 1024


class Refusal(msgspec.Struct):
    """An answer that is none of the wished: every error of the API has a `detail`."""

    detail: str = ""


def administrators_key(settings: Settings) -> str:
    """Return BAHI_API_KEY, else the vault's key. Raises SettingError where there is neither."""
    kept = None if settings.bahi_api_key else Vault(settings.bahi_data_dir).get(KEY_NAME)
    key = settings.bahi_api_key or (kept[0] if kept else None)
    if key is None:
        raise SettingError(
            "an administrator's key",
            f"neither BAHI_API_KEY nor one in the vault of {settings.bahi_data_dir}",
            "start `bahi up`, which makes one, or set BAHI_API_KEY",
        )
    return key


def ask(settings: Settings, method: str, path: str, body: object = None) -> bytes:
    """Send one request and return the answer's body, JSON.

    Raises Unreachable where nobody answers or the API cannot serve now, BadInput where it refuses.
    """
    connection = http.client.HTTPConnection(
        readiness.reachable(settings.api_host), settings.api_port, timeout=ANSWER_SECONDS_MAX
    )
    headers = {"Authorization": f"Bearer {administrators_key(settings)}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
        answer = connection.getresponse()
        said = answer.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"the API at {readiness.url(settings.api_host, settings.api_port)}",
            f"no answer ({error})",
            "start `bahi up`, or set API_HOST and API_PORT to where it runs",
        ) from error
    finally:
        connection.close()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise _refused(f"{method} {path}", answer.status, said)
    return said


def _refused(asked: str, status: int, said: bytes) -> BadInput | Unreachable:
    """Build the error of an answer that is none."""
    try:
        detail = msgspec.json.decode(said, type=Refusal).detail
    except msgspec.DecodeError:
        detail = said.decode(errors="replace")[:200]
    found = f"{status}: {detail}"
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unreachable(f"{asked} to be served", found, "look at `bahi status` and the log of `bahi api`")
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return BadInput(f"{asked} to be allowed", found, "set BAHI_API_KEY to the key of the API that runs there")
    return BadInput(f"{asked} to be taken", found, "mend the request")
