"""The one-time code in the URL that `bahi up` prints.

The code stands in the fragment of the URL, which browsers do not send. Only its SHA-256 is on disk, in
`<data>/run/login_code` (0600), with its expiry; the API exchanges it once for a session, from loopback only.
"""

import hashlib
import secrets
from pathlib import Path

import msgspec

from api.login_code import LoginCode
from ops.embedded.place import write_private
from runtime.clock import Clock

CODE_BYTES = 18
"""144 bits in 24 characters."""

CODE_SECONDS = 600
"""Ten minutes: the contract's."""

NANOSECONDS = 1_000_000_000


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
