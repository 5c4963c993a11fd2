"""One event as bytes: the same in the spool, in Redis and in the archive.

An entry, big-endian:

    crc32 u32 | n u64 | at_ns i64 | length of type u8 | type, ASCII | payload

The checksum covers all that follows it. For example `log.takeover.v1` at n = 1 begins with
`crc32, 0000000000000001, at_ns, 0f, "log.takeover.v1"`. Old versions are upcast here, on read; nothing that was
written is ever written again.
"""

import struct
import zlib
from collections.abc import Callable

from events.event import EVENT_BYTES_MAX, Event, Recorded
from runtime.errors import BadInput, LogRotten, UnknownEvent

_HEAD = struct.Struct(">IQqB")
_AFTER_CRC = struct.Struct(">QqB")
HEAD_BYTES = _HEAD.size
CHECKSUM_BYTES = 4
N_OFFSET = 4  # of n in an entry

KNOWN_TYPES = frozenset(
    {
        "kite.frame.v1",
        "kite.text.v1",
        "feed.beat.v1",
        "feed.connected.v1",
        "feed.subscribed.v1",
        "feed.lost.v1",
        "feed.stalled.v1",
        "feed.gap.v1",
        "log.takeover.v1",
        "log.tombstone.v1",
        "request.subscribe.v1",
        "request.unsubscribe.v1",
        "request.sync.v1",
        "parked.retry.v1",
        "parked.set_aside.v1",
        "token.changed.v1",
        "instruments.part.v1",
        "instruments.dump.v1",
        "account.known.v1",
        "account.part.v1",
        "account.snapshot.v1",
        "account.sync.v1",
        "account.charges.v1",
        "account.forwarded.v1",
        "request.pull.v1",
        "request.updated.v1",
        "request.account.v1",
        "strategy.set.v1",
        "rule.set.v1",
        "rule.removed.v1",
        "action.set.v1",
        "tariff.set.v1",
        "fill.set.v1",
    }
)

# From an old type to a pure function that gives the same event as the next version. Applied until none is left.
UPCASTERS: dict[str, Callable[[Recorded], Recorded]] = {}


def check(event: Event) -> None:
    """Raise BadInput where an event cannot be put into the log, so that its writer is never stopped by it."""
    if len(event.payload) > EVENT_BYTES_MAX:
        raise BadInput(
            f"a payload of at most {EVENT_BYTES_MAX} bytes",
            f"{len(event.payload)} bytes of {event.type}",
            "send it in numbered parts",
        )
    if event.type not in KNOWN_TYPES:
        raise BadInput("an event type of this version of Bahi", repr(event.type), "declare it in events.codec")


def encode(n: int, event: Event) -> bytes:
    """Give the entry of `event` as number `n`; see `check` for what can be put into the log."""
    name = event.type.encode("ascii")
    body = _AFTER_CRC.pack(n, event.at_ns, len(name)) + name + event.payload
    return zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big") + body


def entry_n(entry: bytes) -> int:
    """Give the number that stands in an entry, unchecked."""
    return int.from_bytes(entry[4:12], "big")


def entry_at_ns(entry: bytes) -> int:
    """Give the receive time that stands in an entry, unchecked."""
    return int.from_bytes(entry[12:20], "big", signed=True)


def intact(entry: bytes) -> bool:
    """Say whether an entry is whole: long enough and with the right checksum."""
    return len(entry) >= HEAD_BYTES and zlib.crc32(memoryview(entry)[4:]) == int.from_bytes(entry[:4], "big")


def decode(stream: str, entry: bytes) -> Recorded:
    """Give the event of an entry, in its newest version.

    Raises LogRotten for a broken entry and UnknownEvent for a type of a newer Bahi.
    """
    if not intact(entry):
        raise LogRotten(
            f"an intact entry of {stream}",
            f"{len(entry)} bytes with a wrong checksum",
            "run bahi verify; the archive or the spool may have the good copy",
        )
    _, n, at_ns, size = _HEAD.unpack_from(entry)
    kind = entry[HEAD_BYTES : HEAD_BYTES + size].decode("ascii")
    recorded = Recorded(stream, n, at_ns, kind, entry[HEAD_BYTES + size :])
    if kind in KNOWN_TYPES:
        return recorded
    return upcast(recorded)


def upcast(recorded: Recorded) -> Recorded:
    """Raise an event to its newest version, or stop its reader where this code does not know the type."""
    while recorded.type not in KNOWN_TYPES:
        raise_one = UPCASTERS.get(recorded.type)
        if raise_one is None:
            raise UnknownEvent(
                "an event type that this version of Bahi knows",
                f"{recorded.type} at {recorded.stream} {recorded.n}",
                "update Bahi on this machine: a newer one wrote this",
            )
        recorded = raise_one(recorded)
    return recorded
