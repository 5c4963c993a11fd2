"""Let go what is older than the user keeps, or than anything will ask for."""

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


async def forget_volumes(database_url: str, days: int) -> int:
    """Drop what candles remember of days whose newest tick was received long ago; give how many counters.

    A tick that comes for such a day all the same counts as its first. Raises Unreachable.
    """
    connection = await connect(database_url)
    try:
        async with reaching("what candles remember"):
            row = await (await connection.execute(statements["forget_volumes"], {"days": days})).fetchone()
            return int(row["counters"]) if row else 0
    finally:
        await connection.close()
