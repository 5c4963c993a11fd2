"""The page of charges says what the shipped tariff says, and names every word that a tariff may have."""

import re
from typing import get_args

import pytest

from money.charges import Rounding
from money.charges.rate import Rate, Row
from tests.charges_page import PATH, with_tables

PAGE = PATH.read_text("utf-8")
OF_ALL = {"segments", "exchanges", "names", "from", "source", "note", "confirmed"}


def test_the_tables_are_those_of_the_shipped_tariff() -> None:
    assert with_tables(PAGE) == PAGE, "run python -m tests.charges_page"


def _line(kind: str) -> str:
    """Give the line of the page's table of words that is about one kind of row."""
    lines = [line for line in PAGE.splitlines() if re.match(r"\| `\w+`", line) and f"`{kind}`" in line.split("|")[1]]
    assert len(lines) == 1, kind
    return lines[0]


@pytest.mark.parametrize("row", get_args(Rate), ids=lambda row: row.KIND)
def test_every_word_of_a_row_is_explained(row: type[Row]) -> None:
    words = set(row.__struct_encode_fields__) - OF_ALL
    assert set(re.findall(r"`(\w+)`", _line(row.KIND).split("|")[2])) == words


def test_every_rounding_is_explained() -> None:
    section = PAGE.partition("## How it is rounded")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == {rounding.value for rounding in Rounding}
