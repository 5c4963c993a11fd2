"""How far a long piece of work is, on standard error.

On a terminal a bar with rate and time left; elsewhere a line now and then.
"""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_SECONDS = 5.0  # between two lines where nobody watches a bar
PLAIN_COLUMNS = 200


class _Rate(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        """Give the rate, empty while none is known."""
        return Text(f"{task.speed:,.0f} events/s" if task.speed else "")


class Bar:
    """One piece of work by its name."""

    def __init__(self, name: str) -> None:
        """Show nothing yet; `phase` begins, and `close` ends it."""
        found = Console(stderr=True, highlight=False)
        self.console = found if found.is_terminal else Console(stderr=True, highlight=False, width=PLAIN_COLUMNS)
        self._name = name
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None)
        self._line_at = self._begun_at = time.monotonic()
        self._begun: int | None = None
        self._done = 0

    def close(self) -> None:
        """End the bar."""
        self._bar.stop()

    def phase(self, name: str) -> None:
        """Show what is done now."""
        self._bar.start()
        self._bar.update(self._task, description=f"{self._name}: {name}")
        if self._bar.disable:
            self.say(name)

    def say(self, text: str) -> None:
        """Say something beside the bar."""
        self.console.print(f"{self._name}: {text}", soft_wrap=True)

    def moved(self, done: int, total: int) -> None:
        """Show how far it is, in events; where it is less than before, something else has begun."""
        if done < self._done:
            self._bar.reset(self._task)
        if self._begun is None or done < self._done:
            self._begun, self._begun_at = done, time.monotonic()
            self._line_at = self._begun_at
        self._done = done
        self._bar.update(self._task, completed=done, total=total)
        now = time.monotonic()
        if self._bar.disable and now - self._line_at >= LINE_SECONDS:
            self._line_at = now
            rate = (done - self._begun) / (now - self._begun_at)
            left = f", {(total - done) / rate:,.0f} s left" if rate else ""
            self.say(f"{done:,} of {total:,} events, {rate:,.0f}/s{left}")
