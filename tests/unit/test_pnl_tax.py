"""Tax lots: each rule of the law as an example, and what holds for every account."""

import csv
import io
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from money.pnl import law
from money.pnl.entry import Action, EntryId, Fill, Opening
from money.pnl.lots import ZERO, fold
from money.pnl.tax import COLUMNS, Method, Row, Traded, in_csv, reckon, totals
from runtime.errors import BadEvent
from tests.fills import SIDES, Side

ISIN = "INE009A01021"
NOON = timedelta(hours=6, minutes=30)  # 12:00 IST, in UTC


def at(day: str, minute: int = 0) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) + NOON + timedelta(minutes=minute)


class Account:
    """Trades written down one after the other; each has an id of its own."""

    def __init__(self, symbol: str = "INFY", exchange: str = "NSE", isin: str = ISIN) -> None:
        self.symbol, self.exchange, self.isin = symbol, exchange, isin
        self.history: list[Traded] = []

    def _id(self, day: str, exchange: str | None = None) -> EntryId:
        return EntryId(date.fromisoformat(day), exchange or self.exchange, "1", str(len(self.history)))

    def trade(self, side: Side, quantity: int, price: str, day: str, exchange: str | None = None) -> "Account":
        known, time = self._id(day, exchange), at(day, len(self.history))
        fill = Fill(known, time, side, Decimal(quantity), Decimal(price))
        self.history.append(Traded(fill, self.symbol, self.isin))
        return self

    def buy(self, quantity: int, price: str, day: str, exchange: str | None = None) -> "Account":
        return self.trade("BUY", quantity, price, day, exchange)

    def sell(self, quantity: int, price: str, day: str, exchange: str | None = None) -> "Account":
        return self.trade("SELL", quantity, price, day, exchange)

    def act(self, action: Action) -> "Account":
        self.history.append(Traded(action, self.symbol, self.isin))
        return self

    def bonus(self, new: int, old: int, day: str) -> "Account":
        return self.act(Action(self._id(day), "bonus", new, old))

    def split(self, new: int, old: int, day: str) -> "Account":
        return self.act(Action(self._id(day), "split", new, old))

    def held(self, quantity: int, price: str, since: str, bought_on: str | None = None) -> "Account":
        opening = Opening(self._id(since), at(since, -600), Decimal(quantity), Decimal(price))
        day = date.fromisoformat(bought_on) if bought_on else None
        self.history.append(Traded(opening, self.symbol, self.isin, day))
        return self

    def shown(self, method: Method = "fifo") -> list[tuple[str, int, str | None, int]]:
        """Give category, quantity, day of the purchase and gain of each row."""
        rows = reckon(self.history, method).rows
        assert all(row.gain == int(row.gain) for row in rows)
        days = [str(row.bought_on) if row.bought_on else None for row in rows]
        return [(row.category, int(row.quantity), day, int(row.gain)) for row, day in zip(rows, days, strict=True)]

    def row(self) -> Row:
        (row,) = reckon(self.history).rows
        return row


def test_what_is_bought_and_sold_on_one_day_is_speculative() -> None:
    """No product is asked: nobody delivers what he has both bought and sold, CNC or MIS."""
    account = Account().buy(10, "100", "2026-05-04").sell(10, "105", "2026-05-04")
    assert account.shown() == [("speculative", 10, "2026-05-04", 50)]
    assert account.row().days_held == 0


def test_of_a_day_the_first_bought_goes_against_the_first_sold_and_the_rest_is_kept() -> None:
    account = Account().buy(10, "100", "2026-05-04").buy(10, "101", "2026-05-04").sell(14, "105", "2026-05-04")
    assert account.shown() == [("speculative", 10, "2026-05-04", 50), ("speculative", 4, "2026-05-04", 16)]
    ((lot,),) = reckon(account.history).open.values()
    assert (lot.quantity, lot.value) == (Decimal(6), Decimal(606))


def test_shares_that_were_held_stay_when_as_many_are_sold_and_bought_again() -> None:
    account = Account().buy(10, "90", "2024-01-02").sell(10, "120", "2026-05-04").buy(10, "115", "2026-05-04")
    assert account.shown() == [("speculative", 10, "2026-05-04", 50)]
    ((lot,),) = reckon(account.history).open.values()
    assert (str(lot.opened.day), lot.value) == ("2024-01-02", Decimal(900))


def test_only_what_is_sold_beyond_that_is_delivered() -> None:
    account = Account().buy(10, "90", "2024-01-02").sell(10, "120", "2026-05-04").buy(9, "115", "2026-05-04")
    assert sorted(account.shown()) == [("ltcg", 1, "2024-01-02", 30), ("speculative", 9, "2026-05-04", 45)]


