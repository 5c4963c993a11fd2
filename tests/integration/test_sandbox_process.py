"""`bahi sandbox` as a process: its port, its end, its failures, and TLS."""

import asyncio
import collections
import contextlib
import datetime
import os
import resource
import signal
import ssl
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ops.sandbox import instruments, journal
from ops.sandbox.server import Exchange, Options
from tests.exchange import call, client, log_in
from tests.patience import PATIENCE_SECONDS

COMMAND = (sys.executable, "-m", "ops.cli", "sandbox")


@contextlib.asynccontextmanager
async def started(
    data_dir: Path, *arguments: str, file_bytes_max: int = -1, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command; files above `file_bytes_max` cannot grow, as on a full disk."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "BAHI_DATA_DIR": str(data_dir), "BAHI_SANDBOX_PORT": "0", "LOG_FORMAT": "json", **environ},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max)),
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def line_with(process: asyncio.subprocess.Process, word: bytes) -> bytes:
    """Read what it logs until a line has the word."""
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            line = await process.stderr.readline()
            assert line, f"it ended before it said {word!r}"
            if word in line:
                return line


async def ended(process: asyncio.subprocess.Process) -> tuple[int, bytes]:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        said = await process.stderr.read()
        return await process.wait(), said


async def test_it_listens_serves_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    async with started(tmp_path, BAHI_SANDBOX_INSTRUMENTS="1000") as process:
        await line_with(process, b"sandbox.listening")
        port = int((tmp_path / "sandbox" / "port").read_text())
        async with client(port, await log_in(port)) as one:
            await one.say("subscribe", [408065])
            await one.frames_to(2)
            process.send_signal(signal.SIGTERM)
            code, _ = await ended(process)
            assert code == 0
            await one.end()
    assert len(list(journal.read(tmp_path / "sandbox" / "journal"))) == len(one.frames)


async def test_a_session_outlives_kill_9_and_so_does_the_journal(tmp_path: Path) -> None:
    tokens: list[str] = []
    for _ in range(2):
        async with started(tmp_path) as process:
            await line_with(process, b"sandbox.listening")
            port = int((tmp_path / "sandbox" / "port").read_text())
            tokens.append(tokens[0] if tokens else await log_in(port))
            async with client(port, tokens[0]) as one:
                await one.say("subscribe", [408065])
                await one.frames_to(1)
                process.kill()
                await process.wait()
                await one.end()
    assert len({sent.connection for sent in journal.read(tmp_path / "sandbox" / "journal")}) == 2


async def test_books_that_somebody_has_seen_outlive_kill_9(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    for _ in range(3):
        async with started(tmp_path, BAHI_SANDBOX_TRADERS="5", BAHI_SANDBOX_LIMITS="false") as process:
            await line_with(process, b"sandbox.listening")
            port = int((tmp_path / "sandbox" / "port").read_text())
            _, answer = await call(port, "GET", "/sandbox/books")
            found = {book["user_id"]: book for book in answer["data"]}
            for before in seen:
                now = found[before["user_id"]]
                assert now["trades"][: len(before["trades"])] == before["trades"]
                assert {order["order_id"] for order in before["orders"]} <= {
                    order["order_id"] for order in now["orders"]
                }
            for book in found.values():
                filled: dict[str, int] = collections.Counter()
                for trade in book["trades"]:
                    filled[trade["order_id"]] += trade["quantity"]
                assert filled == {order["order_id"]: order["filled"] for order in book["orders"] if order["filled"]}
            await call(port, "POST", "/sandbox/traders", json={"orders_per_second": 200})
            seen = []
            while not seen or len(seen[-1]["trades"]) < len(found["TR0005"]["trades"]) + 50:
                _, answer = await call(port, "GET", "/sandbox/books")
                seen = answer["data"]
            process.kill()
            await process.wait()


async def test_a_full_disk_ends_it_with_a_reason_and_no_message_goes_unrecorded(tmp_path: Path) -> None:
    async with started(tmp_path, file_bytes_max=20_000, BAHI_SANDBOX_RATE="20000", BAHI_SANDBOX_TRADERS="0") as process:
        await line_with(process, b"sandbox.listening")
        port = int((tmp_path / "sandbox" / "port").read_text())
        async with client(port, await log_in(port)) as one:
            listed = instruments.listed(instruments.spots(), instruments.Tokens())
            await one.say("subscribe", [i.instrument_token for i in listed])
            code, said = await ended(process)
            assert code == 1
            assert b"journal" in said
            assert b"free the disk" in said
            await one.end()
    sent = list(journal.read(tmp_path / "sandbox" / "journal"))
    assert 0 < len(sent) <= (20_000 - len(journal.MAGIC)) // journal.RECORD.itemsize
    assert [s.crc for s in sent[: len(one.frames)]] == [zlib.crc32(frame) for frame in one.frames]


async def test_a_full_disk_that_takes_no_books_ends_it_with_a_reason(tmp_path: Path) -> None:
    async with started(tmp_path, file_bytes_max=20_000, BAHI_SANDBOX_TRADERS="2") as process:
        code, said = await ended(process)
    assert code == 1
    assert b"room for the sandbox's books" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--tape", "/no/such/folder"), b"/no/such/folder"),
        (("--tape", "."), b"SYMBOL.csv"),
        (("--speed", "fast"), b"fast"),
    ],
)
async def test_a_wrong_tape_ends_it_at_once_with_a_reason(
    tmp_path: Path, arguments: tuple[str, ...], reason: bytes
) -> None:
    async with started(tmp_path, *arguments) as process:
        code, said = await ended(process)
    assert code == 2
    assert reason in said


async def test_clients_may_come_by_tls(tmp_path: Path) -> None:
    server, trusting = contexts(tmp_path)
    async with Exchange(Options(folder=tmp_path, port=0), server) as exchange, aiohttp.ClientSession() as session:
        url = f"https://localhost:{exchange.port}/user/profile"
        async with session.get(url, ssl=trusting) as answer:
            assert answer.status == 403
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(url)


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate of localhost; give the server's context, and that of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=path)
