"""The tariffs that ship with Bahi, as texts: dated rates of brokers, exchanges and governments, never computed.

What the rows mean is known in `money/charges`, which reads such a text, be it one of these or a user's own.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

from runtime.errors import SettingError

_FOLDER = Path(__file__).parent


class Shipped(msgspec.Struct, frozen=True):
    """A tariff as it lies in the folder. sha256: of its bytes in UTF-8, in hexadecimal."""

    name: str
    text: str
    sha256: str


def names() -> tuple[str, ...]:
    """Give the brokers whose tariff ships, in order of their names."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


@cache
def shipped(name: str = "zerodha") -> Shipped:
    """Give the tariff of this broker; raise SettingError where none ships."""
    if name not in names():
        raise SettingError(f"a broker of {', '.join(names())}", name, "correct the name, or write a tariff of your own")
    raw = (_FOLDER / f"{name}.toml").read_bytes()
    return Shipped(name, raw.decode("utf-8"), sha256(raw).hexdigest())
