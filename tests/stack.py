"""The whole of Bahi as real processes, for acceptance: each may be killed, frozen, stopped and started at will."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import redis

from ops.embedded import postgres
from ops.embedded import redis as embedded_redis
from ops.embedded.server import Server, start
from ops.embedded.spawn import spawn
from tests.patience import LOOK_SECONDS, PATIENCE_SECONDS
from tests.ports import free_port
from tests.servers import TOOLS, with_database

TICK_STREAM = "ticks-sandbox-1"
PROCESSES = ("sandbox", "sync", "ticks", "project", "archive", "api")
COMMAND_SECONDS = 4 * PATIENCE_SECONDS  # for a command that reads much of the log


class Stack:
    """Servers and processes on one data directory; `with Stack(folder, **settings) as stack`."""

    def __init__(self, data_dir: Path, **settings: object) -> None:
        self.data_dir = data_dir
        self.servers: dict[str, Server] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._settings = {name: str(value) for name, value in settings.items()}
        self._logs = data_dir / "logs"
        self._database: str | None = None  # the server's own until another one is used

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self.servers["postgres"] = postgres.start(self.data_dir)
        if "REDIS_URL" not in self._settings:
            self.servers["redis"] = embedded_redis.start(self.data_dir, TOOLS)
        self.api_port = free_port()
        self.run("migrate")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        for server in self.servers.values():
            server.stop()

    @property
    def database_url(self) -> str:
        """Return the URL of the tables."""
        url = self.servers["postgres"].url
        return with_database(url, self._database) if self._database else url

    def use_database(self, name: str) -> None:
        """Make an empty database on the same server, with tables, and have it used from now on."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        self._database = name
        self.run("migrate")

    @property
    def redis_url(self) -> str:
        """Return the URL of the log's near end."""
        return self._settings.get("REDIS_URL") or self.servers["redis"].url

    def environment(self) -> dict[str, str]:
        """Return what every process is started with."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {
            **kept,
            "BAHI_DATA_DIR": str(self.data_dir),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "BAHI_SANDBOX_PORT": "0",
            "BAHI_SANDBOX_LIMITS": "false",
            "API_PORT": str(self.api_port),
            "BAHI_API_KEY": "acceptance-key-0123456789",
            **self._settings,
        }

    def command(self, *words: str) -> list[str]:
        """Return how a command of bahi is called."""
        return [sys.executable, "-m", "ops.cli", *words]

    def run(self, *words: str, patience_seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a command of bahi to its end; it must succeed."""
        done = self.ask(*words, patience_seconds=patience_seconds)
        assert done.returncode == 0, f"bahi {' '.join(words)}: {done.stdout}\n{done.stderr}"
        return done

    def ask(self, *words: str, patience_seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a command of bahi to its end, however it ends."""
        return subprocess.run(
            self.command(*words),
            check=False,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=patience_seconds,
        )

    def start(self, name: str, *words: str, command: list[str] | None = None) -> None:
        """Start a process; `words` are more arguments. A second one of a kind has a number behind its name.

        command: what is run in place of Bahi's own.
        """
        with (self._logs / f"{name}.log").open("ab") as log:
            words_of = command or self.command(name.rstrip("0123456789"), *words)
            self.processes[name] = spawn(words_of, death_signal=signal.SIGKILL, output=log, environ=self.environment())

    def start_all(self, *words: str) -> None:
        """Start every process; `words` go to the sandbox."""
        for name in PROCESSES:
            self.start(name, *(words if name == "sandbox" else ()))

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        self.processes[name].kill()
        self.processes[name].wait()

    def stop_server(self, name: str, *, politely: bool = False) -> None:
        """End a server at once, or with time to write."""
        server = self.servers[name]
        server.stop() if politely else os.kill(server.pid, signal.SIGKILL)
        server.process.wait()

    def start_server(self, name: str) -> None:
        """Start a server again, where it was."""
        self.servers[name] = start(self.servers[name].launch)

    def stop(self, name: str) -> int:
        """Ask a process to end, and wait for it; return its exit code."""
        self.processes[name].terminate()
        return self.processes[name].wait(PATIENCE_SECONDS)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal, to freeze or thaw a process."""
        self.processes[name].send_signal(number)

    def log(self, name: str) -> str:
        """Return what a process has said."""
        path = self._logs / f"{name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def misbehave(self, fault: str, **options: object) -> None:
        """Let the sandbox play a fault."""
        self.ask_sandbox("/sandbox/faults", {"fault": fault, **options})

    def behave(self) -> None:
        """End every fault of the sandbox."""
        port = int((self.data_dir / "sandbox" / "port").read_text("ascii"))
        request = urllib.request.Request(f"http://127.0.0.1:{port}/sandbox/faults", method="DELETE")
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            assert answer.status == 200

    def ask_sandbox(self, path: str, body: object = None, method: str | None = None) -> Any:
        """Ask the sandbox's own endpoints, by POST where there is a body; return the data of its answer."""
        port = int((self.data_dir / "sandbox" / "port").read_text("ascii"))
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            assert answer.status == 200
            return json.load(answer)["data"]

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the tables."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def redis(self) -> redis.Redis:
        """Return a client of the log's near end."""
        return redis.Redis.from_url(self.redis_url)

    def wait(self, what: str, holds: Callable[[], bool], seconds_max: float = PATIENCE_SECONDS) -> None:
        """Look again and again until something holds; fail with everybody's last words where it does not."""
        deadline = time.monotonic() + seconds_max
        while not holds():
            if time.monotonic() > deadline:
                said = "\n".join(f"--- {name}\n{self.log(name)[-1500:]}" for name in self.processes)
                raise AssertionError(f"{what}: not within {seconds_max:.0f} s\n{said}")
            select_nothing(LOOK_SECONDS)

    def checkpoint(self, projector: str, stream: str = TICK_STREAM) -> int:
        """Return how far a projector has committed a stream."""
        rows = self.query(
            "select n from projection_checkpoints where projector = %s and stream = %s", projector, stream
        )
        return rows[0][0] if rows else 0

    def caught_up(self, last: int, stream: str = TICK_STREAM) -> bool:
        """Say whether ticks, candles and gaps have committed up to n = last."""
        return all(self.checkpoint(each, stream) >= last for each in ("ticks", "candles", "gaps"))


def select_nothing(seconds: float) -> None:
    """Let the processes work for a moment; the one place in which acceptance lets time go by."""
    signal.sigtimedwait([], seconds)
