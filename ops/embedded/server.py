"""An embedded server: `Launch` says how to start one, `Server` is one that runs.

States of a `Server`: spawned -> answering -> stopped. `spawn` forks and returns at once, `wait` blocks until it
answers, `stop` asks, then insists, then kills. A server that ends by itself is seen by `process.poll()`; the same
`Launch` starts it again under the same URL.
"""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.owner import Owner
from ops.embedded.place import LOCK_WAIT_SECONDS_MAX, locked
from ops.embedded.spawn import spawn as spawn_child
from runtime.errors import Unreachable

READY_SECONDS_MAX = 300.0
"""A start takes under a second. After a crash PostgreSQL replays up to `max_wal_size` of its log (2 GB: half a minute
on a slow disk), and Redis reads its append-only file (some 100 MB/s)."""

READY_POLL_SECONDS = 0.02

STOP_SECONDS_MAX = 5.0
"""How long one stop signal may work before the next, harder one. A fast shutdown takes 0.2 s with nothing to write."""

KILL_SECONDS_MAX = 5.0
"""A killed process is gone at once, unless the kernel holds it in a disk call."""

LOG_TAIL_LINES = 12
LOG_BYTES_MAX = 8 * 1024 * 1024
"""At a start a longer log is put aside as <name>.1; the older one goes."""


@dataclass(frozen=True)
class Launch:
    """All that is needed to start one server, again and again, under the same URL."""

    name: str
    argv: tuple[str, ...]
    url: str
    """With user and password: never log it."""
    folder: Path
    """The server's own folder; holds `lock` and `server.log` beside its data."""
    owner: Owner | None
    stop_signals: tuple[signal.Signals, ...]
    """From polite to hard; the first is also what it gets when we die."""
    answers: Callable[[int], bool]
    """Say whether the server with this pid takes connections now. Quick, never raises."""
    before: Callable[[], None]
    """Runs with the lock held, when certainly nothing of an earlier server lives."""

    @property
    def log_path(self) -> Path:
        """Return the file that the server's output is appended to."""
        return self.folder / "server.log"


class Server:
    """One running server of a `Launch`."""

    def __init__(self, launch: Launch, process: subprocess.Popen[bytes]) -> None:
        self.launch = launch
        self.process = process

    @property
    def url(self) -> str:
        """Return its URL with user and password."""
        return self.launch.url

    @property
    def pid(self) -> int:
        """Return the process id of the server itself."""
        return self.process.pid

    def wait(self, seconds_max: float = READY_SECONDS_MAX) -> None:
        """Block until the server takes connections. Raises Unreachable with its last words where it does not."""
        deadline = time.monotonic() + seconds_max
        while not self.launch.answers(self.pid):
            if self.process.poll() is not None:
                raise did_not_start(self.launch, f"it ended with exit code {self.process.returncode}")
            if time.monotonic() > deadline:
                raise did_not_start(self.launch, f"no answer in {seconds_max:.0f} s")
            time.sleep(READY_POLL_SECONDS)

    def stop(self, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """End the server: each stop signal gets `seconds_max`, then SIGKILL. Fine to call twice."""
        for wanted in self.launch.stop_signals:
            if self._ended_by(wanted, seconds_max):
                return
        self._ended_by(signal.SIGKILL, KILL_SECONDS_MAX)

    def _ended_by(self, wanted: signal.Signals, seconds_max: float) -> bool:
        """Send one signal; say whether the server is gone within `seconds_max`."""
        self.process.send_signal(wanted)
        try:
            self.process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            return False
        return True


def spawn(launch: Launch, lock_wait_seconds_max: float = LOCK_WAIT_SECONDS_MAX) -> Server:
    """Start the server and return at once; `Server.wait` says when it answers. Main thread only.

    Raises SettingError where something of an earlier server lives on after `lock_wait_seconds_max`.
    """
    with locked(launch.folder / "lock", lock_wait_seconds_max) as lock:
        launch.before()
        _put_aside_long(launch.log_path)
        with launch.log_path.open("ab") as log:
            process = spawn_child(
                launch.argv,
                death_signal=launch.stop_signals[0],
                owner=launch.owner,
                output=log,
                cwd=launch.folder,
                keep_fds=[lock],
            )
    return Server(launch, process)


def start(launch: Launch) -> Server:
    """Start the server and wait until it takes connections; nothing is left behind where it does not."""
    server = spawn(launch)
    try:
        server.wait()
    except BaseException:
        server.stop()
        raise
    return server


def did_not_start(launch: Launch, found: str) -> Unreachable:
    """Build the error of a start that failed, with the end of the server's log."""
    return Unreachable(
        f"{launch.name} to start",
        f"{found}; its last words:\n{_log_tail(launch.log_path)}",
        f"read {launch.log_path}",
    )


def _log_tail(path: Path) -> str:
    """Return the last LOG_TAIL_LINES lines of a log file, indented."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "    (nothing)"
    return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:]) or "    (nothing)"


def _put_aside_long(path: Path) -> None:
    """Rename a log of more than LOG_BYTES_MAX."""
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_name(path.name + ".1"))
