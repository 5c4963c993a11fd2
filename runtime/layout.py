"""The data directory: what lies where, in which version, and which process runs on it.

    spool/<stream>/     what the writers wrote; the newest part of the log
    archive/<stream>/   closed segments, for ever (unless ARCHIVE_URL says another place)
    secrets/            the vault
    run/                <process>.pid, locked while the process lives, and <process>.prom, its metrics
    sandbox/, replay/   what the sandbox exchange sent, of its own and of a recording
    postgres/, redis/   embedded servers; tools/ holds the binaries that they need
    VERSION             the version of this layout

A directory of another version is not touched: the process stops and says so.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import Halt, SettingError

VERSION = "1"
WRITTEN = (
    "run",
    "spool",
    "secrets",
    "sandbox",
    "archive",
)  # what our own processes write; servers have their own users
# So many processes of one name would be a supervisor gone wild; the machine is not helped by one more.
SAME_NAME_MAX = 64


def prepare(data_dir: Path) -> None:
    """Make the data directory, or check the version of the one that is there; raise `SettingError` if it cannot be."""
    try:
        (data_dir / "run").mkdir(parents=True, exist_ok=True)
        found = _version(data_dir / "VERSION")
    except OSError as error:
        raise _closed(data_dir, str(error)) from error
    for folder in (data_dir, *(data_dir / name for name in WRITTEN)):
        if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            raise _closed(data_dir, f"{folder} belongs to somebody else, or is closed")
    if found != VERSION:
        raise SettingError(
            f"a data directory of version {VERSION} in {data_dir}",
            f"version {found!r}",
            "run the release of Bahi that wrote it, or set BAHI_DATA_DIR to another folder",
        )


def _closed(data_dir: Path, found: str) -> SettingError:
    return SettingError(
        f"BAHI_DATA_DIR={data_dir} to be a folder that this user can write",
        found,
        "set BAHI_DATA_DIR to another folder, or mend its rights or its disk",
    )


def _version(path: Path) -> str:
    if not path.exists():
        draft = path.with_name(f"VERSION.{os.getpid()}.draft")
        draft.write_text(VERSION + "\n")
        draft.replace(path)
    return path.read_text().strip()


@contextmanager
def present(process: str, data_dir: Path) -> Iterator[str]:
    """Hold `<data>/run/<name>.pid` while the process lives; give the name: `process`, or `process-2` for a second."""
    for name in (process, *(f"{process}-{i}" for i in range(2, SAME_NAME_MAX))):
        with (data_dir / "run" / f"{name}.pid").open("a+") as file:
            if not _locked(file.fileno()):
                continue
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield name
            # The file stays: to unlink a locked file would let two processes hold "the same" lock.
            file.truncate(0)
            return
    raise Halt(f"fewer than {SAME_NAME_MAX} processes named {process}", "as many", "stop some of them")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
