"""Which processes of Bahi live on a data directory, by their locks in `<data>/run`, without touching a lock."""

from pathlib import Path

import msgspec


class Process(msgspec.Struct, frozen=True):
    """A process by its name (`ticks`, `project-2`). running: it holds its file's lock now."""

    name: str
    pid: int
    running: bool


def processes(data_dir: Path) -> list[Process]:
    """Give the processes that ever ran here, by name."""
    held = _flocks()
    found = []
    for path in sorted((data_dir / "run").glob("*.pid"), key=lambda path: path.stem):
        text = path.read_text().strip()
        pid = int(text) if text.isdigit() else 0
        found.append(Process(path.stem, pid, path.stat().st_ino in held.get(pid, set())))
    return found


def _flocks() -> dict[int, set[int]]:
    """Give the inodes that each process has locked: /proc/locks says `1: FLOCK ADVISORY WRITE pid a:b:inode`."""
    held: dict[int, set[int]] = {}
    try:
        lines = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return held
    for line in lines:
        words = line.split()
        if "FLOCK" in words and "->" not in words:
            held.setdefault(int(words[4]), set()).add(int(words[5].rpartition(":")[2]))
    return held
