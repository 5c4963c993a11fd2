"""Folds the fills of a batch into the books of their strategies (`money.pnl.lots`).

A book goes on from where it stands with fills that come after all that it has. Whatever else happens to a line (a fill
that comes late or was told otherwise, another strategy, a corporate action, a first lot, another multiplier), all books
of the line are made anew from the line's first fill: so the books are the same however the fills came.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from money.pnl.entry import Action, Entry, EntryId, Fill, Opening, exact, of_ratio, place
from money.pnl.lots import Book, Match
from projectors.accounts.attributing import Attributing
from projectors.accounts.attribution import NONE
from projectors.accounts.parameters import text
from projectors.accounts.touched import Line, Touched
from runtime.calendar import IST
from sql.store import Rows

CHANGED = 2  # `fold` of a trade that was told otherwise since it was folded
_state = msgspec.json.Encoder()
_book = msgspec.json.Decoder(Book)
Row = Mapping[str, Any]


class Key(NamedTuple):
    """One book of an account."""

    strategy: str
    line: Line
    draft: bool


class Kept(NamedTuple):
    """A book as it stands, how many matches it has made before, and those that it makes now."""

    book: Book
    closed: int
    matches: list[Match]


class Folding:
    """The books of one transaction."""

    def __init__(self, rows: Rows, touched: Touched, attributing: Attributing) -> None:
        """Take what was touched; `run` does the work."""
        self._rows, self._touched, self._attributing = rows, touched, attributing
        self._actions: dict[tuple[str, str], list[Action]] = defaultdict(list)
        self.multipliers: dict[tuple[str, str], Decimal] = {}  # units of the price in one of quantity, where not 1

    async def run(self) -> None:
        """Fold all accounts that were touched; note the days whose charges are others by it."""
        if not self._touched.accounts:
            return
        for row in await self._rows.run("read_actions"):
            self._actions[row["exchange"], row["tradingsymbol"]].append(_action(row))
        for row in await self._rows.run("read_multipliers"):
            self.multipliers[row["exchange"], row["tradingsymbol"]] = row["multiplier"]
        for account in sorted(self._touched.accounts):
            await self._account(account)

    async def _account(self, account: str) -> None:
        fills = await self._rows.run("new_fills", {"account": account})
        anew = self._touched.lines.setdefault(account, set())  # also for who comes after: their round trips are others
        if any(row["fold"] == CHANGED for row in fills):  # its line may be another one now
            anew |= {Line.of(row) for row in await self._rows.run("lines_of_account", {"account": account})}
        for row in fills:
            self._touched.day(account, row["day"])
            if (row["exchange"], row["tradingsymbol"]) in self._actions:
                anew.add(Line.of(row))
        kept, late = await self._go_on(account, [row for row in fills if Line.of(row) not in anew])
        anew |= late
        await self._make_anew(account, anew, kept)
        await self._keep(account, kept)
        if fills:
            await self._rows.run("folded", {"account": account})
        await self._rows.run("own_positions", {"account": account})

    async def _go_on(self, account: str, fills: list[dict[str, Any]]) -> tuple[dict[Key, Kept], set[Line]]:
        """Fold new fills into the books as they stand; give these, and the lines on which a fill came late."""
        entries: dict[Key, list[Entry]] = defaultdict(list)
        for row in fills:
            for key in self._keys(row):
                entries[key].append(self._fill(row))
        if not entries:
            return {}, set()
        lines = _lines(key.line for key in entries)
        stand = {
            Key(row["strategy_id"], Line.of(row), row["draft"]): Kept(_book.decode(row["state"]), row["closed"], [])
            for row in await self._rows.run("read_books", {"account": account, "rows": lines})
        }
        late: set[Line] = set()
        kept: dict[Key, Kept] = {}
        for key, found in entries.items():
            book, closed, _ = stand.get(key, Kept(Book(), 0, []))
            found.sort(key=place)
            if not book.takes(found[0]) or (book.multiplier != self._multiplier(key.line) and book.quantity):
                late.add(key.line)
                continue
            kept[key] = Kept(book, closed, [match for entry in found for match in book.apply(entry)])
        return {key: each for key, each in kept.items() if key.line not in late}, late

    async def _make_anew(self, account: str, lines: set[Line], kept: dict[Key, Kept]) -> None:
        """Fold all books of some lines from their beginning."""
        if not lines:
            return
        wanted = {"account": account, "rows": _lines(lines)}
        await self._rows.run("drop_books", wanted)
        await self._rows.run("drop_closed_lots", wanted)
        await self._rows.run("drop_round_trips", wanted)
        entries: dict[Key, list[Entry]] = defaultdict(list)
        for row in await self._rows.run("read_openings", wanted):
            if Line.of(row) in lines:
                for key in self._opening_keys(account, row):
                    entries[key].append(self._opening(row))
        for row in await self._rows.run("line_fills", wanted):
            for key in self._keys(row):
                entries[key].append(self._fill(row))
        for key, found in entries.items():
            book, matches = Book(), list[Match]()
            actions = self._actions.get((key.line.exchange, key.line.tradingsymbol), [])
            for entry in sorted([*found, *actions], key=place):
                if not isinstance(entry, Action) or book.quantity:
                    matches += book.apply(entry)
            kept[key] = Kept(book, 0, matches)

    def _keys(self, row: Row) -> list[Key]:
        """Give the books that a fill belongs to: by the rules, and by the drafts where there are some."""
        keys = [Key(row["strategy_id"] or NONE, Line.of(row), draft=False)]
        if self._attributing.has_drafts:
            keys.append(Key(row["draft_strategy_id"] or NONE, Line.of(row), draft=True))
        return keys

    def _opening_keys(self, account: str, row: Row) -> list[Key]:
        keys = [Key(row["strategy_id"] or NONE, Line.of(row), draft=False)]
        if self._attributing.has_drafts:
            keys.append(Key(self._attributing.draft_of_opening(account, row) or NONE, Line.of(row), draft=True))
        return keys

    def _multiplier(self, line: Line) -> Decimal:
        return self.multipliers.get((line.exchange, line.tradingsymbol), Decimal(1))

    def _fill(self, row: Row) -> Fill:
        known = EntryId(row["day"], row["exchange"], row["order_id"], row["trade_id"])
        numbers = (exact(row["quantity"]), exact(row["price"]), self._multiplier(Line.of(row)))
        return Fill(known, row["time"].astimezone(UTC), row["side"], *numbers)

    def _opening(self, row: Row) -> Opening:
        """Give a first lot: it was there when its day began."""
        begins = datetime.combine(row["day"], time(), IST).astimezone(UTC)
        known = EntryId(row["day"], row["exchange"], "", "opening")
        return Opening(known, begins, exact(row["quantity"]), exact(row["price"]), self._multiplier(Line.of(row)))

    async def _keep(self, account: str, kept: Mapping[Key, Kept]) -> None:
        if not kept:
            return
        books = [_book_row(key, each) for key, each in kept.items()]
        await self._rows.run("keep_books", {"account": account, "rows": text(books)})
        closed = [row for key, each in kept.items() for row in _closed_rows(key, each)]
        if closed:
            await self._rows.run("add_closed_lots", {"account": account, "rows": text(closed)})


def _lines(lines: Iterable[Line]) -> str:
    return text([line._asdict() for line in sorted(set(lines))])


def _action(row: Row) -> Action:
    known = EntryId(row["day"], row["exchange"], "", row["action_id"])
    return of_ratio(known, row["kind"], row["ratio_old"], row["ratio_new"])


def _book_row(key: Key, kept: Kept) -> dict[str, Any]:
    book = kept.book
    names = (
        *("multiplier", "quantity", "average_value", "realised_fifo", "realised_average", "cash_flow"),
        *("opening_quantity", "opening_value", "bought_quantity", "bought_value", "sold_quantity", "sold_value"),
    )
    return {
        "strategy_id": key.strategy,
        **key.line._asdict(),
        "draft": key.draft,
        **{name: getattr(book, name) for name in names},
        "fifo_value": book.open_value("fifo"),
        "fifo_price": book.average_price("fifo"),
        "average_price": book.average_price("average"),
        "closed": kept.closed + len(kept.matches),
        "last_at": book.last.time if book.last else None,
        "state": msgspec.Raw(_state.encode(book)),
    }


def _closed_rows(key: Key, kept: Kept) -> list[dict[str, Any]]:
    return [
        {
            "strategy_id": key.strategy,
            **key.line._asdict(),
            "draft": key.draft,
            "place": number,
            "trip": match.trip,
            "day": match.closed_at.astimezone(IST).date(),
            "quantity": match.quantity,
            "open_value": match.open_value,
            "close_value": match.close_value,
            "realised": match.realised,
            "realised_average": match.realised_average,
            "opened_at": match.opened_at,
            "opened_order_id": match.opened.order_id,
            "opened_trade_id": match.opened.trade_id,
            "closed_at": match.closed_at,
            "closed_order_id": match.closed.order_id,
            "closed_trade_id": match.closed.trade_id,
        }
        for number, match in enumerate(kept.matches, kept.closed + 1)
    ]
