"""One account: as whom we come to its broker, and where its secrets lie."""

from pathlib import Path

import msgspec

from events.accounts import NAME, NAME_WANTED
from producers.kite.address import SANDBOX, SANDBOX_SECRET, Address, Tokens
from runtime.clock import Clock
from runtime.errors import SettingError
from runtime.settings import Settings
from runtime.vault import Vault, account_secret


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """account: the name that the user gave it. user: the broker's own id of the customer, empty while not known.

    api_key, api_secret, access_token: as ACCOUNTS_FILE has them, empty where they are in the vault or the settings.
    own: whether it is the one of BROKER itself, whose token the ticker uses as well.
    """

    account: str
    broker: str
    user: str = ""
    name: str = ""
    api_key: str = ""
    api_secret: str = ""
    access_token: str = ""
    own: bool = False

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Account({self.account!r}, {self.broker!r}, {self.user!r})"


def address_of(account: Account, where: Address, data_dir: Path) -> Address:
    """Give the broker's address for this account, with its own API key where it has one. Blocks on the disk."""
    held = Vault(data_dir).get(account_secret(account.account, "api_key"))
    api_key = account.api_key or (held[0] if held else where.api_key)
    return msgspec.structs.replace(where, api_key=api_key)


def api_secret_of(account: Account, settings: Settings) -> str:
    """Give the secret of this account's app, empty where nobody told it. Blocks on the disk."""
    held = Vault(settings.bahi_data_dir).get(account_secret(account.account, "api_secret"))
    if account.api_secret or held:
        return account.api_secret or (held[0] if held else "")
    if account.broker == SANDBOX:
        return SANDBOX_SECRET
    return settings.kite_api_secret or ""


def tokens_of(account: Account, settings: Settings, clock: Clock) -> Tokens:
    """Give the access tokens that may be tried for this account."""
    name = account_secret(account.account, "access_token")
    if account.own:
        return Tokens(settings, account.broker, clock, [name, f"{account.broker}/access_token"])
    return Tokens(settings, account.broker, clock, [name], [account.access_token] if account.access_token else [])


def checked(account: Account, settings: Settings, where: str) -> Account:
    """Give the account if it can be pulled. Raises SettingError; `where` says who named it."""
    if not NAME.fullmatch(account.account):
        raise SettingError(f"{NAME_WANTED} in {where}", repr(account.account[:80]), "name the account otherwise")
    if not (account.user + account.name).isprintable():  # no table holds NUL, and no projector goes on without its row
        raise SettingError(f"printable characters as user and name in {where}", account.account, "take the others out")
    if account.broker != settings.broker[0]:
        raise SettingError(
            f"accounts of {settings.broker[0]}, the first of BROKER, in {where}",
            f"{account.account} of {account.broker[:20]!r}",
            "take it out, or set BROKER: made-up money and real money never share a log",
        )
    return account
