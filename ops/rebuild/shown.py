"""A rebuild for eyes: how far it is, what differs, what became of it.

On a terminal a bar with rate and time left; elsewhere a line now and then. Both go to standard error.
"""

import asyncio
import time
from typing import Any

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from projectors.difference import Comparison, RowDifference
from projectors.rebuild import Outcome

LINE_SECONDS = 5.0  # between two lines where nobody watches a bar
ROWS_SHOWN_MAX = 20  # --json has more of them
PLAIN_COLUMNS = 200


class _Rate(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        """Give the rate, empty while none is known."""
        return Text(f"{task.speed:,.0f} events/s" if task.speed else "")


class Screen:
    """`projectors.rebuild.Watcher` for a user. Use it as a context: the bar ends with it."""

    def __init__(self, name: str, *, yes: bool, asks: bool) -> None:
        """yes: a difference is accepted. asks: somebody sits there who may be asked."""
        found = Console(stderr=True, highlight=False)
        self._console = found if found.is_terminal else Console(stderr=True, highlight=False, width=PLAIN_COLUMNS)
        self._name, self._yes, self._asks = name, yes, asks
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None)
        self._phase = ""
        self._line_at = self._begun_at = time.monotonic()
        self._begun: int | None = None

    def close(self) -> None:
        """End the bar."""
        self._bar.stop()

    def phase(self, name: str) -> None:
        """Show what is done now."""
        self._phase = name
        self._bar.start()
        self._bar.update(self._task, description=f"{self._name}: {name}")
        if self._bar.disable:
            self._console.print(f"{self._name}: {name}")

    def moved(self, done: int, total: int) -> None:
        """Show how far it is."""
        self._begun = done if self._begun is None else self._begun
        self._bar.update(self._task, completed=done, total=total)
        now = time.monotonic()
        if self._bar.disable and now - self._line_at >= LINE_SECONDS:
            self._line_at = now
            rate = (done - self._begun) / (now - self._begun_at)
            left = f", {(total - done) / rate:,.0f} s left" if rate else ""
            self._console.print(f"{self._name}: {done:,} of {total:,} events, {rate:,.0f}/s{left}")

    async def accepts(self, comparison: Comparison) -> bool:
        """Show the difference, and ask where nobody has said it yet."""
        self._bar.stop()
        show_comparison(comparison, self._console)
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
