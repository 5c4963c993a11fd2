"""One row of a broker's answer, read field by field: types drift, times come in three forms, and all of it is IST.

Kite gives times as `2026-04-13 09:15:02`, as `09:15:02` without a day, or not at all (null, an empty text, or the year
1 or 1970 in their place); numbers sometimes as texts (Kite Connect v3, "Orders", "Portfolio"; kiteconnect 5).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from money.pnl.entry import WHOLE_DIGITS_MAX
from runtime.calendar import IST
from runtime.errors import BadEvent

YEAR_MIN = 2000  # Zerodha was founded in 2010; what lies before stands for "none"
YEAR_MAX = 2099  # a symbol has two digits of the year; what lies after stands for "none" as well
# Kite's longest symbol has 27 characters, its ids 19. PostgreSQL takes 2,704 bytes in an index; some have four names.
NAME_CHARACTERS_MAX = 128
TOKEN_DIGITS_MAX = 18  # of an instrument_token: a bigint has that many for certain
EXPONENT_MIN = -400  # brokers' figures are doubles: their last digit stands no lower; numeric ends at -16383
REMEDY = "the row is kept aside whole: see bahi parked; all others are used"
Raw = Mapping[str, Any]


class Reading:
    """A row, and which of its fields were read."""

    def __init__(self, raw: object) -> None:
        """Take a JSON object. Raises BadEvent where it is none."""
        if not isinstance(raw, dict):
            raise BadEvent("an object", f"{type(raw).__name__}", REMEDY)
        self.raw: Raw = raw
        self.used: set[str] = set()

    def text(self, name: str) -> str | None:
        """Give a text; None where it is absent, null or empty."""
        value = self._take(name)
        return None if value is None or value == "" else str(value)

    def name(self, name: str) -> str | None:
        """Give a text of a few words, None where there is none. Raises BadEvent for a longer one."""
        found = self.text(name)
        if found is not None and len(found) > NAME_CHARACTERS_MAX:
            raise BadEvent(f"at most {NAME_CHARACTERS_MAX} characters in `{name}`", repr(found[:80]), REMEDY)
        return found

    def needed_text(self, name: str) -> str:
        """Give a text of a few words. Raises BadEvent where there is none."""
        found = self.name(name)
        if found is None:
            raise BadEvent(f"a text in `{name}`", repr(self.raw.get(name)), REMEDY)
        return found

    def number(self, name: str, digits: int = WHOLE_DIGITS_MAX) -> Decimal | None:
        """Give a number, also where it came as a text; None where there is none.

        Raises BadEvent for another thing, and for a number with more than so many digits before its point: books and
        tables could not hold it.
        """
        value = self._take(name)
        if value is None or value == "":
            return None
        try:
            found = Decimal("NaN") if isinstance(value, bool) else Decimal(value)
        except (InvalidOperation, TypeError, ValueError):
            found = Decimal("NaN")
        most = Decimal(10) ** digits - 1  # also when it is rounded
        if not found.is_finite() or abs(found) > most or exponent(found) < EXPONENT_MIN:
            raise BadEvent(f"a number below 1e{digits} in `{name}`", repr(value)[:80], REMEDY)
        return found

    def needed_number(self, name: str) -> Decimal:
        """Give a number. Raises BadEvent where there is none."""
        found = self.number(name)
        if found is None:
            raise BadEvent(f"a number in `{name}`", repr(self.raw.get(name)), REMEDY)
        return found

    def amount(self, name: str) -> Decimal:
        """Give a number, 0 where there is none."""
        return self.number(name) or Decimal(0)

    def whole(self, name: str) -> int | None:
        """Give a whole number, None where there is none. Raises BadEvent."""
        found = self.number(name, TOKEN_DIGITS_MAX)
        if found is not None and found != found.to_integral_value():
            raise BadEvent(f"a whole number in `{name}`", str(found), REMEDY)
        return None if found is None else int(found)

    def instant(self, name: str, day: date | None = None) -> datetime | None:
        """Give a moment (aware, UTC); None where there is none that can be read. day: of a time without one, in IST."""
        value = self._take(name)
        return None if value is None else instant(str(value), day)

    def texts(self, name: str) -> list[str]:
        """Give a list of texts, empty where there is none."""
        value = self._take(name)
        if value is None or value == "":
            return []
        listed = value if isinstance(value, list) else [value]
        return [str(each) for each in listed if each is not None and each != ""]

    def fields(self, name: str) -> dict[str, Any]:
        """Give an object, empty where there is none."""
        value = self._take(name)
        return value if isinstance(value, dict) else {}

    def rest(self) -> dict[str, Any]:
        """Give the fields that nobody has read."""
        return {name: value for name, value in self.raw.items() if name not in self.used}

    def _take(self, name: str) -> Any:
        self.used.add(name)
        return self.raw.get(name)


def instant(text: str, day: date | None = None) -> datetime | None:
    """Give the moment (aware, UTC) that a text says, in IST where it names no zone; None where it says none.

    `2026-04-13 09:15:02` is 03:45:02 UTC.
    """
    try:
        if len(text) <= len("00:00:00") and day is not None:
            found = datetime.combine(day, time.fromisoformat(text))
        else:
            found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=IST)
    return found.astimezone(UTC) if YEAR_MIN <= found.year <= YEAR_MAX else None


def exponent(number: Decimal) -> int:
    """Give at which place a finite number's last digit stands: -2 for 1.25."""
    found = number.as_tuple().exponent
    assert isinstance(found, int), "it is finite"
    return found
