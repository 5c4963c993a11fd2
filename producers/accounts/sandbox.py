"""The sandbox's users: who they are, and logins that need no person. Nothing of it is asked of a real broker.

The first user is the one that ticker and REST worker come as; the sandbox's traders, where it has some, are the others.
"""

import asyncio
from datetime import UTC, datetime

import msgspec

from events.budget import Haste
from producers.accounts.account import Account
from producers.accounts.kept import Kept
from producers.accounts.pull import Puller
from producers.kite.address import SANDBOX, SANDBOX_SECRET, Address, Tokens
from producers.kite.hours import TOKEN_END, business_day
from producers.kite.rest import Rest
from runtime.clock import NS_PER_SECOND, Clock
from runtime.complaints import Complaints
from runtime.errors import BadInput, TokenRefused, Unreachable
from runtime.log import get
from runtime.settings import Settings
from runtime.vault import Vault, account_secret

TRADERS_PATH = "/sandbox/traders"
LOOK_SECONDS = 5.0  # how often its users are asked for; while nobody is known, at every look of the worker

_log = get("accounts")


class _Trader(msgspec.Struct):
    user_id: str


class SandboxUsers:
    """Whom the sandbox knows."""

    def __init__(self, settings: Settings, where: Address, puller: Puller, kept: Kept, clock: Clock) -> None:
        """Ask nothing yet."""
        self._settings, self._where, self._puller = settings, where, puller
        self._kept, self._clock = kept, clock
        self._tokens = Tokens(settings, SANDBOX, clock)
        self._complaints = Complaints(_log, clock)
        self._next_at = 0.0
        self._own, self._stamp = "", tuple[int, ...]()  # whose the token is, and the vault's stamp of it

    async def look(self) -> bool:
        """Ask who there is, if it is time to; say whether `kept.users` is another list now."""
        if self._clock.monotonic() < self._next_at:
            return False
        try:
            stamp = await asyncio.to_thread(self._tokens.stamp)
            token = await asyncio.to_thread(self._tokens.current)
            if not self._own or stamp != self._stamp:
                self._own, self._stamp = await self._puller.user(self._where, token, Haste(urgent=True)), stamp
            users = [self._own, *await self._traders(token)]
        except TokenRefused:  # the part that logs in says so
            return False
        except (Unreachable, BadInput) as error:
            self._complaints.say_late("accounts.sandbox_unknown", "accounts.waits_for_sandbox", found=error.found)
            return False
        self._complaints.heal("accounts.sandbox_unknown", "accounts.waits_for_sandbox")
        self._next_at = self._clock.monotonic() + LOOK_SECONDS
        changed = users != self._kept.users
        self._kept.users = users
        return changed

    async def _traders(self, token: str) -> list[str]:
        answer = await self._puller.calls.ask(self._where, token, TRADERS_PATH, "the sandbox's traders")
        try:
            return [each.user_id for each in msgspec.json.decode(answer.data, type=list[_Trader])]
        except msgspec.DecodeError as error:
            raise BadInput("the sandbox's traders", str(error), "let bahi sandbox be of the same version") from error

    async def log_in(self, account: Account, haste: Haste) -> bool:
        """Log an account in, once a day; say whether it was. Raises TokenRefused, Unreachable and BadInput."""
        now = datetime.fromtimestamp(self._clock.now_ns() / NS_PER_SECOND, UTC)
        day = business_day(now, TOKEN_END).isoformat()
        if account.own or account.access_token or self._kept.logins.get(account.account) == day:
            return False
        rest = Rest(self._where)
        request_token = await asyncio.to_thread(rest.sandbox_request_token, account.user)
        await self._puller.turn(self._where, haste)
        token = await asyncio.to_thread(rest.log_in, request_token, SANDBOX_SECRET)
        name = account_secret(account.account, "access_token")
        await asyncio.to_thread(Vault(self._settings.bahi_data_dir).put, name, token)
        self._kept.logins[account.account] = day
        return True
