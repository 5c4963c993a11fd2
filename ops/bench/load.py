r"""Frames into the real table of ticks, with checkpoint, against psql's \copy of the same rows into the same table.

Ours is the projector's own way from decoded ticks to the commit, every so many rows; psql loads a ready file in one go,
as its \timing tells. The last case counts the decoding, too.
"""

import os
import re
import subprocess
import time
from asyncio import Runner
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import unquote, urlsplit

from events.decode import decode
from events.event import Recorded
from ops.bench import bed
from ops.bench.frames import PACKETS, Source, recorded
from ops.bench.measure import Case, Target, Trial, compare
from ops.embedded import postgres
from projectors.ticks import NAME, TickProjector, copy_rows
from sql import migrate
from sql.pool import connect
from sql.statements import statements
from sql.store import COPY_END, COPY_HEAD, Store

ROWS = 100_000  # a round: a fifth of a second for psql
TARGETS = {10_000: 0.75, 2_000: 0.55, 500: 0.45}
MOST = max(TARGETS)
AGAINST = "psql \\copy (format binary), the whole file in one"
_TIMING = re.compile(r"^Time: ([\d.]+) ms", re.MULTILINE)


def run(trial: Trial) -> list[Case]:
    """Measure loads of three sizes of transaction."""
    batch = recorded(Source().frames(round(trial.part(ROWS)) // PACKETS))
    with bed.folder() as data_dir, bed.postgres_server(data_dir) as server, bed.loop() as loop:
        loop.run(migrate.run(server.url))
        measured = Loads(server.url, batch, data_dir / "ticks.copy", loop)
        cases = []
        for rows, target in TARGETS.items():
            trial.say(f"{rows} rows a transaction")
            found = trial.alternate(partial(measured.ours, rows), measured.psql)
            cases.append(compare(f"{rows:,} rows a transaction", "rows/s", AGAINST, found, Target(target)))
        trial.say("from frames")
        found = trial.alternate(partial(measured.ours, MOST, decoding=True), measured.psql)
        cases.append(compare(f"from frames, {MOST:,} rows a transaction", "rows/s", AGAINST, found, None))
    return cases


class Loads:
    """The two ways to load the same rows."""

    def __init__(self, url: str, batch: Sequence[Recorded], path: Path, loop: Runner) -> None:
        self._url, self._batch, self._path, self._loop = url, batch, path, loop
        self._rows, self._streams = len(batch) * PACKETS, count(1)
        self._loop.run(self._load(self._rows))  # makes the day's partition
        with path.open("wb") as file:
            file.writelines([COPY_HEAD, *copy_rows(decode(batch).ticks, 1), COPY_END])

    def ours(self, rows: int, *, decoding: bool = False) -> float:
        """Give our rows a second, so many in a transaction; decoding: from frames on."""
        return self._loop.run(self._load(rows, decoding=decoding))

    async def _load(self, rows: int, *, decoding: bool = False) -> float:
        stream = f"ticks-bench-{next(self._streams)}"  # each begins at n = 1
        store, projector = Store(self._url), TickProjector(stream)
        lease = await store.acquire(NAME, stream)
        assert lease is not None, "nobody else works here"
        await self.empty()
        frames, took = rows // PACKETS, 0.0
        for start in range(0, len(self._batch), frames):
            batch = self._batch[start : start + frames]
            began = time.perf_counter()
            projector.absorb(batch)
            if not decoding:
                began = time.perf_counter()
            async with store.begin(lease, batch[-1].n) as transaction:
                await projector.write(transaction)
            projector.committed()
            took += time.perf_counter() - began
            lease.n = batch[-1].n
        await store.close()
        return self._rows / took

    async def empty(self) -> None:
        """Have no ticks in the table."""
        connection = await connect(self._url)
        await connection.execute(statements["empty_ticks"])
        await connection.close()

    def psql(self) -> float:
        """Give psql's rows a second."""
        self._loop.run(self.empty())
        parts = urlsplit(self._url)
        address = f"host={parts.hostname} port={parts.port} user={parts.username} dbname={parts.path[1:]}"
        copy = " ".join(statements["copy_ticks"].split()).replace("stdin", f"'{self._path}'")
        done = subprocess.run(
            [
                postgres.programs_folder() / "psql",
                "-X",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                "\\timing on",
                "-c",
                f"\\{copy}",
                address,
            ],
            env={**os.environ, "PGPASSWORD": unquote(parts.password or "")},
            check=True,
            capture_output=True,
            text=True,
        )
        found = _TIMING.search(done.stdout)
        assert found is not None, done.stdout
        return self._rows / (float(found[1]) / 1000)
