"""An event's life for eyes."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from events.decode.described import Row
from ops.explain.life import Life
from runtime.calendar import IST

PLAIN_COLUMNS = 200


def show(life: Life) -> None:
    """Print it, from the wire to the tables."""
    screen = Console(highlight=False)
    console = screen if screen.is_terminal else Console(highlight=False, width=PLAIN_COLUMNS)
    console.print(
        f"{life.stream} {life.n}: {life.type}, received {life.received_at}, {life.bytes} bytes, crc {life.crc32}"
    )
    for place in life.places:
        differs = "" if place.same else " [bold red]with other content[/]"
        console.print(f"  in {place.store}: {place.where}{differs}", soft_wrap=True)
    for name, value in life.said.items():
        console.print(f"  {name}: {value}", soft_wrap=True, markup=False)
    _table(console, "packets", life.ticks)
    for unread in life.unread:
        console.print(f"  not read: {unread}", markup=False)
    if life.passed:
        said = ", ".join(f"{name} {'has' if passed else 'has not yet'}" for name, passed in life.passed.items())
        console.print(f"committed by projectors: {said}")
    _table(console, "rows of ticks", life.rows)
    _table(console, "candles of a minute that it is part of, as they are now", life.candles)
    _table(console, "parked_events", life.parked)
    _table(console, "feed_gaps", life.gaps)
    for trouble in life.trouble:
        console.print(f"[red]could not be asked: {trouble}[/]", soft_wrap=True)


def _table(console: Console, title: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    console.print(f"{title}:")
    table = Table(box=None, pad_edge=True, header_style="dim")
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(IST).isoformat()
    return "-" if value is None else str(value)
