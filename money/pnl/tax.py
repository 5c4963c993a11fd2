"""Tax lots of an account: what was bought and sold, matched as Indian tax law wants it, by financial year; and as CSV.

A share is matched by scrip (its ISIN, else its symbol), over exchanges and products, because the account at the
depository knows neither; strategies play no part. Of each day:

1. A split changes the lots in place: they keep their days and what they cost. A bonus is a lot of its own, of that day,
   and cost nothing (section 55(2)(aa)(iiia) of the Act of 1961).
2. What was both bought and sold on the day is not delivered, and so speculative, whatever the product was called: the
   first bought against the first sold. In trade-to-trade every trade is delivered, and this step is left out.
3. What was bought beyond that becomes a lot. What was sold beyond that is taken from the oldest lot: section 45(2A) of
   the Act of 1961, 67(7) of that of 2025, CBDT circular 768 of 24-Jun-1998 (first-in-first-out in each demat account).

A derivative is matched by contract, first-in-first-out in both directions; all of it is business income.

The newest lot first (lifo) is there for the record: no law wants it, and its rows say so. Gains are before charges. In
general: gains = sold - bought + what is still open - what was taken over, exactly; and no fill is matched for more than
it was. The law itself, as dated facts, is in money/pnl/law.py.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal, localcontext
from itertools import groupby
from typing import Literal, TypeAlias

import msgspec

from money.pnl import law
from money.pnl.entry import Action, EntryId, Fill, Opening, place
from money.pnl.lots import EXACT, PAISA, ROUNDED, ZERO, Lot, converted, take
from runtime.errors import BadEvent

Method: TypeAlias = Literal["fifo", "lifo"]
Pair: TypeAlias = tuple[Lot, Lot]  # what was opened first and what closed it, of one quantity and opposite signs


class Traded(msgspec.Struct, frozen=True):
    """An entry of an account, and what it was in. Entries of one scrip or contract need ids of their own.

    isin: empty where it is not known. bought_on: of an opening, the day of the purchase; None where it is not known.
    trade_to_trade: every trade of it is delivered (series BE and BZ on the NSE, group T on the BSE).
    """

    entry: Fill | Opening | Action
    tradingsymbol: str
    isin: str = ""
    bought_on: date | None = None
    trade_to_trade: bool = False

    @property
    def kind(self) -> law.Kind:
        """Tell a share from a derivative."""
        return law.kind_of(self.entry.id.exchange)

    @property
    def scrip(self) -> tuple[str, str]:
        """Give what its lots are kept by: a share's ISIN or symbol on whatever exchange, a derivative's contract."""
        if self.kind == "derivative":
            return self.entry.id.exchange, self.tradingsymbol
        return "", self.isin or self.tradingsymbol


class Row(msgspec.Struct, frozen=True):
    """One match. Values in rupees, before charges, with the multiplier; days are IST; None is not known.

    rates: which of the section's rates were in force. days_held: between both days, whichever came first. lawful:
    matched as the law wants. bought, sold: the fills' ids.
    """

    financial_year: str
    category: law.Category
    section: str
    rates: str
    exchange: str
    tradingsymbol: str
    isin: str
    quantity: Decimal
    bought_on: date | None
    bought_value: Decimal
    sold_on: date | None
    sold_value: Decimal
    days_held: int | None
    gain: Decimal
    method: Method
    lawful: bool
    note: str
    bought: EntryId
    sold: EntryId


class Total(msgspec.Struct, frozen=True):
    """The rows of one line of the return, in rupees."""

    financial_year: str
    category: law.Category
    section: str
    rates: str
    bought_value: Decimal
    sold_value: Decimal
    gain: Decimal


class Reckoned(msgspec.Struct, frozen=True):
    """The rows of an account by year, category and sale, and the lots that are still open, by scrip or contract."""

    rows: list[Row]
    open: dict[tuple[str, str], list[Lot]]


# Their order is promised: people read these files by column. New ones come last.
COLUMNS = (
    "financial_year",
    "category",
    "section",
    "rates",
    "exchange",
    "tradingsymbol",
    "isin",
    "quantity",
    "bought_on",
    "bought_value",
    "sold_on",
    "sold_value",
    "days_held",
    "gain",
    "method",
    "lawful",
    "note",
    "bought_id",
    "sold_id",
)


def reckon(history: Iterable[Traded], method: Method = "fifo") -> Reckoned:
    """Match an account's whole history, given in any order. Raises BadEvent for two entries of one id in one scrip."""
    by_scrip: dict[tuple[str, str], list[Traded]] = {}
    for traded in history:
        by_scrip.setdefault(traded.scrip, []).append(traded)
    rows: list[Row] = []
    still_open: dict[tuple[str, str], list[Lot]] = {}
    with localcontext(EXACT):
        for scrip, entries in sorted(by_scrip.items()):
            ledger = _Ledger(entries, method)
            rows += ledger.rows()
            if ledger.lots:
                still_open[scrip] = ledger.lots
    rows.sort(key=lambda row: (row.financial_year, row.category, row.sold_on or date.min, row.tradingsymbol))
    return Reckoned(rows, still_open)