def test_a_scrip_is_one_on_both_exchanges() -> None:
    account = Account().buy(10, "100", "2026-05-04").sell(4, "110", "2026-05-05", "BSE")
    assert account.shown() == [("stcg", 4, "2026-05-04", 40)]
    assert account.row().exchange == "BSE"


def test_in_trade_to_trade_every_trade_is_delivered() -> None:
    account = Account().buy(10, "90", "2024-01-02").sell(10, "120", "2026-05-04").buy(10, "115", "2026-05-04")
    account.history = [msgspec.structs.replace(traded, trade_to_trade=True) for traded in account.history]
    assert account.shown() == [("ltcg", 10, "2024-01-02", 300)]


@pytest.mark.parametrize(
    ("bought_on", "sold_on", "category"),
    [
        ("2024-01-01", "2025-01-01", "stcg"),  # the anniversary: twelve months and no more
        ("2024-01-01", "2025-01-02", "ltcg"),
        ("2025-05-04", "2026-05-04", "stcg"),  # 365 days are not more than twelve months
        ("2024-02-29", "2025-03-01", "stcg"),
        ("2024-02-29", "2025-03-02", "ltcg"),
        ("2023-03-01", "2024-02-29", "stcg"),
        ("2026-05-04", "2026-05-05", "stcg"),  # bought today, sold tomorrow
    ],
)
def test_long_is_more_than_twelve_months(bought_on: str, sold_on: str, category: str) -> None:
    account = Account().buy(1, "100", bought_on).sell(1, "130", sold_on)
    assert account.shown() == [(category, 1, bought_on, 30)]


@pytest.mark.parametrize(
    ("sold_on", "year", "sections", "rates"),
    [
        ("2018-03-28", "2017-18", ("111A", "112A"), ("before 2024-07-23", "before 2018-04-01")),
        ("2024-07-22", "2024-25", ("111A", "112A"), ("before 2024-07-23", "before 2024-07-23")),
        ("2024-07-23", "2024-25", ("111A", "112A"), ("from 2024-07-23", "from 2024-07-23")),
        ("2026-03-31", "2025-26", ("111A", "112A"), ("from 2024-07-23", "from 2024-07-23")),
        ("2026-04-01", "2026-27", ("196", "198"), ("from 2024-07-23", "from 2024-07-23")),
    ],
)
def test_the_day_of_the_sale_says_year_section_and_rates(
    sold_on: str, year: str, sections: tuple[str, str], rates: tuple[str, str]
) -> None:
    day = date.fromisoformat(sold_on)
    yesterday, long_ago = str(day - timedelta(days=1)), str(day - timedelta(days=500))
    short = Account().buy(1, "1", yesterday).sell(1, "1", sold_on).row()
    long = Account().buy(1, "1", long_ago).sell(1, "1", sold_on).row()
    assert (short.financial_year, long.financial_year) == (year, year)
    assert (short.section, long.section) == sections
    assert (short.rates, long.rates) == rates


def test_the_first_bought_is_sold_first_and_for_the_record_the_last() -> None:
    account = Account().buy(10, "100", "2026-05-04").buy(10, "150", "2026-05-05").sell(15, "160", "2026-05-06")
    assert account.shown() == [("stcg", 10, "2026-05-04", 600), ("stcg", 5, "2026-05-05", 50)]
    assert account.shown("lifo") == [("stcg", 10, "2026-05-05", 100), ("stcg", 5, "2026-05-04", 300)]
    assert {row.lawful for row in reckon(account.history).rows} == {True}
    assert {row.lawful for row in reckon(account.history, "lifo").rows} == {False}


def test_bonus_shares_cost_nothing_and_are_held_from_their_own_day() -> None:
    account = Account().buy(10, "100", "2024-05-03").bonus(1, 1, "2026-05-05").sell(15, "80", "2026-05-06")
    assert sorted(account.shown()) == [("ltcg", 10, "2024-05-03", -200), ("stcg", 5, "2026-05-05", 400)]


def test_shares_of_a_split_keep_their_day_and_what_they_cost() -> None:
    account = Account().buy(3, "100", "2024-05-03").split(5, 1, "2026-05-05").sell(15, "30", "2026-05-06")
    assert account.shown() == [("ltcg", 15, "2024-05-03", 150)]


def test_a_share_that_a_consolidation_leaves_nothing_of_is_shown_as_unclear() -> None:
    account = Account().buy(3, "100", "2024-05-03").split(1, 10, "2026-05-05")
    assert account.shown() == [("unclear", 3, "2024-05-03", -300)]
    assert "no whole share" in account.row().note


