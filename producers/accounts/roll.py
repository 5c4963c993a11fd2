"""Which accounts are pulled: those of ACCOUNTS_FILE or else BROKER's own, and those that the API added.

An account that the file names is the file's: what the API said of it does not count. Where neither names one, it is

    BROKER=kite      the one account of KITE_API_KEY, called `kite`: its client code is known only after a login, and a
                     name stands in every row for ever, so it must not depend on who logged in first
    BROKER=sandbox   the users that the sandbox has, each called by its client code, which the sandbox tells
"""

import msgspec

from events.accounts import AccountSet, Known
from producers.accounts.account import Account, checked
from producers.accounts.file import AccountsFile
from producers.accounts.kept import Kept, Told
from producers.kite.address import SANDBOX
from runtime.complaints import Complaints
from runtime.errors import SettingError
from runtime.log import get
from runtime.settings import Settings

_log = get("accounts")


class Roll:
    """The accounts of this process."""

    def __init__(self, settings: Settings, kept: Kept) -> None:
        """Read ACCOUNTS_FILE. Raises SettingError where it is wrong."""
        self._settings, self._kept = settings, kept
        self._file = AccountsFile(settings, settings.accounts_file) if settings.accounts_file else None
        self._complaints = Complaints(_log)
        self._listed: list[Account] = []
        self.accounts: dict[str, Account] = {}
        if self._file:
            self._listed = self._file.read()
            self._warn_of_readers(self._file)
        elif self.asks_sandbox:
            self.take_users()
        else:
            self._listed = [Account(account=settings.broker[0], broker=settings.broker[0], own=True)]
        self._merge()

    def look(self) -> None:
        """Read the file again if it has changed; one that is wrong now is said. Blocks on the disk."""
        if self._file is None or not self._file.changed():
            return
        try:
            self._listed = self._file.read()
        except SettingError as error:
            self._complaints.say("accounts.file_refused", wanted=error.wanted, found=error.found, remedy=error.remedy)
            return
        self._complaints.heal("accounts.file_refused")
        self._warn_of_readers(self._file)
        self._merge()
        _log.info("accounts.file_read", accounts=len(self._listed))

    @property
    def asks_sandbox(self) -> bool:
        """Whether the sandbox says which accounts there are."""
        return self._file is None and self._settings.broker[0] == SANDBOX

    def take_users(self) -> None:
        """Take the users of the sandbox, the first one that of the ticker's token."""
        users = self._kept.users
        self._listed = [Account(account=each, broker=SANDBOX, user=each, own=each == users[0]) for each in users]
        self._merge()

    def put(self, said: AccountSet) -> None:
        """Take what the API says of an account."""
        try:
            checked(_of(said), self._settings, "a request")
        except SettingError as error:
            self._complaints.say("accounts.refused", wanted=error.wanted, found=error.found)
            return
        self._kept.set[said.account] = said
        self._merge()

    def user(self, account: Account) -> str:
        """Give the customer's id, as far as it is known; empty before the first login."""
        verified = self._kept.verified.get(account.account)
        return account.user or (verified.user if verified else "")

    def of_user(self, broker: str, user: str) -> list[Account]:
        """Give the accounts of a broker's customer."""
        return [each for each in self.accounts.values() if each.broker == broker and self.user(each) == user]

    def news(self) -> list[Known]:
        """Give what the log does not know yet of the accounts: new ones, changed ones, and those that are gone."""
        now = {
            name: Known(account=name, broker=each.broker, user=self.user(each), name=each.name)
            for name, each in self.accounts.items()
        }
        for name, told in self._kept.told.items():
            if name not in now:
                now[name] = Known(account=name, broker=told.broker, user=told.user, name=told.name, active=False)
        return [each for name, each in now.items() if self._kept.told.get(name) != Told.of(each)]

    def _merge(self) -> None:
        listed = {each.account: each for each in self._listed}
        said = self._kept.set
        if self._file is None:  # nobody wrote these down, so a request may take one away or rename it
            listed = {name: each for name, each in listed.items() if name not in said or said[name].active}
        added = {name: _of(each) for name, each in said.items() if each.active and name not in listed}
        self.accounts = {**listed, **added}

    def _warn_of_readers(self, file: AccountsFile) -> None:
        if file.open_to_others:
            self._complaints.say("accounts.file_open_to_others", path=str(file.path), remedy=f"chmod 600 {file.path}")


def _of(said: AccountSet) -> Account:
    return msgspec.convert(
        {"account": said.account, "broker": said.broker, "user": said.user, "name": said.name}, Account
    )