class _Ledger:
    """The lots of one scrip or contract, matched day after day."""

    def __init__(self, entries: list[Traded], method: Method) -> None:
        self._entries = sorted(entries, key=lambda traded: (traded.entry.id.day, place(traded.entry)))
        self._known = {traded.entry.id: traded for traded in entries}
        if len(self._known) != len(entries):
            raise BadEvent("an id for each entry", f"two of one id in {entries[0].scrip}", "give each fill once")
        self._method: Method = method
        self.lots: list[Lot] = []

    def rows(self) -> Iterator[Row]:
        """Give the rows, in the order of the closing day."""
        for _day, entries in groupby(self._entries, key=lambda traded: traded.entry.id.day):
            waiting: list[Lot] = []
            netted: list[Lot] = []
            for traded in entries:
                entry = traded.entry
                if isinstance(entry, Action):
                    yield from self._act(entry)
                    continue
                is_netted = isinstance(entry, Fill) and traded.kind == "share" and not traded.trade_to_trade
                (netted if is_netted else waiting).append(_lot(entry))
            pairs = _pairs_of_one_day(netted)
            yield from (self._row(pair, "speculative") for pair in pairs)
            delivered = sorted(waiting + netted, key=lambda lot: place(self._known[lot.opened].entry))
            for lot in delivered:
                yield from (self._row(pair, self._category(pair)) for pair in self._settle(lot))

    def _act(self, action: Action) -> Iterator[Row]:
        """Split the lots, or add a bonus to them. A lot of which no whole share is left was sold for nothing known."""
        if action.kind == "bonus":
            held = sum((lot.quantity for lot in self.lots), ZERO)
            if credited := (held * action.new) // action.old:
                self.lots.append(Lot(action.id, action.time, credited, ZERO))
            return
        self.lots, lost = converted(self.lots, action)
        for lot in lost:
            nothing = Lot(action.id, action.time, -lot.quantity, ZERO)
            yield self._row((lot, nothing), "unclear", "no whole share was left; what was paid for it is not known")

    def _settle(self, incoming: Lot) -> Iterator[Pair]:
        """Close lots of the other direction, and keep what is left as a lot."""
        newest, against = self._method == "lifo", [incoming]
        while against and self.lots and self.lots[0].quantity * incoming.quantity < 0:
            part = min(abs(self.lots[-1 if newest else 0].quantity), abs(against[0].quantity))
            yield take(self.lots, part, newest=newest), take(against, part)
        self.lots += against

    def _category(self, pair: Pair) -> law.Category:
        """Give the head of a match that was delivered, or of a derivative."""
        opened, closed = pair
        if self._known[closed.opened].kind == "derivative":
            return "non_speculative"
        if opened.quantity < 0:
            return "unclear"
        day, known = self._day(opened), self._known[opened.opened].entry.id.day
        if law.is_long_term(day or known, self._known[closed.opened].entry.id.day):
            return "ltcg"
        return "stcg" if day else "unclear"

    def _day(self, lot: Lot) -> date | None:
        """Give the day on which a lot was bought or sold, None where it was taken over and nobody knows."""
        traded = self._known[lot.opened]
        return traded.bought_on if isinstance(traded.entry, Opening) else traded.entry.id.day

    def _row(self, pair: Pair, category: law.Category, note: str = "") -> Row:
        opened, closed = pair
        bought, sold = (opened, closed) if opened.quantity > 0 else (closed, opened)
        bought_on, sold_on, last = self._day(bought), self._day(sold), self._known[closed.opened]
        closed_on = last.entry.id.day
        return Row(
            financial_year=law.financial_year(closed_on),
            category=category,
            section=law.section(category, closed_on),
            rates=law.rates(category, closed_on),
            exchange=last.entry.id.exchange,
            tradingsymbol=last.tradingsymbol,
            isin=last.isin,
            quantity=bought.quantity,
            bought_on=bought_on,
            bought_value=bought.value,
            sold_on=sold_on,
            sold_value=-sold.value,
            days_held=abs((sold_on - bought_on).days) if bought_on and sold_on else None,
            gain=-sold.value - bought.value,
            method=self._method,
            lawful=self._method == "fifo",
            note=note or _note(category, bought_on, sold_on),
            bought=bought.opened,
            sold=sold.opened,
        )


