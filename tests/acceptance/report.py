"""The pytest plugin behind `make prove`: a table of what was shown, for the docs.

A row is a test: the first line of its docstring says what it shows; its figures come from pytest's own fixture,
`record_property("ticks sent", 526_525)`. On top stands the machine that it ran on.
"""

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

GIB = 1024**3
MARKS = {"passed": "yes", "failed": "**NO**", "skipped": "skipped"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where the table goes."""
    parser.addoption("--prove-report", type=Path, help="Write a table of the results to this file.")


class Report:
    """The rows, and the file that they go to when all is over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shows: dict[str, str] = {}
        self._rows: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what each test shows."""
        for item in items:
            doc = getattr(getattr(item, "obj", None), "__doc__", None) or item.name.replace("_", " ")
            self._shows[item.nodeid] = doc.strip().splitlines()[0]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Make a row of a test that ran, was skipped or could not begin."""
        if report.when != "call" and report.passed:
            return
        figures = "; ".join(f"{name}: {value}" for name, value in report.user_properties)
        if report.skipped and isinstance(report.longrepr, tuple):
            figures = report.longrepr[2].removeprefix("Skipped: ")
        shows = self._shows.get(report.nodeid, report.nodeid)
        self._rows.append(f"| {shows} | {MARKS[report.outcome]} | {figures} | {report.duration:.0f} s |")

    def pytest_sessionfinish(self) -> None:
        """Write the table."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        head = [*_machine(), "", "| what is shown | holds | figures | took |", "|---|---|---|---|"]
        self._path.write_text("\n".join([*head, *self._rows]) + "\n", "utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a report where one is asked for."""
    path = config.getoption("--prove-report")
    if path is not None:
        config.pluginmanager.register(Report(path), "prove-report")


def _machine() -> Iterator[str]:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}, {platform.system()}"
    yield f"{os.cpu_count()} cores, {_processor()}, {pages * page_bytes / GIB:.1f} GiB of memory"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
