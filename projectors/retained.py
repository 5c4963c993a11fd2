"""Where ticks begin that are kept: what is past retention is not read again."""

from datetime import date, datetime, time, timedelta

from events.decode import decode
from events.reader import Reader
from runtime.calendar import IST

LOOK_BACK_EVENTS = 2_048  # at the end of a stream; a beat comes every second, so this is at least half an hour
LOOK_BACK_EVENTS_MAX = 262_144  # three nights of beats; a stream that was silent for longer is read from its beginning
READ_EVENTS = 2_048
DAY = timedelta(days=1)


async def first_ns(reader: Reader, stream: str, newest: date | None, kept_days: int) -> int:
    """Give a receipt's time (ns) before which no event has a tick that is kept.

    newest: the newest day of the live ticks, None where there are none: then the stream's own end tells. A tick's time
    is at most a day behind its receipt: a later one is stored as the receipt. Raises Unreachable, HoleInLog.
    """
    newest = newest or await _newest_day(reader, stream)
    if newest is None:
        return 0
    oldest = datetime.combine(newest, time(), IST) - (kept_days - 1) * DAY
    return round((oldest - DAY).timestamp()) * 10**9


async def _newest_day(reader: Reader, stream: str) -> date | None:
    """Give the IST day of the newest tick near the end of a stream."""
    end = last = await reader.last(stream)
    back = LOOK_BACK_EVENTS
    while end > 0 and back <= LOOK_BACK_EVENTS_MAX:
        newest_ns, after = 0, max(0, last - back)
        begin = after
        while after < end:
            batch = (await reader.read(stream, after, READ_EVENTS))[: end - after]
            if not batch:
                return None
            after = batch[-1].n
            newest_ns = max(newest_ns, int(decode(batch).ticks["time_ns"].max(initial=0)))
        if newest_ns:
            return datetime.fromtimestamp(newest_ns / 1e9, IST).date()
        end, back = begin, back * 2
    return None
