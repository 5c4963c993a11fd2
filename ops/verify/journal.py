"""What the sandbox sent against what the log has: the one side of the account that our own process cannot touch.

The sandbox writes each message down before it hands it to a socket. A socket keeps order, so what was stored of a
connection must be the beginning of what was written down for it, message by message (length and checksum). Only the
end may be missing, and only where the log declares a gap from the last stored message on. While the connection lasts
its end is under way, and after a kill -9 the gap is declared by the next start.

A connection of the journal is found by the client's port, which `feed.connected.v1` names, or, where something stands
between (a proxy), by the first message stored.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ops.sandbox import journal
from ops.verify.frames import SECOND_NS

PAIR_BEFORE_NS = 60 * SECOND_NS  # a handshake that takes longer has been given up by the client
PAIR_AFTER_NS = 1 * SECOND_NS  # both clocks are this machine's; only threads come between
MESSAGE = np.dtype([("crc", "<u4"), ("length", "<u4"), ("packets", "<u2"), ("sent_ns", "<i8")])

Messages = npt.NDArray[np.void]


class Sender(NamedTuple):
    """One connection of the journal. number: also when it was opened, UTC ns; first_index: 0 where all is kept."""

    number: int
    port: int
    first_index: int
    messages: int
    packets: int
    first_ns: int
    last_ns: int
    first_crc: int


class Book:
    """The journal, by connection."""

    def __init__(self, folder: Path) -> None:
        """Read the journal once; only a line for each connection is kept. Raises BadInput for a foreign file."""
        self.senders: dict[int, Sender] = {}
        self.paired: set[int] = set()
        self._files: dict[int, list[Path]] = {}
        for path in sorted(folder.glob(f"*{journal.SUFFIX}")):
            records = journal.table(path)
            for number in np.unique(records["connection"]).tolist():
                self._add(number, path, records[records["connection"] == number])
        self.begins_ns = min((each.first_ns for each in self.senders.values()), default=0)

    def _add(self, number: int, path: Path, records: Messages) -> None:
        first, last = records[0], records[-1]
        held = self.senders.get(number) or Sender(
            number, int(first["port"]), int(first["index"]), 0, 0, int(first["sent_ns"]), 0, int(first["crc"])
        )
        self.senders[number] = held._replace(
            messages=held.messages + len(records),
            packets=held.packets + int(records["packets"].sum()),
            last_ns=int(last["sent_ns"]),
        )
        self._files.setdefault(number, []).append(path)

    def pair(self, connected_ns: int, port: int, first_crc: int | None) -> Sender | None:
        """Give the connection that a session of the log was, None where nothing was sent on it."""
        near = [
            each
            for each in self.senders.values()
            if each.number not in self.paired
            and connected_ns - PAIR_BEFORE_NS <= each.number <= connected_ns + PAIR_AFTER_NS
        ]
        chosen = [each for each in near if each.port == port] or [each for each in near if each.first_crc == first_crc]
        if not chosen:
            return None
        found = max(chosen, key=lambda each: each.number)
        self.paired.add(found.number)
        return found

    def messages(self, sender: Sender) -> Iterator[Messages]:
        """Give what was sent on a connection, a file's worth at a time, as arrays of MESSAGE."""
        for path in self._files[sender.number]:
            records = journal.table(path)
            chosen = records[records["connection"] == sender.number]
            found = np.empty(len(chosen), MESSAGE)
            for name in MESSAGE.names or ():
                found[name] = chosen[name]
            yield found
