"""How the value of a setting is spelled: text in, a checked value out, or `ValueError`.

Each reader accepts what a person would write. None of them knows the setting's name: `runtime.settings`
turns a `ValueError` into the error that carries name, masked value and what was wanted.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})
INSTRUMENT = re.compile(r"\d{1,18}|[A-Z]{2,5}:[^,\s][^,]*")
HOST_NAME = re.compile(r"[0-9a-z._-]+")
HOST = re.compile(r"[0-9A-Za-z._:\-\[\]]+")

Read = Callable[[str], object]


def word(text: str) -> str:
    """Read text as it stands."""
    return text


def yes_or_no(text: str) -> bool:
    """Read true/yes/on/1 or false/no/off/0 in any case."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError(text)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Make a reader of whole numbers from `least` to `most`, both included."""

    def read(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise ValueError(text)
        return number

    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """Make a reader of one of the lower-case `choices`, in any case."""

    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(text)
        return text.lower()

    return read


def list_of(item: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """Make a reader of a comma-separated list of `item` without repeats, in the order given."""

    def read(text: str) -> tuple[str, ...]:
        items = tuple(item(part.strip()) for part in text.split(",") if part.strip())
        return tuple(dict.fromkeys(items))

    return read


def instrument(text: str) -> str:
    """Read an instrument token (`408065`) or `EXCHANGE:SYMBOL` (`NSE:INFY`)."""
    if not INSTRUMENT.fullmatch(text.upper()):
        raise ValueError(text)
    return text.upper()


def host(text: str) -> str:
    """Read an address or host name to listen on."""
    if not HOST.fullmatch(text):
        raise ValueError(text)
    return text


def host_name(text: str) -> str:
    """Read a host name, in lower case, without scheme and port."""
    if not HOST_NAME.fullmatch(text.lower()):
        raise ValueError(text)
    return text.lower()


def path(text: str) -> Path:
    """Read a path; a relative one counts from the working directory."""
    return Path(text).expanduser().absolute()


def url(*schemes: str, host_required: bool = True) -> Callable[[str], str]:
    """Make a reader of URLs of one of `schemes`, without the slash at the end."""

    def read(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or (host_required and not parts.hostname):
            raise ValueError(text)
        assert parts.port is None or parts.port > 0, "urlsplit raises on a port that is none"
        return text.rstrip("/")

    return read


def redis_url(text: str) -> str:
    """Read a URL of Redis; of a cluster it may name several nodes, by commas."""
    parts = urlsplit(text)
    user, at, hosts = parts.netloc.rpartition("@")
    read = url("redis", "rediss", "unix", host_required="," in hosts)
    for host in hosts.split(","):
        read(urlunsplit(parts._replace(netloc=f"{user}{at}{host}")))
    return text.rstrip("/")


def masked_url(text: str) -> str:
    """Hide the password of a URL; any other text is given back as it is."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
