"""What an embedded server keeps between two starts: its port, its password, its lock.

The lock answers one question exactly: does anything of this server still live? A file lock belongs to the open file,
not to the process, so the server inherits it, and so does every process that it forks. It is free when the last of
them is gone, be it by SIGKILL. A pid file cannot say that: after a crash of the machine its number may be another's.
"""

import contextlib
import fcntl
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from runtime.errors import SettingError, Unreachable

LOOPBACK = "127.0.0.1"

PORT_MIN, PORT_MAX = 20_000, 32_000
"""Below Linux's range for outgoing connections (32768..60999). Inside it, a client that retries while the server is
down may be given the server's own port as its source: it then talks to itself, and the port is taken."""

PORT_TRIES_MAX = 200
"""How many ports are tried; on a machine where none of them is free something else is wrong."""

PASSWORD_BYTES = 24
"""192 bits: more than anybody guesses."""

LOCK_WAIT_SECONDS_MAX = 15.0
"""A server whose starter was killed is told at once, and ends within seconds (PostgreSQL writes a checkpoint)."""

LOCK_POLL_SECONDS = 0.05


def is_free(port: int) -> bool:
    """Say whether a server could listen on `port` of the loopback address now."""
    with socket.socket() as probe:
        # As the servers do: a port in TIME_WAIT is free to them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def kept_port(path: Path) -> int:
    """Return the port written in the file `path` where it is still free, else a new one, written there."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        kept = int(path.read_text())
        if PORT_MIN <= kept < PORT_MAX and is_free(kept):
            return kept
    port = free_port()
    path.write_text(f"{port}\n")
    return port


def free_port() -> int:
    """Return a free port of the loopback address. Nothing holds it until the caller listens on it."""
    for _ in range(PORT_TRIES_MAX):
        port = random.randrange(PORT_MIN, PORT_MAX)
        if is_free(port):
            return port
    raise Unreachable(
        f"a free port between {PORT_MIN} and {PORT_MAX}",
        f"none in {PORT_TRIES_MAX} tries",
        "end what holds them, or set DATABASE_URL and REDIS_URL to servers of your own",
    )


def kept_password(path: Path) -> str:
    """Return the password in the file `path`; make both (mode 0600) at first use. Its alphabet is safe in a URL."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    write_private(path, password + "\n")
    return password


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with contextlib.suppress(FileNotFoundError):
        partial.unlink()
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextlib.contextmanager
def locked(path: Path, wait_seconds_max: float) -> Iterator[int]:
    """Hold the server's lock file; yield its descriptor for the server to inherit.

    Waits for remnants of an earlier server to end. Leaving the context closes only our copy: the server keeps its own.
    Raises SettingError when they live on after `wait_seconds_max`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, path, wait_seconds_max)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, wait_seconds_max: float) -> None:
    """Take the lock within `wait_seconds_max`."""
    deadline = time.monotonic() + wait_seconds_max
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            raise SettingError(
                f"{path.parent} for ourselves",
                "a server that runs there already",
                "end the Bahi that uses this folder, or set BAHI_DATA_DIR to another one",
            )
        time.sleep(LOCK_POLL_SECONDS)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file unless somebody has it; say whether we did."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
