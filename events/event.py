"""What happened, before the log (`Event`) and after it (`Recorded`)."""

import msgspec

# Both hold no reference that could lead back to them: the garbage collector need not visit the thousands in memory.
EVENT_BYTES_MAX = 1024 * 1024  # one event's payload; a larger body goes in numbered parts (design rule 19)


class Event(msgspec.Struct, frozen=True, gc=False):
    """One thing that the market, a broker or a user said, not yet in the log.

    type: a short literal with a version, as `kite.frame.v1`. at_ns: UTC epoch nanoseconds at which we received it.
    payload: the bytes as they came, or the JSON of one of `events.messages`.
    """

    type: str
    at_ns: int
    payload: bytes


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event with its place: number `n` of `stream`. `n` is dense from 1 and has one content for ever."""

    stream: str
    n: int
    at_ns: int
    type: str
    payload: bytes
