"""Start a child process that the kernel ends when we die, however we die.

Linux sends a child the signal of PR_SET_PDEATHSIG when its parent THREAD ends, not its parent process. A child that is
forked from a pool's thread is killed when that thread goes away. So `spawn` may be called from the main thread only,
and asserts it.

The kernel forgets the signal when the child changes its user, so it is set after setuid and right before exec. Between
fork and prctl the parent may have died already: then the child sees another parent, and ends itself.
"""

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from ops.embedded.owner import Owner

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

PARENT_GONE_EXIT_CODE = 98
"""What a child answers that found its parent dead before exec; nobody is left to read it."""

# Loaded before any fork: the dynamic loader takes locks that another thread might hold at the moment of forking.
_LIBC = ctypes.CDLL(None, use_errno=True)


def spawn(
    argv: Sequence[str],
    *,
    death_signal: signal.Signals,
    owner: Owner | None = None,
    output: IO[bytes] | int | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    keep_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, with `death_signal` when this process dies.

    Standard input is empty; standard output and error go to `output`. A session of its own keeps the terminal's
    Ctrl-C away from it: we decide who ends when. Raises OSError where the program cannot be started.
    """
    assert threading.current_thread() is threading.main_thread(), "the death signal follows the thread that forks"
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=None if environ is None else dict(environ),
        cwd=cwd,
        user=None if owner is None else owner.uid,
        group=None if owner is None else owner.gid,
        extra_groups=None if owner is None else [],
        start_new_session=True,
        pass_fds=tuple(keep_fds),
        preexec_fn=_tie_to_parent(death_signal, os.getpid()),  # noqa: PLW1509  # it takes no lock: two system calls
    )


def complete(
    argv: Sequence[str],
    *,
    seconds_max: float,
    owner: Owner | None = None,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """Run `argv` to its end; standard output and error come together in `stdout`. It is killed when we die.

    Raises OSError where it cannot be started, subprocess.TimeoutExpired after `seconds_max`.
    """
    assert threading.current_thread() is threading.main_thread(), "the death signal follows the thread that forks"
    return subprocess.run(
        list(argv),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds_max,
        check=False,
        # Ours may be closed to the other user.
        cwd="/",
        user=None if owner is None else owner.uid,
        group=None if owner is None else owner.gid,
        extra_groups=None if owner is None else [],
        start_new_session=True,
        preexec_fn=_tie_to_parent(signal.SIGKILL, os.getpid()),
    )


def _tie_to_parent(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    """Return what the child does between setuid and exec."""

    def tie() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(PARENT_GONE_EXIT_CODE)

    return tie
