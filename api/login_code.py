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


class LoginCodes:
    """The code that is open, if one is."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        """Look at nothing yet."""
        self._path = data_dir / "run" / "login_code"
        self._clock = clock

    def use(self, code: str) -> bool:
        """Say whether this is the code that is open, and use it up. Blocks on the disk."""
        try:
            held = msgspec.json.decode(self._path.read_bytes(), type=LoginCode)
        except (FileNotFoundError, msgspec.DecodeError):
            return False
        found = hashlib.sha256(code[:CODE_CHARACTERS_MAX].encode()).hexdigest()
        if not hmac.compare_digest(found, held.sha256):
            return False
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False  # somebody else was first
        return held.expires_at_ns > self._clock.now_ns()
