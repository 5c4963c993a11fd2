"""Decimals of an answer: every digit, no float, no powers."""

import json
from decimal import Decimal

import msgspec
import pytest

from api.digits import encode


class _Answer(msgspec.Struct):
    name: str
    figure: Decimal


@pytest.mark.parametrize(
    ("figure", "written"),
    [
        ("1500.50", "1500.50"),
        ("0E-8", "0.00000000"),
        ("-1E-8", "-0.00000001"),
        ("1.5E+3", "1500"),
        ("1E+999999", "1E+999999"),  # as it came: written out it would be a megabyte
    ],
)
def test_a_power_is_written_out(figure: str, written: str) -> None:
    assert encode(_Answer("a", Decimal(figure))).decode() == f'{{"name":"a","figure":{written}}}'


@pytest.mark.parametrize("name", [":0E-8", '"0E-8', "\\", '\\"1E-8', "बही 1E+3,"])
def test_a_text_that_looks_like_one_stays_as_it_is(name: str) -> None:
    body = encode(_Answer(name, Decimal("0E-8")))
    assert json.loads(body)["name"] == name
    assert body.endswith(b'"figure":0.00000000}')
