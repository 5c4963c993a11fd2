"""The end of everything: `bahi up` is over within the time that the contract gives it."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.upstart import API, STUBBORN, Up

STOP_SECONDS_MAX = 10.0


@pytest.mark.prove
def test_ctrl_c_ends_all_in_ten_seconds(data_dir: Path, record_property: Callable[[str, object], None]) -> None:
    """Ctrl-C ends everything within 10 s, also programs that do not want to end."""
    with Up(data_dir, {"ticks": STUBBORN, "project": STUBBORN, "api": API}) as up:
        up.ready()
        everything = up.watch()
        began = time.monotonic()
        up.end(signal.SIGINT)
        seconds = time.monotonic() - began
        assert everything.left_after(0.5) == []
    record_property("seconds", round(seconds, 1))
    assert seconds < STOP_SECONDS_MAX
