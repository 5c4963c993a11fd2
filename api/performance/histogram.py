"""How amounts are spread: a histogram whose bins have names, none of which holds both wins and losses.

Bins are of one width and begin at 0 in both directions; 0 itself has a bin of its own. The width is 1, 2 or 5 times a
power of ten (so that its names are round), the smallest of these that needs no more than BINS_MAX bins.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal, localcontext
from itertools import chain, count

import msgspec

from api.performance.exact import CONTEXT, PAISA, ZERO

BINS_MAX = 20  # besides that of 0: as many bars as a page shows side by side with readable names


class Bin(msgspec.Struct, frozen=True):
    """Amounts above `low` and up to `high` when won, from `low` and below `high` when lost, 0 in that named "0".

    name: "100 to 200", "-200 to -100". total: what they add up to, in rupees.
    """

    name: str
    low: Decimal
    high: Decimal
    count: int
    total: Decimal


def histogram(amounts: Iterable[Decimal]) -> list[Bin]:
    """Give the bins from the lowest to the highest, empty ones between them too; none for no amounts."""
    values = list(amounts)
    if not values:
        return []
    with localcontext(CONTEXT):
        width = _width(min(*values, ZERO), max(*values, ZERO))
        counts: Counter[int] = Counter()
        sums: dict[int, Decimal] = {}
        for value in values:
            place = _place(value, width)
            counts[place] += 1
            sums[place] = sums.get(place, ZERO) + value
        return [
            _bin(place, width, counts[place], sums.get(place, ZERO)) for place in range(min(counts), max(counts) + 1)
        ]


def _width(lowest: Decimal, highest: Decimal) -> Decimal:
    widths = chain.from_iterable((PAISA.scaleb(power) * step for step in (1, 2, 5)) for power in count())
    return next(width for width in widths if _place(highest, width) - _place(lowest, width) <= BINS_MAX)


def _place(value: Decimal, width: Decimal) -> int:
    """Give the number of an amount's bin: 0 of 0 itself, 1 of the first above it, -1 of the first below it."""
    steps = int((abs(value) / width).to_integral_value(ROUND_CEILING))
    return steps if value > 0 else -steps


def _bin(place: int, width: Decimal, number: int, total: Decimal) -> Bin:
    if not place:
        return Bin("0", ZERO, ZERO, number, total)
    low = (place - 1 if place > 0 else place) * width
    return Bin(f"{low.normalize():f} to {(low + width).normalize():f}", low, low + width, number, total)
