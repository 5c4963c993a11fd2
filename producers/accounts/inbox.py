"""What users asked for, as far as it is about accounts: from the `requests` streams, each in its order.

request.pull.v1      waits until every account that it names was pulled
request.updated.v1   an order changed: a reason to pull
request.account.v1   an account is added, changed, or pulled no more
FORWARDED            goes into the stream `accounts`, as it stands
"""

import msgspec

from events.accounts import FORWARDED, AccountSet, Forwarded, OrderUpdated, PullAccounts
from events.event import EVENT_BYTES_MAX, Recorded
from events.messages import Message, unpack
from events.reader import Reader
from producers import requests
from producers.accounts.kept import Kept
from runtime.complaints import Complaints
from runtime.errors import BadEvent, Halt, Unreachable
from runtime.log import get

_log = get("accounts")

FORWARDED_BYTES_MAX = EVENT_BYTES_MAX - 1024  # the rest is for the event that carries it
BY_TYPE: dict[str, type[Message]] = {
    str(each.__struct_config__.tag): each for each in (PullAccounts, OrderUpdated, AccountSet, *FORWARDED)
}


class Inbox:
    """Reads the requests.

    What is read counts as taken with `done`, once all that came of it is in the log: `kept` may be written to the disk
    at any moment, and what it says was taken is never read again.
    """

    def __init__(self, reader: Reader, kept: Kept) -> None:
        """Go on where `kept` stands."""
        self._reader, self._kept = reader, kept
        self._ahead = requests.State(positions=dict(kept.positions), keys=list(kept.keys))
        self._complaints = Complaints(_log)

    async def read(self) -> list[tuple[Recorded, Message]]:
        """Give what came since, without repeats and what cannot be read; nothing while the log cannot be read."""
        try:
            found = await requests.follow(self._reader, self._ahead)
        except Unreachable as error:
            self._complaints.say("accounts.requests_unreachable", found=error.found)
            return []
        except Halt as error:  # the schedule goes on without requests
            self._complaints.say("accounts.requests_halted", wanted=error.wanted, found=error.found)
            return []
        self._complaints.heal("accounts.requests_unreachable", "accounts.requests_halted")
        return [(each, message) for each in found if (message := self._message(each))]

    def done(self) -> bool:
        """Note that all that was read is in the log; say whether there was something."""
        if self._kept.positions == self._ahead.positions:
            return False
        self._kept.positions, self._kept.keys = dict(self._ahead.positions), list(self._ahead.keys)
        return True

    def _message(self, request: Recorded) -> Message | None:
        kind = BY_TYPE.get(request.type)
        if kind is None:
            return None
        try:
            _check_size(request)
            message = unpack(request, kind)
        except BadEvent as error:
            self._complaints.say("accounts.request_refused", wanted=error.wanted, found=error.found)
            return None
        if isinstance(message, OrderUpdated):  # a repeat is one more reason to pull, and no more
            return message
        return message if self._ahead.is_new(_key(message)) else None


def forwarded(request: Recorded) -> Forwarded:
    """Give the event that carries a user's decision into the stream `accounts`."""
    return Forwarded(
        stream=request.stream,
        n=request.n,
        at_ns=request.at_ns,
        kind=request.type,
        payload=msgspec.Raw(request.payload),
    )


def _check_size(request: Recorded) -> None:
    if len(request.payload) > FORWARDED_BYTES_MAX:
        found = f"{len(request.payload)} in {request.stream} {request.n}"
        raise BadEvent(f"a request of at most {FORWARDED_BYTES_MAX} bytes", found, "send a smaller one")


def _key(message: Message) -> str:
    key: object = getattr(message, "key", "")
    return str(key)
