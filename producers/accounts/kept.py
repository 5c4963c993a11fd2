"""What the poller keeps beside its spool: where it stands in the requests, what is still to be answered, whom it knows.

The file is written whole, after what it tells of is in the log. The log can give most of it again: without the file
requests are read from the beginning, accounts are told of once more, and nothing of it changes a table.
"""

import asyncio
from pathlib import Path

import msgspec

from events import disk
from events.accounts import AccountSet, Kind, Known
from producers import requests
from runtime.complaints import Complaints
from runtime.errors import Unreachable
from runtime.log import get

KEPT_FILE = "sync-accounts.json"  # beside the spools

_log = get("accounts")


class Waiting(msgspec.Struct, frozen=True):
    """A request that is not answered for every account yet. kinds: empty for all."""

    stream: str
    n: int
    accounts: list[str]
    kinds: list[Kind]


class Verified(msgspec.Struct, frozen=True):
    """Whose token it is: the broker's id of the customer. sha256: of the token."""

    user: str
    sha256: str


class Told(msgspec.Struct, frozen=True):
    """What the last `account.known.v1` said of an account."""

    broker: str
    user: str
    name: str
    active: bool

    @classmethod
    def of(cls, known: Known) -> "Told":
        """Give it out of the message."""
        return cls(known.broker, known.user, known.name, known.active)


class Kept(requests.State, kw_only=True):
    """All of it. set: accounts by the API. users: the sandbox's, its own first. logins: the day (ISO) of the last.

    tariffs: by broker, which shipped table of charges is in the log.
    """

    set: dict[str, AccountSet] = {}
    told: dict[str, Told] = {}
    verified: dict[str, Verified] = {}
    users: list[str] = []
    logins: dict[str, str] = {}
    waiting: list[Waiting] = []
    tariffs: dict[str, str] = {}


class KeptFile:
    """The file: written by one at a time, and once for all who changed something meanwhile."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises SettingError for a broken one."""
        self.kept = requests.load(path, Kept)
        self._path = path
        self._writing = asyncio.Lock()
        self._changed = False
        self._complaints = Complaints(_log)

    async def keep(self) -> None:
        """Keep what was done; where the disk is full, some of it is done once more after a restart."""
        self._changed = True
        async with self._writing:
            if not self._changed:
                return  # who wrote last began after our change
            self._changed = False
            body = msgspec.json.encode(self.kept)
            try:
                await asyncio.to_thread(self._write, body)
            except Unreachable as error:
                self._complaints.say("accounts.state_not_kept", wanted=error.wanted, found=error.found)
            else:
                self._complaints.heal("accounts.state_not_kept")

    def _write(self, body: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        disk.create(self._path, body)