def test_what_was_taken_over_without_its_day_is_unclear_until_a_year_has_passed() -> None:
    account = Account().held(10, "100", "2026-05-04").sell(4, "110", "2026-05-06").sell(6, "110", "2027-05-05")
    assert account.shown() == [("unclear", 4, None, 40), ("ltcg", 6, None, 60)]
    first, second = reckon(account.history).rows
    assert (first.note, first.days_held, second.note) == ("the day of the purchase is not known", None, "")


def test_what_was_taken_over_with_its_day_counts_from_it() -> None:
    account = Account().held(10, "100", "2026-05-04", "2017-01-02").sell(10, "110", "2026-05-06")
    assert account.shown() == [("ltcg", 10, "2017-01-02", 100)]
    assert account.row().note == "bought by 2018-01-31: section 55(2)(ac) may raise what it cost"
    assert Account().buy(1, "1", "2018-02-01").sell(1, "2", "2026-05-06").row().note == ""


def test_a_share_that_was_sold_before_it_was_bought_is_unclear() -> None:
    account = Account().sell(10, "100", "2026-05-04").buy(10, "120", "2026-05-05")
    assert account.shown() == [("unclear", 10, "2026-05-05", -200)]
    assert account.row().note == "sold on an earlier day than bought"


@pytest.mark.parametrize("exchange", ["NFO", "BFO", "CDS", "BCD", "MCX", "NCO"])
def test_a_derivative_is_business_and_not_speculative_also_within_a_day(exchange: str) -> None:
    account = Account("NIFTY26MAYFUT", exchange, "").sell(75, "24000", "2026-03-31").buy(75, "23990", "2026-04-01")
    row = account.row()
    assert account.shown() == [("non_speculative", 75, "2026-04-01", 750)]
    assert (row.financial_year, row.section, row.rates, row.days_held) == ("2026-27", "66", "", 1)
    account = Account("NIFTY26MAYFUT", exchange, "").sell(75, "24000", "2026-03-30").buy(75, "23990", "2026-03-30")
    assert (account.row().category, account.row().section) == ("non_speculative", "43(5) proviso")


def test_a_contract_is_one_of_its_exchange_alone() -> None:
    account = Account("SENSEX26MAYFUT", "BFO", "").buy(1, "10", "2026-05-04")
    account.sell(1, "12", "2026-05-04", "NFO")
    assert account.shown() == []


def test_a_fill_that_is_given_twice_is_refused() -> None:
    account = Account().buy(10, "100", "2026-05-04")
    with pytest.raises(BadEvent, match="give each fill once"):
        reckon(account.history * 2)


def test_the_lines_of_a_return_are_sums_of_rows() -> None:
    account = Account().buy(10, "100", "2024-05-03").sell(4, "110", "2024-07-22").sell(6, "120", "2024-07-23")
    assert [
        (line.rates, line.bought_value, line.sold_value, line.gain) for line in totals(reckon(account.history).rows)
    ] == [
        ("before 2024-07-23", Decimal(400), Decimal(440), Decimal(40)),
        ("from 2024-07-23", Decimal(600), Decimal(720), Decimal(120)),
    ]


def test_the_file_has_a_line_for_each_row_in_paise() -> None:
    account = Account("M&M").buy(3, "33.335", "2026-05-04").held(1, "5", "2026-05-05").sell(4, "50", "2026-05-06")
    assert in_csv(reckon(account.history).rows) == (
        "financial_year,category,section,rates,exchange,tradingsymbol,isin,quantity,bought_on,bought_value,sold_on,"
        "sold_value,days_held,gain,method,lawful,note,bought_id,sold_id\n"
        "2026-27,stcg,196,from 2024-07-23,NSE,M&M,INE009A01021,3,2026-05-04,100.00,2026-05-06,"
        "150.00,2,50.00,fifo,yes,,NSE/1/0,NSE/1/2\n"
        "2026-27,unclear,,,NSE,M&M,INE009A01021,1,,5.00,2026-05-06,"
        "50.00,,45.00,fifo,yes,the day of the purchase is not known,NSE/1/1,NSE/1/2\n"
    )


def test_a_note_with_a_comma_stays_in_its_column() -> None:
    row = msgspec.structs.replace(Account().buy(1, "1", "2026-05-04").sell(1, "1", "2026-05-04").row(), note='a, "b"')
    (read,) = csv.DictReader(io.StringIO(in_csv([row])))
    assert (read["note"], tuple(read)) == ('a, "b"', COLUMNS)


@pytest.mark.parametrize(
    ("day", "year"), [("2026-03-31", "2025-26"), ("2026-04-01", "2026-27"), ("1999-04-01", "1999-00")]
)
def test_a_financial_year_begins_in_april(day: str, year: str) -> None:
    assert law.financial_year(date.fromisoformat(day)) == year


