"""When each commit of the projectors was made, as lines of a file: for measuring how old a fresh row is.

    1790049600123456789 ticks ticks-kite-1 48211

is: at this time (UTC epoch nanoseconds) the projector had committed the stream up to this n.
"""

from pathlib import Path

from projectors.loop import Loop
from runtime.clock import Clock
from runtime.errors import SettingError


class Trace:
    """The file, a line at a time."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Go on behind what the file holds. Raises SettingError where it cannot be written."""
        try:
            self._file = path.open("a", buffering=1, encoding="ascii")
        except OSError as error:
            raise SettingError(
                f"--trace {path} to be a file that can be written", error.strerror or str(error), "name another file"
            ) from error
        self._clock = clock

    async def follow(self, loop: Loop) -> None:
        """Write a line for each commit of a pair, for ever."""
        n = loop.progress.n
        while True:
            await loop.progress.reached(n + 1)
            n = loop.progress.n
            self._file.write(f"{self._clock.now_ns()} {loop.projection.name} {loop.stream} {n}\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()


class Commits:
    """The commits of one pair, as they come into the file."""

    def __init__(self, path: Path, projector: str, stream: str) -> None:
        """Take them from the file's beginning; it may not be there yet."""
        self.found: list[tuple[int, int]] = []  # (time in ns, n), in order
        self._path, self._pair, self._offset = path, [projector, stream], 0

    def look(self) -> int:
        """Read what has come since; give the n that is committed, 0 where none is."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole = file.read().rpartition(b"\n")[0]
            self._offset += len(whole) + 1 if whole else 0
            for words in (line.split() for line in whole.decode("ascii").splitlines()):
                if words[1:3] == self._pair:
                    self.found.append((int(words[0]), int(words[3])))
        return self.found[-1][1] if self.found else 0
