"""What is wrong is said once, and again when it is otherwise or was well meanwhile."""

import pytest

from runtime.complaints import Complaints
from runtime.log import get


def test_a_complaint_is_said_once_until_it_changes_or_heals(capsys: pytest.CaptureFixture[str]) -> None:
    complaints = Complaints(get("test"))

    def said(found: str) -> bool:
        complaints.say("test.waits", found=found)
        return found in capsys.readouterr().out

    assert [said("one"), said("one"), said("two"), said("two")] == [True, False, True, False]
    complaints.heal("test.waits", "test.never_said")
    assert said("two")
