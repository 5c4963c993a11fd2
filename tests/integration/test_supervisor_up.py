"""`bahi up`: everything starts, what dies comes back, a stop is in order, nothing is left behind."""

import hashlib
import json
import os
import re
import signal
import stat
import time
from pathlib import Path

import msgspec
import psycopg
import pytest

from api.login_code import LoginCode
from ops import invitation
from ops.embedded import discover
from ops.supervisor.crew import STAGE_ENDS_SECONDS
from ops.supervisor.program import Stage
from runtime.clock import SystemClock
from runtime.lifecycle import GRACE_SECONDS
from tests.patience import PATIENCE_SECONDS
from tests.processes import Watch, descendants
from tests.upstart import API, PATIENT, STUBBORN, Up

PROGRAMS = {"sandbox": PATIENT, "ticks": PATIENT, "sync": PATIENT, "project": PATIENT, "archive": PATIENT, "api": API}
STOP_SECONDS_MAX = 10.0
"""The contract's."""

KILLED = r"{} did not end in (\d+\.\d) s and was killed"


def pid_of(up: Up, name: str) -> int:
    return int(up.until(rf"^{name} +\| began (\d+)")[1])


def test_a_day_starts_with_a_url_and_ends_in_order(data_dir: Path) -> None:
    with Up(data_dir, PROGRAMS) as up:
        url = up.until(r"open (http://127\.0\.0\.1:(\d+))/#code=([\w-]{20,})$")
        assert int(url[2]) == up.port
        everything = up.watch()

        up.end(signal.SIGINT)
        assert up.process.returncode == 0
        assert everything.left_after(0.5) == []
    ended = [line.split(" ")[0] for line in up.said(r"\| ended")]
    assert set(ended[:4]) == {"sandbox", "ticks", "sync", "api"}
    assert set(ended[4:]) == {"project", "archive"}


