"""Keeps what each round trip of a book brought when it has ended: its closings, and its share of what its trades cost.

A trade's charges fall to its trips by value: a fill that flips a book ends one trip and begins the next. They change
with each new trade of a day, so the trips of days that were charged again are reckoned again, and those of lines that
were folded again. A trip that goes on is none yet.
"""

from projectors.accounts.parameters import text
from projectors.accounts.touched import Touched
from sql.store import Rows


async def keep_round_trips(rows: Rows, touched: Touched) -> None:
    """Reckon the round trips of what was touched, when it is folded and charged."""
    for account in sorted(touched.accounts):
        days, lines = touched.days.get(account), touched.lines.get(account)
        if days or lines:
            told = {"days": sorted(days or ()), "rows": text([line._asdict() for line in sorted(lines or ())])}
            await rows.run("keep_round_trips", {"account": account, **told})
