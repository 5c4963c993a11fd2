"""The words of a decision, checked: names, symbols, days. What is wrong is refused with what was wanted instead."""

import re
from datetime import date

from runtime.calendar import exchanges
from runtime.errors import BadInput

# As in a tag (`strat:7`); Kite's tags have 20 characters, others more. Of an account: as ACCOUNTS_FILE has it.
NAME = re.compile(r"[A-Za-z0-9_.-]+")
NAME_CHARACTERS_MAX = 64
NONE = "none"  # what belongs to no strategy is told by this name
TITLE_CHARACTERS_MAX = 100  # a line of a table
TEXT_CHARACTERS_MAX = 1000  # a paragraph: it stays in the log for ever
SYMBOL_CHARACTERS_MAX = 64  # the longest of Kite's dump have 30
ID_CHARACTERS_MAX = 64  # of an order or a trade; Kite's have 20, others up to 40
# Indian shares are dematerialised since 1996: no lot is older. A day beyond the century is a slip of the pen, and the
# far ends of the calendar do not fit into a time with a zone.
DAY_FIRST, DAY_LAST = date(1996, 1, 1), date(2099, 12, 31)
ID = re.compile(r"[!-~]+")  # printable ASCII without a space, which parts the ids in a pattern


def name(field: str, text: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
    """Give a name of letters, digits, `_`, `.` and `-`. Raises BadInput."""
    if len(text) > characters_max or not NAME.fullmatch(text):
        raise BadInput(
            f"`{field}` of 1 to {characters_max} letters, digits, `_`, `.` or `-`", _shown(text), "choose another name"
        )
    return text


def strategy(text: str, field: str = "strategy_id") -> str:
    """Give the name of a strategy; `none` is nobody's. Raises BadInput."""
    if name(field, text).lower() == NONE:
        raise BadInput(
            f"the name of a strategy in `{field}`", text, "choose another name: `none` is what belongs to no strategy"
        )
    return text


def plain(field: str, text: str, characters_max: int) -> str:
    """Give a text of printable characters without the space around it, empty for none. Raises BadInput."""
    found = text.strip()
    if len(found) > characters_max or not all(each.isprintable() for each in found):
        raise BadInput(
            f"`{field}` of at most {characters_max} printable characters", _shown(text), "shorten or mend it"
        )
    return found


def symbol(field: str, text: str) -> str:
    """Give a symbol as the brokers write it. Raises BadInput."""
    found = plain(field, text, SYMBOL_CHARACTERS_MAX).upper()
    if not found:
        raise BadInput(f"`{field}` as GET /api/instruments lists it", "nothing", "name the instrument")
    return found


def exchange(text: str) -> str:
    """Give an exchange by its name. Raises BadInput."""
    found = text.strip().upper()
    if found not in exchanges():
        raise BadInput(f"`exchange` as one of {', '.join(exchanges())}", _shown(text), "correct it")
    return found


def identifier(field: str, text: str) -> str:
    """Give a broker's id of an order or a trade. Raises BadInput."""
    if len(text) > ID_CHARACTERS_MAX or not ID.fullmatch(text):
        raise BadInput(f"`{field}` as the broker gave it", _shown(text), "GET /accounts/{account}/trades lists the ids")
    return text


def day(field: str, found: date) -> date:
    """Give an IST day that can be one of a trade. Raises BadInput."""
    if not DAY_FIRST <= found <= DAY_LAST:
        raise BadInput(f"`{field}` from {DAY_FIRST} to {DAY_LAST}", found.isoformat(), "correct it")
    return found


def _shown(text: str) -> str:
    return repr(text[:60]) if text else "nothing"