def _lot(entry: Fill | Opening) -> Lot:
    return Lot(entry.id, entry.time, entry.signed, entry.signed * entry.price * entry.multiplier)


def _pairs_of_one_day(lots: list[Lot]) -> list[Pair]:
    """Match the first bought with the first sold of one day; leave in the list what was only bought or only sold."""
    bought = [lot for lot in lots if lot.quantity > 0]
    sold = [lot for lot in lots if lot.quantity < 0]
    pairs = []
    while bought and sold:
        part = min(bought[0].quantity, -sold[0].quantity)
        pairs.append((take(bought, part), take(sold, part)))
    lots[:] = bought + sold
    return pairs


def _note(category: law.Category, bought_on: date | None, sold_on: date | None) -> str:
    if category == "unclear":
        sold_first = bought_on and sold_on and sold_on < bought_on
        return "sold on an earlier day than bought" if sold_first else "the day of the purchase is not known"
    if category == "ltcg" and bought_on and bought_on <= law.GRANDFATHERED:
        return f"bought by {law.GRANDFATHERED}: section 55(2)(ac) may raise what it cost"
    return ""


def totals(rows: Iterable[Row]) -> list[Total]:
    """Add up rows by year, category, section and rates: the lines that a return asks for."""
    sums: dict[tuple[str, law.Category, str, str], tuple[Decimal, Decimal]] = {}
    with localcontext(EXACT):
        for row in rows:
            line = (row.financial_year, row.category, row.section, row.rates)
            bought, sold = sums.get(line, (ZERO, ZERO))
            sums[line] = (bought + row.bought_value, sold + row.sold_value)
        return [Total(*line, bought, sold, sold - bought) for line, (bought, sold) in sorted(sums.items())]


def in_csv(rows: Iterable[Row]) -> str:
    """Give rows as CSV: a line of COLUMNS, ISO days, values in paise, and the gain as the difference of these."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        bought, sold = (ROUNDED.quantize(value, PAISA) for value in (row.bought_value, row.sold_value))
        cells = msgspec.structs.asdict(row) | {"bought_value": bought, "sold_value": sold}
        cells |= {"gain": ROUNDED.subtract(sold, bought), "lawful": "yes" if row.lawful else "no"}
        cells |= {"bought_id": _name(row.bought), "sold_id": _name(row.sold)}
        writer.writerow([_cell(cells[column]) for column in COLUMNS])
    return text.getvalue()


def _name(known: EntryId) -> str:
    return f"{known.exchange}/{known.order_id}/{known.trade_id}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)
