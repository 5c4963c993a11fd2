"""Who holds something: a name that tells the machine, the process, and which of its stores.

host:pid:start:mark    an owner, also the name of its session; host:pid:start is the worker, the process it is of
"""

import itertools
import os
import socket
from pathlib import Path

HOST_CHARACTERS_MAX = 30  # an owner is the name of its session, and PostgreSQL keeps 63 characters of one
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
    return socket.gethostname()[:HOST_CHARACTERS_MAX]


def _started(pid: int) -> str:
    """Give the kernel's start time of a process, which tells a process from a later one of the same number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
