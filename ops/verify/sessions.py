"""A ticker's sockets, one after the other, as its stream tells them; each matched with what the sandbox sent on it.

    connected -> frames ... -> lost, or connected again, or the end of the log

A session's frames must be the beginning of its messages in the journal. What remains is judged when the session ends:
declared where a gap is open then, under way where the log ends, else lost.
"""

import zlib
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from events.messages import Connected, Gap, Lost
from ops.verify.entries import Entry
from ops.verify.frames import SECOND_NS, Frame
from ops.verify.journal import MESSAGE, Book, Messages, Sender
from ops.verify.report import Findings, Range

RESYNC_MESSAGES = 20_000  # a message that is missing inside is looked for this far: 10 s of 2,000 messages a second
SLACK_NS = 2 * SECOND_NS  # a gap's ends are receive times, a journal's are sending times; both of this machine
WHY_INSIDE = "sent between two stored messages of one connection, and not stored"
WHY_END = "sent at the end of a connection, not stored, and in no declared gap"
WHY_NOT_SENT = "stored, though the sandbox never sent it there"
WHY_UNKNOWN = "sent on a connection that the log does not know, outside every gap"


class Session:
    """One socket. from_n: of its feed.connected."""

    def __init__(self, stream: str, from_n: int, at_ns: int, port: int) -> None:
        """Nothing is paired before the first frame, or the end."""
        self.stream, self.from_n, self.at_ns, self.port = stream, from_n, at_ns, port
        self.sender: Sender | None = None
        self.is_paired = False
        self.last_n, self.last_at_ns = from_n, 0  # of the last stored frame
        self.last_sent_ns = 0  # of its message
        self._more: Iterator[Messages] = iter(())
        self._ahead = np.empty(0, MESSAGE)  # sent, and not yet found in the log
        self.place = 0  # how many messages were passed

    def pair(self, book: Book, first_crc: int | None) -> None:
        """Find the connection in the journal, once."""
        self.is_paired = True
        self.sender = book.pair(self.at_ns, self.port, first_crc)
        if self.sender:
            self._more = book.messages(self.sender)

    def ahead(self, count: int) -> Messages:
        """Give the next `count` messages sent, fewer at the end."""
        while len(self._ahead) < count:
            more = next(self._more, None)
            if more is None:
                break
            self._ahead = np.concatenate([self._ahead, more])
        return self._ahead[:count]

    def step(self, count: int) -> Messages:
        """Pass `count` messages; give them."""
        passed, self._ahead = self._ahead[:count], self._ahead[count:]
        self.place += len(passed)
        return passed


