"""What others than projectors ask of the checkpoints."""

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


async def standings(database_url: str) -> list[dict[str, Any]]:
    """Give all pairs: projector, stream, n, epoch, owner, held. Raises Unreachable."""
    connection = await connect(database_url)
    try:
        async with reaching("the checkpoints"):
            return await (await connection.execute(statements["read_checkpoints"])).fetchall()
    finally:
        await connection.close()
