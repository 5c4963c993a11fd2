"""The poller of accounts: looks at schedule, requests and vault, runs what is due, and writes what came of it.

    roll (file, API, sandbox) --> standings --> due? --> run (a task an account) --> stream `accounts`
    requests --------------------^      ^------------------- how it ended ------------'

Promise: of one account one run is on its way at most; each ends as one append, its snapshots first and its SyncRun
last, or leaves nothing. An account whose token is refused waits for another, and holds up nobody.

A kill loses the runs on their way: the next start pulls all accounts at once.
"""

import asyncio

import msgspec

from events.accounts import AccountSet, Kind, OrderUpdated, PullAccounts, TariffSet
from events.budget import Haste
from events.event import Recorded
from events.messages import pack
from events.reader import Reader
from events.writer import Writer
from producers.accounts.health import HealthTeller
from producers.accounts.inbox import Inbox, forwarded
from producers.accounts.kept import KEPT_FILE, KeptFile, Told, Verified, Waiting
from producers.accounts.pull import Asked, Puller, Run
from producers.accounts.report import forget, report
from producers.accounts.roll import Roll
from producers.accounts.sandbox import SandboxUsers
from producers.accounts.schedule import Begun, Moment, Timetable
from producers.accounts.snapshots import Snapshots
from producers.accounts.standing import Standing
from producers.kite.address import SANDBOX, Address
from runtime.clock import Clock
from runtime.complaints import Complaints
from runtime.errors import BadInput, TokenRefused, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.settings import Settings
from runtime.tariffs import shipped

LOOK_SECONDS = 0.5  # how often requests, files, vault and schedule are looked at

_log = get("accounts")


