"""What a user writes behind --from and --to, as what the log can be asked for."""

import re
from datetime import date, datetime, time, timedelta

from events.span import Wanted
from runtime.calendar import IST
from runtime.clock import NS_PER_SECOND
from runtime.errors import BadInput

N = re.compile(r"[0-9]+")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY = timedelta(days=1)
HOW = "a time (2026-11-20T09:15, in India's time where it says no offset), a day (2026-11-20) or an n (184022)"


def read(start: str | None, end: str | None) -> Wanted:
    """Give what is wanted. An n and a day stand for themselves at both ends: the last one is part of the span.

    Raises BadInput.
    """
    from_ns, first = (None, None) if start is None else _edge("--from", start)
    to_ns, last = (None, None) if end is None else _edge("--to", end)
    return Wanted(from_ns, to_ns, first, last)


def by_n(wanted: Wanted) -> bool:
    """Say whether an n was given, which counts in one stream only."""
    return wanted.first is not None or wanted.last is not None


def _edge(option: str, text: str) -> tuple[int | None, int | None]:
    """Give a time in UTC epoch ns, or an n."""
    if N.fullmatch(text):
        if int(text) < 1:
            raise BadInput(f"{option} as {HOW}", text, "an n counts from 1")
        return None, int(text)
    try:
        if DATE.fullmatch(text):
            day = date.fromisoformat(text) + (DAY if option == "--to" else timedelta())
            return _ns(datetime.combine(day, time(), IST)), None
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{option} as {HOW}", f"{text!r} ({error})", "write it like one of these") from error
    return _ns(moment if moment.tzinfo else moment.replace(tzinfo=IST)), None


def _ns(moment: datetime) -> int:
    whole = moment.replace(microsecond=0)
    return round(whole.timestamp()) * NS_PER_SECOND + moment.microsecond * 1000


def told(at_ns: int) -> str:
    """Give a time as a user may write it again."""
    return datetime.fromtimestamp(at_ns / NS_PER_SECOND, IST).isoformat(timespec="seconds")
