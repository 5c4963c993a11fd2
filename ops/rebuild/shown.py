"""A rebuild for eyes: how far it is, what differs, what became of it."""

import asyncio
from typing import Any

import rich_click as click
from rich.console import Console

from ops.bar import Bar
from projectors.difference import Comparison, RowDifference
from projectors.rebuild import Outcome

ROWS_SHOWN_MAX = 20  # --json has more of them


class Screen(Bar):
    """`projectors.rebuild.Watcher` for a user."""

    def __init__(self, name: str, *, yes: bool, asks: bool) -> None:
        """yes: a difference is accepted. asks: somebody sits there who may be asked."""
        super().__init__(name)
        self._yes, self._asks = yes, asks

    async def accepts(self, comparison: Comparison) -> bool:
        """Show the difference, and ask where nobody has said it yet."""
        self.close()
        show_comparison(comparison, self.console)
        if self._yes or not self._asks:
            return self._yes
        return await asyncio.to_thread(_confirmed)


def _confirmed() -> bool:
    return bool(click.confirm("put the new tables in place?", err=True))


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print what differs: a line each table, then the first rows."""
    for table in comparison.tables:
        if table.parts_different:
            parts = f"{table.parts_different:,} of {table.parts:,} parts differ"
            console.print(f"{table.table}: {table.live_rows:,} rows live, {table.rebuilt_rows:,} rebuilt; {parts}")
    for row in comparison.rows[:ROWS_SHOWN_MAX]:
        console.print(f"  {row.table} {row.key}: {_told(row)}", soft_wrap=True)
    if comparison.more or len(comparison.rows) > ROWS_SHOWN_MAX:
        console.print("  ... and more")


def _told(row: RowDifference) -> str:
    if row.live is None:
        return f"only rebuilt: {_fields(row.rebuilt)}"
    if row.rebuilt is None:
        return f"only live: {_fields(row.live)}"
    apart = [name for name in row.live if row.live[name] != row.rebuilt.get(name)]
    return ", ".join(f"{name} {row.live[name]} is {row.rebuilt.get(name)}" for name in apart)


def _fields(body: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (body or {}).items() if value is not None)


def show(outcome: Outcome, console: Console) -> None:
    """Print what became of it."""
    rate = f" ({outcome.rows / outcome.seconds:,.0f} rows/s)" if outcome.seconds else ""
    made = f"{outcome.rows:,} rows of {outcome.events:,} events in {outcome.seconds:,.1f} s{rate}"
    compared = outcome.comparison
    same = "" if compared is None else "; they differ" if compared.different else "; no difference"
    state = "[green]swapped[/]" if outcome.swapped else "not swapped"
    console.print(f"{outcome.projection}: {state}; {made}{same}")
    for note in outcome.notes:
        console.print(f"  {note}", soft_wrap=True)
