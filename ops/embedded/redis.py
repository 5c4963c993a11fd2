"""Redis as a child of ours: append-only file on, never evicting, on 127.0.0.1 with a password.

Redis holds the tail of the log for readers; it is not the truth. Every record is on the writer's disk (spool) before
Redis hears of it, and a Redis that lost its tail is filled again from there. That is why `appendfsync everysec` is
enough, and an fsync for each append would only slow down what is already safe.
"""

import os
import shutil
import signal
import socket
from pathlib import Path

from ops.embedded import redis_binary
from ops.embedded.owner import (
    Owner,
    first_closed,
    own_folder,
    public_folder,
    refuse_closed,
    server_owner,
)
from ops.embedded.place import LOOPBACK, kept_password, kept_port, write_private
from ops.embedded.server import Launch, Server
from ops.embedded.server import start as start_launch

PROBE_SECONDS_MAX = 1.0
"""A Redis that takes longer for AUTH and PING is still loading or starting."""

PROBE_ANSWER = b"+OK\r\n+PONG\r\n"

MEMORY_SHARE = 0.5
"""At half of the machine's memory Redis refuses to take more (noeviction), and writers keep spooling, instead of the
kernel killing a process of its choice. The trim window, at most TRIM_WINDOW_BYTES, keeps it far below."""

CONFIG = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir {folder}
daemonize no
logfile ""
loglevel notice
tcp-keepalive 60
timeout 0

# The tail of the log on disk. A torn last record is cut at start: the writer fills it again from its spool.
save ""
appendonly yes
appendfsync everysec
aof-load-truncated yes
# Rewriting means fork and one copy of everything; trimming makes a stream's file grow for ever, so it must happen,
# but rarely: when the file is five times its last size and at least 2 GB.
auto-aof-rewrite-percentage 400
auto-aof-rewrite-min-size 2gb
no-appendfsync-on-rewrite yes

# Dropping an entry that nobody archived would be a hole in the log: refuse the append instead.
maxmemory {memory_bytes}
maxmemory-policy noeviction

# A raw frame of 200 full packets is 37 KB: the defaults (4 KB, 100 entries) would give each its own node.
stream-node-max-bytes 65536
stream-node-max-entries 512
"""


def start(data_dir: Path, tools: Path | None = None) -> Server:
    """Start Redis in `data_dir` (absolute; must exist) and return it when it takes connections.

    `tools` is where a downloaded redis-server is kept (`<data>/tools`). Raises SettingError (rights, no Redis to be
    had), Unreachable (no start).
    """
    return start_launch(prepare(data_dir, tools))


def prepare(data_dir: Path, tools: Path | None = None) -> Launch:
    """Make what the server needs on disk and return how to start it. Downloads Redis at the first time, if need be."""
    owner = server_owner()
    folder = data_dir / "redis"
    own_folder(folder, owner)
    program = _reachable(redis_binary.find(tools or data_dir / "tools"), data_dir, owner)
    port = kept_port(folder / "port")
    password = kept_password(data_dir / "secrets" / "redis.password")
    config = folder / "redis.conf"
    write_private(config, _config(folder, port, password))
    if owner is not None:
        os.chown(config, *owner)
    return Launch(
        name="redis",
        argv=(str(program), str(config)),
        url=f"redis://:{password}@{LOOPBACK}:{port}/0",
        folder=folder,
        owner=owner,
        stop_signals=(signal.SIGTERM,),
        answers=lambda _pid: _pongs(port, password),
        before=lambda: None,
    )


def _config(folder: Path, port: int, password: str) -> str:
    """Return the text of redis.conf; the password stands nowhere else but in its own file."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    quoted = '"' + str(folder).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return CONFIG.format(
        host=LOOPBACK,
        port=port,
        password=password,
        folder=quoted,
        memory_bytes=int(memory_bytes * MEMORY_SHARE),
    )


def _reachable(program: Path, data_dir: Path, owner: Owner | None) -> Path:
    """Return `program` where the server's user can run it, else a copy of it in the data directory."""
    if first_closed(program, owner) is None:
        return program
    copy = data_dir / "tools" / "redis-copy" / program.name
    if not copy.exists():
        public_folder(copy.parent)
        partial = copy.with_name(copy.name + ".partial")
        shutil.copy2(program, partial)
        partial.chmod(0o755)
        partial.replace(copy)
    refuse_closed(copy, owner)
    return copy


def _pongs(port: int, password: str) -> bool:
    """Say whether a server with our password answers PING."""
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_SECONDS_MAX) as probe, probe.makefile("rb") as said:
            probe.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            return said.read(len(PROBE_ANSWER)) == PROBE_ANSWER
    except OSError:
        return False
