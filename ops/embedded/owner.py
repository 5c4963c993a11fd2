"""Under which user an embedded server runs, and whether that user can reach its files.

PostgreSQL refuses to run as root, and a database that listens on a port has no need to. So as root both servers run as
`nobody`, and the folders that they write to belong to it. Folders above these are the user's: their rights are never
changed. Where `nobody` cannot pass through one, we stop and say so.
"""

import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

from runtime.errors import SettingError

SERVER_USER = "nobody"
"""The user of the servers when Bahi runs as root; every Linux has it."""


class Owner(NamedTuple):
    """A user and group by number."""

    uid: int
    gid: int


def server_owner() -> Owner | None:
    """Return the user that servers run as, None where that is our own.

    Raises SettingError as root on a system without `nobody`.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(SERVER_USER)
    except KeyError:
        raise SettingError(
            f"a user '{SERVER_USER}' to run PostgreSQL and Redis as",
            "no such user, and they do not run as root",
            "start Bahi as an ordinary user, or set DATABASE_URL and REDIS_URL to servers of your own",
        ) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def can_enter(folder: Path, owner: Owner | None) -> bool:
    """Say whether `owner` may pass through `folder` itself (not its parents), by its mode bits."""
    if owner is None:
        return os.access(folder, os.X_OK)
    found = folder.stat()
    if found.st_uid == owner.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == owner.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def first_closed(folder: Path, owner: Owner | None) -> Path | None:
    """Return the uppermost folder on the way to `folder`, itself included, that `owner` cannot enter."""
    way = [*reversed(folder.resolve().parents), folder.resolve()]
    return next((step for step in way if not can_enter(step, owner)), None)


def refuse_closed(path: Path, owner: Owner | None) -> None:
    """Raise SettingError where `owner` cannot come to `path`; nobody's rights are changed to let it."""
    closed = first_closed(path, owner)
    if closed is None:
        return
    who = "our own user" if owner is None else f"the user '{SERVER_USER}', as whom root runs the servers,"
    raise SettingError(
        f"{path} where {who} can come to",
        f"{closed} is closed to it",
        f"set BAHI_DATA_DIR to a folder outside {closed}, for example /var/lib/bahi, or start Bahi as its owner",
    )


def own_folder(folder: Path, owner: Owner | None) -> None:
    """Make `folder` (its parent must exist) as a private folder of the server's user.

    Raises SettingError where that user cannot come to it, or where it belongs to somebody else.
    """
    refuse_closed(folder.parent, owner)
    folder.mkdir(mode=0o700, exist_ok=True)
    wanted = Owner(os.geteuid(), os.getegid()) if owner is None else owner
    found = folder.stat()
    if owner is not None and found.st_uid == 0:
        os.chown(folder, *owner)
    elif found.st_uid != wanted.uid:
        raise SettingError(
            f"{folder} to belong to user {wanted.uid}, as whom its server runs",
            f"it belongs to user {found.st_uid}: another user started Bahi here before",
            "start Bahi as that user again, or set BAHI_DATA_DIR to another folder",
        )


def public_folder(folder: Path) -> None:
    """Make `folder`, and what is missing on the way to it, for everybody to enter, whatever the umask is."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(0o755)


def publish(tree: Path) -> None:
    """Let everybody read what lies in `tree`, and run what its owner may run, whatever the umask was."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))
