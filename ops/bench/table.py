"""The real table of ticks, filled as the projector fills it: what the same ticks take there."""

from collections.abc import Sequence
from typing import NamedTuple

from events.event import Recorded
from ops.bench import bed
from projectors.ticks import NAME, TickProjector
from sql import migrate
from sql.pool import connect
from sql.statements import statements
from sql.store import Store

TRANSACTION_FRAMES = 1_000  # 10,000 rows, as a projector that catches up commits them


class Size(NamedTuple):
    """Bytes of the day's partition, without and with its indexes."""

    heap: int
    with_indexes: int


def size(batch: Sequence[Recorded]) -> Size:
    """Load the frames into the table of a server of its own; give what it takes on disk."""
    with bed.folder() as data_dir, bed.postgres_server(data_dir) as server, bed.loop() as loop:
        loop.run(migrate.run(server.url))
        return loop.run(_filled(server.url, batch))


async def _filled(url: str, batch: Sequence[Recorded]) -> Size:
    stream = batch[0].stream
    store, projector = Store(url), TickProjector(stream)
    lease = await store.acquire(NAME, stream)
    assert lease is not None, "nobody else works here"
    for start in range(0, len(batch), TRANSACTION_FRAMES):
        part = batch[start : start + TRANSACTION_FRAMES]
        projector.absorb(part)
        async with store.begin(lease, part[-1].n) as transaction:
            await projector.write(transaction)
        projector.committed()
        lease.n = part[-1].n
    await store.close()
    connection = await connect(url)
    found = await (await connection.execute(statements["tick_bytes"])).fetchone()
    await connection.close()
    assert found is not None, "there is a partition"
    return Size(found["heap"], found["with_indexes"])
