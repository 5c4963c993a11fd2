"""Which orders the broker is asked the charges of, in how many calls, and which answers are none."""

import json
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from events.accounts import BODY_BYTES_MAX
from producers.accounts.note import ORDERS_MAX, questions, rows_in
from producers.kite.calls import Answer, CallFailed
from runtime.errors import BadInput
from tests.account_log import order


def answer(data: object, body: bytes = b"") -> Answer:
    return Answer(body, msgspec.Raw(json.dumps(data).encode()), 1, 2)


def asked(orders: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Give what is asked, call by call."""
    found = []
    for body, number in questions(answer(orders)):
        found.append(json.loads(body))
        assert len(found[-1]) == number
    return found


def test_an_order_is_asked_about_with_what_was_filled_of_it() -> None:
    listed = order("7", quantity=10, filled_quantity=4, average_price=1500.25, status="CANCELLED")
    assert asked([listed]) == [
        [
            {
                "order_id": "7",
                "exchange": "NSE",
                "tradingsymbol": "INFY",
                "transaction_type": "BUY",
                "variety": "regular",
                "product": "CNC",
                "order_type": "LIMIT",
                "quantity": 4,
                "average_price": 1500.25,
            }
        ]
    ]


def test_numbers_that_came_as_texts_are_asked_as_numbers() -> None:
    ((one,),) = asked([order(filled_quantity="10", average_price="1500.25", order_type=None)])
    assert (one["quantity"], one["average_price"], one["order_type"]) == (10, 1500.25, "MARKET")


@pytest.mark.parametrize(
    "more",
    [
        {"filled_quantity": 0},
        {"filled_quantity": None},
        {"filled_quantity": -1},
        {"filled_quantity": "NaN"},
        {"filled_quantity": "1e400"},
        {"average_price": 0},
        {"average_price": "inf"},
        {"product": None},
        {"tradingsymbol": ["INFY"]},
    ],
)
def test_what_was_not_filled_or_cannot_be_read_is_not_asked_about(more: dict[str, Any]) -> None:
    assert asked([order(**more)]) == []
    assert [len(call) for call in asked([order(**more), order("2")])] == [1]


def test_no_orders_are_no_question() -> None:
    assert list(questions(answer(None))) == []
    assert asked([]) == []


def test_a_call_has_whole_scrips_and_no_more_orders_than_kite_takes() -> None:
    halves = [order(str(number), tradingsymbol=("A", "B")[number % 2]) for number in range(ORDERS_MAX)]
    third = [order(f"x{number}", tradingsymbol="C") for number in range(ORDERS_MAX + 1)]
    calls = asked([*third, *halves])
    assert [len(call) for call in calls] == [ORDERS_MAX, ORDERS_MAX // 2 + 1, ORDERS_MAX // 2]
    assert [{each["tradingsymbol"] for each in call} for call in calls] == [{"C"}, {"C", "A"}, {"B"}]


def test_an_answer_has_a_row_for_each_order() -> None:
    assert rows_in(2, answer([{}, {}])) == 2
    wrong: list[object] = [[{}], [{}, {}, {}], None, {"charges": []}]
    for data in wrong:
        with pytest.raises(CallFailed, match="charges"):
            rows_in(2, answer(data))


def test_an_answer_that_no_event_holds_is_refused() -> None:
    noise = random.Random(1).randbytes(BODY_BYTES_MAX)
    with pytest.raises(BadInput, match="compressed"):
        rows_in(1, answer([{}], noise))
