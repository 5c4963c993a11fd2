"""Processes in tests: who descends from whom, and a wait for their end that needs no sleep."""

import os
import select
import time
from pathlib import Path

PARENT_FIELD = 1
"""Of /proc/<pid>/stat after the name: state, parent."""


def descendants(pid: int) -> list[int]:
    """Return the living processes below `pid`, children first."""
    children = [child for child in living() if parent(child) == pid]
    return children + [below for child in children for below in descendants(child)]


def living() -> list[int]:
    """Return all process ids."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def parent(pid: int) -> int | None:
    """Return the parent of a process, None where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat[stat.rindex(")") + 2 :].split()[PARENT_FIELD])


def command_line(pid: int) -> str:
    """Return the words with which a process was started."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


class Watch:
    """Some processes, watched from now on: numbers that are given to others later do not confuse it."""

    def __init__(self, pids: list[int]) -> None:
        self._names = {}
        for pid in pids:
            try:
                self._names[os.pidfd_open(pid)] = f"{pid} {command_line(pid)}"
            except OSError:
                continue

    def left_after(self, seconds: float) -> list[str]:
        """Wait until all have ended, or `seconds` have passed; return those that live on."""
        deadline = time.monotonic() + seconds
        poll = select.poll()
        for descriptor in self._names:
            poll.register(descriptor, select.POLLIN)
        while self._names:
            rest = max(deadline - time.monotonic(), 0)
            ended = poll.poll(rest * 1000)
            for descriptor, _ in ended:
                poll.unregister(descriptor)
                os.close(descriptor)
                del self._names[descriptor]
            if not ended:
                break
        return list(self._names.values())

    def __del__(self) -> None:
        for descriptor in self._names:
            os.close(descriptor)
