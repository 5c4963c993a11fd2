"""The console: lines with names, and programs that never wait for a terminal."""

import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest

from ops.supervisor import console
from ops.supervisor.console import LINES_WAITING_MAX, Console, LineSplitter
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the printing thread as long as it takes."""
    monkeypatch.setattr("ops.supervisor.console.FLUSH_SECONDS_MAX", PATIENCE_SECONDS)


def test_lines_carry_the_name_of_their_program() -> None:
    stream = StringIO()
    shown = Console(as_json=False, stream=stream)
    shown.name_width(["api", "project"])
    shown.show("api", "GET /ready")
    shown.say("started")
    shown.close()
    assert stream.getvalue() == "api     | GET /ready\nup      | started\n"


def test_json_lines_stay_json() -> None:
    stream = StringIO()
    shown = Console(as_json=True, stream=stream)
    shown.show("api", '{"event": "x"}')
    shown.say("started")
    shown.close()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {"event": "x"}
    assert second == {"event": "up.said", "process": "up", "text": "started"}


def test_bytes_become_lines_however_they_are_cut() -> None:
    stream = StringIO()
    shown = Console(as_json=False, stream=stream)
    lines = LineSplitter(shown, "api")
    for piece in (b"one\r\ntw", b"o\nthr", b"\xff\xfe"):
        lines.feed(piece)
    lines.end()
    shown.close()
    assert stream.getvalue() == "api | one\napi | two\napi | thr\ufffd\ufffd\n"


def test_a_line_without_end_is_shown_in_pieces() -> None:
    stream = StringIO()
    shown = Console(as_json=False, stream=stream)
    LineSplitter(shown, "api").feed(b"x" * (console.LINE_BYTES_MAX + 1))
    shown.close()
    assert len(stream.getvalue()) == console.LINE_BYTES_MAX + len("api | \n") + 1


def test_a_terminal_that_stands_still_costs_the_oldest_lines_and_is_told() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        shown = Console(as_json=False, stream=stream)
        # More than the pipe and the queue hold together; each call returns at once.
        for number in range(3 * LINES_WAITING_MAX):
            shown.show("api", f"{number:>60}")
        with ThreadPoolExecutor(1) as pool:
            everything = pool.submit(_read, reading)
            shown.close()
            stream.close()
            lines = everything.result().splitlines()
    assert lines[-1].endswith(f" {3 * LINES_WAITING_MAX - 1}")
    assert any(line.endswith("lines were dropped: the terminal stood still)") for line in lines)
    assert len(lines) < 3 * LINES_WAITING_MAX


def test_a_terminal_that_went_away_hinders_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    shown = Console(as_json=False, stream=stream)
    shown.say("is anybody there?")
    shown.close()
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def _read(descriptor: int) -> str:
    with os.fdopen(descriptor) as stream:
        return stream.read()
