"""What a check came to."""

from enum import Enum

import msgspec


class State(Enum):
    """How a finding is meant: all is well, worth knowing, or wrong."""

    GOOD = "good"
    NOTE = "note"
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True):
    """One answer. remedy: the command or the change that mends it; empty where nothing needs to be done."""

    check: str
    state: State
    found: str
    remedy: str = ""


def good(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, State.GOOD, found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """Worth knowing; nothing is wrong."""
    return Finding(check, State.NOTE, found, remedy)


def wrong(check: str, found: str, remedy: str) -> Finding:
    """Something is wrong."""
    return Finding(check, State.WRONG, found, remedy)
