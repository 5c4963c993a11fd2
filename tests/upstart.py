"""`bahi up` in tests: real servers, the real supervisor, and programs of a few lines in place of Bahi's own."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.embedded.owner import public_folder
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port
from tests.processes import Watch, descendants
from tests.servers import TOOLS

HEAD = """
import os, signal, sys, time
def say(text): print(text, os.getpid(), flush=True)
"""

PATIENT = """
say("began")
def end(*_):
    say("ended")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True: signal.pause()
"""
"""Says when it begins and when it is asked to end."""

STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("began")
while True: signal.pause()
"""
"""Ignores the wish to end."""

API = """
import http.server, subprocess
worker = subprocess.Popen([sys.executable, "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"])
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
def end(*_):
    say("ended")
    worker.kill()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["API_PORT"])), Ready)
say("began")
server.serve_forever()
"""
"""Answers GET /ready; has a worker that ignores the wish to end, as web servers may."""


class Up:
    """A `bahi up` with a Procfile of small programs."""

    def __init__(self, data_dir: Path, programs: dict[str, str], **environ: str) -> None:
        self.data_dir = data_dir
        self.lines: list[str] = []
        self.port = free_port()
        procfile = data_dir / "test-programs"
        procfile.mkdir(exist_ok=True)
        for name, body in programs.items():
            (procfile / f"{name}.py").write_text(HEAD + body)
        listed = "".join(f"{name}: {sys.executable} {procfile}/{name}.py\n" for name in programs)
        (procfile / "Procfile").write_text(listed)
        borrow_tools(data_dir)
        plain = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        self.environ = plain | {
            "BAHI_DATA_DIR": str(data_dir),
            "API_PORT": str(self.port),
            "BAHI_SANDBOX_PORT": "0",
            "BROKER": "sandbox",
            **environ,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "ops.cli", "up", "--procfile", str(procfile / "Procfile")],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._coming: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        if kind is not None:
            print("\n".join(self.lines))

    def until(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches; return the match. Fails with all lines where it does not come."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                line = self._coming.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                line = None
            assert line is not None, f"no line like {pattern!r} in\n" + "\n".join(self.lines)
            if match := re.search(pattern, line):
                return match

    def ready(self) -> Self:
        """Wait for the line with the URL."""
        self.until(r"open http://")
        return self

    def watch(self) -> Watch:
        """Watch the supervisor's process and all below it."""
        return Watch([self.process.pid, *descendants(self.process.pid)])

    def said(self, pattern: str) -> list[str]:
        """Return the lines so far that match."""
        return [line for line in self.lines if re.search(pattern, line)]

    def command(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run another command of Bahi with the same settings."""
        argv = [sys.executable, "-m", "ops.cli", name]
        return subprocess.run(argv, env=self.environ, capture_output=True, text=True, check=False)

    def end(self, wanted: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, wait for the end and for the last line."""
        self.process.send_signal(wanted)
        self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))
                self._coming.put(self.lines[-1])
        self._coming.put(None)


def borrow_tools(data_dir: Path) -> None:
    """Let the data directory use the redis-server that the test suite keeps, if it has one."""
    kept = TOOLS / "redis-6.2" / "redis-server"
    home = data_dir / "tools" / "redis-6.2"
    if kept.exists() and not home.exists():
        public_folder(home)
        (home / "redis-server").symlink_to(kept)
