"""Who runs on a data directory, and how other commands find the servers that they run.

`<data>/run/up.lock` is held by `bahi up` while it lives, and by its guard until nothing of it is left. Its text says
who that is; only the lock itself says whether it is still so. `<data>/run/servers.json` (0600: it holds passwords)
names the embedded servers; it counts only while the lock is held.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ops.embedded import postgres, redis
from ops.embedded.place import LOCK_POLL_SECONDS, try_lock, write_private
from runtime.errors import SettingError
from runtime.settings import Settings

DATABASE = ("database_url",)
REDIS = ("redis_url",)
BOTH = DATABASE + REDIS
"""Fields of the settings that name servers."""

BRIEF_WAIT_SECONDS = 0.5
"""Somebody who only looks whether the lock is held holds it himself for some microseconds."""

REMNANTS_WAIT_SECONDS_MAX = 15.0
"""A guard takes 5 s to ask and no time to kill; the rest is for a slow machine."""


class Holder(msgspec.Struct, frozen=True):
    """Who holds a data directory: written into the lock file."""

    command: str
    pid: int
    url: str | None = None


class Servers(msgspec.Struct, frozen=True):
    """The embedded servers that run; None where the user's own is used."""

    database_url: str | None = None
    redis_url: str | None = None


def lock_path(data_dir: Path) -> Path:
    """Return the path of the lock file."""
    return data_dir / "run" / "up.lock"


def servers_path(data_dir: Path) -> Path:
    """Return the path of the file that names the embedded servers."""
    return data_dir / "run" / "servers.json"


@contextlib.contextmanager
def held(data_dir: Path, command: str, url: str | None = None) -> Iterator[int]:
    """Hold the data directory while the context lasts; yield the lock's descriptor.

    Remnants of a killed holder are waited for. Raises SettingError naming a holder that lives.
    """
    path = lock_path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(Holder(command, os.getpid(), url)), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def holder(data_dir: Path) -> Holder | None:
    """Return who holds the data directory now and lives, None where there is nobody or a dead one's remnants."""
    try:
        descriptor = os.open(lock_path(data_dir), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        found = _read_holder(descriptor)
        return found if _lives(found.pid) else None
    else:
        return None
    finally:
        os.close(descriptor)


def write(data_dir: Path, servers: Servers) -> None:
    """Name the embedded servers for other commands."""
    write_private(servers_path(data_dir), msgspec.json.encode(servers).decode())


def connect_settings(settings: Settings, needs: tuple[str, ...] = BOTH) -> Settings:
    """Return the settings with the URLs of the embedded servers where the user set none.

    Raises SettingError where one of `needs` is missing and no `bahi up` runs on this data directory.
    """
    if settings.database_url and settings.redis_url:
        return settings
    found = _running(settings.bahi_data_dir)
    filled = msgspec.structs.replace(
        settings,
        database_url=settings.database_url or found.database_url,
        redis_url=settings.redis_url or found.redis_url,
    )
    missing = " and ".join(name.upper() for name in needs if getattr(filled, name) is None)
    if missing:
        raise SettingError(
            f"{missing}, or a `bahi up` that runs servers of its own",
            f"neither; no `bahi up` runs on {settings.bahi_data_dir}",
            f"start `bahi up`, or set {missing}",
        )
    return filled


@contextlib.contextmanager
def servers_for(settings: Settings, command: str) -> Iterator[Settings]:
    """Yield settings whose servers run: the user's, those of a running `bahi up`, or embedded ones for the time.

    In the last case the data directory is held meanwhile, so that no `bahi up` starts. Main thread only.
    """
    data_dir = settings.bahi_data_dir
    if (settings.database_url and settings.redis_url) or holder(data_dir) is not None:
        yield connect_settings(settings)
        return
    with held(data_dir, command), contextlib.ExitStack() as running:
        found: dict[str, str] = {}
        for name, kind in (("database_url", postgres), ("redis_url", redis)):
            if getattr(settings, name) is None:
                server = kind.start(data_dir)
                running.callback(server.stop)
                found[name] = server.url
        yield msgspec.structs.replace(settings, **found)


def _running(data_dir: Path) -> Servers:
    """Return the embedded servers of the `bahi up` that runs, with None for each where there is none."""
    if holder(data_dir) is None:
        return Servers()
    try:
        return msgspec.json.decode(servers_path(data_dir).read_bytes(), type=Servers)
    except FileNotFoundError:
        return Servers()


def _take(descriptor: int, path: Path) -> None:
    """Take the lock; wait longer for the remnants of a holder that is dead than for one that lives."""
    began = time.monotonic()
    while not try_lock(descriptor):
        found = _read_holder(descriptor)
        patience = BRIEF_WAIT_SECONDS if _lives(found.pid) else REMNANTS_WAIT_SECONDS_MAX
        if time.monotonic() - began > patience:
            where = f", at {found.url}" if found.url else ""
            raise SettingError(
                f"the data directory {path.parents[1]} for ourselves",
                f"`bahi {found.command}` has it (process {found.pid}{where})",
                "use that one, or end it first; or set BAHI_DATA_DIR (and API_PORT) to run a second one beside it",
            )
        time.sleep(LOCK_POLL_SECONDS)


def _read_holder(descriptor: int) -> Holder:
    """Read the lock file's text; a holder that has not written it yet has no name."""
    try:
        return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Holder)
    except msgspec.DecodeError:
        return Holder("(starting)", 0)


def _lives(pid: int) -> bool:
    """Say whether a process with this number runs; one that ended and was not collected yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :][:1] not in (b"Z", b"X")
