"""What Indian tax law says of a sale of securities, as dated facts: which year, which head, which section, whose rates.

Two acts follow one another: the Income-tax Act, 1961, for what is transferred by 31-Mar-2026, and the Income-tax Act,
2025, from 1-Apr-2026 on. The second says the same in other sections. No tax is computed anywhere.

Nothing here is advice: what is unclear in law is called unclear, and docs/pnl.md says why.
"""

from datetime import date
from typing import Literal, TypeAlias

NEW_ACT = date(2026, 4, 1)  # Income-tax Act, 2025, section 1(3)
# Finance (No. 2) Act, 2024, sections 29 and 31: new rates for transfers from this day on, in sections 111A (15 % to
# 20 %) and 112A (10 % to 12.5 %). Schedule CG of the returns for the assessment year 2025-26 asks for both spans apart.
NEW_RATES = date(2024, 7, 23)
# Finance Act, 2018: section 112A, and section 55(2)(ac) on what was acquired by 31-Jan-2018. Its cost is the higher of
# what was paid and the lower of that day's highest price and the price of the sale. Only noted: Bahi has no prices of
# that day.
GRANDFATHERED = date(2018, 1, 31)
LONG_TERM_EXEMPT = date(2018, 4, 1)  # the same Act: until then section 10(38) exempted it

Kind: TypeAlias = Literal["share", "derivative"]
Category: TypeAlias = Literal["speculative", "non_speculative", "stcg", "ltcg", "unclear"]

# Sections of the Act of 1961 and of that of 2025. 43(5): a contract settled without delivery is speculative; clause (d)
# of its proviso excepts derivatives on recognised exchanges (Finance Act, 2005; currency derivatives are such), clause
# (e) commodity derivatives (Finance Act, 2013). The Act of 2025 has both in its section 66.
SECTIONS: dict[Category, tuple[str, str]] = {
    "speculative": ("43(5)", "66"),
    "non_speculative": ("43(5) proviso", "66"),
    "stcg": ("111A", "196"),
    "ltcg": ("112A", "198"),
    "unclear": ("", ""),
}
# NFO, BFO: equity; CDS, BCD: currency; MCX, NCO: commodity derivatives. All are recognised exchanges.
DERIVATIVE_EXCHANGES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})
_MARCH = 3
_LEAP_DAY = (2, 29)


def kind_of(exchange: str) -> Kind:
    """Tell shares from derivatives by where they are traded (Kite's names of exchanges)."""
    return "derivative" if exchange in DERIVATIVE_EXCHANGES else "share"


def financial_year(day: date) -> str:
    """Give the year from April to March that an IST day is in: 2026-27. The Act of 2025 calls it the tax year."""
    first = day.year if day.month > _MARCH else day.year - 1
    return f"{first}-{(first + 1) % 100:02}"


def is_long_term(bought_on: date, sold_on: date) -> bool:
    """Tell whether a listed share was held for more than twelve months before the day of its transfer.

    Section 2(42A), first proviso, of the Act of 1961; 2(101) of that of 2025. The days are those of the contract notes
    (CBDT circular 704 of 28-Apr-1995). What is sold on the anniversary was held for twelve months and no more, so it is
    short-term; a purchase of 29 February has its anniversary on 1 March.
    """
    leap = (bought_on.month, bought_on.day) == _LEAP_DAY
    anniversary = date(bought_on.year + 1, 3, 1) if leap else bought_on.replace(year=bought_on.year + 1)
    return sold_on > anniversary


def section(category: Category, transferred_on: date) -> str:
    """Give the section that a category falls under, of the Act in force on the day of the transfer."""
    return SECTIONS[category][transferred_on >= NEW_ACT]


def rates(category: Category, transferred_on: date) -> str:
    """Give which of a section's rates were in force, as the return asks for them; empty where it does not."""
    if category not in ("stcg", "ltcg"):
        return ""
    if category == "ltcg" and transferred_on < LONG_TERM_EXEMPT:
        return f"before {LONG_TERM_EXEMPT}"
    return f"from {NEW_RATES}" if transferred_on >= NEW_RATES else f"before {NEW_RATES}"
