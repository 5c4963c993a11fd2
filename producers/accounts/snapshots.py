"""What came of an account as events: a snapshot a kind, without its body where that is the last one's.

A body stands in the log at least once a trading day and once after each start of the worker, so that nobody has to read
far back for it.
"""

import hashlib
from collections.abc import Sequence

import msgspec
import zstandard

from events.accounts import BODY_BYTES_MAX, Kind, Snapshot, SnapshotPart
from events.messages import Message
from producers.kite.calls import Answer
from runtime.calendar import trading_day

ZSTD_LEVEL = 3  # hundreds of bodies at a time: better quick than small


class _Held(msgspec.Struct, frozen=True):
    """The last body in the log: its hash, and the IST day (ISO) of its snapshot."""

    sha256: str
    day: str


class Snapshots:
    """Makes the snapshot events of all accounts, and remembers which bodies the log has from this process."""

    def __init__(self) -> None:
        """Remember nothing: after a start every body is written once."""
        self._held: dict[tuple[str, Kind], _Held] = {}

    def unchanged(self, account: str, kind: Kind, answer: Answer) -> bool:
        """Say whether the log has this body already, of today."""
        return self._held.get((account, kind)) == _held(answer)

    def events(self, account: str, broker: str, run: str, kind: Kind, answer: Answer) -> Sequence[Message]:
        """Give the events of one answer, in order: parts of a body that is too large for one event stand first."""
        parts: list[bytes] = []
        body: bytes | None = None
        sha256 = _held(answer).sha256
        if not self.unchanged(account, kind, answer):
            body = packed(answer.body)
            if len(body) > BODY_BYTES_MAX:
                parts = [body[start : start + BODY_BYTES_MAX] for start in range(0, len(body), BODY_BYTES_MAX)]
                body = b""
        snapshot = Snapshot(
            account=account,
            broker=broker,
            kind=kind,
            run=run,
            asked_ns=answer.asked_ns,
            answered_ns=answer.answered_ns,
            sha256=sha256,
            body=body,
            parts=len(parts),
        )
        numbered = [
            SnapshotPart(account=account, kind=kind, sha256=sha256, part=number, body=part)
            for number, part in enumerate(parts, start=1)
        ]
        return [*numbered, snapshot]

    def keep(self, account: str, kind: Kind, answer: Answer) -> None:
        """Note that the log has this body."""
        self._held[account, kind] = _held(answer)


def _held(answer: Answer) -> _Held:
    return _Held(hashlib.sha256(answer.body).hexdigest(), trading_day(answer.answered_ns).isoformat())


def packed(body: bytes) -> bytes:
    """Compress a body as the stream `accounts` keeps it."""
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
