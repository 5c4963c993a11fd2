"""How an account stands: when it was pulled last, what is asked of it, and whether its token was refused.

resting   nothing is due
running   a run is on its way; what comes meanwhile waits for the next one
refused   the token was refused: it rests until the vault has another one, or the refused one may be tried again
"""

import asyncio
import hashlib
from contextlib import suppress
from datetime import date

from events.accounts import KINDS, Kind, Trigger
from events.budget import Haste
from producers.accounts.account import Account, address_of, api_secret_of, tokens_of
from producers.accounts.kept import Waiting
from producers.accounts.pull import Asked
from producers.accounts.schedule import Begun, Moment, Timetable
from producers.kite.address import REFUSED_SECONDS, Address
from runtime.clock import NS_PER_SECOND, Clock
from runtime.errors import TokenRefused
from runtime.settings import Settings
from runtime.vault import Vault, customer_secret

UPDATE_SECONDS = 1.0  # an order that fills in parts says so several times within this; the pull after it shows them all
UPDATED: tuple[Kind, ...] = ("orders", "trades", "positions")  # what an order's update can change at once


class Standing:
    """One account in this process."""

    def __init__(
        self, account: Account, settings: Settings, where: Address, clock: Clock, before: "Standing | None"
    ) -> None:
        """before: the standing of the account as it was until now, whose runs count for this one as well."""
        self.account = account
        self.asked: list[Waiting] = []
        self.running: asyncio.Task[None] | None = before.running if before else None
        self._last: Begun | None = before._last if before else None
        self._settings, self._where, self._clock = settings, where, clock
        self._tokens = tokens_of(account, settings, clock)
        self._update_at: float | None = None
        self._haste: Haste = before._haste if before else Haste()  # of the run that is on its way
        self._stamp: tuple[int, ...] | None = None  # of the vault when the token was refused; None while it is good
        self._refused_at = 0.0
        self._seen: tuple[int, ...] = ()
        self._charged: date | None = before._charged if before else None  # whose charges the broker has told

    def credentials(self, user: str) -> tuple[Address, str, str]:
        """Give address, token, and the token's sha256, and let the API know the customer's secret.

        user: empty while not known. Raises TokenRefused. Blocks on the disk.
        """
        if user:
            self.share_secret(user)
        self._seen = self._tokens.stamp()  # before the token, so that one that comes meanwhile is noticed
        token = self._tokens.current()
        where = address_of(self.account, self._where, self._settings.bahi_data_dir)
        return where, token, hashlib.sha256(token.encode()).hexdigest()

    def share_secret(self, user: str) -> None:
        """Let the API find the secret of this customer's app, which signs postbacks. Blocks on the disk."""
        vault, name = Vault(self._settings.bahi_data_dir), customer_secret(self.account.broker, user)
        secret, held = api_secret_of(self.account, self._settings), vault.get(name)
        if secret and (held is None or held[0] != secret):
            vault.put(name, secret)

    def refused(self, token: str | None = None) -> None:
        """Note that there is no token, or that this one was refused."""
        if token is not None:
            self._tokens.refuse(token)
        self._stamp, self._refused_at = self._seen, self._clock.monotonic()
        with suppress(TokenRefused):
            self._tokens.current()
            self._stamp = ()  # there is another one to be tried at once

    def charged(self, day: date) -> None:
        """Note that the broker told what the day's orders cost."""
        self._charged = day

    def accepted(self) -> None:
        """Note that the token is good."""
        self._stamp = None

    @property
    def is_refused(self) -> bool:
        """Say whether the broker refused the token, or there is none."""
        return self._stamp is not None

    def next_ns(self, timetable: Timetable, now: Moment) -> int:
        """Say when (UTC epoch ns) the account is pulled next by itself; a new token has it pulled at once."""
        due_ns = timetable.next_ns(self._last, now)
        if self._stamp is None:
            return due_ns
        rests_seconds = max(0.0, self._refused_at + REFUSED_SECONDS - self._clock.monotonic())
        return max(due_ns, now.at_ns + round(rests_seconds * NS_PER_SECOND))

    def update(self, now: float) -> None:
        """Note that an order changed; more of it before the pull are the same reason."""
        if self._update_at is None:
            self._update_at = now + UPDATE_SECONDS

    def ask(self, requests: list[Waiting]) -> None:
        """Note what is asked of this account; a run that stands in its way makes haste."""
        self.asked = requests
        if requests:
            self._haste.urgent = True

    def due(self, timetable: Timetable, now: Moment) -> Asked | None:
        """Give the run that is due, None where there is none or one is on its way."""
        if self.running and not self.running.done():
            return None
        trigger: Trigger | None = timetable.due(self._last, now)
        fresh_token = self._stamp is not None and self._tokens.stamp() != self._stamp
        if fresh_token and trigger is None:
            trigger = "schedule"
        charges = now.day if trigger is not None and now.over and self._charged != now.day else None
        if self.asked:
            everything = any(not each.kinds for each in self.asked)
            return self._asked_for(whole=trigger is not None, charges=now.day if everything else charges)
        if self._stamp is not None and not fresh_token and self._clock.monotonic() - self._refused_at < REFUSED_SECONDS:
            return None
        if trigger is not None:
            return self._asked(trigger, KINDS, charges=charges)
        if self._update_at is not None and self._clock.monotonic() >= self._update_at:
            return self._asked("update", UPDATED)
        return None

    def begin(self, asked: Asked, begun: Begun) -> None:
        """Note that this run begins."""
        self._haste = asked.haste
        if len(asked.kinds) == len(KINDS):
            self._last = begun
        if set(UPDATED) <= set(asked.kinds):
            self._update_at = None

    def _asked_for(self, *, whole: bool, charges: date | None) -> Asked:
        named = {kind for each in self.asked for kind in each.kinds or KINDS}
        kinds = [kind for kind in KINDS if whole or kind in named]
        return self._asked("request", kinds, [(each.stream, each.n) for each in self.asked], charges)

    def _asked(
        self,
        trigger: Trigger,
        kinds: list[Kind] | tuple[Kind, ...],
        answers: list[tuple[str, int]] | None = None,
        charges: date | None = None,
    ) -> Asked:
        return Asked(
            account=self.account.account,
            broker=self.account.broker,
            kinds=tuple(kinds),
            trigger=trigger,
            answers=tuple(answers or ()),
            charges=charges,
            haste=Haste(trigger == "request"),
        )
