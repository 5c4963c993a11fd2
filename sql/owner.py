"""Who holds something: a name that tells the machine, the process, and which of its stores.

    host:pid:start:mark    an owner, also the name of its session; host:pid:start is the worker, the process it is of

A host is where a process number means one process: two containers may have one name, and each has numbers of its own.
"""

import itertools
import os
import socket
import zlib
from pathlib import Path

NAME_CHARACTERS_MAX = 20  # an owner is the name of its session, and PostgreSQL keeps 63 characters of one
_marks = itertools.count(1)


def worker() -> str:
    """Give this process's name among those that share the work."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}"


def new_owner() -> str:
    """Give a name that nobody had before: whoever bears it may take its own pair again, and nobody else."""
    return f"{worker()}:{next(_marks)}"


def worker_of(owner: str) -> str:
    """Give the process that an owner is of."""
    return ":".join(owner.split(":")[:3])


def lives(owner: str | None) -> bool | None:
    """Say whether the process of an owner or worker lives; None where it is of another machine, or unknown."""
    host, pid, started, *_ = [*(owner or "").split(":"), "", ""]
    if host != _host() or not pid.isdigit() or started in ("", "0"):
        return None
    return _started(int(pid)) == started


def _host() -> str:
    """Give the begin of the host's name, and a checksum of all of it, the kernel's start and the space of its pids."""
    name = socket.gethostname()
    whole = f"{name} {_boot()} {_space()}"
    return f"{name[:NAME_CHARACTERS_MAX]}-{zlib.crc32(whole.encode()):08x}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())  # a name, such as pid:[4026531836]
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Give the kernel's start time of a process, which tells a process from a later one of the same number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
