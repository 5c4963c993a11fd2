"""The embedded PostgreSQL: durable, private, and startable again after whatever happened."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from ops.embedded import postgres, server
from ops.embedded.owner import server_owner
from ops.embedded.server import Server
from runtime.errors import SettingError, Unreachable
from tests.patience import PATIENCE_SECONDS
from tests.processes import Watch, descendants
from tests.servers import open_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Give a data directory with a cluster that has run; copy it, do not use it."""
    with open_folder() as folder:
        postgres.start(folder).stop()
        yield folder


@pytest.fixture
def used(data_dir: Path, made: Path) -> Path:
    """Give a data directory of one's own in which PostgreSQL has run before."""
    subprocess.run(["cp", "-a", f"{made}/.", data_dir], check=True)
    return data_dir


@contextmanager
def running(data_dir: Path) -> Iterator[Server]:
    server = postgres.start(data_dir)
    try:
        yield server
    finally:
        server.stop()


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


def keep_seven(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")


def test_a_commit_that_was_answered_is_on_disk(used: Path) -> None:
    with running(used) as server:
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "wal_init_zero": "off"}
        assert {name: ask(server.url, f"SHOW {name}") for name in wanted} == wanted


def test_it_starts_from_nothing(data_dir: Path) -> None:
    with running(data_dir) as server:
        assert ask(server.url, "SELECT current_database()") == "bahi"
        assert ask(server.url, "SELECT upper('ä')") == "Ä"


def test_it_listens_on_loopback_only_and_asks_for_the_password(used: Path) -> None:
    with running(used) as server:
        assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(server.url, "SHOW unix_socket_directories") == ""
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(server.url.replace(urlsplit(server.url).password or "", "guessed"), "SELECT 1")


def test_the_password_stands_in_one_private_file_only(used: Path) -> None:
    with running(used) as server:
        password = urlsplit(server.url).password
        assert password is not None
        kept = used / "secrets" / "postgres.password"
        assert kept.read_text().strip() == password
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        for pid in [server.pid, *descendants(server.pid)]:
            assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert not (used / "postgres" / "initdb.password").exists()


def test_port_password_and_rows_stay(used: Path) -> None:
    with running(used) as first:
        keep_seven(first.url)
        url = first.url
    with running(used) as second:
        assert second.url == url
        assert ask(url, "SELECT seven FROM kept") == 7


def test_a_port_that_another_took_is_left_to_it(used: Path) -> None:
    port = int((used / "postgres" / "port").read_text())
    with socket.create_server(("127.0.0.1", port)), running(used) as server:
        assert urlsplit(server.url).port != port
        assert ask(server.url, "SELECT 1") == 1


def test_after_kill_it_starts_again_with_all_rows(used: Path) -> None:
    with running(used) as server:
        keep_seven(server.url)
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()
        with running(used) as again:
            assert ask(again.url, "SELECT seven FROM kept") == 7


def test_a_stale_pid_file_whose_number_is_anothers_now_does_not_hinder(used: Path) -> None:
    # As after a crash of the machine: a living process of the same user has the number.
    with running_stranger() as stranger:
        _write_pid_file(used, stranger)
        with running(used) as again:
            assert ask(again.url, "SELECT 1") == 1


@contextmanager
def running_stranger() -> Iterator[int]:
    """Run a process of the servers' user that has nothing to do with PostgreSQL."""
    owner = server_owner()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=owner.uid if owner else None) as process:
        yield process.pid
        process.kill()


def _write_pid_file(data_dir: Path, pid: int) -> None:
    cluster = data_dir / "postgres" / "cluster"
    path = cluster / "postmaster.pid"
    path.write_text(f"{pid}\n{cluster}\n1700000000\n5432\n\n127.0.0.1\n  1 1\nready   \n")
    shutil.chown(path, cluster.stat().st_uid)


def test_a_second_one_on_the_same_folder_is_refused_while_the_first_lives(used: Path) -> None:
    with running(used) as first:
        launch = postgres.prepare(used)
        with pytest.raises(SettingError, match="a server that runs there already"):
            server.spawn(launch, lock_wait_seconds_max=0.1)
        assert ask(first.url, "SELECT 1") == 1


def test_it_dies_with_who_started_it(used: Path) -> None:
    starter = (
        "import sys; from pathlib import Path; from ops.embedded import postgres; "
        "print(postgres.start(Path(sys.argv[1])).pid, flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", starter, str(used)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        family = Watch([pid, *descendants(pid)])
        process.kill()
        assert family.left_after(PATIENCE_SECONDS) == []


def test_it_is_started_from_the_main_thread_only(used: Path) -> None:
    launch = postgres.prepare(used)
    with ThreadPoolExecutor(1) as pool, pytest.raises(AssertionError, match="the death signal follows the thread"):
        pool.submit(server.spawn, launch).result()


def test_a_start_that_fails_shows_the_servers_last_words(used: Path) -> None:
    launch = postgres.prepare(used)
    with pytest.raises(Unreachable, match="no_such_setting"):
        server.start(replace(launch, argv=(*launch.argv, "--no_such_setting=1")))


def test_a_cluster_of_another_version_is_refused_and_left_alone(used: Path) -> None:
    version = used / "postgres" / "cluster" / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(SettingError, match=r"wanted a PostgreSQL 18 cluster .* found version 15"):
        postgres.start(used)
    assert version.read_text() == "15\n"


def test_a_lost_password_is_said(used: Path) -> None:
    (used / "secrets" / "postgres.password").unlink()
    with pytest.raises(SettingError, match=r"wanted the password of .* found no such file"):
        postgres.start(used)


def test_a_crash_in_the_middle_of_initdb_leaves_no_half_cluster(used: Path) -> None:
    cluster = used / "postgres" / "cluster"
    cluster.rename(cluster.with_name("cluster.partial"))
    (cluster.with_name("cluster.partial") / "PG_VERSION").unlink()
    with running(used) as server:
        assert ask(server.url, "SELECT 1") == 1


@as_root
def test_as_root_it_runs_as_nobody(used: Path) -> None:
    with running(used) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == 65534


@as_root
def test_as_root_a_closed_parent_is_named_and_its_rights_are_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    data_dir = tmp_path / "var"
    data_dir.mkdir(mode=0o755)
    with pytest.raises(SettingError, match="set BAHI_DATA_DIR to a folder outside"):
        postgres.start(data_dir)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@as_root
def test_programs_that_nobody_cannot_reach_are_copied(data_dir: Path, tmp_path: Path, strict_umask: None) -> None:
    """An environment below /root: the programs are closed to the servers' user, the data directory is not."""
    tmp_path.chmod(0o700)
    programs = postgres.programs_folder()
    wheel = tmp_path / "site-packages" / postgres.WHEEL
    shutil.copytree(programs.parents[1], wheel)
    libraries = programs.parents[2] / f"{postgres.WHEEL}.libs"
    shutil.copytree(libraries, wheel.with_name(libraries.name))
    starter = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); from ops.embedded import postgres; "
        "assert sys.argv[2] in str(postgres.programs_folder()); postgres.start(Path(sys.argv[1])).stop()"
    )
    subprocess.run([sys.executable, "-c", starter, str(data_dir), str(wheel.parent)], check=True)
    assert (data_dir / "tools" / "postgres-18").is_dir()
