"""How much memory a process has had at most."""

import contextlib
import subprocess
from pathlib import Path

LOOK_SECONDS = 0.2
"""Between two looks at a number that only grows."""


def most_memory_mib(pid: int) -> float:
    """Give the most memory that a process has had; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    # Not getrusage: what its parent had at the fork counts there, too.
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def watched(process: "subprocess.Popen[bytes]") -> float:
    """Wait for the end of a process; give the most memory that it has had, in MiB."""
    most = 0.0
    while process.poll() is None:
        most = most_memory_mib(process.pid) or most
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_SECONDS)
    return most
