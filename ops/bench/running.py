"""A whole Bahi of a benchmark's own: `bahi up` on an empty data directory and free ports, ended after."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops import readiness
from ops.embedded.discover import connect_settings
from ops.embedded.place import free_port
from ops.supervisor import procfile
from runtime import settings as settings_module
from runtime.errors import Unreachable
from runtime.settings import SETTINGS, Settings

READY_SECONDS_MAX = 60.0
READY_POLL_SECONDS = 0.1
STOP_SECONDS_MAX = 20.0
LAST_LINES = 15


@contextmanager
def up(data_dir: Path, programs: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[Settings]:
    """Run these programs (name to command, as in a Procfile) under `bahi up`; give its settings once it is ready.

    environ: settings by name; no other setting of the caller's environment counts. Raises Unreachable with the last
    lines where it does not become ready.
    """
    listed = data_dir / "Procfile"
    listed.write_text("".join(f"{name}: {command}\n" for name, command in programs.items()))
    given = {
        "BAHI_DATA_DIR": str(data_dir),
        "API_PORT": str(free_port()),
        "BAHI_SANDBOX_PORT": str(free_port()),
        "BAHI_API_KEY": secrets.token_urlsafe(),
        "LOG_LEVEL": "warning",
        **environ,
    }
    names = {setting.name for setting in SETTINGS}
    plain = {name: value for name, value in os.environ.items() if name not in names}
    _borrow_tools(data_dir)
    with (data_dir / "up.log").open("wb") as output:
        argv = procfile.command(["bahi", "up", "--procfile", str(listed)])
        process = subprocess.Popen(argv, cwd=data_dir, env={**plain, **given}, stdout=output, stderr=output)
    try:
        settings = settings_module.load(given)
        _until_ready(process, settings, data_dir / "up.log")
        yield connect_settings(settings)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()  # its guard ends the rest
            process.wait()


def _borrow_tools(data_dir: Path) -> None:
    """Use the redis-server that the usual data directory has, rather than to download another."""
    kept = settings_module.load().bahi_data_dir / "tools"
    if kept.is_dir():
        (data_dir / "tools").symlink_to(kept)


def _until_ready(process: "subprocess.Popen[bytes]", settings: Settings, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while (missing := readiness.missing(settings.api_host, settings.api_port)) is not None:
        if process.poll() is not None or time.monotonic() > deadline:
            lines = "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
            raise Unreachable("a running Bahi to measure", f"{missing}; its last lines:\n{lines}", "mend what it says")
        time.sleep(READY_POLL_SECONDS)
