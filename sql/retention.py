"""Let ticks go that are older than the user keeps."""

from sql.pool import connect, reaching
from sql.statements import statements


async def drop_tick_days(database_url: str, days: int) -> list[str]:
    """Drop all but the newest `days` days of ticks; give the names of what was dropped, the newest first.

    Counted back from the newest day that has ticks, not from today. Raises Unreachable, also while somebody reads what
    would be dropped: nothing waits for him, and the next try comes.
    """
    connection = await connect(database_url)
    try:
        async with reaching("what retention drops"), connection.transaction():
            await connection.execute(statements["wait_briefly"])
            rows = await (await connection.execute(statements["drop_tick_days"], {"days": days})).fetchall()
            return [row["part"] for row in rows]
    finally:
        await connection.close()