DAYS = [date(2024, 7, 19) + timedelta(days=step) for step in (0, 3, 4, 200, 368, 420, 650)]


@st.composite
def accounts(draw: st.DrawFn, *, one_fill_a_day: bool = False, with_actions: bool = True) -> list[Traded]:
    history: list[Traded] = []
    for number in range(draw(st.integers(0, 14))):
        day = DAYS[0] + timedelta(days=number) if one_fill_a_day else draw(st.sampled_from(DAYS))
        exchange, symbol = draw(st.sampled_from([("NSE", "A"), ("BSE", "A"), ("NSE", "B"), ("NFO", "A26FUT")]))
        if one_fill_a_day:
            exchange, symbol = "NSE", "A"
        known, time = EntryId(day, exchange, "1", str(number)), at(str(day), draw(st.integers(0, 1)))
        kind, quantity, price = (
            draw(st.integers(0, 7)),
            Decimal(draw(st.integers(1, 12))),
            draw(st.decimals(1, 99, places=2)),
        )
        if kind == 0:
            bought_on = draw(st.none() | st.just(date(2024, 1, 1)))
            since = EntryId(DAYS[0], exchange, "", str(number))
            opening = Opening(since, at(str(DAYS[0]), -number - 1), quantity, price)
            history.append(Traded(opening, symbol, "", bought_on))
        elif kind == 1 and with_actions:
            new, old = draw(st.sampled_from([(1, 1), (1, 3), (2, 1), (1, 5)]))
            history.append(Traded(Action(known, draw(st.sampled_from(["split", "bonus"])), new, old), symbol))
        else:
            fill = Fill(known, time, draw(st.sampled_from(SIDES)), quantity, price)
            history.append(Traded(fill, symbol, "", None, draw(st.booleans())))
    return history


METHODS = st.sampled_from(["fifo", "lifo"])


@given(accounts(), METHODS)
def test_gains_are_cash_and_what_is_open_less_what_was_taken_over(history: list[Traded], method: Method) -> None:
    """Over all categories, exactly, by either method, whatever the corporate actions."""
    reckoned = reckon(history, method)
    fills = [traded.entry for traded in history if isinstance(traded.entry, Fill)]
    taken = [traded.entry for traded in history if isinstance(traded.entry, Opening)]
    cash = sum((-fill.signed * fill.price for fill in fills), ZERO)
    opening = sum((lot.signed * lot.price for lot in taken), ZERO)
    still_open = sum((lot.value for lots in reckoned.open.values() for lot in lots), ZERO)
    assert sum((row.gain for row in reckoned.rows), ZERO) == cash + still_open - opening
    assert sum((line.gain for line in totals(reckoned.rows)), ZERO) == cash + still_open - opening
    assert all(row.gain == row.sold_value - row.bought_value for row in reckoned.rows)


@given(accounts(with_actions=False), METHODS)
def test_no_fill_is_matched_for_more_than_it_was(history: list[Traded], method: Method) -> None:
    """What is matched of each entry and what is open of it are the entry: nothing twice, nothing lost."""
    reckoned = reckon(history, method)
    signed = {(traded.tradingsymbol, traded.entry.id): _signed(traded) for traded in history}
    used: defaultdict[tuple[str, EntryId], Decimal] = defaultdict(Decimal)
    for row in reckoned.rows:
        bought, sold = (row.tradingsymbol, row.bought), (row.tradingsymbol, row.sold)
        assert 0 < row.quantity <= min(signed[bought], -signed[sold])
        used[bought] += row.quantity
        used[sold] -= row.quantity
    for (_, symbol), lots in reckoned.open.items():
        for lot in lots:
            assert 0 < lot.quantity / signed[symbol, lot.opened] <= 1
            used[symbol, lot.opened] += lot.quantity
    assert used == signed


def _signed(traded: Traded) -> Decimal:
    assert not isinstance(traded.entry, Action)
    return traded.entry.signed


@given(accounts(one_fill_a_day=True, with_actions=False))
def test_without_a_day_of_both_the_gains_are_what_the_book_of_lots_realised(history: list[Traded]) -> None:
    book, _closed = fold(traded.entry for traded in history)
    reckoned = reckon(history)
    assert sum((row.gain for row in reckoned.rows), ZERO) == book.realised_fifo
    assert [lot for lots in reckoned.open.values() for lot in lots] == book.lots


@given(accounts(), METHODS)
def test_the_order_in_which_an_account_is_given_does_not_matter(history: list[Traded], method: Method) -> None:
    assert reckon(history[::-1], method) == reckon(history, method)
