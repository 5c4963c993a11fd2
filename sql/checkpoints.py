"""What others than projectors ask of the checkpoints."""

from collections.abc import Sequence
from typing import Any

from sql.pool import connect, reaching
from sql.statements import statements


async def fence(database_url: str, stream: str) -> dict[str, int]:
    """Raise the epochs of all projectors and rebuilds of a stream; give how far each has come. Raises Unreachable.

    What an owner holds in memory is never committed after this: it reads again from its checkpoint. A rebuild begins
    again: what it has read may not be in the log any more.
    """
    connection = await connect(database_url)
    try:
        async with reaching("the checkpoints"):
            rows = await (await connection.execute(statements["fence_checkpoints"], {"stream": stream})).fetchall()
    finally:
        await connection.close()
    return {row["reader"]: row["reached"] for row in rows}


async def raise_all(database_url: str, pairs: Sequence[tuple[str, str]], now_ns: int) -> list[dict[str, Any]]:
    """End all owners and raise every epoch past any handed out before now_ns; give projector, stream, n, epoch.

    pairs: of the log, which the database may not know yet.

    For a database that was restored. Whoever held a pair before has either committed by then, rows and position
    together, or never will: each move of a position locks its row until it is committed, this waits for it, and finds
    no epoch of its own after it. Running rebuilds begin again. Raises Unreachable, after which it may be called again.
    """
    connection = await connect(database_url)
    try:
        async with reaching("the checkpoints"), connection.transaction():
            await connection.execute(statements["end_owners"])
            for projector, stream in pairs:
                await connection.execute(statements["add_checkpoint"], {"projector": projector, "stream": stream})
            streams = await (await connection.execute(statements["projected_or_numbered"])).fetchall()
            for row in streams:
                await connection.execute(statements["fence_checkpoints"], {"stream": row["stream"]})
            return await (await connection.execute(statements["raise_all_far"], {"now_us": now_ns // 1000})).fetchall()
    finally:
        await connection.close()
