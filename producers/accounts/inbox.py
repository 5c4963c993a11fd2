"""What users asked for, as far as it is about accounts: from the `requests` streams, each in its order.

request.pull.v1      waits until every account that it names was pulled
request.updated.v1   an order changed: a reason to pull
request.account.v1   an account is added, changed, or pulled no more
FORWARDED            goes into the stream `accounts`, as it stands
"""

import msgspec

from events.accounts import FORWARDED, AccountSet, Forwarded, OrderUpdated, PullAccounts
from events.event import Recorded
from events.messages import Message, unpack
from events.reader import Reader
from producers import requests
from producers.accounts.kept import Kept
from runtime.complaints import Complaints
from runtime.errors import BadEvent, Halt, Unreachable
from runtime.log import get

_log = get("accounts")

BY_TYPE: dict[str, type[Message]] = {
    str(each.__struct_config__.tag): each for each in (PullAccounts, OrderUpdated, AccountSet, *FORWARDED)
}


class Inbox:
    """Reads the requests. taken: whether something was read that is not in the kept file yet."""

    def __init__(self, reader: Reader, kept: Kept) -> None:
        """Go on where `kept` stands."""
        self._reader, self._kept = reader, kept
        self._complaints = Complaints(_log)

    async def read(self) -> list[tuple[Recorded, Message]]:
        """Give what came since, without repeats and what cannot be read; nothing while the log cannot be read."""
        try:
            found = await requests.follow(self._reader, self._kept)
        except Unreachable as error:
            self._complaints.say("accounts.requests_unreachable", found=error.found)
            return []
        except Halt as error:  # the schedule goes on without requests
            self._complaints.say("accounts.requests_halted", wanted=error.wanted, found=error.found)
            return []
        self._complaints.heal("accounts.requests_unreachable", "accounts.requests_halted")
        return [(each, message) for each in found if (message := self._message(each))]

    def _message(self, request: Recorded) -> Message | None:
        kind = BY_TYPE.get(request.type)
        if kind is None:
            return None
        try:
            message = unpack(request, kind)
        except BadEvent as error:
            self._complaints.say("accounts.request_refused", wanted=error.wanted, found=error.found)
            return None
        if isinstance(message, OrderUpdated):  # a repeat is one more reason to pull, and no more
            return message
        return message if self._kept.is_new(_key(message)) else None


def forwarded(request: Recorded) -> Forwarded:
    """Give the event that carries a user's decision into the stream `accounts`."""
    return Forwarded(
        stream=request.stream,
        n=request.n,
        at_ns=request.at_ns,
        kind=request.type,
        payload=msgspec.Raw(request.payload),
    )


def _key(message: Message) -> str:
    key: object = getattr(message, "key", "")
    return str(key)
