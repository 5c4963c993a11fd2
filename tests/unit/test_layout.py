"""The data directory: its version, and which process runs on it."""

import os
from pathlib import Path

import pytest

from runtime import layout
from runtime.errors import SettingError

NOBODY = 65_534


def test_a_new_directory_gets_this_version(tmp_path: Path) -> None:
    layout.prepare(tmp_path / "var")
    layout.prepare(tmp_path / "var")
    assert (tmp_path / "var" / "VERSION").read_text() == "1\n"


def test_a_directory_of_another_version_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("2\n")
    with pytest.raises(SettingError) as refused:
        layout.prepare(tmp_path)
    assert "'2'" in refused.value.found
    assert "BAHI_DATA_DIR" in refused.value.remedy
    assert (tmp_path / "VERSION").read_text() == "2\n"


def test_a_path_that_can_be_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with pytest.raises(SettingError) as refused:
        layout.prepare(tmp_path / "var")
    assert "BAHI_DATA_DIR" in refused.value.wanted


def test_a_folder_that_is_closed_to_this_user_is_refused(data_dir: Path) -> None:
    layout.prepare(data_dir)
    spool = data_dir / "spool"
    spool.mkdir()
    spool.chmod(0o500)
    ours = os.geteuid()
    data_dir.chmod(0o777)
    (data_dir / "run").chmod(0o777)
    if ours == 0:  # root may write everywhere
        os.seteuid(NOBODY)
    try:
        with pytest.raises(SettingError) as refused:
            layout.prepare(data_dir)
    finally:
        os.seteuid(ours)
        spool.chmod(0o700)
    assert str(spool) in refused.value.found
    assert "mend its rights" in refused.value.remedy


def test_a_second_process_of_one_name_gets_a_name_of_its_own(tmp_path: Path) -> None:
    layout.prepare(tmp_path)
    with layout.present("project", tmp_path) as first, layout.present("project", tmp_path) as second:
        assert (first, second) == ("project", "project-2")
    with layout.present("project", tmp_path) as again:
        assert again == "project"
