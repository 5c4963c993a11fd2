"""What others than projectors ask of the checkpoints."""

from typing import Any

from sql.pool import connect, reaching
from sql.statements import statements


async def highest(database_url: str, stream: str) -> int:
    """Give the highest n that any projector has of a stream; 0 where none knows it. Raises Unreachable."""
    connection = await connect(database_url)
    try:
        async with reaching("the checkpoints"):
            row = await (await connection.execute(statements["highest_checkpoint"], {"stream": stream})).fetchone()
    finally:
        await connection.close()
    assert row is not None, "an aggregate always gives a row"
    return int(row["n"])


async def standings(database_url: str) -> list[dict[str, Any]]:
    """Give all pairs: projector, stream, n, epoch, owner, held. Raises Unreachable."""
    connection = await connect(database_url)
    try:
        async with reaching("the checkpoints"):
            return await (await connection.execute(statements["read_checkpoints"])).fetchall()
    finally:
        await connection.close()
