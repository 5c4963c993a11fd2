"""The ticker's own count against the log: what a beat says was received is what stands before it, to the packet."""

import msgspec

from events.messages import Beat
from ops.verify.entries import Entry
from ops.verify.frames import Frame
from ops.verify.report import Findings, Range


class _Marked(msgspec.Struct):
    """An event that carries the mark of the ticker's process."""

    run: str = ""


MARKED = frozenset({b"feed.beat.v1", b"feed.connected.v1", b"feed.subscribed.v1"})
WHY_LOST = "the ticker counted more packets than the log has"
WHY_DOUBLED = "the log has more packets than the ticker counted"


class BeatAccount:
    """The beats of one stream, in order."""

    def __init__(self, stream: str, findings: Findings) -> None:
        """Begin before the first process."""
        self.lost = self.doubled = 0  # packets
        self._stream, self._findings = stream, findings
        self._run = ""
        self._frames = self._packets = self._bytes = 0  # in the log since the run began
        self._ahead = (0, 0, 0)  # how much more the last beat said
        self._since = 0  # n of the last beat, or of the run's first event

    def take(self, entry: Entry, frame: Frame | None) -> None:
        """Take the next event."""
        if frame is not None:
            self._frames += 1
            self._packets += frame.declared
            self._bytes += len(entry.payload)
        elif entry.kind in MARKED:
            run = msgspec.json.decode(entry.payload, type=_Marked).run
            if run != self._run:
                self._run, self._since = run, entry.n
                self._frames = self._packets = self._bytes = 0
                self._ahead = (0, 0, 0)
            if entry.kind == b"feed.beat.v1":
                self._compare(entry.n, msgspec.json.decode(entry.payload, type=Beat))

    def _compare(self, n: int, beat: Beat) -> None:
        ahead = (beat.frames - self._frames, beat.packets - self._packets, beat.bytes - self._bytes)
        frames, packets, size = (now - before for now, before in zip(ahead, self._ahead, strict=True))
        if packets > 0:
            self.lost += packets
            self._findings.lose(Range(self._stream, self._since + 1, n - 1, packets, WHY_LOST))
        elif packets < 0:
            self.doubled -= packets
            self._findings.double(Range(self._stream, self._since + 1, n - 1, -packets, WHY_DOUBLED))
        elif frames or size:
            found = f"the beat at n = {n} counted {beat.frames} frames of {beat.bytes} bytes, the log has others"
            self._findings.problem("beat", self._stream, found, "see docs/durability.md: an event was changed")
        self._ahead, self._since = ahead, n
