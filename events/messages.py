"""The events that Bahi itself makes: what stands in their payload, as JSON.

Frames and text messages of a broker are kept as they came (`kite.frame.v1`, `kite.text.v1`) and have no class here.
All times are UTC epoch nanoseconds.
"""

from typing import TypeVar

import msgspec

from events.event import Event, Recorded
from runtime.errors import BadEvent

LOGIN_MISSING = "there is no access token"
LOGIN_REFUSED = "the access token was refused"
MARKETS_CLOSED = "the markets are closed"  # MARKET_HOURS_ONLY: a Beat's reason begins with it, and says until when
RETRIED = frozenset({"ticks"})  # projections that can read one event again: each of their rows stands for itself
WAITS_FOR_LOGIN = (LOGIN_MISSING, LOGIN_REFUSED)  # what a Beat says of a connection that a user has to log in for


def is_rest(down: object) -> bool:
    """Say whether a connection is not open because its markets are closed, by what its Beat says."""
    return isinstance(down, str) and down.startswith(MARKETS_CLOSED)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all messages; each class states the event type it is."""


class Beat(Message, frozen=True, tag="feed.beat.v1"):
    """Once a second from a ticker connection: what it has counted so far, before any queue.

    run: the process's own mark; counters start at 0 with it. packets: as the frames declare them. last_message_ns:
    receive time of the last message of any kind, heartbeats too, 0 before the first. gap_from_ns: beginning of the
    loss that is still open, else null. down: why the socket is not open, one of the words below or the last attempt's
    reason; absent while it is open.
    """

    run: str
    frames: int
    packets: int
    bytes: int
    heartbeats: int
    texts: int
    last_message_ns: int
    gap_from_ns: int | None = None
    waiting_bytes: int = 0
    down: str | msgspec.UnsetType = msgspec.UNSET


class Connected(Message, frozen=True, tag="feed.connected.v1"):
    """A socket was opened. local_port tells this socket from others at the server's side."""

    run: str
    local_port: int
    server: str


class Subscribed(Message, frozen=True, tag="feed.subscribed.v1"):
    """The connection asked for these instruments in this mode (all that it holds, not a difference)."""

    run: str
    tokens: list[int]
    mode: str


class Lost(Message, frozen=True, tag="feed.lost.v1"):
    """The socket is gone: nothing after from_ns was received. A gap is open from here on."""

    from_ns: int
    reason: str


class Stalled(Message, frozen=True, tag="feed.stalled.v1"):
    """The socket was silent for too long and is closed by the watchdog."""

    silent_ms: int


class Gap(Message, frozen=True, tag="feed.gap.v1"):
    """A loss that has ended: from the last message stored to the first after resubscription."""

    from_ns: int
    to_ns: int
    reason: str


class Takeover(Message, frozen=True, tag="log.takeover.v1"):
    """A writer opened the stream, or took it over.

    host: on which it runs. tombstones: the n that no store had any more, as ranges with both ends. lost: how many these
    are. checkpoints: how far each projector had come. Whatever else was only on the lost disk is lost, too.
    """

    host: str
    tombstones: list[tuple[int, int]]
    checkpoints: dict[str, int]
    lost: int = 0


class Tombstone(Message, frozen=True, tag="log.tombstone.v1"):
    """This n was lost with a disk; it stands here so that n stays dense."""


class Subscribe(Message, frozen=True, tag="request.subscribe.v1"):
    """A user asks for live prices of these instruments: tokens, or EXCHANGE:SYMBOL."""

    instruments: list[str]
    key: str = ""


class Unsubscribe(Message, frozen=True, tag="request.unsubscribe.v1"):
    """A user no longer needs these instruments: tokens, or EXCHANGE:SYMBOL."""

    instruments: list[str]
    key: str = ""


class Sync(Message, frozen=True, tag="request.sync.v1"):
    """A user asks for a pull. what: `instruments`, later an account's kinds."""

    what: str
    key: str = ""


class ParkedRequest(Message, frozen=True, kw_only=True):
    """What a user decides about event n of a stream that a projector has parked.

    reason: in the user's words. by: who says so, as the client tells it; empty where it does not.
    """

    projector: str
    stream: str
    n: int
    reason: str = ""
    by: str = ""
    key: str = ""


class Retry(ParkedRequest, frozen=True, tag="parked.retry.v1"):
    """A user asks to read a parked event again, after a fix. One request is one try."""


class SetAside(ParkedRequest, frozen=True, tag="parked.set_aside.v1"):
    """A user has looked at a parked event, and nothing is to be done about it."""


class TokenChanged(Message, frozen=True, tag="token.changed.v1"):
    """A new access token of a broker lies in the vault; the token itself is never here."""

    broker: str
    version: int


class InstrumentsPart(Message, frozen=True, tag="instruments.part.v1"):
    """One numbered part of a dump: zstd-compressed bytes of the broker's CSV."""

    dump: str
    part: int
    body: bytes


class InstrumentsDump(Message, frozen=True, tag="instruments.dump.v1"):
    """The end of a dump: its parts stand before it in the same stream.

    day: trading day in IST, ISO. sha256: of the whole CSV as it came. rows: lines below the header.
    """

    dump: str
    broker: str
    day: str
    parts: int
    rows: int
    sha256: str
    asked_ns: int
    answered_ns: int


MessageT = TypeVar("MessageT", bound=Message)


def pack(message: Message, at_ns: int) -> Event:
    """Give the event that carries `message`."""
    kind = type(message).__struct_config__.tag
    assert isinstance(kind, str), "each message class states its type"
    return Event(kind, at_ns, msgspec.json.encode(message))


def unpack(recorded: Recorded, wanted: type[MessageT]) -> MessageT:
    """Give the message of an event. Raises BadEvent where the payload is not of `wanted`."""
    try:
        return msgspec.json.decode(recorded.payload, type=wanted)
    except msgspec.DecodeError as error:
        raise BadEvent(
            f"a {wanted.__name__} in {recorded.type}",
            f"{error} at {recorded.stream} {recorded.n}",
            "look at it with bahi explain; a newer or broken writer made it",
        ) from error
