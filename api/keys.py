"""Who may come in: the administrator's key, and sessions that are made from it.

The key is BAHI_API_KEY, else the vault's `api/key`, which is made at the first start. A session is a signed word that a
browser keeps in a cookie: `<expiry>.<random>.<mac>`, the MAC under a key derived from the administrator's. So sessions
outlive a restart of the API, no table of them exists, and a new key ends them all.
"""

import hashlib
import hmac
import secrets

from runtime.clock import NS_PER_SECOND, Clock
from runtime.settings import Settings
from runtime.vault import Vault

KEY_NAME = "api/key"
KEY_BYTES = 32
SESSION_SECONDS = 7 * 86_400  # a trading week; a browser that stays closed for longer logs in again
RANDOM_BYTES = 12
SESSION_CHARACTERS_MAX = 200  # ours have about 100


class Keys:
    """The administrator's key, compared in constant time, and the sessions under it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Know no key yet; `load` finds it."""
        self._given = settings.bahi_api_key
        self._vault = Vault(settings.bahi_data_dir)
        self._clock = clock
        self._bearer = b""
        self._signing = b""

    def load(self) -> str | None:
        """Read the key again, or make one; give it where it was made now. Blocks on the disk."""
        made = None
        key = self._given
        if key is None:
            held = self._vault.get(KEY_NAME)
            if held is None:
                made = secrets.token_urlsafe(KEY_BYTES)
                self._vault.put(KEY_NAME, made)
            key = held[0] if held else made
        assert key, "there is a key by now"
        self._bearer = b"Bearer " + key.encode()
        self._signing = hmac.digest(key.encode(), b"bahi session", "sha256")
        return made

    def opens(self, authorization: bytes) -> bool:
        """Say whether an Authorization header carries the key."""
        return bool(self._bearer) and hmac.compare_digest(authorization, self._bearer)

    def is_key(self, key: str) -> bool:
        """Say whether this is the key."""
        return self.opens(b"Bearer " + key.encode())

    def make_session(self) -> str:
        """Give a new session, good for SESSION_SECONDS."""
        expiry = self._clock.now_ns() // NS_PER_SECOND + SESSION_SECONDS
        body = f"{expiry}.{secrets.token_urlsafe(RANDOM_BYTES)}"
        return f"{body}.{self._mac(body)}"

    def is_session(self, word: str) -> bool:
        """Say whether a session is one of ours and not over."""
        if not self._signing or len(word) > SESSION_CHARACTERS_MAX:
            return False
        body, _, mac = word.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(body).encode()):
            return False
        return int(body.partition(".")[0]) > self._clock.now_ns() // NS_PER_SECOND

    def _mac(self, body: str) -> str:
        return hmac.new(self._signing, body.encode(), hashlib.sha256).hexdigest()
