"""The machine under Bahi: data directory, disk, clock."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ops.doctor.finding import Finding, good, note, wrong
from ops.facts.gather import Facts
from runtime import layout
from runtime.clock import NS_PER_SECOND

GIB = 1024**3
# The busiest feed (9,000 instruments, 18,000 full ticks/s of 186 bytes) fills 12 GB an hour before it is compressed.
FREE_BYTES_MIN = 1 * GIB  # five minutes of it
FREE_BYTES_ENOUGH = 16 * GIB  # an hour of it
CLOCK_SECONDS_MAX = 2.0  # what two machines that follow NTP never differ by
CLOCK_NS_MIN = 1_735_689_600 * NS_PER_SECOND  # 2025-01-01: this program is younger
FUTURE_SECONDS_MAX = 1.0  # an event from later than now: the clock was set back


def data_directory(data_dir: Path) -> Iterator[Finding]:
    """Look at version and rights."""
    check = "data directory"
    if not data_dir.exists():
        yield note(check, f"{data_dir} is not there yet", "bahi up makes it")
        return
    version = data_dir / "VERSION"
    found = version.read_text().strip() if version.exists() else None
    if found not in (None, layout.VERSION):
        remedy = "run the release of Bahi that wrote it, or set BAHI_DATA_DIR to another folder"
        yield wrong(check, f"{data_dir} has version {found}, this Bahi writes {layout.VERSION}", remedy)
    closed = [name for name in ("", "spool", "run", "secrets") if not _is_ours(data_dir / name)]
    if closed:
        names = ", ".join(str(data_dir / name) for name in closed)
        yield wrong(check, f"this user may not write {names}", f"chown -R {os.geteuid()} {data_dir / closed[0]}")
    open_secrets = [path for path in (data_dir / "secrets").rglob("*") if _is_secret(path) and _is_open(path)]
    if open_secrets:
        yield wrong(check, f"others may read {open_secrets[0]}", f"chmod -R go-rwx {data_dir / 'secrets'}")
    if not (closed or open_secrets) and found in (None, layout.VERSION):
        yield good(check, f"{data_dir}, version {found or 'not written yet'}")


def _is_ours(path: Path) -> bool:
    return not path.exists() or os.access(path, os.R_OK | os.W_OK | os.X_OK)


def _is_secret(path: Path) -> bool:
    return path.is_file() and path.name != ".lock"


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def disks(data_dir: Path) -> Iterator[Finding]:
    """Look at the room that is left, where the spool has a disk of its own also there."""
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    yield _disk(place)
    spool = data_dir / "spool"
    if spool.exists() and spool.stat().st_dev != place.stat().st_dev:
        yield _disk(spool)


def _disk(place: Path) -> Finding:
    usage = shutil.disk_usage(place)
    found = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f} on the disk of {place}"
    remedy = "make room, or set BAHI_DATA_DIR to a larger disk; the archive may lie elsewhere (ARCHIVE_URL)"
    if usage.free < FREE_BYTES_MIN:
        return wrong("disk", found, remedy)
    if usage.free < FREE_BYTES_ENOUGH:
        return note("disk", f"{found}: less than an hour of the busiest feed", remedy)
    return good("disk", found)


def clock(facts: Facts) -> Finding:
    """Compare the clock with those of the servers and of the log."""
    if facts.now_ns < CLOCK_NS_MIN:
        return wrong("clock", f"the machine says that it is {facts.at}", "set the clock: timedatectl set-ntp true")
    others = {"Redis": facts.redis.facts, "PostgreSQL": facts.database.facts}
    for name, server in others.items():
        apart = _seconds_outside(facts, server.clock_ns) if server else 0.0
        if apart > CLOCK_SECONDS_MAX:
            found = f"{apart:.0f} s apart from {name}'s clock"
            return wrong("clock", found, "let both machines follow NTP: timedatectl set-ntp true")
    newest = max(facts.streams, key=lambda each: each.newest_ns, default=None)
    ahead = (newest.newest_ns - facts.until_ns) / NS_PER_SECOND if newest else 0.0
    if newest and ahead > FUTURE_SECONDS_MAX:
        found = f"the last event of {newest.stream} was received {ahead:.0f} s from now: the clock was set back"
        return wrong("clock", found, "let the machine follow NTP: timedatectl set-ntp true")
    return good("clock", f"{facts.at}, as the servers have it" if any(others.values()) else facts.at)


def _seconds_outside(facts: Facts, clock_ns: int) -> float:
    """Give by how much a server's clock lies outside the time that the looking took, slow as it may have been."""
    return max(clock_ns - facts.until_ns, facts.now_ns - clock_ns, 0) / NS_PER_SECOND
