"""What lets the user in: the administrator's key, and the one-time code in the URL that `bahi up` prints.

The code stands in the fragment of the URL, which browsers do not send. Only its SHA-256 is on disk, in
`<data>/run/login_code` (0600), with its expiry; the API exchanges it once for a session, from loopback only.
"""

import hashlib
import secrets
from pathlib import Path

import msgspec

from ops.embedded.place import write_private
from runtime.clock import Clock
from runtime.vault import Vault

CODE_BYTES = 18
"""144 bits in 24 characters."""

CODE_SECONDS = 600
"""Ten minutes: the contract's."""

KEY_BYTES = 32

KEY_NAME = "api/key"
"""The administrator's key in the vault, where BAHI_API_KEY is not set."""

NANOSECONDS = 1_000_000_000


class LoginCode(msgspec.Struct, frozen=True):
    """The file's content."""

    sha256: str
    """Of the code's ASCII, in lower-case hex."""
    expires_at_ns: int
    """UTC epoch."""


def login_code_path(data_dir: Path) -> Path:
    """Return the path of the file; the API removes it when the code has been used."""
    return data_dir / "run" / "login_code"


def make_code(data_dir: Path, clock: Clock) -> str:
    """Make a new one-time code; an earlier one is good no more."""
    code = secrets.token_urlsafe(CODE_BYTES)
    expires_at_ns = clock.now_ns() + CODE_SECONDS * NANOSECONDS
    content = LoginCode(hashlib.sha256(code.encode()).hexdigest(), expires_at_ns)
    write_private(login_code_path(data_dir), msgspec.json.encode(content).decode())
    return code


def make_key(data_dir: Path) -> str | None:
    """Make the administrator's key unless the vault has one; return it when it is new."""
    vault = Vault(data_dir)
    if vault.get(KEY_NAME) is not None:
        return None
    key = secrets.token_urlsafe(KEY_BYTES)
    vault.put(KEY_NAME, key)
    return key
