"""The benchmarks by name, and one run of one: its result with the machine it was made on."""

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ops.bench.measure import Bench, Case, Trial
from runtime.errors import SettingError

NAMES = ("parse", "append", "load", "candles", "fanout", "http", "archive", "rebuild", "sync", "e2e")
GIB = 1024**3
CPU_INFO, CPU_NAME = Path("/proc/cpuinfo"), "model name"


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured. load: how many processes wanted to run in the minute before, ours not among them."""

    cores: int
    processor: str
    memory_gib: float
    python: str
    load: float


class Result(msgspec.Struct, frozen=True):
    """What one run of one benchmark found."""

    bench: str
    date: str
    seconds: float
    cases: list[Case]
    machine: Machine


def run(name: str, trial: Trial) -> Result:
    """Run one benchmark by its name. Raises SettingError where a package that it measures against is missing."""
    machine, began = _machine(), time.monotonic()
    try:
        bench = _bench(name)
    except ModuleNotFoundError as error:
        raise SettingError(
            f"the package {error.name}, which this benchmark measures against",
            "it is not installed",
            "install requirements-dev.txt (`make bench` does)",
        ) from error
    cases = bench(trial)
    date = datetime.now(UTC).date().isoformat()
    return Result(name, date, round(time.monotonic() - began, 1), cases, machine)


def _bench(name: str) -> Bench:
    match name:
        case "parse":
            from ops.bench.parse import run as found
        case "append":
            from ops.bench.append import run as found
        case "load":
            from ops.bench.load import run as found
        case "candles":
            from ops.bench.candles import run as found
        case "fanout":
            from ops.bench.fanout import run as found
        case "http":
            from ops.bench.http import run as found
        case "archive":
            from ops.bench.archive import run as found
        case "rebuild":
            from ops.bench.rebuild import run as found
        case "sync":
            from ops.bench.sync import run as found
        case _:
            from ops.bench.e2e import run as found
    return found


def _machine() -> Machine:
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 1),
    )


def _processor() -> str:
    for line in CPU_INFO.read_text("utf-8").splitlines() if CPU_INFO.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == CPU_NAME:
            return value.strip()
    return platform.machine()
