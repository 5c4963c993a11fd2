"""One book of lots: worked examples by hand, and what holds for every history."""

import itertools
from collections import deque
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from money.pnl.entry import Action, Charge, Entry, EntryId, Fill, Opening, natural, place
from money.pnl.lots import PAISA, VALUE_STEP, ZERO, Book, Match, Method, fold
from runtime.errors import BadEvent
from tests.fills import FIRST_DAY, at, bought, histories, known, prices, sold

METHODS: tuple[Method, ...] = ("fifo", "average")


def folded(*entries: Entry) -> tuple[Book, list[Match]]:
    return fold(entries)


def whole(*numbers: Decimal) -> list[int]:
    """Give numbers of the examples as they are written: none of them has a fraction."""
    assert all(number == int(number) for number in numbers), numbers
    return [int(number) for number in numbers]


def realised(book: Book) -> list[int]:
    return whole(book.realised_fifo, book.realised_average)


def amounts(closed: list[Match]) -> list[list[int]]:
    return [whole(match.quantity, match.open_value, match.close_value) for match in closed]


def test_the_first_bought_is_the_first_sold() -> None:
    book, closed = folded(bought("10", "100", 0), bought("10", "110", 1), sold("15", "120", 2))
    assert amounts(closed) == [[10, 1000, 1200], [5, 550, 600]]
    assert whole(*(match.realised_average for match in closed)) == [150, 75]  # 15 of 20 that cost 2,100
    assert (book.realised_fifo, book.realised_average) == (Decimal(250), Decimal(225))
    assert (book.open_value("fifo"), book.open_value("average")) == (Decimal(550), Decimal(525))
    assert (book.average_price("fifo"), book.average_price("average")) == (Decimal(110), Decimal(105))
    assert book.cash_flow == Decimal(-300)


def test_a_short_wins_when_it_is_bought_back_lower() -> None:
    book, closed = folded(sold("10", "100", 0), bought("4", "90", 1))
    assert amounts(closed) == [[-4, -400, -360]]
    assert (book.quantity, book.realised_fifo, book.open_value("fifo")) == (Decimal(-6), Decimal(40), Decimal(-600))
    assert book.average_price("average") == Decimal(100)
    assert book.statement(Decimal(105), "fifo").unrealised == Decimal(-30)


def test_a_flip_closes_all_and_opens_the_rest_as_a_new_round_trip() -> None:
    flip = sold("25", "120", 1)
    book, closed = folded(bought("10", "100", 0), flip, bought("15", "110", 2))
    assert amounts(closed) == [[10, 1000, 1200], [-15, -1800, -1650]]
    assert [match.trip for match in closed] == [1, 2]
    assert (closed[1].opened, closed[1].opened_at) == (flip.id, flip.time)
    assert not book.lots
    assert [*whole(book.quantity), *realised(book)] == [0, 350, 350]
    assert (book.trip, book.average_price("fifo")) == (2, None)


def test_the_trade_ids_numbers_order_the_fills_of_one_second() -> None:
    """By text "10" comes before "9", and a short of nine would have been opened first."""
    book, closed = folded(sold("9", "11", trade_id="10"), bought("9", "10", trade_id="9"))
    assert amounts(closed) == [[9, 90, 99]]
    assert natural("T9") < natural("T10") < natural("U1")
    assert book.quantity == 0


def test_who_trades_with_himself_has_one_trade_id_in_two_orders() -> None:
    first, second = (Fill(known(0, "7", order), at(0), "BUY", Decimal(1), Decimal(5)) for order in ("9", "10"))
    assert place(first) < place(second)
    assert fold([second, first])[0].quantity == 2


def test_a_lot_that_cannot_be_divided_keeps_its_last_paisa() -> None:
    """Three shares for 100 rupees (after a bonus): 33.33333333 twice, and what is left."""
    bonus = Action(known(1, "bonus"), "bonus", 2, 1)
    parts = [sold("1", "40", 2, trade_id=str(n)) for n in range(3)]
    book, closed = folded(bought("1", "100"), bonus, *parts)
    assert [match.open_value for match in closed] == [Decimal(s) for s in ("33.33333333", "33.33333334", "33.33333333")]
    assert book.realised_fifo == book.realised_average == Decimal(20)


