"""What the API is made of: one of each, opened and run together."""

import asyncio

import msgspec

from api.accounts.difference import Differences
from api.accounts.following import Following
from api.accounts.pulls import Pulls
from api.keys import Keys
from api.live import Live
from api.login_code import LoginCodes
from api.observer import Observer
from api.page import Page
from api.prices import Prices
from api.requests import Requests
from api.status import Watch
from api.tables import Tables
from api.tickets import Tickets
from api.updates import Updates
from events.archive import Archive
from events.log import Log
from events.reader import Reader
from events.takeover import Fence
from runtime.clock import Clock, SystemClock
from runtime.errors import Unreachable
from runtime.settings import Settings
from sql import checkpoints


class Parts(msgspec.Struct, frozen=True):
    """The parts. closing: set when all connections are to end."""

    settings: Settings
    clock: Clock
    log: Log
    keys: Keys
    codes: LoginCodes
    tickets: Tickets
    tables: Tables
    live: Live
    requests: Requests
    watch: Watch
    observer: Observer
    page: Page
    following: Following
    pulls: Pulls
    updates: Updates
    closing: asyncio.Event

    def make_reader(self) -> Reader:
        """Give a reader of one's own: it remembers where it was, and its archive what it read."""
        return Reader(self.log, Archive.at(self.settings))


def make(settings: Settings, log: Log, clock: Clock | None = None) -> Parts:
    """Put the parts together; nothing is connected yet. Raises SettingError."""
    clock = clock or SystemClock()
    tables = Tables(settings)
    live = Live(Reader(log, Archive.at(settings)), Prices(), clock)
    closing = asyncio.Event()
    requests = Requests(settings, log, Archive.at(settings), clock, _fence(settings))
    updates = Updates(requests)
    live.watchers.append(updates.see)
    return Parts(
        settings=settings,
        clock=clock,
        log=log,
        keys=Keys(settings, clock),
        codes=LoginCodes(settings.bahi_data_dir, clock),
        tickets=Tickets(clock),
        tables=tables,
        live=live,
        requests=requests,
        watch=Watch(settings, clock, live, tables, requests, log, Archive.at(settings)),
        observer=Observer(settings, clock, tables, log, Archive.at(settings)),
        page=Page(),
        following=Following(Differences(tables), closing),
        pulls=Pulls(tables, requests, clock, closing),
        updates=updates,
        closing=closing,
    )


def _fence(settings: Settings) -> Fence:
    async def fence(stream: str) -> dict[str, int]:
        if settings.database_url is None:
            raise Unreachable("a database", "DATABASE_URL is not set", "set it, or start everything with bahi up")
        return await checkpoints.fence(settings.database_url, stream)

    return fence
