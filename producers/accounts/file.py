"""ACCOUNTS_FILE: the user's accounts as TOML. docs/accounts.md shows one.

A file that is wrong stops the process at its start; one that is made wrong later is said, and the accounts stay as
they were. Its values are never shown, they may be secrets.
"""

import stat
import tomllib
from pathlib import Path

import msgspec

from producers.accounts.account import Account, checked
from runtime.errors import SettingError
from runtime.settings import Settings

OTHERS = stat.S_IRWXG | stat.S_IRWXO
REMEDY = "mend it; docs/accounts.md shows how it is written"


class _Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table [[account]]."""

    account: str
    broker: str
    user: str = ""
    name: str = ""
    api_key: str = ""
    api_secret: str = ""
    access_token: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    account: list[_Row]


class AccountsFile:
    """The file that ACCOUNTS_FILE names, read again when it has changed."""

    def __init__(self, settings: Settings, path: Path) -> None:
        """Read nothing yet."""
        self.path = path
        self._settings = settings
        self._seen: tuple[int, int] | None = None
        self.open_to_others = False  # somebody else on this machine may read it

    def changed(self) -> bool:
        """Say whether the file is another one than was read last. Blocks on the disk."""
        return self._stamp() != self._seen

    def read(self) -> list[Account]:
        """Give its accounts. Raises SettingError for a file that is missing, wrong, or names one account twice."""
        self._seen = self._stamp()
        try:
            self.open_to_others = bool(self.path.stat().st_mode & OTHERS)
            rows = msgspec.convert(tomllib.loads(self.path.read_text("utf-8")), _File).account
        except OSError as error:
            raise self._wrong(error.strerror or str(error), f"put it there, or unset ACCOUNTS_FILE; {REMEDY}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise self._wrong(f"no TOML ({_place(error)})", REMEDY) from None
        except msgspec.ValidationError as error:
            raise self._wrong(str(error), REMEDY) from None
        found = [
            checked(msgspec.convert(row, Account, from_attributes=True), self._settings, str(self.path)) for row in rows
        ]
        self._refuse_twins(found)
        return found

    def _refuse_twins(self, found: list[Account]) -> None:
        names, users = [each.account for each in found], [each.user for each in found if each.user]
        for what, said in (("account", names), ("user", users)):
            twins = sorted({each for each in said if said.count(each) > 1})
            if twins:
                raise self._wrong(f"the {what} {twins[0]!r} twice", f"each {what} stands in it once; {REMEDY}")

    def _wrong(self, found: str, remedy: str) -> SettingError:
        return SettingError(f"ACCOUNTS_FILE={self.path} to hold accounts", found, remedy)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            told = self.path.stat()
        except OSError:
            return None
        return told.st_mtime_ns, told.st_size


def _place(error: Exception) -> str:
    """Say where a file is no TOML, and never what stands there."""
    text = str(error)
    return text[text.rfind("(at") :].strip("()") if "(at" in text else type(error).__name__