def test_a_lot_of_finer_decimals_than_its_parts_is_closed_to_nothing() -> None:
    price, multiplier = Decimal("0.00000001"), Decimal("0.00000001")
    buy, sell = (
        msgspec.structs.replace(one, price=price, multiplier=multiplier) for one in (bought("1", "1"), sold("1", "1"))
    )
    book, _ = folded(buy, sell)
    assert book.realised_fifo == book.realised_average == book.average_value == ZERO


def test_a_round_trip_lasts_from_flat_to_flat() -> None:
    buys = [bought("1", "10", 0, "1"), bought("1", "11", 0, "2"), bought("1", "12", 2, "1")]
    _, closed = folded(*buys, sold("1", "12", 1, "1"), sold("1", "12", 1, "2"), sold("1", "12", 2, "2"))
    assert [match.trip for match in closed] == [1, 1, 2]


def test_a_snapshot_of_the_first_instant_of_an_ex_day_is_taken_after_the_split() -> None:
    split = Action(known(1, "9"), "split", 5, 1)
    book, _ = folded(Opening(known(1, "1"), split.time, Decimal(50), Decimal(2)), split)
    assert book.quantity == 50


def test_a_split_changes_the_quantity_and_keeps_what_it_cost() -> None:
    split = Action(known(1, "split"), "split", 5, 1)
    book, closed = folded(bought("10", "100", 0), bought("10", "200", 0, "3"), split, sold("50", "30", 1))
    assert amounts(closed) == [[50, 1000, 1500]]
    assert whole(book.quantity, book.open_value("fifo"), book.open_value("average")) == [50, 2000, 1500]
    assert book.adjusted_quantity == 80


def test_a_ratio_that_leaves_fractions_is_rounded_down_once_for_the_holding() -> None:
    """5 + 5 shares, 1 bonus for each 3: 13.33 become 13, though each lot alone would have become 6."""
    bonus = Action(known(1, "bonus"), "bonus", 1, 3)
    book, _ = folded(bought("5", "10", 0), bought("5", "20", 0, "3"), bonus)
    assert [whole(lot.quantity, lot.value) for lot in book.lots] == [[6, 50], [7, 100]]


def test_what_a_consolidation_leaves_nothing_of_hands_its_value_on() -> None:
    merge = Action(known(1, "merge"), "split", 1, 10)
    book, _ = folded(bought("4", "10", 0), bought("9", "20", 0, "3"), bought("3", "30", 0, "4"), merge)
    assert [whole(lot.quantity, lot.value) for lot in book.lots] == [[1, 310]]
    book, closed = folded(bought("4", "10", 0), merge)
    assert not book.lots
    assert [*whole(book.quantity), *realised(book)] == [0, -40, -40]
    assert closed[0].closed == merge.id


def test_a_lot_taken_over_moves_no_cash() -> None:
    opening = Opening(known(0, "opening"), at(0, -60), Decimal(10), Decimal(50))
    book, closed = folded(opening, sold("10", "60", 0))
    assert whole(book.cash_flow, book.opening_value, book.realised_fifo) == [600, 500, 100]
    assert closed[0].opened == opening.id
    assert whole(book.bought_quantity, book.sold_quantity, book.sold_value) == [0, 10, 600]


def test_a_position_that_is_converted_goes_from_one_product_to_another_and_wins_nothing() -> None:
    """Two lots taken over, of opposite signs and at its average price, in the books of both products."""
    out = Opening(known(0, "out"), at(0, 60), Decimal(-10), Decimal(100))
    old, _ = folded(bought("10", "100", 0), out)
    new, _ = folded(msgspec.structs.replace(out, signed=Decimal(10)), sold("10", "120", 1))
    assert (realised(old), realised(new)) == ([0, 0], [200, 200])
    assert old.quantity == new.quantity == 0
    assert old.opening_value + new.opening_value == 0


def test_an_option_that_expires_worthless_is_sold_for_nothing() -> None:
    expiry = sold("50", "0", 1, "expiry")
    assert realised(folded(bought("50", "12", 0), expiry)[0]) == [-600, -600]


