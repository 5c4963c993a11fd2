"""Parked events for eyes."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ops.parked.look import Listed, Seen
from sql.parked import Decision, ParkedEvent, Try

PLAIN_COLUMNS = 200
HEX_COLUMNS = 32  # bytes in a line
HEX_BYTES_MAX = 2048  # of one piece; --json has all
ERROR_CHARACTERS_MAX = 80  # in the list


def show_list(listed: Listed) -> None:
    """Print a page."""
    console = _console()
    if not listed.parked:
        console.print("nothing is parked here")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("projector", "stream", "n", "received", "packets", "state", "error"):
        table.add_column(name, justify="right" if name in ("n", "packets") else "left")
    for each in listed.parked:
        error = each.error if len(each.error) <= ERROR_CHARACTERS_MAX else f"{each.error[:ERROR_CHARACTERS_MAX]}..."
        received = each.at.isoformat(timespec="seconds")
        table.add_row(
            each.projector, each.stream, f"{each.n}", received, f"{each.packets}", _state(each), _plain(error)
        )
    console.print(table)
    if listed.next:
        console.print(f"more: bahi parked list --cursor {listed.next}", soft_wrap=True)
    first = listed.parked[0]
    console.print(f"look at one: bahi parked show {first.projector} {first.stream} {first.n}", soft_wrap=True)


def show_case(seen: Seen) -> None:
    """Print one, with its bytes."""
    console, event = _console(), seen.case.event
    console.print(
        f"{event.projector} {event.stream} {event.n}: {seen.type or 'event'}, received {event.at.isoformat()}, "
        f"{event.packets} packets in {event.parts} parts, {event.bytes} bytes",
        soft_wrap=True,
    )
    console.print(f"  {_state(event)}")
    if seen.trouble:
        console.print(f"[red]the log does not give it: {_plain(seen.trouble)}[/]", soft_wrap=True)
    if seen.decoded:
        for name, value in seen.decoded.said.items():
            console.print(f"  {name}: {value}", soft_wrap=True, markup=False)
        for tick in seen.decoded.ticks:
            console.print(
                "  read: " + ", ".join(f"{name} {value}" for name, value in tick.items() if value is not None),
                soft_wrap=True,
                markup=False,
            )
        for unread in seen.decoded.unread:
            console.print(f"  not read: {unread}", markup=False, soft_wrap=True)
        if not seen.decoded.unread and seen.decoded.ticks:
            console.print("  this version reads all of it")
    for part in seen.case.parts:
        console.print(f"part {part.part}, {part.packets} packets: {part.error}", markup=False, soft_wrap=True)
        _hex(console, part.payload)
    _history(console, seen.case.decisions, seen.case.tries)


def _history(console: Console, decisions: Sequence[Decision], tries: Sequence[Try]) -> None:
    for said in decisions:
        by = f" by {said.asked_by}" if said.asked_by else ""
        reason = f": {said.reason}" if said.reason else ""
        told = f"{said.decision}{by} ({said.requests_stream} {said.requests_n}){reason}"
        console.print(f"{said.at.isoformat(timespec='seconds')} {told}", markup=False, soft_wrap=True)
    for came in tries:
        what = f"refused: {came.refused}" if came.refused else f"{came.gained} packets read, {came.packets_left} left"
        place = f"{came.requests_stream} {came.requests_n}"
        console.print(
            f"{came.at.isoformat(timespec='seconds')} tried for {place}: {what}", markup=False, soft_wrap=True
        )


def _state(event: ParkedEvent) -> str:
    """Give the state in words."""
    by = f" by {event.asked_by}" if event.asked_by else ""
    match event.state:
        case "set_aside":
            return _plain(f"set aside{by}: {event.reason}")
        case "retry_wanted":
            return f"a retry is wanted (request {event.requests_n} of {event.requests_stream})"
    return "waiting"


def _hex(console: Console, payload: str) -> None:
    shown = bytes.fromhex(payload[: 2 * HEX_BYTES_MAX])
    for start in range(0, len(shown), HEX_COLUMNS):
        console.print(f"  {start:6}  {shown[start : start + HEX_COLUMNS].hex(' ')}", soft_wrap=True)
    if len(payload) > 2 * HEX_BYTES_MAX:
        console.print(f"  ... {len(payload) // 2 - HEX_BYTES_MAX} bytes more: --json has them")


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _console() -> Console:
    screen = Console(highlight=False)
    return screen if screen.is_terminal else Console(highlight=False, width=PLAIN_COLUMNS)
