"""What the ticker hears of orders, as requests to pull: the hub shows each batch, the texts about orders are taken out.

An update is a reason to ask the broker and no more, so one that comes while the request log is closed, or when too many
wait, may go: the next pull of the schedule shows the order as well.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from api.requests import Requests
from events.accounts import OrderUpdated
from events.event import Recorded
from runtime.complaints import Complaints
from runtime.errors import BadInput, Unreachable
from runtime.log import get

TEXT = "kite.text.v1"
STREAM_PARTS = 3  # ticks-<broker>-<connection>
WAITING_MAX = 1000  # a broker that says more at once is pulled all the same
_log = get("updates")


class _Order(msgspec.Struct):
    user_id: str = ""
    order_id: str = ""


class _Text(msgspec.Struct):
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Updates:
    """Brings the ticker's order updates into the log of requests."""

    def __init__(self, requests: Requests) -> None:
        """Nothing is written before `run`."""
        self._requests = requests
        self._waiting: asyncio.Queue[OrderUpdated] = asyncio.Queue(WAITING_MAX)
        self._complaints = Complaints(_log)

    def see(self, batch: Sequence[Recorded]) -> None:
        """Take the order updates out of a batch. Waits for nothing."""
        for event in batch:
            if event.type == TEXT and (update := order_update(event)) is not None:
                try:
                    self._waiting.put_nowait(update)
                except asyncio.QueueFull:
                    self._complaints.say("updates.dropped", waiting=WAITING_MAX)

    async def run(self) -> None:
        """Write what was seen, for as long as it runs."""
        while True:
            update = await self._waiting.get()
            try:
                await self._requests.take(update)
                self._complaints.heal("updates.dropped", "updates.not_taken")
            except (Unreachable, BadInput) as error:
                self._complaints.say("updates.not_taken", wanted=error.wanted, found=error.found)


def order_update(event: Recorded) -> OrderUpdated | None:
    """Give what a ticker's text says of an order; None where it is about something else, or cannot be read."""
    parts = event.stream.split("-")
    try:
        text = msgspec.json.decode(event.payload, type=_Text)
        if text.type != "order" or len(parts) != STREAM_PARTS:
            return None
        order = msgspec.json.decode(text.data, type=_Order)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not order.user_id:
        return None
    return OrderUpdated(broker=parts[1], user=order.user_id, order_id=order.order_id, by="ticker", body=event.payload)
