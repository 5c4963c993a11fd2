"""A log to rebuild from: frames of two packets, 37 s apart over some days, some not readable, gaps, subscriptions."""

from events.event import Recorded
from events.messages import Gap, Lost, Subscribed
from tests.entries import START_NS
from tests.frames import INFY, RELIANCE, SECOND_NS, STREAM, Packet, frame, recorded

OTHER = "ticks-sandbox-2"
STEP_NS = 37 * SECOND_NS


def events(first: int, last: int, stream: str = STREAM) -> list[Recorded]:
    """Give events first..last of a stream."""
    return [_event(n, START_NS + n * STEP_NS, stream) for n in range(first, last + 1)]


def _event(n: int, at_ns: int, stream: str) -> Recorded:
    if n % 1000 == 1:
        return recorded(n, Subscribed(run="first", tokens=[INFY], mode="full"), at_ns, stream)
    if n % 500 == 250:
        return recorded(n, Lost(from_ns=at_ns, reason="cut"), at_ns, stream)
    if n % 500 == 251:
        return recorded(n, Gap(from_ns=at_ns - STEP_NS, to_ns=at_ns, reason="cut"), at_ns, stream)
    token = INFY if stream == STREAM else RELIANCE  # an instrument stays in its stream
    whole = frame(
        Packet("full", token, 10_000 + n % 50, volume=n * 3, oi=n % 9, seconds=at_ns // SECOND_NS),
        Packet("quote", token + 256, 10_000 + n % 7, volume=n),
    )
    return recorded(n, whole[:-5] if n % 700 == 3 else whole, at_ns, stream)
