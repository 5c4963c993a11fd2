"""The vault: secrets encrypted at rest under `<data>/secrets`, each with a version that only grows.

    master.key                the key that opens everything else; readable by its owner only
    <name>.secret             version, the secret's own key under the master key, the secret under its own key
    .lock                     held while something is written

Each secret has a key of its own, so that a new master key re-encrypts keys and never secrets. A master key is
replaced by writing a new one as the first line of `master.key`: what is written from then on uses the first, what
was written before is opened with any.

Written whole and atomically: a reader meets the old version or the new one, never a mixture. Events in the log
carry a secret's name and version, and never the secret.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from runtime.errors import SettingError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}")
OWNER_ONLY = 0o600


def account_secret(account: str, what: str) -> str:
    """Give the name of an account's `access_token`, `api_key` or `api_secret`."""
    return f"accounts/{account}/{what}"


def customer_secret(broker: str, user: str) -> str:
    """Give the name under which the secret of a broker's customer's app lies: who checks a signature knows no more."""
    return f"customers/{broker}/{user}/api_secret"


class _Sealed(msgspec.Struct, frozen=True):
    version: int
    key: str
    body: str


class Vault:
    """The secrets of one data directory; any number of processes may use it at once. All calls block on the disk."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "secrets"

    def put(self, name: str, secret: str) -> int:
        """Store `secret` as `name` ("kite/access_token"); give its version, one more than the one before."""
        path = self._path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            before = _read(path)
            version = before.version + 1 if before else 1
            key = Fernet.generate_key()
            body = Fernet(key).encrypt(secret.encode())
            sealed = _Sealed(version, self._master(create=True).encrypt(key).decode(), body.decode())
            _write(path, msgspec.json.encode(sealed))
        return version

    def get(self, name: str) -> tuple[str, int] | None:
        """Give the secret and its version, or None if never stored; raise `SettingError` if it cannot be opened."""
        sealed = _read(self._path(name))
        if sealed is None:
            return None
        try:
            key = self._master(create=False).decrypt(sealed.key.encode())
            return Fernet(key).decrypt(sealed.body.encode()).decode(), sealed.version
        except InvalidToken as error:
            raise self._unopenable(f"{name} under another one") from error

    def stamp(self, name: str) -> int:
        """Give a number that is another one once `name` was stored again, 0 where it never was; nothing is opened."""
        try:
            return self._path(name).stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _path(self, name: str) -> Path:
        assert NAME.fullmatch(name), f"a secret's name is up to four words with slashes between, found {name!r}"
        return self._folder / f"{name}.secret"

    def _master(self, *, create: bool) -> MultiFernet:
        path = self._folder / "master.key"
        if not path.exists():
            if not create or any(self._folder.rglob("*.secret")):
                raise self._unopenable("no master.key")
            _write(path, Fernet.generate_key() + b"\n")
        try:
            return MultiFernet([Fernet(line) for line in path.read_bytes().split()])
        except ValueError as error:
            raise self._unopenable("a master.key that is none") from error

    def _unopenable(self, found: str) -> SettingError:
        return SettingError(
            f"the master key that wrote the secrets in {self._folder}",
            found,
            "put back master.key from a backup, or remove the folder and log in again",
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _read(path: Path) -> _Sealed | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Sealed)
    except FileNotFoundError:
        return None


def _write(path: Path, body: bytes) -> None:
    draft = path.with_name(path.name + ".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
