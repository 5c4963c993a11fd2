"""Tombstones against the takeovers that name them: what was lost with a disk is named, to the number."""

from collections.abc import Iterable

import msgspec

from events.messages import Takeover
from ops.verify.entries import Entry
from ops.verify.report import Findings

TOMBSTONE, TAKEOVER = b"log.tombstone.v1", b"log.takeover.v1"
_KEEP = "keep the log as it is, and report it: a writer did not say what it gave up"

Span = tuple[int, int]  # first and last n


class TombstoneAccount:
    """The tombstones of one stream, fed with its events in order."""

    def __init__(self, stream: str, findings: Findings) -> None:
        """Begin with none."""
        self.count = 0
        self._stream, self._findings = stream, findings
        self._stand: list[Span] = []
        self._named: list[Span] = []

    def take(self, entries: Iterable[Entry]) -> None:
        """Take the next events."""
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        if entry.kind == TOMBSTONE:
            self.count += 1
            _add(self._stand, entry.n, entry.n)
        elif entry.kind == TAKEOVER:
            told = msgspec.json.decode(entry.payload, type=Takeover)
            for first, last in told.tombstones:
                _add(self._named, first, last)

    def close(self) -> None:
        """Compare both."""
        for first, last in _without(self._stand, self._named):
            said = f"tombstones at n = {first}..{last} that no log.takeover names"
            self._findings.problem("tombstone", self._stream, said, _KEEP)
        for first, last in _without(self._named, self._stand):
            said = f"a log.takeover names tombstones at n = {first}..{last}, where other events stand"
            self._findings.problem("tombstone", self._stream, said, _KEEP)


def _add(spans: list[Span], first: int, last: int) -> None:
    if spans and spans[-1][1] + 1 == first:
        spans[-1] = (spans[-1][0], last)
    else:
        spans.append((first, last))


def _without(spans: list[Span], others: list[Span]) -> list[Span]:
    """Give what of `spans` lies in none of the others."""
    left = []
    for first, last in sorted(spans):
        begin = first
        for other_first, other_last in sorted(others):
            if other_last < begin or other_first > last:
                continue
            if other_first > begin:
                left.append((begin, other_first - 1))
            begin = other_last + 1
        if begin <= last:
            left.append((begin, last))
    return left
