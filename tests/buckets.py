"""A server that speaks S3, for tests, and a way to it on which things go wrong.

One server for each worker process; each test gets a bucket of its own in it.
"""

import asyncio
import contextlib
import io
import itertools
import os
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import aiohttp
import obstore
from aiohttp import web
from obstore.store import S3Store

# Says its port, and dies with the test run, also when that is killed.
START = """
import ctypes, signal
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
from moto.server import create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, create_backend_app("s3"), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""
KEY = {"AWS_ACCESS_KEY_ID": "made-up-id", "AWS_SECRET_ACCESS_KEY": "made-up-secret"}
PREFIX = "of/mine"
QUIET_SECONDS = 0.2

Fault = Literal["none", "hang", "deaf", "unanswered", "busy", "conflict", "overwrite"]

_numbers = itertools.count(1)


@contextlib.contextmanager
def server(requests_without_key: int | None = None) -> Iterator[str]:
    """Run a server until the context ends; yield its address. It knows no key, and asks for one after so many."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    if requests_without_key is not None:
        clean["INITIAL_NO_AUTH_ACTION_COUNT"] = str(requests_without_key)
    command = [sys.executable, "-W", "ignore", "-c", START]
    streams = (subprocess.DEVNULL, subprocess.PIPE, subprocess.DEVNULL)
    with subprocess.Popen(command, -1, None, *streams, env=clean, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def new_bucket(address: str) -> str:
    """Make a bucket that is this test's alone; give its name."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    ask(address, "PUT", name)
    return name


def ask(address: str, method: str, path: str, body: bytes = b"") -> bytes:
    """Send a request as it stands; give the answer's body."""
    kind = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(f"{address}/{path}", body, kind, method=method)
    with urllib.request.urlopen(request) as answer:
        content: bytes = answer.read()
        return content


def environ(address: str, bucket: str, **more: str) -> dict[str, str]:
    """Give the settings of an archive in a bucket."""
    return {"ARCHIVE_URL": f"s3://{bucket}/{PREFIX}", "AWS_ENDPOINT_URL": address, **KEY, **more}


class Inside:
    """A bucket as its keeper sees it, who may do what Bahi never does."""

    def __init__(self, address: str, bucket: str) -> None:
        self._store = S3Store(
            bucket,
            prefix=PREFIX,
            endpoint=address,
            region="us-east-1",
            access_key_id="keeper",
            secret_access_key="keeper",
            client_options={"allow_http": True},
        )

    def names(self) -> list[str]:
        """Give all names, sorted."""
        return sorted(each["path"] for page in obstore.list(self._store) for each in page)

    def content(self, name: str) -> bytes:
        return bytes(obstore.get(self._store, name).bytes())

    def replace(self, name: str, content: bytes) -> None:
        obstore.put(self._store, name, content)

    def remove(self, name: str) -> None:
        obstore.delete(self._store, name)


class Way:
    """Stands before a server and hands on each request, but for the fault that is set.

    hang        the request is read and never answered
    deaf        the connection is taken and nothing is read
    unanswered  the server hears it, and the connection is cut before its answer
    busy        the server says that it has too much to do
    conflict    the server says that somebody else puts under this name at this moment
    overwrite   the server never hears of `If-None-Match`
    """

    def __init__(self, address: str) -> None:
        self.fault: Fault = "none"
        self.methods: list[str] = []  # of the requests that came
        self.struck = asyncio.Event()
        self._came = asyncio.Event()
        self._to, self._ended = address, asyncio.Event()
        self.address = ""

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.methods.append(request.method)
        self._came.set()
        fault = self.fault
        if fault == "deaf":
            self.struck.set()
            await self._ended.wait()
        body = await request.content.read()
        if fault == "hang":
            self.struck.set()
            await self._ended.wait()
        if fault == "busy":
            return web.Response(status=503, text="<Error><Code>SlowDown</Code><Message>Later</Message></Error>")
        if fault == "conflict" and request.method == "PUT":
            return web.Response(status=409, text="<Error><Code>ConditionalRequestConflict</Code></Error>")
        headers = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
        if fault == "overwrite":
            headers.pop("If-None-Match", None)
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                f"{self._to}{request.raw_path}",
                data=io.BytesIO(body),
                headers=headers,
                allow_redirects=False,
            ) as answer,
        ):
            content = await answer.read()
            if fault == "unanswered":
                self.struck.set()
                assert request.transport is not None
                request.transport.close()
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in {"transfer-encoding", "connection"}}
            return web.Response(status=answer.status, body=content, headers=kept)

    async def heard(self) -> None:
        """Wait until the next request comes, or for a while: there may be none."""
        self._came.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_SECONDS):
                await self._came.wait()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Way"]:
        """Serve until the context ends."""
        runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self._ended.set()
            await runner.cleanup()
