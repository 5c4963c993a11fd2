"""One terminal for many programs: each line with its program's name before it.

A terminal may stand still (Ctrl-S, a slow connection). A supervisor that waits for it would stop reading its programs,
and a ticker that waits for its log line takes no ticks. So lines go through a bounded queue to a thread of their own.
At the bound the oldest lines are dropped, and how many is said.
"""

import contextlib
import os
import sys
import threading
from collections import deque
from typing import IO

import msgspec

LINES_WAITING_MAX = 10_000
"""Some 1 MB: minutes of ordinary logs, or the traceback of everything at once."""

LINE_BYTES_MAX = 64 * 1024
"""A longer line is shown in pieces."""

FLUSH_SECONDS_MAX = 1.0
"""How long the end waits for the terminal to take the last lines."""

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""ANSI foreground colours that can be read on light and dark; one a program, in order of appearance."""


class Console:
    """Lines of programs, in order of arrival, on one stream."""

    def __init__(self, *, as_json: bool, stream: IO[str] = sys.stdout) -> None:
        self._as_json = as_json
        self._stream = stream
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, int] = {}
        self._width = 0
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._print_all, name="console", daemon=True)
        self._thread.start()

    def name_width(self, names: list[str]) -> None:
        """Make room for the longest of these names."""
        self._width = max(map(len, names), default=0)

    def show(self, name: str, line: str) -> None:
        """Show a line that program `name` wrote. JSON lines stay as they are: they name their process themselves."""
        self._put(line if self._as_json and line.startswith("{") else f"{self._prefix(name)}{line}")

    def say(self, text: str) -> None:
        """Show a sentence of the supervisor's own."""
        if self._as_json:
            self._put(msgspec.json.encode({"event": "up.said", "process": "up", "text": text}).decode())
        else:
            self._put(f"{self._prefix('up')}{text}")

    def close(self) -> None:
        """Print what waits, as far as the terminal takes it in FLUSH_SECONDS_MAX."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(FLUSH_SECONDS_MAX)

    def _prefix(self, name: str) -> str:
        text = f"{name:<{self._width}} | "
        if not self._coloured:
            return text
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{text}\033[0m"

    def _put(self, line: str) -> None:
        with self._changed:
            if len(self._waiting) >= LINES_WAITING_MAX:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(line)
            self._changed.notify()

    def _print_all(self) -> None:
        """Print lines as they come, until closed and empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                lines, dropped = list(self._waiting), self._dropped
                self._waiting.clear()
                self._dropped = 0
            if dropped:
                lines.insert(0, f"({dropped} lines were dropped: the terminal stood still)")
            # A terminal that went away takes nothing: the programs go on.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()


class LineSplitter:
    """Cut a program's bytes into lines for the console."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take bytes; show each line that is complete, or too long to wait for its end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._console.show(self._name, line.decode(errors="replace").rstrip("\r"))

    def end(self) -> None:
        """Show what came without a line's end."""
        if self._rest:
            self.feed(b"\n")
