"""A restored database under a live feed: real processes, a projector frozen from before the backup to after it."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.test_exactly_once import SETTINGS, flowing, further, settle, tell
from tests.stack import Stack


def put(stack: Stack, source: str, target: str) -> None:
    """Stop PostgreSQL, copy its files from one place to the other, and start it."""
    stack.stop_server("postgres", politely=True)
    folder = stack.data_dir / "postgres"
    shutil.rmtree(folder / target, ignore_errors=True)
    owner = (folder / source).stat()
    shutil.copytree(folder / source, folder / target)
    for path in [folder / target, *(folder / target).rglob("*")]:
        shutil.chown(path, owner.st_uid, owner.st_gid)
    stack.start_server("postgres")


def back_up(stack: Stack) -> None:
    """Copy the stopped server's files aside."""
    put(stack, "cluster", "backup")


def restore(stack: Stack) -> None:
    """Put the files of the backup in their place again."""
    put(stack, "backup", "cluster")


def test_a_database_goes_back_unseen(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """A cold copy put back under live projectors: they notice, say so, and all is there once."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        back_up(stack)
        stack.wait("more is committed", further(stack))
        restore(stack)
        stack.wait("it is said", lambda: "database_went_back" in stack.log("project"))
        tell(settle(stack), record_property)


@pytest.mark.prove
def test_an_owner_frozen_across_a_restore(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """Frozen before the backup, another owner meanwhile, then bahi restored, and thawed: nothing is doubled or lost."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        stack.signal("project", signal.SIGSTOP)
        back_up(stack)
        stack.start("project2")
        stack.wait("the other one goes on", further(stack))
        stack.signal("project2", signal.SIGSTOP)
        restore(stack)
        assert "all positions are free" in stack.run("restored").stdout
        for name in ("project", "project2"):
            stack.signal(name, signal.SIGCONT)
        tell(settle(stack), record_property)
