"""What is wrong is said once, and again when it is otherwise or was well meanwhile."""

import pytest

from runtime.clock import ManualClock
from runtime.complaints import START_SECONDS, Complaints
from runtime.log import get


def test_a_complaint_is_said_once_until_it_changes_or_heals(capsys: pytest.CaptureFixture[str]) -> None:
    complaints = Complaints(get("test"))

    def said(found: str) -> bool:
        complaints.say("test.waits", found=found)
        return found in capsys.readouterr().out

    assert [said("one"), said("one"), said("two"), said("two")] == [True, False, True, False]
    complaints.heal("test.waits", "test.never_said")
    assert said("two")


def test_what_is_usual_at_a_start_is_information_and_a_warning_where_it_lasts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = ManualClock()
    complaints = Complaints(get("test"), clock)

    def said(found: str = "nobody listens") -> list[str]:
        complaints.say_late("test.failed", "test.waits", found=found)
        return capsys.readouterr().out.splitlines()

    (line,) = said()
    assert "info" in line
    assert "test.waits" in line
    assert not said()
    assert len(said("another")) == 1, "it is otherwise now"
    clock.advance(START_SECONDS)
    (line,) = said("another")
    assert "warning" in line
    assert "test.failed" in line
    assert not said("another")
    complaints.heal("test.failed", "test.waits")
    assert "warning" in said("another")[0], "the start is over for good"
