"""What is known from outside of the simulation: all that was ever seen anywhere, held against the invariants.

Numbers in brackets are those of the design's invariants.
"""

from collections.abc import Callable

from events import codec


class Violation(Exception):
    """An invariant does not hold."""


class Ledger:
    """The simulation's own book."""

    def __init__(self, tell: Callable[[Violation], None]) -> None:
        self._tell = tell
        self._content: dict[tuple[str, int], bytes] = {}
        self.accepted: dict[bytes, int] = {}  # payload of each event that `append` returned for, with its n
        self.offered: set[bytes] = set()  # payloads that a writer was given
        self.archived: dict[str, int] = {}  # by stream, the last n behind which nothing is missing
        self.may_take_over = False  # nothing was done to the log that has to be mended so
        self.missing: tuple[int, int, int] | None = None  # in the archive: first and last n; what was archived by then
        self.forgotten: set[bytes] = set()  # entries that were on a disk, and are not any more

    def violated(self, what: str) -> Violation:
        """Give the error to raise, which is told at once: whoever it is raised in may take it for another."""
        error = Violation(what)
        self._tell(error)
        return error

    def see(self, stream: str, entry: bytes, where: str) -> None:
        """(1) (stream, n) has one content for ever."""
        n = codec.entry_n(entry)
        if n > 1 and b"log.takeover.v1" in entry and not self.may_take_over:
            raise self.violated(f"(halt) {stream} was taken over at n = {n}, and nothing had been lost: {entry!r}")
        known = self._content.setdefault((stream, n), entry)
        if known != entry:
            raise self.violated(f"(1) n = {n} of {stream} has another content in {where}: {entry!r}, not {known!r}")

    def archive(self, stream: str, entry: bytes) -> None:
        """Note that an entry is in the archive."""
        self.see(stream, entry, "archive")
        if codec.entry_n(entry) == self.archived.get(stream, 0) + 1:
            self.archived[stream] = codec.entry_n(entry)

    def content(self, stream: str, n: int) -> bytes | None:
        """Give the entry n as it was first seen, or None."""
        return self._content.get((stream, n))

    def accept(self, payload: bytes, n: int) -> None:
        """Note that an event was accepted under n."""
        if payload in self.accepted:
            raise self.violated(f"(1) {payload!r} was accepted twice: {self.accepted[payload]} and {n}")
        self.accepted[payload] = n

    def trimmed(self, stream: str, first: int, upto: int) -> None:
        """(4) Only what is archived is trimmed, and nothing where a segment is missing.

        first: the oldest n that Redis has. A window that was found before the segment went is not found anew until
        something else is archived.
        """
        archived = self.archived.get(stream, 0)
        if upto > archived:
            raise self.violated(f"(4) {stream} is trimmed up to {upto}, archived up to {archived}")
        if self.missing is not None:
            begin, end, known = self.missing
            if upto > known and first <= end and upto >= begin:
                raise self.violated(f"(4) {stream} is trimmed from {first} up to {upto}, and {begin}..{end} is missing")
