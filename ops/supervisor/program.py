"""What the supervisor knows of one program, and the pure decision when to start it again."""

import enum
import random
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from runtime.lifecycle import EXIT_HALTED, EXIT_WRONG_INPUT


class Stage(enum.IntEnum):
    """When a program is stopped: each stage is over before the next one begins."""

    WRITERS = 0
    """What adds to the log, or lets others do so."""
    READERS = 1
    """What takes from the log."""
    SERVERS = 2
    """What both stand on."""


@dataclass(frozen=True)
class Waits:
    """How long to wait before a program is started again, in seconds."""

    first_seconds: float
    cap_seconds: float


PROGRAM_WAITS = Waits(first_seconds=0.5, cap_seconds=30.0)
"""A crash at each start would otherwise eat a core; after half a minute the user is reading the log."""

SERVER_WAITS = Waits(first_seconds=0.1, cap_seconds=5.0)
"""Everything waits for a server."""

HALT_WAIT_SECONDS = 60.0
"""A program that says that it must not go on, or that what it was given is wrong, will say so again: the user is to
act. It is tried again at all because the cause may be mended elsewhere."""

GROWTH = 2.0
JITTER = 0.25
"""Of each wait, so that all do not come back at once."""

LIVED_WELL_SECONDS = 10.0
"""A program that lived this long had started; its next end begins with the first wait again."""


@dataclass(frozen=True)
class Program:
    """One program: how to start it, how to stop it, how often."""

    name: str
    start: Callable[[int], subprocess.Popen[bytes]]
    """Starts it in a session of its own, its output to the given descriptor. Raises OSError or BahiError."""
    stage: Stage
    stop_signal: signal.Signals = signal.SIGTERM
    waits: Waits = PROGRAM_WAITS
    once: bool = False
    """It is to succeed once; only a failure starts it again."""


def wait_seconds(waits: Waits, exit_code: int | None, failures: int) -> float:
    """Return how long to wait after the `failures`-th (from 1) short life in a row ended with `exit_code`."""
    assert failures >= 1
    jitter = 1 + JITTER * (2 * random.random() - 1)
    if exit_code in (EXIT_HALTED, EXIT_WRONG_INPUT):
        return HALT_WAIT_SECONDS * jitter
    # The exponent is bounded before the power is: failures may be many.
    growth: float = GROWTH ** min(failures - 1, 32)
    return min(waits.first_seconds * growth, waits.cap_seconds) * jitter


def ended_how(exit_code: int | None) -> str:
    """Say in words how a program ended; None means that it could not be started."""
    match exit_code:
        case None:
            return "could not be started"
        case 0:
            return "ended by itself"
        case 2:
            return "refuses what it was given (exit code 2)"
        case 3:
            return "says that going on would lose or double something (exit code 3)"
        case code if code < 0:
            return f"was killed by {_signal_name(-code)}"
        case code:
            return f"ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
