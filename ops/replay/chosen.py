"""Which spans of which streams are replayed; where there are none, what there is instead."""

from collections.abc import Callable, Sequence

from events.reader import Reader
from events.span import Span, Wanted, find, received
from ops.replay.bounds import by_n, told
from runtime.errors import BadInput


async def choose(reader: Reader, names: Sequence[str], wants: Callable[[str], bool], wanted: Wanted) -> list[Span]:
    """Give the span of each named stream, or of each that is one of those wanted; those that have none are left out.

    Raises BadInput where nothing is left, or a name is not there; Unreachable, HoleInLog.
    """
    there = await reader.streams()
    chosen = sorted(set(names)) or [stream for stream in there if wants(stream)]
    if unknown := [stream for stream in chosen if stream not in there]:
        raise BadInput(f"a stream of the log: {', '.join(there) or 'it has none'}", ", ".join(unknown), "name another")
    if refused := [stream for stream in chosen if not wants(stream)]:
        may = ", ".join(filter(wants, there)) or "the log has none of these"
        raise BadInput(f"streams that can be replayed to it: {may}", ", ".join(refused), "leave --stream out")
    if by_n(wanted) and len(chosen) > 1:
        remedy = "name one of them with --stream, or give times"
        raise BadInput("an n in one stream: each stream counts on its own", ", ".join(chosen), remedy)
    found = [span for stream in chosen if (span := await find(reader, stream, wanted))]
    if not found:
        held = [await _held(reader, stream) for stream in chosen]
        raise BadInput(
            f"events {_span(wanted)}", "; ".join(held) or "a log without a stream of that kind", "ask for what is there"
        )
    return found


async def _held(reader: Reader, stream: str) -> str:
    last = await reader.last(stream)
    times = [told(await received(reader, stream, n)) for n in (1, last)] if last else []
    return f"{stream} has n = 1..{last}" + (f", received from {times[0]} to {times[1]}" if times else "")


def _span(wanted: Wanted) -> str:
    parts = [
        f"from n = {wanted.first}" if wanted.first else "",
        f"from {told(wanted.from_ns)}" if wanted.from_ns is not None else "",
        f"to n = {wanted.last}" if wanted.last else "",
        f"before {told(wanted.to_ns)}" if wanted.to_ns is not None else "",
    ]
    return " ".join(filter(None, parts)) or "of any time"
