"""When each commit of the projectors was made, as lines of a file: for measuring how old a fresh row is.

    1790049600123456789 ticks ticks-kite-1 48211

is: at this time (UTC epoch nanoseconds) the projector had committed the stream up to this n.
"""

from collections.abc import Iterator
from pathlib import Path

from projectors.loop import Loop
from runtime.clock import Clock


class Trace:
    """The file; its lines reach the disk when the buffer is full, and at the end."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Begin a new file."""
        self._file = path.open("w", encoding="ascii")
        self._clock = clock

    async def follow(self, loop: Loop) -> None:
        """Write a line for each commit of a pair, for ever."""
        n = loop.progress.n
        while True:
            await loop.progress.reached(n + 1)
            n = loop.progress.n
            self._file.write(f"{self._clock.now_ns()} {loop.projection.name} {loop.stream} {n}\n")

    def close(self) -> None:
        """Write the rest."""
        self._file.close()


def read(path: Path, projector: str, stream: str) -> Iterator[tuple[int, int]]:
    """Give (time in ns, n) of each commit of one pair, in order."""
    with path.open(encoding="ascii") as lines:
        for line in lines:
            words = line.split()
            if words[1:3] == [projector, stream]:
                yield int(words[0]), int(words[3])
