"""A disk of a few kilobytes that can be filled up, where the machine lets us mount one."""

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOM_BYTES = 256 * 1024


@contextlib.contextmanager
def small_disk(parent: Path, name: str | None = None, room_bytes: int = ROOM_BYTES) -> Iterator[Path]:
    """Yield a folder on a disk of its own with little room; skip the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = parent / (name or f"small-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room_bytes}", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"this machine mounts no small disk: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """Fill the disk of `folder` to its last byte; yield the file to remove for room."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    yield ballast
    ballast.unlink(missing_ok=True)
