"""Money folded from fills, pure: no database, no clock, no floats. What others take from here stands in `__all__`."""

from projectors.pnl.entry import Action, Charge, Entry, EntryId, Fill, Opening
from projectors.pnl.lots import Book, Lot, Match, Statement, fold

__all__ = ["Action", "Book", "Charge", "Entry", "EntryId", "Fill", "Lot", "Match", "Opening", "Statement", "fold"]
