"""A rebuild inside a test: over the log and database of a desk, with a watcher that remembers what it was told."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from events.archive import Archive
from projectors.difference import Comparison
from projectors.projector import Projection
from projectors.rebuild import Outcome, Plan, Rebuild
from runtime.clock import SystemClock
from runtime.lifecycle import Stop
from tests.loops import Desk, ask
from tests.patience import PATIENCE_SECONDS


class Remembering:
    """A watcher: what it was told, and what it says to a difference."""

    def __init__(self, *, accepts: bool = True) -> None:
        self.phases: list[str] = []
        self.moves: list[tuple[int, int]] = []
        self.asked: list[Comparison] = []
        self._accepts = accepts
        self.at: dict[str, Callable[[], Any]] = {}  # phase -> what to do when it begins

    def phase(self, name: str) -> None:
        self.phases.append(name)
        if name in self.at:
            self.at[name]()

    def moved(self, done: int, total: int) -> None:
        self.moves.append((done, total))
        if (hook := f"moved, {self.phases[-1]}") in self.at:
            self.at[hook]()

    async def accepts(self, comparison: Comparison) -> bool:
        self.asked.append(comparison)
        return self._accepts


async def rebuild(desk: Desk, projection: Projection, watcher: Remembering | None = None, **plan: Any) -> Outcome:
    """Rebuild one projection."""
    url = plan.pop("url", desk.database_url)
    stop = plan.pop("stop", None) or Stop()
    wanted = Plan(projection, url, plan.pop("kept_days", 7), **plan)

    def archive() -> Archive:
        return Archive(Path(desk.archive.place))

    async with asyncio.timeout(PATIENCE_SECONDS):
        return await Rebuild(wanted, desk.log, archive, SystemClock(), watcher or Remembering(), stop).run()


async def schemas(url: str) -> list[str]:
    """Give what rebuilds have left."""
    rows = await ask(url, "select nspname as name from pg_namespace where nspname ~ '^(rebuild|replaced)_'")
    return [row["name"] for row in rows]


async def content(url: str, tables: Sequence[str], schema: str = "public") -> dict[str, list[str]]:
    """Give every row of tables as text, in order, with the name of its stream in place of its number."""
    found = {}
    for table in tables:
        rows = await ask(
            url,
            f"select (to_jsonb(held) - 'stream_id' || coalesce((select to_jsonb(streams) - 'stream_id' from streams "
            f"where to_jsonb(held) ->> 'stream_id' = stream_id::text), '{{}}'))::text as row "
            f"from {schema}.{table} held order by 1",
        )
        found[table] = [row["row"] for row in rows]
    return found
