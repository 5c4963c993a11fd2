"""Money folded from fills, pure: no database, no clock, no floats. What others take from here stands in `__all__`."""

from money.pnl.entry import Action, Charge, Entry, EntryId, Fill, Opening
from money.pnl.lots import Book, Lot, Match, Statement, fold
from money.pnl.tax import Reckoned, Row, Total, Traded, in_csv, reckon, totals

__all__ = [
    "Action",
    "Book",
    "Charge",
    "Entry",
    "EntryId",
    "Fill",
    "Lot",
    "Match",
    "Opening",
    "Reckoned",
    "Row",
    "Statement",
    "Total",
    "Traded",
    "fold",
    "in_csv",
    "reckon",
    "totals",
]
