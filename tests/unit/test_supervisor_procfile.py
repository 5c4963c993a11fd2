"""The Procfile: read as honcho reads it, wrong lines named."""

from pathlib import Path

import pytest

from ops.supervisor import procfile
from runtime.errors import SettingError


def test_bahis_own_lists_every_process() -> None:
    assert list(procfile.read()) == ["sandbox", "ticks", "sync", "project", "archive", "api"]


def test_our_command_is_found_without_the_environment(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# all\n\nticks: bahi ticks\nother: sleep '1 2'\n")
    found = procfile.read(tmp_path / "Procfile")
    assert found["other"] == ["sleep", "1 2"]
    assert found["ticks"][-1] == "ticks"
    assert Path(found["ticks"][0]).is_absolute()


@pytest.mark.parametrize("line", ["no command", "ticks:", ": bahi ticks"])
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "Procfile").write_text(f"api: bahi api\n{line}\n")
    with pytest.raises(SettingError, match=r"in line 2 of"):
        procfile.read(tmp_path / "Procfile")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no such file"):
        procfile.read(tmp_path / "Procfile")
