"""The way of a decision in tests: from the API's stream of requests, as the worker forwards it, into the tables."""

from pathlib import Path

from events.accounts import FORWARDED, Forwarded
from producers.accounts.inbox import BY_TYPE, forwarded
from projectors.accounts.projector import ACCOUNTS
from runtime.settings import Settings
from tests.account_log import AccountLog
from tests.api_server import Api
from tests.desk import taken_by_redis
from tests.loops import Desk

READ_EVENTS_MAX = 512


class Deciding:
    """A log of accounts and the tables made of it; `carry_out` brings in what was decided over HTTP since."""

    def __init__(self, settings: Settings, folder: Path, log: AccountLog) -> None:
        assert settings.database_url is not None
        self.desk = Desk(settings.database_url, folder)
        self.log = log
        self._projected = self._read = 0

    async def project(self) -> None:
        """Put what was added to the log into the tables."""
        await self.desk.project(ACCOUNTS, self.log.events[self._projected :])
        self._projected = len(self.log.events)

    async def carry_out(self, api: Api) -> list[Forwarded]:
        """Forward the decisions that the API wrote since, and put them into the tables; give them."""
        assert api.parts.requests._writer is not None
        await taken_by_redis(api.parts.requests._writer)  # it answers when they are on the disk
        found = await api.parts.make_reader().read("requests", self._read, READ_EVENTS_MAX)
        decisions = [forwarded(each) for each in found if BY_TYPE.get(each.type) in FORWARDED]
        for decision in decisions:
            self.log.add(decision, decision.at_ns)
        self._read += len(found)
        if decisions:
            await self.project()
        return decisions
