"""Made-up entries of the log for tests."""

from events import codec
from events.event import Event

START_NS = 1_776_000_000 * 10**9  # a second in April 2026
STREAM = "ticks-sandbox-1"


def event(text: str, at_ns: int = START_NS) -> Event:
    """Give an event that says `text`."""
    return Event("kite.text.v1", at_ns, text.encode())


def entry(n: int, text: str | None = None, at_ns: int = START_NS) -> bytes:
    """Give the entry n; it says its own number where no other text is given."""
    return codec.encode(n, event(f"{n}" if text is None else text, at_ns))


def entries(first: int, last: int, size: int = 0, step_ns: int = 10**6) -> list[bytes]:
    """Give the entries first..last, `step_ns` apart by n, each padded to a payload of `size` bytes."""
    return [entry(n, f"{n}".ljust(size, "."), START_NS + n * step_ns) for n in range(first, last + 1)]


def numbers(found: list[bytes]) -> list[int]:
    """Give the n of entries."""
    return [codec.entry_n(each) for each in found]