def test_other_commands_find_the_servers_while_it_runs(data_dir: Path) -> None:
    with Up(data_dir, {"api": API}) as up:
        up.ready()
        path = discover.servers_path(data_dir)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with psycopg.connect(json.loads(path.read_bytes())["database_url"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        found = up.command("migrate")
        assert "up to date" in found.stdout, found.stderr
        up.end()
        assert not path.exists()
        assert discover.holder(data_dir) is None


def test_a_second_one_is_refused_and_says_who_has_it(data_dir: Path) -> None:
    with Up(data_dir, {"api": API}).ready() as first, Up(data_dir, {"api": API}) as second:
        assert second.process.wait(PATIENCE_SECONDS) == 2
        second.end()
        (found,) = second.said("found")
        assert f"process {first.process.pid}, at http://127.0.0.1:{first.port}" in found
        assert first.process.poll() is None


def test_what_dies_comes_back(data_dir: Path) -> None:
    with Up(data_dir, {"ticks": PATIENT, "api": API}) as up:
        ticks = pid_of(up, "ticks")
        up.ready()
        os.kill(ticks, signal.SIGKILL)
        up.until(r"ticks was killed by SIGKILL; it is started again in \d+\.\d s")
        assert pid_of(up, "ticks") != ticks


def test_a_server_that_dies_comes_back_under_the_same_url(data_dir: Path) -> None:
    with Up(data_dir, {"api": API}) as up:
        up.ready()
        url = json.loads(discover.servers_path(data_dir).read_bytes())["database_url"]
        (postmaster,) = [pid for pid in descendants(up.process.pid) if _is_postmaster(pid)]
        os.kill(postmaster, signal.SIGKILL)
        up.until(r"postgres was killed by SIGKILL; it is started again")
        _connect_patiently(url)


def test_the_workers_of_a_dead_program_are_killed_before_it_starts_again(data_dir: Path) -> None:
    with Up(data_dir, {"api": API}) as up:
        api = pid_of(up, "api")
        up.ready()
        workers = Watch(descendants(api))
        os.kill(api, signal.SIGKILL)
        pid_of(up, "api")
        assert workers.left_after(0) == []


def test_its_own_kill_leaves_nothing_behind_and_the_next_one_waits_for_that(data_dir: Path) -> None:
    with Up(data_dir, {"ticks": STUBBORN, "project": PATIENT, "api": API}) as up:
        project = pid_of(up, "project")
        up.ready()
        everything = up.watch()
        os.kill(project, signal.SIGSTOP)
        up.process.kill()
        up.process.wait()
        assert discover.holder(data_dir) is None, "remnants are nobody to ask"
        with Up(data_dir, {"api": API}) as again:
            again.ready()
            assert everything.left_after(0) == []


def test_who_does_not_end_is_killed_in_time(data_dir: Path) -> None:
    with Up(data_dir, {"ticks": STUBBORN, "project": STUBBORN, "api": API}) as up:
        up.ready()
        everything = up.watch()
        up.end()
        assert everything.left_after(0.5) == []
    for name, stage in (("ticks", Stage.WRITERS), ("project", Stage.READERS)):
        (told,) = up.said(KILLED.format(name))
        given = re.search(KILLED.format(name), told)
        assert given is not None
        assert float(given[1]) <= STAGE_ENDS_SECONDS[stage]
    assert max(STAGE_ENDS_SECONDS.values()) < GRACE_SECONDS < STOP_SECONDS_MAX, "all fits into the contract's time"


def test_a_second_ctrl_c_kills(data_dir: Path) -> None:
    with Up(data_dir, {"ticks": STUBBORN, "api": API}) as up:
        up.ready()
        everything = up.watch()
        up.process.send_signal(signal.SIGINT)
        up.until(r"Ctrl-C again kills")
        # An echo of the first Ctrl-C is not a second one; one that comes later is.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while everything.left_after(0.1):
            assert time.monotonic() < deadline, up.lines
            up.process.send_signal(signal.SIGINT)
    assert up.said("everything is killed")


def test_only_what_needs_the_tables_waits_for_the_database(data_dir: Path, taken_port: int) -> None:
    away = f"postgresql://nobody@127.0.0.1:{taken_port}/none?connect_timeout=1"
    with Up(data_dir, {"ticks": PATIENT, "project": PATIENT}, DATABASE_URL=away) as up:
        up.until(r"migrate ended with exit code 1; it is started again")
        pid_of(up, "ticks")
        up.end()
    assert not up.said(r"^project +\| began")


def test_the_sandbox_runs_only_where_it_is_the_broker(data_dir: Path) -> None:
    with Up(data_dir, {"sandbox": PATIENT, "api": API}, BROKER="kite", KITE_API_KEY="app") as up:
        up.ready()
    assert not up.said(r"^sandbox")


def test_a_taken_port_is_named_before_anything_starts(data_dir: Path, taken_port: int) -> None:
    with Up(data_dir, {"api": API}, API_PORT=str(taken_port)) as up:
        assert up.process.wait(PATIENCE_SECONDS) == 2
        up.end()
    assert up.said(rf"wanted API_PORT={taken_port} of 127\.0\.0\.1 to be free")
    assert not (data_dir / "postgres").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"BROKER": "kite"}, "wanted KITE_API_KEY for BROKER=kite"),
        ({"BROKER": "fyers"}, "found +BROKER=fyers"),
        ({"ARCHIVE_URL": "s3://bucket/prefix"}, "wanted AWS_ACCESS_KEY_ID"),
        ({"API_HOST": "192.0.2.1"}, "do +set API_HOST"),
    ],
)
def test_what_a_program_would_refuse_stops_it_before_anything_starts(
    data_dir: Path, given: dict[str, str], said: str
) -> None:
    with Up(data_dir, {"api": API}, **given) as up:
        assert up.process.wait(PATIENCE_SECONDS) == 2
        up.end()
    assert up.said(said)
    assert not (data_dir / "postgres").exists()


def test_a_data_directory_of_another_version_is_left_alone(data_dir: Path) -> None:
    (data_dir / "VERSION").write_text("99\n")
    with Up(data_dir, {"api": API}) as up:
        assert up.process.wait(PATIENCE_SECONDS) == 2
        up.end()
    assert up.said("found +version '99'")
    assert not (data_dir / "postgres").exists()


def test_the_code_of_the_url_is_stored_as_a_hash(data_dir: Path) -> None:
    with Up(data_dir, {"api": API}) as up:
        code = up.until(r"#code=(\S+)$")[1]
        path = invitation.login_code_path(data_dir)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert code.encode() not in path.read_bytes()
        kept = msgspec.json.decode(path.read_bytes(), type=LoginCode)
        assert kept.sha256 == hashlib.sha256(code.encode()).hexdigest()
        assert 0 < kept.expires_at_ns - SystemClock().now_ns() <= invitation.CODE_SECONDS * 10**9


def _is_postmaster(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"/bin/postgres")


def _connect_patiently(url: str) -> None:
    """Connect, however long the server needs to come back; the test's own time limit is the bound."""
    while True:
        try:
            with psycopg.connect(url):
                return
        except psycopg.OperationalError:
            continue
