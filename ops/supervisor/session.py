"""The processes of a session: find them and kill them.

A session's number is the process id of its leader, and stays while any member lives. A member that has ended but was
not collected yet (a zombie) does not count.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")

STATE_FIELD, SESSION_FIELD = 0, 3
"""Of /proc/<pid>/stat after the name in parentheses: state, parent, group, session (see proc(5))."""

ENDED_STATES = (b"Z", b"X")

POLL_SECONDS = 0.01
"""A killed process is gone as soon as the kernel has freed its memory."""


def members(session: int) -> list[int]:
    """Return the process ids that live in a session."""
    return [pid for pid in _process_ids() if _session(pid) == session]


def send(session: int, wanted: signal.Signals) -> bool:
    """Send a signal to each member; say whether there was any."""
    found = members(session)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, wanted)
    return bool(found)


def extinguish(session: int) -> None:
    """Kill every member, and what they fork meanwhile; return when none is found."""
    while send(session, signal.SIGKILL):
        time.sleep(POLL_SECONDS)


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _session(pid: int) -> int | None:
    """Return the session of a process, None where it has ended."""
    try:
        stat = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name may hold blanks and parentheses: what follows the last one is plain.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[STATE_FIELD] in ENDED_STATES else int(fields[SESSION_FIELD])
