"""What holds of every order's charges, whatever it was, on any day of the shipped tariff."""

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from money.charges import Charges, Exchange, Fill, Order, Rounding, Segment, Tariff, apportion, matched, note
from money.charges.amounts import PARTS
from money.charges.rate import PAISA, Side
from money.charges.segment import EXCHANGES
from runtime.errors import SettingError
from runtime.tariffs import shipped

TARIFF = Tariff.parse(shipped().text)
LAST = date(2027, 1, 1)
PAIRS = [(segment, exchange) for segment, exchanges in EXCHANGES.items() for exchange in exchanges]
SIDES: tuple[Side, ...] = ("BUY", "SELL")
# With names that have rows of their own.
NAMES = ["", "SENSEX", "CASTORSEED", "PEPPER"]

days = st.dates(TARIFF.begins, LAST)
quantities = st.integers(1, 100_000).map(Decimal)
fills = st.builds(Fill, quantities, st.decimals("0.0025", 100_000, places=4))
amounts = st.decimals(0, 10_000_000, places=9)
charges = st.builds(Charges, **dict.fromkeys(PARTS, amounts), transaction_tax_type=st.just("stt"))


@st.composite
def orders(draw: st.DrawFn) -> Order:
    segment, exchange = draw(st.sampled_from(PAIRS))
    return Order(
        day=draw(days),
        exchange=exchange,
        segment=segment,
        side=draw(st.sampled_from(SIDES)),
        fills=tuple(draw(st.lists(fills, min_size=1, max_size=5))),
        name=draw(st.sampled_from(NAMES)),
        multiplier=draw(st.sampled_from([Decimal(1), Decimal("0.1"), Decimal(1250)])),
    )


def _fewer(order: Order) -> Order:
    return msgspec.structs.replace(order, fills=order.fills[:-1])


@given(orders())
def test_no_charge_is_negative_and_the_total_is_their_sum(order: Order) -> None:
    charged = TARIFF.order_charges(order)
    assert min(getattr(charged, part) for part in PARTS) >= 0
    assert charged.total == sum(getattr(charged, part) for part in PARTS)
    assert bool(charged.transaction_tax) <= bool(charged.transaction_tax_type)


@given(orders())
def test_an_order_that_went_on_never_costs_less_in_any_part(order: Order) -> None:
    more, less = TARIFF.order_charges(order), TARIFF.order_charges(_fewer(order))
    assert all(getattr(more, part) >= getattr(less, part) for part in PARTS)


@given(orders())
def test_below_the_cap_what_two_orders_cost_is_what_one_of_both_costs(order: Order) -> None:
    row = TARIFF.on(order.day, order.segment, order.exchange, order.name).brokerage
    charged = TARIFF.order_charges(order)
    apart = [TARIFF.order_charges(msgspec.structs.replace(order, fills=(fill,))) for fill in order.fills]
    both = sum(apart, Charges())
    if row.flat is None and (row.cap is None or charged.brokerage < row.cap):
        assert all(getattr(both, part) == getattr(charged, part) for part in PARTS)
    else:
        assert charged.brokerage in (row.cap, row.flat)
        assert charged.brokerage <= both.brokerage
        assert all(getattr(both, part) == getattr(charged, part) for part in PARTS if part not in ("brokerage", "gst"))


@given(orders(), st.data())
def test_shares_undone_on_the_day_cost_what_intraday_does_and_the_rest_what_delivery_does(
    order: Order, data: st.DataObject
) -> None:
    order = msgspec.structs.replace(order, segment="equity_delivery", exchange="NSE", name="")
    undone = data.draw(st.integers(0, int(order.quantity)).map(Decimal))
    charged = TARIFF.order_charges(msgspec.structs.replace(order, intraday=undone))
    kept, traded = (
        TARIFF.order_charges(msgspec.structs.replace(order, segment=segment)).transaction_tax
        for segment in ("equity_delivery", "equity_intraday")
    )
    share = undone / order.quantity
    assert abs(charged.transaction_tax - (kept * (1 - share) + traded * share)) < Decimal("1e-9")


@given(charges, st.lists(st.decimals(0, 1_000_000, places=6), min_size=1, max_size=8))
def test_shares_add_up_to_the_whole_exactly_and_none_is_off_by_a_paisa(
    whole: Charges, turnovers: list[Decimal]
) -> None:
    shares = apportion(whole, turnovers)
    assert len(shares) == len(turnovers)
    for part in PARTS:
        amount, given_ = getattr(whole, part), [getattr(share, part) for share in shares]
        assert sum(given_) == amount
        assert min(given_) >= 0
        assert all(share % PAISA == 0 for share in given_[:-1])
        for share, turnover in zip(given_, turnovers, strict=True):
            due = amount * turnover / sum(turnovers) if any(turnovers) else amount / len(turnovers)
            assert abs(share - due) < PAISA + Decimal("1e-9")


@given(st.lists(charges, max_size=4), days, st.sampled_from(PAIRS))
def test_a_note_is_the_sum_of_its_orders_but_for_what_rounding_may_add(
    orders_: list[Charges], day: date, pair: tuple[Segment, Exchange]
) -> None:
    rates = TARIFF.on(day, *pair)
    exact, printed = (note(orders_, rounding, rates) for rounding in (Rounding.NONE, Rounding.CONTRACT_NOTE))
    assert exact == sum(orders_, Charges())
    least = rates.brokerage.note_least if orders_ else 0
    assert abs(printed.brokerage - max(exact.brokerage, least)) <= PAISA / 2
    assert abs(printed.transaction_tax - exact.transaction_tax) <= Decimal("0.5")
    assert printed.transaction_tax % 1 == 0
    assert abs(printed.stamp - exact.stamp) <= rates.stamp.note_unit / 2
    lines = [sum(getattr(paper, part) for part in ("exchange", "ipft", "clearing")) for paper in (exact, printed)]
    assert abs(lines[0] - lines[1]) <= PAISA / 2
    assert printed.total % PAISA == 0
    assert note(list(reversed(orders_)), Rounding.CONTRACT_NOTE, rates) == printed


@given(st.lists(st.tuples(st.sampled_from(SIDES), quantities), max_size=8))
def test_as_much_is_undone_of_what_was_bought_as_of_what_was_sold(sides: list[tuple[Side, Decimal]]) -> None:
    undone = matched(sides)
    whole = {side: sum(quantity for called, quantity in sides if called == side) for side in SIDES}
    for side in SIDES:
        of_side = sum(part for part, (called, _) in zip(undone, sides, strict=True) if called == side)
        assert of_side == min(whole.values())
    assert all(0 <= part <= quantity for part, (_, quantity) in zip(undone, sides, strict=True))


@given(days, st.sampled_from(PAIRS), st.sampled_from(NAMES))
def test_a_row_in_force_began_before_and_is_of_its_segment_exchange_and_name(
    day: date, pair: tuple[Segment, Exchange], name: str
) -> None:
    segment, exchange = pair
    rates = TARIFF.on(day, segment, exchange, name)
    for kind in rates.__struct_fields__:
        row = getattr(rates, kind)
        assert kind == row.KIND
        assert row.first_day <= day
        assert segment in row.segments
        assert exchange in (row.exchanges or EXCHANGES[segment])
        assert not row.names or name in row.names


@given(st.integers(1, 10_000), st.sampled_from(PAIRS))
def test_every_day_before_the_tariff_begins_is_refused(earlier: int, pair: tuple[Segment, Exchange]) -> None:
    with pytest.raises(SettingError, match="rows from 2019-01-01 on"):
        TARIFF.on(TARIFF.begins - timedelta(days=earlier), *pair)
