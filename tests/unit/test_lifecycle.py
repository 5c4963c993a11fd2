"""How a process ends: real processes, real signals, and the exit code that each end has."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import BadInput, BahiError, Halt, LogRefused, SettingError, Unreachable
from runtime.lifecycle import Stop, exit_code

ROOT = Path(__file__).parents[2]

BEGIN = """
import asyncio, os, sys
from pathlib import Path
from runtime import lifecycle
from runtime.errors import Halt, SettingError
from runtime.settings import load
settings = load({"BAHI_DATA_DIR": sys.argv[1], "LOG_FORMAT": "json"})
def ready(): print("ready", flush=True)
"""
WAITS = "async def main(stop): ready(); await stop.wait(); print('written', flush=True)"
NEVER_STOPS = "async def main(stop): ready(); await asyncio.Event().wait()"
SOON = "lifecycle.GRACE_SECONDS = 0.05"
RUN = "sys.exit(lifecycle.run('ticks', main, settings))"


def _start(data_dir: Path, *lines: str) -> subprocess.Popen[str]:
    code = "\n".join((BEGIN, *lines, RUN))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(data_dir)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _run(data_dir: Path, *lines: str, number: signal.Signals | None = None) -> tuple[int, str, str]:
    """Run the lines as a process; once it says that it is ready send the signal; give exit code and output."""
    with _start(data_dir, *lines) as process:
        if number is not None:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
        out, err = process.communicate()
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_stop_and_what_is_held_gets_written(tmp_path: Path, number: signal.Signals) -> None:
    code, out, _ = _run(tmp_path, WAITS, number=number)
    assert (code, out) == (0, "written\n")


def test_one_that_does_not_stop_is_cancelled_after_the_grace_and_says_so(tmp_path: Path) -> None:
    code, _, err = _run(tmp_path, SOON, NEVER_STOPS, number=signal.SIGTERM)
    assert code == 1
    assert "process.cancelled" in err


def test_a_crash_is_logged_with_its_traceback(tmp_path: Path) -> None:
    code, _, err = _run(tmp_path, "async def main(stop): raise ZeroDivisionError('seven')")
    assert code == 1
    assert "process.crashed" in err
    assert "seven" in err


def test_an_error_of_ours_tells_what_to_do(tmp_path: Path) -> None:
    code, _, err = _run(tmp_path, "async def main(stop): raise Halt('one', 'two', 'stop one of them')")
    assert code == 3
    assert '"remedy": "stop one of them"' in err


def test_of_several_errors_the_gravest_counts(tmp_path: Path) -> None:
    lines = (
        "async def fail(error): raise error",
        "async def main(stop):",
        "  async with asyncio.TaskGroup() as group:",
        "    group.create_task(fail(SettingError('a', 'b', 'c'))); group.create_task(fail(Halt('d', 'e', 'f')))",
    )
    code, _, err = _run(tmp_path, *lines)
    assert code == 3
    assert '"wanted": "d"' in err


def test_a_process_is_known_while_it_lives(tmp_path: Path) -> None:
    lives = (
        "def seen(): return (Path(sys.argv[1]) / 'run' / 'ticks.pid').read_text().strip() == str(os.getpid())",
        "async def main(stop): print(seen(), flush=True)",
    )
    code, out, _ = _run(tmp_path, *lives)
    assert (code, out) == (0, "True\n")
    assert (tmp_path / "run" / "ticks.pid").read_text() == ""
    assert not list(tmp_path.glob("run/*.prom"))


def test_another_version_of_the_data_directory_stops_it(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    code, out, err = _run(tmp_path, WAITS)
    assert (code, out) == (2, "")
    assert "99" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingError("a", "b", "c"), 2),
        (BadInput("a", "b", "c"), 2),
        (Halt("a", "b", "c"), 3),
        (LogRefused("a", "b", "c"), 3),
        (Unreachable("a", "b", "c"), 1),
        (KeyboardInterrupt(), 130),
        (OSError(), 1),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    assert not isinstance(error, BahiError) or str(error) == "wanted a; found b; c"


async def test_what_waits_is_cut_by_the_stop_and_what_ends_is_given() -> None:
    stop, ended = Stop(), asyncio.Event()

    async def waits() -> bool:
        try:
            return await asyncio.Event().wait()
        finally:
            ended.set()

    async def gives() -> str:
        return "given"

    async def fails() -> None:
        raise Halt("a", "b", "c")

    assert await stop.cut(gives()) == "given"
    with pytest.raises(Halt):
        await stop.cut(fails())
    asyncio.get_running_loop().call_soon(stop.set)
    assert await stop.cut(waits()) is None
    assert ended.is_set()


def test_a_command_without_settings_needs_no_data_directory(tmp_path: Path) -> None:
    code = (
        "from runtime import lifecycle\nasync def main(stop): print('done')\nraise SystemExit(lifecycle.run('x', main))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert not list(tmp_path.iterdir())