def test_a_contract_is_worth_its_multiplier() -> None:
    lots = {"quantity": Decimal(2), "multiplier": Decimal(1250)}
    buy = msgspec.structs.replace(bought("1", "200.1"), **lots)
    sell = msgspec.structs.replace(sold("1", "201.3", 1), **lots)
    book, _ = folded(buy)
    assert book.statement(Decimal("200.5"), "fifo").unrealised == Decimal(1000)
    assert book.average_price("fifo") == Decimal("200.1")
    book.apply(sell)
    assert book.realised_fifo == Decimal(3000)


def test_a_position_that_stayed_overnight_comes_to_what_kite_says_of_it() -> None:
    """GOLDGUINEA in Kite's recorded answer: 3 overnight for 69,171, 1 bought at 23,388, 4 sold at 23,340: pnl 801.

    In the day's view, without what stayed overnight, 3 are short at 23,340, and at 23,355 the pnl is -93.
    """
    overnight = Opening(known(0, "overnight"), at(0, -60), Decimal(3), Decimal(23057))
    of_day = [bought("1", "23388", 0, "1"), sold("4", "23340", 0, "2")]
    for method in METHODS:
        net, day = folded(overnight, *of_day)[0], folded(*of_day)[0]
        assert (net.quantity, net.statement(Decimal(23355), method).net) == (Decimal(0), Decimal(801))
        assert (day.quantity, day.average_price(method)) == (Decimal(-3), Decimal(23340))
        assert day.statement(Decimal(23355), method).net == Decimal(-93)


def test_an_entry_that_does_not_come_after_the_last_is_refused_and_changes_nothing() -> None:
    book, _ = folded(bought("10", "100", 1))
    before = msgspec.json.encode(book)
    for refused in (bought("10", "100", 1), sold("1", "1", 0), bought("10", "101", 1)):
        with pytest.raises(BadEvent, match="fold the book again"):
            book.apply(refused)
    other = Fill(known(2, "1"), at(2), "SELL", Decimal(1), Decimal(1), Decimal(100))
    with pytest.raises(BadEvent, match="multiplier"):
        book.apply(other)
    assert msgspec.json.encode(book) == before


def test_a_flat_book_takes_another_multiplier() -> None:
    book, _ = folded(bought("1", "1", 0), sold("1", "2", 0))
    book.apply(Fill(known(1, "1"), at(1), "BUY", Decimal(1), Decimal(1), Decimal(100)))
    assert book.statement(Decimal(2), "average").market_value == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", "0"),
        ("quantity", "-1"),
        ("price", "NaN"),
        ("price", "1e12"),
        ("price", "1e-9"),
        ("multiplier", "0"),
    ],
)
def test_a_fill_that_cannot_be_is_refused(field: str, value: str) -> None:
    with pytest.raises(BadEvent):
        msgspec.structs.replace(bought("1", "1"), **{field: Decimal(value)})


def test_times_are_in_utc_and_ratios_whole() -> None:
    india = timezone(timedelta(hours=5.5))
    for time in (at(0).astimezone(india), at(0).replace(tzinfo=None)):
        with pytest.raises(BadEvent, match="UTC"):
            Opening(known(0, "1"), time, Decimal(1), Decimal(1))
    with pytest.raises(BadEvent, match="whole numbers"):
        Action(known(0, "1"), "split", 0, 1)


def test_an_action_is_in_force_from_the_first_instant_of_its_day_in_india() -> None:
    action = Action(EntryId(FIRST_DAY, "NSE", "", "split"), "split", 2, 1)
    assert action.time == datetime.fromisoformat("2026-03-31T18:30:00+00:00")


@given(histories(), st.data())
def test_realised_and_unrealised_are_cash_and_market_less_opening(entries: list[Entry], data: st.DataObject) -> None:
    """Exactly, at every step, at any price, by both methods, before and after charges."""
    book = Book()
    for entry, method in itertools.product(entries, METHODS):
        if method == METHODS[0]:
            book.apply(entry)
        said = book.statement(data.draw(prices), method)
        assert said.realised + said.unrealised == said.cash_flow + said.market_value - said.opening_value
        net_cash = said.cash_flow - said.charges
        assert said.net == net_cash + said.market_value - said.opening_value
        shown = said.in_paise()
        assert shown.net == shown.cash_flow - shown.charges + shown.market_value - shown.opening_value
        assert abs(shown.unrealised - said.unrealised) <= 2 * PAISA + VALUE_STEP
        assert all(amount == amount.quantize(PAISA) for amount in msgspec.structs.astuple(shown))