class Worker:
    """All accounts of one broker."""

    def __init__(
        self, settings: Settings, where: Address, writer: Writer, reader: Reader, puller: Puller, clock: Clock
    ) -> None:
        """Take the writer of `accounts`; it runs elsewhere. Raises SettingError for a wrong ACCOUNTS_FILE."""
        self._settings, self._where, self._writer, self._clock = settings, where, writer, clock
        self._file = KeptFile(settings.bahi_data_dir / "spool" / KEPT_FILE)
        self._kept = self._file.kept
        self.roll = Roll(settings, self._kept)
        self._inbox = Inbox(reader, self._kept)
        self._puller, self._snapshots, self._timetable = puller, Snapshots(), Timetable(settings)
        self._standings: dict[str, Standing] = {}
        self._sandbox = SandboxUsers(settings, where, puller, self._kept, clock)
        self._complaints = Complaints(_log)
        assert settings.redis_url is not None, "checked at the start"
        self._health = HealthTeller(settings.redis_url, self._standings, self._timetable, clock)

    async def run(self, stop: Stop) -> None:
        """Pull what is due until the stop; what is on its way then is given up."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._health.run(stop))
            while not stop.is_set():
                await self._look()
                moment = self._timetable.moment(self._clock.now_ns())
                for standing in self._standings.values():
                    self._begin(standing, moment, tasks)
                await stop.pause(LOOK_SECONDS)
            for standing in self._standings.values():
                if standing.running:
                    standing.running.cancel()

    # ---- what there is to do ------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Take what is new: accounts, requests, tokens."""
        await asyncio.to_thread(self.roll.look)
        if self.roll.asks_sandbox and await self._sandbox.look():
            self.roll.take_users()
        if self.roll.asks_sandbox and not self.roll.accounts:
            return  # nobody is known yet, so nobody can say whom a request means
        events = []
        for request, message in await self._inbox.read():
            match message:
                case PullAccounts(accounts=accounts, kinds=kinds):
                    self._wait_for(request, accounts, kinds)
                case OrderUpdated(broker=broker, user=user):
                    self._update(broker, user)
                case AccountSet():
                    self.roll.put(message)
                case _:
                    events.append(pack(forwarded(request), self._clock.now_ns()))
        known, tariffs = self.roll.news(), self._tariffs()
        events += [pack(each, self._clock.now_ns()) for each in (*known, *tariffs)]
        if events:
            await self._writer.append(events)
            self._kept.told.update({each.account: Told.of(each) for each in known})
            self._kept.tariffs.update({each.broker: each.sha256 for each in tariffs})
        self._stand()
        if self._inbox.done() or events:
            await self._file.keep()

    def _tariffs(self) -> list[TariffSet]:
        """Give the shipped table of charges for each broker that has not this one yet."""
        found, brokers = shipped(), {account.broker for account in self.roll.accounts.values()}
        return [
            TariffSet(broker=broker, text=found.text, sha256=found.sha256, shipped=True)
            for broker in sorted(brokers)
            if self._kept.tariffs.get(broker) != found.sha256
        ]

    def _wait_for(self, request: Recorded, accounts: list[str], kinds: list[Kind]) -> None:
        """Note a request for pulls; one that a kill let be read again stands there already."""
        names = [each for each in accounts or self.roll.accounts if each in self.roll.accounts]
        if names and (request.stream, request.n) not in {(each.stream, each.n) for each in self._kept.waiting}:
            self._kept.waiting.append(Waiting(request.stream, request.n, names, kinds))

    def _update(self, broker: str, user: str) -> None:
        for account in self.roll.of_user(broker, user):
            if standing := self._standings.get(account.account):
                standing.update(self._clock.monotonic())

    def _stand(self) -> None:
        """Have a standing for each account, and what is asked of it."""
        for name in [name for name in self._standings if name not in self.roll.accounts]:
            self._leave(name)
        for name, account in self.roll.accounts.items():
            standing = self._standings.get(name)
            if standing is None or standing.account != account:
                self._standings[name] = Standing(account, self._settings, self._where, self._clock, standing)
        for standing in self._standings.values():
            standing.ask([each for each in self._kept.waiting if standing.account.account in each.accounts])

    def _leave(self, name: str) -> None:
        """Forget an account that is not pulled any more: nobody waits for it."""
        gone = self._standings.pop(name)
        if gone.running:
            gone.running.cancel()
        forget(name)
        self._health.forget(name)
        asked = [(each, [other for other in each.accounts if other != name]) for each in self._kept.waiting]
        self._kept.waiting = [msgspec.structs.replace(each, accounts=names) for each, names in asked if names]

    def _begin(self, standing: Standing, now: Moment, tasks: asyncio.TaskGroup) -> None:
        """Start the account's run if it is due."""
        asked = standing.due(self._timetable, now)
        if asked is not None:
            standing.begin(asked, Begun(now.at_ns, now.open))
            standing.running = tasks.create_task(self._run(standing, asked))

    # ---- one run ------------------------------------------------------------------------------------------------

    async def _run(self, standing: Standing, asked: Asked) -> None:
        run = await self._pulled(standing, asked)
        events = run.events(self._snapshots)
        await self._writer.append(events)
        for kind, got in run.got.items():
            if got.answer:
                self._snapshots.keep(asked.account, kind, got.answer)
        if asked.charges and run.charges and run.charges.last.answer:
            standing.charged(asked.charges)
        report(run)
        self._health.ran(run)
        if asked.answers:
            await self._answered(asked)

    async def _pulled(self, standing: Standing, asked: Asked) -> Run:
        """Fetch what is asked for, with a token that is this customer's."""
        try:
            if standing.account.broker == SANDBOX and await self._sandbox.log_in(standing.account, asked.haste):
                await self._file.keep()
            where, token, sha256 = await asyncio.to_thread(standing.credentials, self.roll.user(standing.account))
            await self._verify(standing, where, token, sha256, asked.haste)
        except (TokenRefused, Unreachable, BadInput) as error:
            if isinstance(error, TokenRefused):
                standing.refused()
            return self._puller.without(asked, error)
        run = await self._puller.pull(asked, where, token)
        if run.outcome == "refused":
            standing.refused(token)
        else:
            standing.accepted()
        return run

    async def _verify(self, standing: Standing, where: Address, token: str, sha256: str, haste: Haste) -> None:
        """Ask once for each token whose it is: another customer's figures must never come under this account."""
        account = standing.account
        verified = self._kept.verified.get(account.account)
        if verified and verified.sha256 == sha256 and account.user in ("", verified.user):
            return
        held = verified.user if verified else account.user
        try:
            user = await self._puller.user(where, token, haste)
        except TokenRefused:
            standing.refused(token)
            raise
        if {held, account.user} - {"", user}:
            standing.refused(token)
            raise TokenRefused(
                f"a token of {account.user or held} for the account {account.account}, which is {held}'s",
                f"one of {user}",
                "log in as the right user; another customer is an account of another name",
            )
        for other in self.roll.of_user(account.broker, user):
            if other.account != account.account:
                standing.refused(token)
                found = f"a token of {user}, whom the account {other.account} has"
                raise TokenRefused(
                    f"one account for each customer, in {account.account}", found, "take one of them out"
                )
        self._kept.verified[account.account] = Verified(user, sha256)
        await asyncio.to_thread(standing.share_secret, user)
        await self._file.keep()

    async def _answered(self, asked: Asked) -> None:
        """Take this account off the requests that its run has answered."""
        done, left = set(asked.answers), []
        for each in self._kept.waiting:
            accounts = each.accounts
            if (each.stream, each.n) in done:
                accounts = [name for name in accounts if name != asked.account]
            if accounts:
                left.append(msgspec.structs.replace(each, accounts=accounts))
        self._kept.waiting = left
        await self._file.keep()
