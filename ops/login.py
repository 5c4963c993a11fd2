"""`bahi login`: today's access token of a broker, into the vault. Ticker and REST worker take it within a second.

    sandbox   logs in by itself
    kite      shows Kite's login page; what it gives back (the request token) is exchanged with KITE_API_SECRET
    --token   an access token that was had by other means

A token never stands in an argument unless the user puts it there: `--token -` and the prompt read it.
"""

import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from events.accounts import NAME, NAME_WANTED
from producers.accounts.account import Account, address_of, api_secret_of
from producers.accounts.file import AccountsFile
from producers.kite.address import SANDBOX, SANDBOX_SECRET, address
from producers.kite.rest import Rest
from runtime import layout
from runtime.errors import BadInput, SettingError, Unreachable
from runtime.settings import BROKERS, Settings
from runtime.vault import Vault, account_secret
from runtime.waiting import Backoff

Ask = Callable[[str], str]
"""Shows a text that asks for something, and gives what was typed."""

SANDBOX_TRIES = 8  # within some seconds: its limits are counted by the second
TOKEN_PATTERN_MAX = 512
"""Kite's tokens have 32 characters; a whole page pasted by mistake has more."""


def log_in(settings: Settings, broker: str, account: str | None, token: str | None, ask: Ask) -> int:
    """Get the token and keep it; return its version in the vault. Blocks on the network.

    Raises BadInput, SettingError for what was given, TokenRefused and Unreachable for what the broker says.
    """
    if broker not in BROKERS:
        raise BadInput(f"a broker out of {', '.join(BROKERS)}", repr(broker), "bahi login kite")
    if account and not NAME.fullmatch(account):
        raise BadInput(NAME_WANTED, repr(account), "spell it as ACCOUNTS_FILE does")
    name = account_secret(account, "access_token") if account else f"{broker}/access_token"
    layout.prepare(settings.bahi_data_dir)  # a vault of another version is not written
    if token is None:
        token = _fetched(settings, broker, account, ask)
    return Vault(settings.bahi_data_dir).put(name, _checked(token))


def _fetched(settings: Settings, broker: str, name: str | None, ask: Ask) -> str:
    """Get a token from the broker: of one account with its own app, or of the settings'."""
    if broker not in (SANDBOX, "kite"):
        raise SettingError(
            f"a login to {broker}", "this version does not speak to it", f"bahi login {broker} --token TOKEN keeps one"
        )
    if broker == "kite" and broker not in settings.broker:
        raise SettingError(
            "BROKER=kite for a login to Kite", f"BROKER={','.join(settings.broker)}", "set BROKER=kite, or use --token"
        )
    account = _account(settings, broker, name) if name else Account(account=broker, broker=broker, own=True)
    rest = Rest(address_of(account, address(settings, broker), settings.bahi_data_dir))
    if broker == SANDBOX:
        return _of_sandbox(rest, account.user)
    secret = api_secret_of(account, settings)
    if not secret:
        raise SettingError(
            "KITE_API_SECRET, or this account's api_secret, to exchange what the login gives",
            "it is not set",
            "set it, or give an access token with --token",
        )
    typed = ask(f"Log in here:\n\n    {rest.login_url()}\n\nand paste the address that you were sent to after it")
    return rest.log_in(request_token(typed), secret)


def _account(settings: Settings, broker: str, name: str) -> Account:
    """Give the account as ACCOUNTS_FILE has it; one that is not in it has its secrets in the vault."""
    listed = AccountsFile(settings, settings.accounts_file).read() if settings.accounts_file else []
    for account in listed:
        if account.account == name:
            return account
    return Account(account=name, broker=broker, user=name if broker == SANDBOX else "")


def _of_sandbox(rest: Rest, user: str) -> str:
    """Log in to the sandbox, again where it has too many requests at the moment: the poller takes most of its turns."""
    backoff = Backoff()
    while True:
        try:
            return rest.log_in(rest.sandbox_request_token(user), SANDBOX_SECRET)
        except Unreachable:
            if backoff.tries >= SANDBOX_TRIES:
                raise
            time.sleep(backoff.next_seconds())


def request_token(typed: str) -> str:
    """Give the request token out of what the user pasted: itself, or the whole address that Kite redirected to."""
    text = typed.strip()
    if "://" in text or "request_token=" in text:
        said = parse_qs(urlsplit(text).query or text)
        if said.get("status", ["success"])[0] != "success" or not said.get("request_token"):
            raise BadInput("an address with request_token=...", text[:80], "log in again, and paste the whole address")
        return said["request_token"][0]
    return _checked(text)


def _checked(token: str) -> str:
    """Refuse what cannot be a token: nothing, or something with blanks."""
    text = token.strip()
    if not text or len(text) > TOKEN_PATTERN_MAX or not text.isascii() or any(each.isspace() for each in text):
        raise BadInput("a token: one word", f"{len(text)} characters, or blanks among them", "paste it once more")
    return text