@given(histories())
def test_the_sums_are_those_of_the_entries(entries: list[Entry]) -> None:
    """Counted anew, without the book: cash, charges, what was taken over, what was bought and sold."""
    book, closed = fold(entries)
    fills = [entry for entry in entries if isinstance(entry, Fill)]
    taken = [entry for entry in entries if isinstance(entry, Opening)]
    signed = [fill.signed for fill in fills] + [lot.signed for lot in taken]
    cash = sum((-fill.signed * fill.price * fill.multiplier for fill in fills), ZERO)
    assert book.cash_flow == cash == book.sold_value - book.bought_value
    assert book.opening_value == sum((lot.signed * lot.price * lot.multiplier for lot in taken), ZERO)
    assert book.charges == sum((entry.amount for entry in entries if isinstance(entry, Charge)), ZERO)
    moved = sum(signed, ZERO)
    assert book.quantity == moved + book.adjusted_quantity == sum((lot.quantity for lot in book.lots), ZERO)
    assert book.quantity == book.opening_quantity + book.bought_quantity - book.sold_quantity + book.adjusted_quantity
    assert book.realised_fifo == sum((match.realised for match in closed), ZERO)
    assert book.realised_average == sum((match.realised_average for match in closed), ZERO)
    assert all(lot.quantity * book.quantity > 0 for lot in book.lots), "all of one sign, none empty"
    assert [lot.opened_at for lot in book.lots] == sorted(lot.opened_at for lot in book.lots)


@given(histories(), st.data())
def test_what_was_realised_until_any_day_is_the_sum_of_its_closings(entries: list[Entry], data: st.DataObject) -> None:
    """By both methods, also behind flips and splits and over nights: of any first part of the history."""
    _, closed = fold(entries)
    day = data.draw(st.sampled_from([entry.time for entry in entries] or [at(0)]))
    book, _ = fold([entry for entry in entries if entry.time <= day])
    until = [match for match in closed if match.closed_at <= day]
    assert book.realised_fifo == sum((match.realised for match in until), ZERO)
    assert book.realised_average == sum((match.realised_average for match in until), ZERO)


@given(histories(), st.integers(0, 14))
def test_a_book_that_was_put_away_goes_on_as_if_it_had_not(entries: list[Entry], cut: int) -> None:
    whole, all_closed = fold(entries)
    first, closed = fold(entries[:cut])
    kept = msgspec.json.decode(msgspec.json.encode(first), type=Book)
    second, rest = fold(entries[cut:], kept)
    assert msgspec.json.encode(second) == msgspec.json.encode(whole)
    assert closed + rest == all_closed


@given(histories(with_actions=False), st.randoms(use_true_random=False))
def test_the_order_in_which_fills_are_given_does_not_matter(entries: list[Entry], random: Random) -> None:
    given_so = list(entries)
    random.shuffle(given_so)
    assert fold(given_so) == fold(entries)


@given(histories(with_actions=False))
def test_lots_are_those_of_a_queue_of_single_units(entries: list[Entry]) -> None:
    """The plainest FIFO there is: one unit after the other, in fractions, which never round; and the average so too."""
    queue: deque[Fraction] = deque()
    open_units, by_fifo, average, by_average = 0, Fraction(0), Fraction(0), Fraction(0)
    for entry in entries:
        if isinstance(entry, Charge | Action):
            continue
        sign, price = (1 if entry.signed > 0 else -1), Fraction(entry.price) * Fraction(entry.multiplier)
        for _ in range(int(abs(entry.signed))):
            if open_units * sign < 0:
                by_fifo += -sign * (price - queue.popleft())
                by_average += -sign * (price - average / abs(open_units))
                average -= average / abs(open_units)
            else:
                queue.append(price)
                average += price
            open_units += sign
    book, closed = fold(entries)
    assert Fraction(book.realised_fifo) == by_fifo
    assert Fraction(abs(book.open_value("fifo"))) == sum(queue)
    assert abs(Fraction(book.realised_average) - by_average) <= len(entries) * Fraction(VALUE_STEP)
    assert sum(abs(match.quantity) for match in closed) * 2 + len(queue) == sum(
        abs(entry.signed) for entry in entries if isinstance(entry, Fill | Opening)
    )
