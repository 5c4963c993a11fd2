"""The table of `make prove`: what was shown, whether it holds, and with which figures."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = '''
import pytest
pytestmark = pytest.mark.prove
def test_one(record_property):
    """Every tick is stored once."""
    record_property("ticks", 526_525)
def test_two_things_differ(): assert 1 == 2
def test_three():
    """The recorded day is whole."""
    pytest.skip("the folder is absent")
@pytest.fixture
def broken(): raise OSError
def test_four(broken): pass
'''


def test_a_row_says_what_is_shown_whether_it_holds_and_the_figures(tmp_path: Path) -> None:
    (tmp_path / "test_shown.py").write_text(TESTS)
    table = tmp_path / "build" / "prove.md"
    arguments = ["-p", "tests.acceptance.report", "-c", "pyproject.toml", "-m", "prove", f"--prove-report={table}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "-p", "no:cacheprovider", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    text = table.read_text()
    assert " cores, " in text
    assert "| Every tick is stored once. | yes | ticks: 526525 | 0 s |" in text
    assert "| test two things differ | **NO** |  | 0 s |" in text
    assert "| The recorded day is whole. | skipped | the folder is absent | 0 s |" in text
    assert "| test four | **NO** |  | 0 s |" in text
