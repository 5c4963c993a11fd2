"""The one-time code of the URL that `bahi up` prints: its SHA-256 and expiry lie in `<data>/run/login_code`.

It is good once: whoever removes the file has used it.
"""

import hashlib
import hmac
from pathlib import Path

import msgspec

from runtime.clock import Clock

CODE_CHARACTERS_MAX = 200  # the supervisor's have 24


class LoginCode(msgspec.Struct, frozen=True):
    """The file's content. sha256: of the code's ASCII, in hex. expires_at_ns: UTC epoch."""

    sha256: str
    expires_at_ns: int


def use(data_dir: Path, code: str, clock: Clock) -> bool:
    """Say whether this is the code that is open, and use it up. Blocks on the disk."""
    path = data_dir / "run" / "login_code"
    try:
        held = msgspec.json.decode(path.read_bytes(), type=LoginCode)
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    found = hashlib.sha256(code[:CODE_CHARACTERS_MAX].encode()).hexdigest()
    if not hmac.compare_digest(found, held.sha256):
        return False
    try:
        path.unlink()
    except FileNotFoundError:
        return False  # somebody else was first
    return held.expires_at_ns > clock.now_ns()
