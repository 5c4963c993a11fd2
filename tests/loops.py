"""A projector's loop inside a test: the log in memory, PostgreSQL real, every wait with a bound."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from events import codec
from events.archive import Archive
from events.event import Recorded
from events.memory_log import MemoryLog
from events.reader import Reader
from projectors.building import NoMarks
from projectors.loop import Loop, State
from projectors.projector import Projection
from runtime.clock import Clock, ManualClock
from runtime.lifecycle import Stop
from sql.store import Store
from tests.frames import entry
from tests.patience import LOOK_SECONDS, PATIENCE_SECONDS
from tests.stack import select_nothing

Rows = list[dict[str, Any]]


class HastyClock(ManualClock):
    """A clock on which a second goes by whenever somebody looks at it: nothing lingers."""

    def monotonic(self) -> float:
        """Give the seconds, one more each time."""
        self.advance(1.0)
        return super().monotonic()


class Running:
    """One loop at work; `async with running(...)`."""

    def __init__(self, loop: Loop, store: Store) -> None:
        self.loop, self.store = loop, store
        self.stop = loop._stop
        self.task = asyncio.ensure_future(loop.run())

    async def reached(self, n: int) -> None:
        """Wait until events up to n are committed, or fail with what ended the loop."""
        reaching = asyncio.ensure_future(self.loop.progress.reached(n))
        either: set[asyncio.Future[Any]] = {reaching, self.task}
        await asyncio.wait(either, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()
        reaching.cancel()
        assert self.loop.progress.n >= n, f"still at {self.loop.progress.n} and not at {n}, {self.loop.state}"

    async def turned(self, state: State) -> None:
        """Wait until the loop stands there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.loop.progress.turned(state)

    async def ended(self) -> None:
        """Stop it and wait for its end."""
        self.stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task

    async def crashed(self) -> None:
        """End it as a kill does: nothing more is written, nothing released."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.store.close()


class Desk:
    """A log in memory with an archive beside it, and the database that loops project into."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.database_url = database_url
        self.log = MemoryLog()
        self.archive = Archive(folder / "archive")

    async def write(self, events: Sequence[Recorded]) -> int:
        """Append events to the log; give the last n."""
        for start in range(0, len(events), 100):
            entries = [entry(event) for event in events[start : start + 100]]
            answer = await self.log.append(events[0].stream, entries, archived=0)
            assert answer.last == codec.entry_n(entries[-1])
        return events[-1].n

    def start(
        self, projection: Projection, stream: str, *, clock: Clock | None = None, url: str | None = None
    ) -> Running:
        """Start a loop with a store of its own."""
        store = Store(url or self.database_url)
        reader = Reader(self.log, self.archive)
        loop = Loop(projection, stream, store, reader, clock or HastyClock(), NoMarks(), Stop())
        return Running(loop, store)

    @contextlib.asynccontextmanager
    async def running(self, projection: Projection, stream: str, **options: Any) -> AsyncIterator[Running]:
        """Run a loop until the block ends."""
        running = self.start(projection, stream, **options)
        try:
            yield running
        finally:
            if not running.task.done():
                await running.ended()

    async def project(self, projection: Projection, events: Sequence[Recorded]) -> None:
        """Write events and project all of them."""
        last = await self.write(events)
        async with self.running(projection, events[0].stream) as running:
            await running.reached(last)

    async def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """Ask the database."""
        return await ask(self.database_url, statement, *parameters)


async def ask(url: str, statement: str, *parameters: object) -> list[dict[str, Any]]:
    """Run a statement on a connection of its own; give its rows, if it has any."""
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode(), parameters or None)
        return await cursor.fetchall() if cursor.description else []


async def answered(url: str, statement: str, holds: Callable[[Rows], bool]) -> Rows:
    """Ask again and again, on one connection and with pauses, until the answer holds; give its rows.

    Who asks without a pause, and by a new session each time, takes the processor from those that it waits for.
    """
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        await psycopg.AsyncConnection.connect(url, row_factory=dict_row, autocommit=True) as connection,
    ):
        while not holds(found := await (await connection.execute(statement.encode())).fetchall()):
            await asyncio.to_thread(select_nothing, LOOK_SECONDS)
    return found
