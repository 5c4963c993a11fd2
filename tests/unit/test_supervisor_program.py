"""When a program is started again: growing, capped, jittered, and long where waiting does not mend."""

import pytest

from ops.supervisor import program
from ops.supervisor.program import HALT_WAIT_SECONDS, JITTER, PROGRAM_WAITS, SERVER_WAITS, ended_how, wait_seconds


@pytest.mark.parametrize("waits", [PROGRAM_WAITS, SERVER_WAITS])
def test_waits_grow_from_the_first_to_the_cap(waits: program.Waits) -> None:
    means = [waits.first_seconds * 2**failures for failures in range(12)]
    for failures, mean in enumerate(means, 1):
        wanted = min(mean, waits.cap_seconds)
        assert wanted * (1 - JITTER) <= wait_seconds(waits, 1, failures) <= wanted * (1 + JITTER)


def test_a_million_failures_are_no_overflow() -> None:
    assert wait_seconds(PROGRAM_WAITS, -9, 1_000_000) <= PROGRAM_WAITS.cap_seconds * (1 + JITTER)


@pytest.mark.parametrize("exit_code", [2, 3])
def test_who_must_not_go_on_waits_long_at_once(exit_code: int) -> None:
    assert wait_seconds(PROGRAM_WAITS, exit_code, 1) >= HALT_WAIT_SECONDS * (1 - JITTER)


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (None, "could not be started"),
        (0, "ended by itself"),
        (1, "ended with exit code 1"),
        (3, "says that going on would lose or double something (exit code 3)"),
        (-9, "was killed by SIGKILL"),
        (-99, "was killed by signal 99"),
    ],
)
def test_an_end_is_told_in_words(exit_code: int | None, words: str) -> None:
    assert ended_how(exit_code) == words
