"""Times as users write them in a query: ISO 8601, or a day; what has no offset is Indian."""

import re
from datetime import date, datetime, time

from runtime.calendar import IST
from runtime.errors import BadInput

# `+05:30` not escaped in a URL arrives as ` 05:30`.
UNESCAPED_OFFSET = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")
DATE_CHARACTERS = 10


def moment(name: str, text: str, of_day: time) -> datetime:
    """Read the value of a parameter; a date alone means `of_day` of that day. Raises BadInput."""
    try:
        if len(text) <= DATE_CHARACTERS:
            return datetime.combine(date.fromisoformat(text), of_day, IST)
        found = datetime.fromisoformat(UNESCAPED_OFFSET.sub(r"\1+\2", text))
    except ValueError as error:
        raise BadInput(f"`{name}` as 2026-11-20 or 2026-11-20T09:15:00+05:30", repr(text[:60]), "mend it") from error
    return found if found.tzinfo else found.replace(tzinfo=IST)
