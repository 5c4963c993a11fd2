"""The file of commits' times: one that cannot be written is said before anything is projected."""

from pathlib import Path

import pytest

from ops.trace import Trace
from runtime.clock import SystemClock
from runtime.errors import SettingError


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--trace"):
        Trace(tmp_path / "none" / "trace", SystemClock())