class SessionAccount:
    """All sessions of one stream, fed with its events in order."""

    def __init__(self, stream: str, book: Book, findings: Findings) -> None:
        """Begin before the first session."""
        self.lost = self.doubled = self.unreceived = self.under_way = self.sent = 0  # packets
        self.spans: list[tuple[int, int]] = []  # times in ns during which all is accounted for: in session or in a gap
        self.begins_ns = self.ends_ns = 0
        self._stream, self._book, self._findings = stream, book, findings
        self._session: Session | None = None
        self._gap_from: int | None = None

    def take(self, entries: Sequence[Entry], frames: Sequence[Frame | None]) -> None:
        """Take a piece of the stream."""
        self.begins_ns = self.begins_ns or entries[0].at_ns
        self.ends_ns = max(self.ends_ns, entries[-1].at_ns)
        stored: list[Entry] = []
        for entry, frame in zip(entries, frames, strict=True):
            if frame is not None:
                stored.append(entry)
            elif entry.kind in (b"feed.connected.v1", b"feed.lost.v1", b"feed.gap.v1"):
                self._match(stored)
                stored = []
                self._hear(entry)
        self._match(stored)

    def _hear(self, entry: Entry) -> None:
        if entry.kind == b"feed.connected.v1":
            connected = msgspec.json.decode(entry.payload, type=Connected)
            self._end(entry.at_ns)
            self._session = Session(self._stream, entry.n, entry.at_ns, connected.local_port)
        elif entry.kind == b"feed.lost.v1":
            self._gap_from = msgspec.json.decode(entry.payload, type=Lost).from_ns
            self._end(entry.at_ns)
        else:
            gap = msgspec.json.decode(entry.payload, type=Gap)
            self.spans.append((gap.from_ns, gap.to_ns))
            self._gap_from = None

    # ---- what was stored, in the order in which it was sent ----------------------------------------------------

    def _match(self, stored: list[Entry]) -> None:
        session = self._session
        if not stored or session is None:
            return
        if not session.is_paired:
            session.pair(self._book, zlib.crc32(stored[0].payload))
        if session.sender is None or session.sender.first_index:
            self._see_unsent(session, stored)
            return
        while stored:
            crcs = np.fromiter((zlib.crc32(entry.payload) for entry in stored), np.uint32, len(stored))
            sent = session.ahead(len(stored))
            same = crcs[: len(sent)] == sent["crc"]
            count = len(sent) if same.all() else int(np.argmin(same))
            if count:
                session.last_sent_ns = int(sent["sent_ns"][count - 1])
                session.last_n, session.last_at_ns = stored[count - 1].n, stored[count - 1].at_ns
                self.sent += int(session.step(count)["packets"].sum())
            stored = stored[count:]
            if stored:
                stored = self._resync(session, stored)

    def _see_unsent(self, session: Session, stored: list[Entry]) -> None:
        """A journal that does not reach back so far proves nothing; one that does should know the connection."""
        if session.sender is None and self._book.begins_ns and session.at_ns > self._book.begins_ns:
            found = f"n = {stored[0].n}..{stored[-1].n} came on a connection that the sandbox's journal does not know"
            self._findings.problem("journal", self._stream, found, "was it another sandbox, or another journal?")

    def _resync(self, session: Session, stored: list[Entry]) -> list[Entry]:
        """Find the next stored frame further on in the journal; give what is still to be matched."""
        wanted = zlib.crc32(stored[0].payload)
        found = np.flatnonzero(session.ahead(RESYNC_MESSAGES)["crc"] == wanted)
        if len(found):
            begin = session.place
            missed = session.step(int(found[0]))
            self._lose(session, missed, begin, stored[0].n, WHY_INSIDE)
            return stored
        packets = int.from_bytes(stored[0].payload[:2], "big")
        self.doubled += packets
        self._findings.double(Range(self._stream, stored[0].n, stored[0].n, packets, WHY_NOT_SENT))
        return stored[1:]

    def _lose(self, session: Session, missed: Messages, begin: int, before_n: int, why: str) -> None:
        packets = int(missed["packets"].sum())
        self.lost += packets
        self.sent += packets
        number = session.sender.number if session.sender else 0
        where = (begin, begin + len(missed) - 1)
        self._findings.lose(Range(self._stream, session.last_n, before_n, packets, why, number, where))

    # ---- what remains at the end of a session ------------------------------------------------------------------

    def _end(self, at_ns: int) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self.spans.append((session.at_ns, at_ns))
        rest = self._rest(session)
        if not len(rest):
            return
        if self._gap_from is not None and self._gap_from <= self._latest(session, rest):
            packets = int(rest["packets"].sum())
            self.unreceived += packets
            self.sent += packets
        else:
            self._lose(session, rest, session.place - len(rest), session.last_n + 1, WHY_END)

    def _rest(self, session: Session) -> Messages:
        if not session.is_paired:
            session.pair(self._book, None)
        if session.sender is None or session.sender.first_index:
            return np.empty(0, MESSAGE)
        rest = session.ahead(max(0, session.sender.messages - session.place))
        return session.step(len(rest))

    def _latest(self, session: Session, rest: Messages) -> int:
        """Give when at the latest the gap must have begun: when the first message missing would have come.

        It comes no sooner after it was sent than the last one that was stored: a slow client's socket holds seconds.
        """
        delay = max(0, session.last_at_ns - session.last_sent_ns) if session.last_at_ns else 0
        return int(rest["sent_ns"][0]) + delay + SLACK_NS

    def close(self) -> None:
        """The log ends: what is not stored of the last session is under way, or for the next start to declare."""
        session, self._session = self._session, None
        if session:
            self.spans.append((session.at_ns, self.ends_ns))
            rest = self._rest(session)
            packets = int(rest["packets"].sum())
            self.under_way += packets
            self.sent += packets
        if self._gap_from is not None:
            self.spans.append((self._gap_from, self.ends_ns))
            self._gap_from = None

    def accounts_for(self, first_ns: int, last_ns: int) -> bool:
        """Say whether the stream was in session or in a gap at all of this time, as far as it existed."""
        first_ns, last_ns = max(first_ns, self.begins_ns), min(last_ns, self.ends_ns)
        for begin, end in sorted(self.spans):
            if begin - SLACK_NS <= first_ns <= end + SLACK_NS:
                first_ns = max(first_ns, end + SLACK_NS)
        return first_ns > last_ns


def unknown(book: Book, accounts: list[SessionAccount], findings: Findings) -> int:
    """Report connections of the journal that no stream knows; give how many packets were sent on those that are lost.

    A stream that was in session, or in a declared gap, at that time has not lost them: somebody else was connected.
    """
    packets = 0
    for number in sorted(book.senders.keys() - book.paired):
        sender = book.senders[number]
        if accounts and all(each.accounts_for(sender.first_ns, sender.last_ns) for each in accounts):
            continue
        packets += sender.packets
        where = (sender.first_index, sender.first_index + sender.messages - 1)
        findings.lose(Range("", 0, 0, sender.packets, WHY_UNKNOWN, number, where))
    return packets
