"""HTTP postbacks, as Kite sends them: an app's order is POSTed to the app's URL when something became of it.

Fire and forget: there is no second try, and nobody waits. What a slow receiver leaves waiting beyond QUEUE_MAX is
dropped, the oldest first, and counted. Only addresses of this machine are taken.
"""

import asyncio
import hashlib
import ipaddress
import zlib
from collections import Counter, deque
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ops.sandbox.accounts import shown
from ops.sandbox.accounts.order import ENDED, MODIFIED, OPEN, Order
from ops.sandbox.envelope import input_refused
from ops.sandbox.session import API_KEY, API_SECRET

QUEUE_MAX = 10_000  # 15 MB of orders
SENDERS = 4
TIMEOUT_SECONDS = 5.0
APP_IDS = 100_000
UPDATE = "UPDATE"  # Kite's word for a change and for a part that was filled

Json = dict[str, object]


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /sandbox/postback takes. url: null sends no more; api_key: of the app."""

    url: str | None
    api_key: str = API_KEY


class Postbacks:
    """The apps' addresses, and what waits to be sent."""

    def __init__(self) -> None:
        """Begin with no address."""
        self.counts = Counter[str](sent=0, failed=0, dropped=0)
        self._urls: dict[str, str] = {}
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._some = asyncio.Event()

    def aim(self, target: Target) -> None:
        """Send an app's postbacks there from now on. Raises Refusal for another machine."""
        if target.url is None:
            self._urls.pop(target.api_key, None)
            return
        if not is_here(target.url):
            raise input_refused(f"Wanted an http address of this machine as `url`, found {target.url}")
        self._urls[target.api_key] = target.url

    def wants(self, order: Order) -> bool:
        """Tell whether there is something to send about an order as it is now."""
        return order.app in self._urls and _told(order) is not None

    def post(self, app: str, body: Json) -> None:
        """Send a body to an app's address, soon."""
        if app not in self._urls:
            return
        if len(self._waiting) >= QUEUE_MAX:
            self._waiting.popleft()
            self.counts["dropped"] += 1
        self._waiting.append((self._urls[app], msgspec.json.encode(body)))
        self._some.set()

    def state(self) -> Json:
        """Show the addresses and what became of the postbacks."""
        return {"urls": self._urls, "waiting": len(self._waiting), **self.counts}

    async def run(self) -> None:
        """Send for ever."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as client, asyncio.TaskGroup() as tasks:
            for _ in range(SENDERS):
                tasks.create_task(self._send(client))

    async def _send(self, client: aiohttp.ClientSession) -> None:
        while True:
            while not self._waiting:
                self._some.clear()
                await self._some.wait()
            url, body = self._waiting.popleft()
            headers = {"Content-Type": "application/json"}
            try:
                async with client.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                    self.counts["sent" if answer.ok else "failed"] += 1
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.counts["failed"] += 1


def message(user: str, order: Order) -> Json:
    """Give the body about an order as it is now, with its checksum."""
    shape = shown.order(user, order)
    signed = f"{order.order_id}{shape['order_timestamp']}{API_SECRET}"
    return {
        **shape,
        "status": _told(order) or order.status,
        "user_id": user,
        "app_id": zlib.crc32(order.app.encode()) % APP_IDS,
        "checksum": hashlib.sha256(signed.encode()).hexdigest(),
        "unfilled_quantity": order.terms.quantity - order.filled,
    }


def _told(order: Order) -> str | None:
    """Give the status of a postback; None where Kite sends none."""
    if order.status in ENDED:
        return order.status
    return UPDATE if order.status == MODIFIED or (order.status == OPEN and order.filled) else None


def is_here(url: str) -> bool:
    """Tell whether it is an http address of this machine."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    if parts.scheme not in ("http", "https"):
        return False
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
