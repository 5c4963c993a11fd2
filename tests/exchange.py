"""A sandbox exchange inside a test, and a plain websocket client of it whose every wait has a bound."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from ops.sandbox.server import Exchange, Options
from ops.sandbox.session import API_KEY, API_SECRET
from tests.patience import PATIENCE_SECONDS


@contextlib.asynccontextmanager
async def exchange(folder: Path, *, driven: bool = True, **options: Any) -> AsyncIterator[Exchange]:
    """Run a sandbox on a free port; one that is not `driven` ticks only when the test lets it."""
    chosen = {"limits": False, **options}
    async with Exchange(Options(folder=folder, port=0, **chosen)) as running:
        driving = asyncio.ensure_future(running.drive()) if driven else None
        try:
            yield running
        finally:
            if driving:
                driving.cancel()
                await asyncio.gather(driving, return_exceptions=True)


async def until(running: Exchange, condition: Callable[[], bool]) -> None:
    """Wait until a client's doing made the condition true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            running.hub.changed.clear()
            if not condition():
                await running.hub.changed.wait()


def root(running: Exchange | int) -> str:
    """Give the address of the REST of a sandbox, or of the one on this port."""
    return f"http://127.0.0.1:{running if isinstance(running, int) else running.port}"


async def call(running: Exchange | int, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Send a request; give status and JSON."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with (
        aiohttp.ClientSession(root(running), timeout=timeout) as session,
        session.request(method, path, **options) as response,
    ):
        return response.status, json.loads(await response.read())


async def log_in(running: Exchange | int, api_key: str = API_KEY) -> str:
    """Log in as Kite wants it; give the access token."""
    _, answer = await call(running, "POST", f"/sandbox/login?api_key={api_key}")
    request_token = answer["data"]["request_token"]
    checksum = hashlib.sha256(f"{api_key}{request_token}{API_SECRET}".encode()).hexdigest()
    form = {"api_key": api_key, "request_token": request_token, "checksum": checksum}
    _, answer = await call(running, "POST", "/session/token", data=form)
    token: str = answer["data"]["access_token"]
    return token


async def fault(running: Exchange, name: str, **fields: Any) -> dict[str, Any]:
    """Ask for misbehaviour; give what was done."""
    status, answer = await call(running, "POST", "/sandbox/faults", json={"fault": name, **fields})
    assert status == 200, answer
    done: dict[str, Any] = answer["data"]
    return done


class Client:
    """A websocket client that keeps everything it receives."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[bytes] = []
        self.texts: list[Any] = []
        self.heartbeats = 0
        self.closed = False

    @property
    def port(self) -> int:
        """Give the local port, which the journal names."""
        number: int = self.socket.get_extra_info("sockname")[1]
        return number

    async def subscribe(self, mode: str, tokens: list[int]) -> None:
        """Subscribe in this mode, as KiteTicker does it."""
        await self.say("subscribe", tokens)
        await self.say("mode", [mode, tokens])

    async def say(self, action: str, value: object) -> None:
        """Send one message."""
        await self.socket.send_json({"a": action, "v": value})

    async def hear(self) -> None:
        """Receive one message; a closed socket is noted."""
        message = await self.socket.receive(PATIENCE_SECONDS)
        if message.type == aiohttp.WSMsgType.BINARY and len(message.data) > 1:
            self.frames.append(message.data)
        elif message.type == aiohttp.WSMsgType.BINARY:
            self.heartbeats += 1
        elif message.type == aiohttp.WSMsgType.TEXT:
            self.texts.append(json.loads(message.data))
        else:
            self.closed = True

    async def frames_to(self, count: int) -> list[bytes]:
        """Receive until there are `count` tick messages in all; give them."""
        while len(self.frames) < count and not self.closed:
            await self.hear()
        return self.frames

    async def texts_to(self, count: int) -> list[Any]:
        """Receive until there are `count` texts in all; give them."""
        while len(self.texts) < count and not self.closed:
            await self.hear()
        return self.texts

    async def end(self) -> None:
        """Receive until the socket is closed."""
        while not self.closed:
            await self.hear()


@contextlib.asynccontextmanager
async def client(running: Exchange | int, token: str, api_key: str = API_KEY) -> AsyncIterator[Client]:
    """Connect to the ticker's address."""
    async with aiohttp.ClientSession() as session:
        url = f"{root(running)}/?api_key={api_key}&access_token={token}"
        async with session.ws_connect(url, max_msg_size=0, autoping=True) as socket:
            yield Client(socket)
