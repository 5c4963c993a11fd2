"""Benchmarks work, say what they measured against, and leave nothing behind. None of these tests looks at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.bench import catalogue
from ops.bench.measure import AT_MOST, Target, Trial, alone, compare

CASE_FIELDS = {"case", "value", "unit", "against", "limit", "ratio", "target", "target_is", "met", "least", "most"}
LIGHT = ("parse", "append", "load", "candles", "archive", "rebuild")


def bench(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ops.cli", "bench", *arguments]
    environ = {**os.environ, **({"TMPDIR": str(folder)} if folder else {})}
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", LIGHT)
def test_one_short_round_gives_its_cases_as_json(name: str, data_dir: Path) -> None:
    done = bench(name, "--json", "--quick", folder=data_dir)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["bench"] == name
    assert result["cases"]
    assert all(set(case) >= CASE_FIELDS for case in result["cases"])
    assert set(result["machine"]) == {"cores", "processor", "memory_gib", "python", "load"}
    assert not list(data_dir.iterdir())


@pytest.mark.prove
@pytest.mark.parametrize("name", sorted(set(catalogue.NAMES) - set(LIGHT)))
def test_one_short_round_of_those_that_start_a_whole_bahi(name: str) -> None:
    done = bench(name, "--json", "--quick")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cases"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    done = bench("speed")
    assert done.returncode == 2
    assert all(name in done.stderr for name in catalogue.NAMES)


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    case = compare("c", "u", "limit", ([10, 30, 80], [10, 10, 20]), Target(3))
    assert (case.ratio, case.least, case.most, case.met) == (3, 1, 4, True)


def test_a_target_may_be_an_upper_bound() -> None:
    assert not alone("c", "ms", [4, 6, 8], Target(5, AT_MOST)).met
    assert alone("c", "ms", [4, 5, 8], Target(5, AT_MOST)).met


def test_both_are_measured_in_turns_after_a_round_that_does_not_count() -> None:
    order: list[str] = []

    def rate(name: str) -> float:
        order.append(name)
        return len(order)

    trial = Trial(order.append)
    values, limits = trial.alternate(lambda: rate("ours"), lambda: rate("limit"))
    assert order == ["ours", "limit"] * (trial.rounds + 1)
    assert (len(values), len(limits), values[0]) == (trial.rounds, trial.rounds, 3)
