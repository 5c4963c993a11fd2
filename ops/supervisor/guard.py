"""The guard: a process that ends what is left when the supervisor was killed.

It reads lines from a pipe, `watch <session> <signal>` and `forget <session>`. When the pipe closes, the supervisor is
gone. With an empty list all was over; else each session gets its signal, GRACE_SECONDS to end, and SIGKILL.

It imports next to nothing, because it must be there before the first child and stay small. It is a session of its own,
so that a terminal's Ctrl-C does not reach it, and it carries no death signal: to outlive us is its purpose.
"""

import os
import signal
import subprocess
import sys
import time
from typing import IO

from ops.supervisor import session

GRACE_SECONDS = 5.0
"""Children got their death signal from the kernel already; a healthy one ends within two seconds."""

POLL_SECONDS = 0.05


class Guard:
    """The supervisor's side: keeps the guard's list, starts it again where it died."""

    def __init__(self, keep_fds: tuple[int, ...]) -> None:
        self._keep_fds = keep_fds
        self._watched: dict[int, signal.Signals] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None

    def open(self) -> None:
        """Start the process. `keep_fds` stay open in it: the lock of the data directory."""
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(reading)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(reading, *self._keep_fds),
            start_new_session=True,
        )
        os.close(reading)
        self._pipe = os.fdopen(writing, "wb", buffering=0)
        for number, wanted in self._watched.items():
            self._tell(f"watch {number} {int(wanted)}")

    def watch(self, number: int, wanted: signal.Signals) -> None:
        """Put a session on the list, with the signal that asks it to end."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
            self.open()
        self._watched[number] = wanted
        self._tell(f"watch {number} {int(wanted)}")

    def forget(self, number: int) -> None:
        """Take a session off the list: nothing of it lives."""
        self._watched.pop(number, None)
        self._tell(f"forget {number}")

    def close(self) -> None:
        """Close the pipe and collect the guard; it ends at once where its list is empty."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._pipe is not None, "the guard is opened before anything is watched"
        try:
            self._pipe.write(line.encode() + b"\n")
        except BrokenPipeError:
            # Somebody killed the guard; the next `watch` starts it again with the whole list.
            return


def main(descriptor: int) -> None:
    """Follow the supervisor's list until the pipe closes, then end what is on it."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: dict[int, signal.Signals] = {}
    with os.fdopen(descriptor) as pipe:
        for line in pipe:
            _follow(line.split(), watched)
    if watched:
        end(watched)


def end(watched: dict[int, signal.Signals]) -> None:
    """Ask every session to end, wait up to GRACE_SECONDS, kill what is left."""
    for number, wanted in watched.items():
        session.send(number, wanted)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(session.members(number) for number in watched) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for number in watched:
        session.extinguish(number)


def _follow(words: list[str], watched: dict[int, signal.Signals]) -> None:
    """Apply one line of the pipe."""
    match words:
        case ["watch", number, wanted]:
            watched[int(number)] = signal.Signals(int(wanted))
        case ["forget", number]:
            watched.pop(int(number), None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
