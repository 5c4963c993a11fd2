"""How long pairs take to move between processes of `bahi project`, as the docs state it."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.test_exactly_once import SETTINGS, flowing, settle, tell
from tests.integration.test_workers import PAIRS, share_all
from tests.stack import Stack

ALL = PAIRS | {("parked", "requests")}
STATED_SECONDS = 4.0
STATED_FROZEN_SECONDS = 14.0
"""docs/commands.md; a lease that a frozen one renewed just before, and a move."""


def seconds_until(stack: Stack, what: str, holds: Callable[[], bool]) -> float:
    """Give how long something took to hold."""
    began = time.monotonic()
    stack.wait(what, holds)
    return round(time.monotonic() - began, 2)


@pytest.mark.prove
def test_pairs_move_within_the_stated_time(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """A second process of `bahi project` joins, freezes, thaws and is killed under load: when its pairs have moved."""
    with Stack(data_dir, **SETTINGS) as stack:
        stack.start_all()
        flowing(stack)
        stack.start("project2")
        stack.wait("it is on the roll", lambda: stack.query("select count(*) from workers") == [(2,)])
        both = {"project", "project2"}
        joined = seconds_until(stack, "it has its part", lambda: share_all(stack, both, ALL))
        stack.signal("project2", signal.SIGSTOP)
        frozen = seconds_until(stack, "its part is taken over", lambda: share_all(stack, {"project"}, ALL))
        stack.signal("project2", signal.SIGCONT)
        thawed = seconds_until(stack, "it has a part again", lambda: share_all(stack, both, ALL))
        stack.kill("project2")
        killed = seconds_until(stack, "the other has all", lambda: share_all(stack, {"project"}, ALL))
        tell(settle(stack), record_property)
        for name, seconds in (("joins", joined), ("thaws", thawed), ("is killed", killed), ("freezes", frozen)):
            record_property(f"{name}, s", seconds)
        record_property("stated, s", f"{STATED_SECONDS}; frozen {STATED_FROZEN_SECONDS}")
